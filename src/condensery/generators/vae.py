"""Class-conditional convolutional variational autoencoder.

Source: Kingma and Welling, *Auto-Encoding Variational Bayes*, 2014; the class is an input of encoder and
decoder (Sohn, Lee and Yan 2015). Pixels are normally distributed around the decoded image, with one standard
deviation, the optimal one for the batch (Rybkin et al. 2021); the two terms of the loss therefore need no
weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from condensery import networks
from condensery.data import DataInfo
from condensery.generators import base
from condensery.generators.base import Setting, descend, with_classes
from condensery.generators.layers import cut, doublings, first_size

# Keeps the logarithm finite where a batch is decoded exactly.
_EPSILON = 1e-6


def _widths(info: DataInfo, width: int) -> list[int]:
    """Return the channels after each halving of an image: doubled from one to the next, at most twice."""
    return [width * min(2**number, 4) for number in range(doublings((info.height, info.width)))]


class Encoder(nn.Module):
    """Convolutions with stride 2, batch norm and ReLU; one linear layer to the code."""

    def __init__(self, info: DataInfo, noise: int, width: int) -> None:
        super().__init__()
        self._classes = len(info.classes)
        widths = _widths(info, width)
        height, breadth = first_size((info.height, info.width))
        self.maps = nn.Sequential(
            *(
                part
                for before, after in pairwise([info.channels, *widths])
                for part in (nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU())
            )
        )
        self.code = nn.Linear(widths[-1] * height * breadth + self._classes, 2 * noise)

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and logarithm of the variance of the code of (N, C, H, W): (N, noise) each, float32."""
        features = with_classes(self.maps(images).flatten(1), labels, self._classes)
        mean, log_variance = self.code(features).float().chunk(2, 1)
        return mean, log_variance


class Generator(base.Generator):
    """The decoder: a linear layer, then doublings by nearest neighbors, convolutions, batch norm and ReLU.

    Args:
        info: the data set.
        noise: length of the code.
        width: channels at full resolution; 2 and 4 times as many below.
    """

    def __init__(self, info: DataInfo, noise: int, width: int) -> None:
        super().__init__(info, noise)
        self._size, self._classes = (info.height, info.width), len(info.classes)
        widths = [*reversed(_widths(info, width)), width]
        self._first = (widths[0], *first_size(self._size))
        self.seed = nn.Linear(noise + self._classes, self._first[0] * self._first[1] * self._first[2])
        self.maps = nn.Sequential(
            *(
                part
                for before, after in pairwise(widths)
                for part in (
                    nn.Upsample(scale_factor=2),
                    nn.Conv2d(before, after, 3, padding=1),
                    nn.BatchNorm2d(after),
                    nn.ReLU(),
                )
            ),
            nn.Conv2d(width, info.channels, 3, padding=1),
        )

    def logits(self, noise: Tensor, labels: Tensor) -> Tensor:
        """See :class:`condensery.generators.base.Generator`."""
        maps = self.seed(with_classes(noise, labels, self._classes)).unflatten(1, self._first)
        return cut(self.maps(maps), self._size)


def loss(images: Tensor, decoded: Tensor, mean: Tensor, log_variance: Tensor) -> dict[str, Tensor]:
    """Return the two terms of the negative evidence lower bound, each a mean over the batch.

    Args:
        images: (N, C, H, W).
        decoded: the images decoded from their codes, (N, C, H, W).
        mean: of their codes, (N, noise).
        log_variance: likewise.

    Returns:
        ``reconstruction``, D/2 log(mean squared error) for images of D values, without its constant; and
        ``divergence``, the Kullback-Leibler divergence of the codes from the standard normal distribution.
    """
    error = (images - decoded).square().mean()
    reconstruction = images[0].numel() / 2 * torch.log(error + _EPSILON)
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
    return {"reconstruction": reconstruction, "divergence": divergence}


class Training(base.Training):
    """Adam on the evidence lower bound.

    Parameters (``config/methods.yaml``): ``iterations``; ``batch``; ``lr``; ``noise``, length of the code;
    ``width``.
    """

    def __init__(self, setting: Setting) -> None:
        """Draw the first weights."""
        super().__init__(setting)
        info, parameters, device = setting.data.info, setting.parameters, setting.device.torch_device
        self.generator = self.make(info, parameters).to(device)
        self.encoder = Encoder(info, parameters["noise"], parameters["width"]).to(device)
        self.modules = {"encoder": self.encoder, "generator": self.generator}
        for name, module in self.modules.items():
            networks.initialize(module, setting.stream(f"{name}-weights"))
        weights = [weight for module in self.modules.values() for weight in module.parameters()]
        self.optimizers = {"adam": torch.optim.Adam(weights, lr=parameters["lr"])}

    @staticmethod
    def make(info: DataInfo, parameters: Mapping[str, Any]) -> Generator:
        """See :class:`condensery.generators.base.Training`."""
        return Generator(info, parameters["noise"], parameters["width"])

    @property
    def result(self) -> Generator:
        """See :class:`condensery.generators.base.Training`."""
        return self.generator

    def step(self, step: int) -> dict[str, Tensor]:
        """See :class:`condensery.generators.base.Training`."""
        images, labels = self.real.batch(self.setting.parameters["batch"], step)
        noise = self.noise(self.generator, len(labels), step)
        with self.setting.device.autocast():
            mean, log_variance = self.encoder(images, labels)
            decoded = self.generator(mean + (log_variance / 2).exp() * noise, labels)
        terms = loss(images, decoded, mean, log_variance)
        descend(self.optimizers["adam"], torch.stack([*terms.values()]).sum())
        return {name: term.detach() for name, term in terms.items()}
