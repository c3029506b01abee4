"""The interface of all methods, and their registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from condensery import networks, streams
from condensery.data import RealData, Split
from condensery.errors import CondenseryError
from condensery.machine.device import Device
from condensery.methods import real_images
from condensery.run import UNATTENDED, Run
from condensery.synthetic import SyntheticSet


class Parameters(dict[str, Any]):
    """The hyper-parameters of an entry of methods.yaml; reading one that it lacks is an error of the entry.

    Args:
        values: name -> value.
        method: name of the entry.
    """

    def __init__(self, values: Mapping[str, Any], method: str) -> None:
        """Copy the values."""
        super().__init__(values)
        self.method = method

    def __missing__(self, name: str) -> Any:
        """Raise a CondenseryError that names the parameter."""
        raise CondenseryError(
            f"config/methods.yaml: {self.method}.parameters: lacks {name!r}, which the method reads; add it"
        )


@dataclass(frozen=True)
class Problem:
    """One condensation: all inputs of a synthetic set.

    Attributes:
        data: the real data; methods use only its training split.
        ipc: stored images per class.
        classes: the classes to condense: all, or those of a part of the set.
        network: name of the condensing network.
        parameters: the method's hyper-parameters, resolved for this problem.
        augmentation: the data set's DSA strategy, such as ``color_crop_cutout_flip_scale_rotate``.
        seed: seed of the set and of all its streams.
        device: where to compute.
        trained: name in `condensery.experiment.needs.NEEDS` -> the files, trained beforehand.
    """

    data: RealData
    ipc: int
    classes: tuple[int, ...]
    network: str
    parameters: Mapping[str, Any]
    augmentation: str
    seed: int
    device: Device
    trained: Mapping[str, Sequence[Path]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the classes, the number of images per class and the formation.

        Raises:
            CondenseryError: a class does not exist, a class has fewer images than the set needs, or the
                formation does not divide the sides of the images.
        """
        info = self.data.info
        if self.ipc < 1:
            raise CondenseryError(f"ipc {self.ipc} is not a number of images: give 1 or more")
        for c in self.classes:
            if not 0 <= c < len(info.classes):
                raise CondenseryError(
                    f"class {c} is not in {info.name}, which has classes 0 to {len(info.classes) - 1}"
                )
            size = len(self.data.train.indices_of(c))
            if not size:
                raise CondenseryError(f"class {c} ({info.classes[c]}) of {info.name} has no training images")
            if self.images_per_class > size:
                times = f" with {self.formation**2} images in each" if self.formation > 1 else ""
                raise CondenseryError(
                    f"ipc {self.ipc}{times} is more than the {size} training images of class {c} "
                    f"({info.classes[c]}) of {info.name}: give {size // self.formation**2} or less"
                )
        if info.height % self.formation or info.width % self.formation:
            raise CondenseryError(
                f"formation {self.formation} does not divide {info.height}x{info.width}, the size of the "
                f"images of {info.name}: give one that does"
            )

    @property
    def formation(self) -> int:
        """Parts along each side of a stored image, see `condensery.formation`: a parameter, by default 1."""
        return self.parameters.get("formation", 1)

    @property
    def images_per_class(self) -> int:
        """Images per class after decoding: ``ipc`` times the squared formation."""
        return self.ipc * self.formation**2

    def needed(self, name: str, script: str) -> Sequence[Path]:
        """Return the files of one kind that were trained beforehand.

        Args:
            name: the kind, a name in `condensery.experiment.needs.NEEDS`.
            script: name of the script that trains them, for the message.

        Raises:
            CondenseryError: the problem has no such files.
        """
        if not self.trained.get(name):
            raise CondenseryError(
                f"this method needs {name}: give what scripts/{script}.py writes (--with {name}=FILE)"
            )
        return self.trained[name]

    @property
    def labels(self) -> Tensor:
        """Labels of the synthetic set, ``ipc`` per class in the order of ``classes``: int64 (N,), CPU."""
        return torch.tensor(self.classes).repeat_interleave(self.ipc)

    def new_network(self) -> networks.Network:
        """Build the condensing network on the device; its weights are not set yet.

        Raises:
            CondenseryError: the network is unknown, or the images are too small for it.
        """
        info = self.data.info
        net = networks.build(
            self.network, channels=info.channels, size=(info.height, info.width), classes=len(info.classes)
        )
        return net.to(self.device.torch_device)

    def training_split(self) -> Split:
        """Return the training split; its bytes are on the device if they fit the memory budget."""
        train, info, device = self.data.train, self.data.info, self.device.torch_device
        size = len(train) * info.channels * info.height * info.width
        return train.resident(device) if device.type != "cpu" and size <= self.device.memory_bytes else train

    def initial_images(self, init: str) -> Tensor:
        """Return the initial images of a learned set, float32 (N, C, H, W) on the device.

        Args:
            init: ``real``, random real images of each class, or ``noise``, standard normal pixels.
        """
        device = self.device.torch_device
        if init == "real":
            chosen = [self.random_images(c) for c in self.classes]
            return real_images.stored(self.data.train, chosen, self.formation, device)
        info = self.data.info
        shape = (self.ipc, info.channels, info.height, info.width)
        noise = [torch.randn(shape, generator=streams.generator(self.seed, "noise", c)) for c in self.classes]
        return torch.cat(noise).to(device)

    def random_images(self, c: int) -> np.ndarray:
        """Return indices of ``images_per_class`` images of a class, uniform without replacement: int64."""
        return real_images.first_drawn(self.data.train, c, self.images_per_class, self.seed)

    def random_batch(self, c: int, size: int, generator: torch.Generator) -> np.ndarray:
        """Draw images of a class uniformly without replacement.

        Args:
            c: the class.
            size: number of images, at most.
            generator: a CPU generator.

        Returns:
            Indices in the training split, int64 (n,), with n the smaller of ``size`` and the class's images.
        """
        return real_images.drawn(self.data.train, c, size, generator)

    def select(self, indices: Iterable[np.ndarray]) -> SyntheticSet:
        """Return the set of selected real images.

        Args:
            indices: per class, the indices in the training split, int64 (images_per_class,).
        """
        cpu = torch.device("cpu")
        return self.synthetic_set(real_images.stored(self.data.train, list(indices), self.formation, cpu))

    def synthetic_set(
        self,
        images: Tensor,
        *,
        labels: Tensor | None = None,
        learning_rate: Tensor | None = None,
        momentum: Tensor | None = None,
    ) -> SyntheticSet:
        """Return learned images as a synthetic set on the CPU.

        Args:
            images: (N, C, H, W), in normalized space.
            labels: int64 (N,) or soft, float32 (N, classes); default: :attr:`labels`.
            learning_rate: the learning rates that were learned with the images, or None.
            momentum: the momenta that were learned with them, shaped like ``learning_rate``, or None.
        """
        return SyntheticSet.of(
            self.data.info,
            images.detach().float().cpu().contiguous(),
            self.labels if labels is None else labels.detach().cpu().contiguous(),
            learning_rate=None if learning_rate is None else learning_rate.detach().float().cpu(),
            formation=self.formation,
            momentum=None if momentum is None else momentum.detach().float().cpu(),
        )


class Method(Protocol):
    """A method: a name and :meth:`condense`; its entry in methods.yaml has everything else."""

    name: str

    def condense(self, problem: Problem, *, run: Run = UNATTENDED) -> SyntheticSet:
        """Condense a data set.

        Args:
            problem: the inputs.
            run: the checkpoint saves the state, the progress counts iterations, and the recorder receives
                snapshots of the images.

        Returns:
            The set, whose provenance the caller adds.
        """
        ...


_METHODS: dict[str, Method] = {}


def register(method: Callable[[], Method]) -> Callable[[], Method]:
    """Register one instance of a method under its ``name``; a class decorator.

    Args:
        method: the class.

    Returns:
        The class, unchanged.

    Raises:
        ValueError: another method has this name.
    """
    instance = method()
    if instance.name in _METHODS:
        raise ValueError(f"two methods are called {instance.name!r}")
    _METHODS[instance.name] = instance
    return method


def get(name: str) -> Method:
    """Return the method called ``name``.

    Raises:
        CondenseryError: no class has this name.
    """
    if name not in _METHODS:
        raise CondenseryError(
            f"no class in src/condensery/methods/ has the name {name!r}; those with a class are "
            f"{', '.join(names())}"
        )
    return _METHODS[name]


def names() -> list[str]:
    """Return the names of all methods, sorted."""
    return sorted(_METHODS)
