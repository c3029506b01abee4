"""The base of all generators: setting, modules, training and sampling."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condensery import streams
from condensery.data import DataInfo, RealData
from condensery.machine.device import Device
from condensery.run import checkpoint
from condensery.training.samples import Samples

# Images that are sampled together.
_AT_ONCE = 250


@dataclass(frozen=True)
class Setting:
    """The setting of a generator: all inputs of its training.

    Attributes:
        data: the real data; only the training split is used.
        classes: the classes whose images it learns to generate.
        parameters: the hyper-parameters of its method.
        seed: the seed of all streams.
        device: where to compute.
    """

    data: RealData
    classes: tuple[int, ...]
    parameters: Mapping[str, Any]
    seed: int
    device: Device

    def stream(self, purpose: str, *address: int) -> torch.Generator:
        """Return the random stream of this purpose and address."""
        return streams.generator(self.seed, f"generator-{purpose}", *address)


class Generator(nn.Module, ABC):
    """Maps noise and a class to an image.

    Args:
        info: the data set.
        noise: length of the noise vector of an image.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, info: DataInfo, noise: int) -> None:
        super().__init__()
        self.noise_size = noise
        for name in ("mean", "std"):
            value = torch.tensor(getattr(info, name)).view(-1, 1, 1)
            self.register_buffer(name, value, persistent=False)

    @abstractmethod
    def logits(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Return intensities before the sigmoid, (N, C, H, W), from noise (N, noise) and classes (N,)."""

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Return images of these classes, float32 (N, C, H, W) in normalized space."""
        intensities = self.logits(noise, labels).float().sigmoid()
        return (intensities - self.mean) / self.std

    def draw(self, count: int, stream: torch.Generator) -> Tensor:
        """Return the noise of ``count`` images, standard normal (count, noise) on the CPU."""
        return torch.randn(count, self.noise_size, generator=stream)


def with_classes(features: Tensor, labels: Tensor, count: int) -> Tensor:
    """Append the one-hot vector of the class to features.

    Args:
        features: (N, F).
        labels: int64 (N,).
        count: number of classes.

    Returns:
        (N, F + count).
    """
    return torch.cat([features, F.one_hot(labels, count).to(features.dtype)], 1)


class RealImages:
    """Random batches of the real images of a setting's classes, on its device."""

    def __init__(self, setting: Setting) -> None:
        """Move the training images to the device."""
        train = setting.data.train
        self._setting = setting
        self._samples = Samples.of_split(train, setting.device)
        self._pools = {c: torch.tensor(train.indices_of(c)) for c in setting.classes}
        self._rows = torch.cat(list(self._pools.values()))

    def batch(self, size: int, *address: int) -> tuple[Tensor, Tensor]:
        """Return independent draws from all images, with their labels.

        Args:
            size: number of draws.
            address: the address of the random stream, such as the step.

        Returns:
            float32 (size, C, H, W), normalized, and int64 (size,).
        """
        rows = _draws(self._rows, size, self._setting.stream("batch", *address))
        return self._samples.batch(rows), self._samples.labels[rows.to(self._samples.labels.device)]

    def of_classes(self, classes: Sequence[int], size: int, *address: int) -> Tensor:
        """Return independent draws from the images of each class, float32 (classes, size, C, H, W)."""
        rows = [
            _draws(self._pools[c], size, self._setting.stream("class-batch", *address, c)) for c in classes
        ]
        return self._samples.batch(torch.cat(rows)).unflatten(0, (len(rows), size))


def _draws(rows: Tensor, size: int, stream: torch.Generator) -> Tensor:
    return rows[torch.randint(len(rows), (size,), generator=stream)]


def random_labels(classes: Sequence[int], count: int, stream: torch.Generator) -> Tensor:
    """Draw labels independently and uniformly.

    Args:
        classes: the classes to draw from.
        count: number of draws.
        stream: a CPU generator.

    Returns:
        int64 (count,), on the CPU.
    """
    return _draws(torch.tensor(classes), count, stream)


class Training(ABC):
    """A generator in training.

    Attributes:
        setting: the inputs of the training.
        real: batches of the real images.
        modules: name -> module, for all modules with weights.
        optimizers: name -> optimizer; the names differ from those of the modules.
    """

    def __init__(self, setting: Setting) -> None:
        """Load the images; a subclass adds its modules and optimizers."""
        self.setting, self.real = setting, RealImages(setting)
        self.modules: dict[str, nn.Module] = {}
        self.optimizers: dict[str, torch.optim.Adam] = {}

    @staticmethod
    @abstractmethod
    def make(info: DataInfo, parameters: Mapping[str, Any]) -> Generator:
        """Build the generator; its weights are not set yet."""

    @abstractmethod
    def step(self, step: int) -> dict[str, Tensor]:
        """Do one step, and return losses by name, each a scalar."""

    def check(self) -> None:  # noqa: B027 (most kinds do nothing)
        """Check for failures of the training other than values that are not finite, which the loop checks.

        Raises:
            CondenseryError: the training has failed.
        """

    @property
    @abstractmethod
    def result(self) -> Generator:
        """The generator that is sampled from."""

    def noise(self, generator: Generator, count: int, *address: int) -> Tensor:
        """Return the noise of ``count`` images, on the device."""
        stream = self.setting.stream("noise", *address)
        return generator.draw(count, stream).to(self.setting.device.torch_device)

    def state(self) -> dict[str, Tensor]:
        """Return the state of the training, for a checkpoint."""
        tensors = {
            f"{name}.{key}": tensor
            for name, module in self.modules.items()
            for key, tensor in module.state_dict().items()
        }
        for name, optimizer in self.optimizers.items():
            tensors |= checkpoint.adam_state(name, optimizer)
        return tensors

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore what :meth:`state` returned."""
        for name, module in self.modules.items():
            start = f"{name}."
            module.load_state_dict(
                {key.removeprefix(start): tensor for key, tensor in state.items() if key.startswith(start)}
            )
        for name, optimizer in self.optimizers.items():
            checkpoint.restore_adam(name, optimizer, state)


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> Tensor:
    """Take one step of an optimizer on a loss; only the optimizer's parameters get gradients.

    Returns:
        The loss, detached.
    """
    (group,) = optimizer.param_groups
    gradients = torch.autograd.grad(loss, group["params"])
    for parameter, gradient in zip(group["params"], gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()
    return loss.detach()


@torch.no_grad()
def sample(generator: Generator, classes: Sequence[int], count: int, seed: int, device: Device) -> Tensor:
    """Sample images.

    Args:
        generator: the generator, on the device.
        classes: the classes; their images are returned one class after the other.
        count: images per class.
        seed: seed of the noise, which for one class does not depend on the other classes.
        device: where to compute.

    Returns:
        float32 (classes * count, C, H, W), in normalized space.
    """
    generator.eval()
    noise = torch.cat([generator.draw(count, streams.generator(seed, "sample", c)) for c in classes])
    labels = torch.as_tensor(np.repeat(classes, count))
    with device.autocast():
        parts = [
            generator(some.to(device.torch_device), their.to(device.torch_device))
            for some, their in zip(noise.split(_AT_ONCE), labels.split(_AT_ONCE), strict=True)
        ]
    return torch.cat(parts)
