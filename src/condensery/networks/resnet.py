"""ResNet-18 for small images, and its variant with average pooling instead of strides."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from condensery.networks.base import Network, Size, can_halve, halved, normalization

_STAGES = (64, 128, 256, 512)
_BLOCKS_A_STAGE = 2


class _BasicBlock(nn.Module):
    """Two convolutions 3 x 3 with a shortcut: the identity, or a convolution 1 x 1 with normalization.

    A halving block uses stride 2, or with ``average_pooling`` (_AP) stride 1 and an average over 2 x 2.
    """

    def __init__(
        self, inputs: int, outputs: int, *, halve: bool, norm: str, average_pooling: bool, size: Size
    ) -> None:
        super().__init__()
        stride = 2 if halve and not average_pooling else 1
        pool = [nn.AvgPool2d(2, 2)] if halve and average_pooling else []
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            *normalization(norm, outputs, size),
            nn.ReLU(),
            *pool,
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            *normalization(norm, outputs, size),
        )
        self.shortcut = nn.Sequential()
        if halve or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False),
                *pool,
                *normalization(norm, outputs, size),
            )

    def forward(self, maps: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H', W')."""
        return F.relu(self.residual(maps) + self.shortcut(maps))


def resnet18(
    channels: int, size: tuple[int, int], classes: int, *, norm: str, average_pooling: bool = False
) -> Network:
    """Build ResNet-18 with a 3 x 3 stem and no max pooling.

    The plain network ends with the mean over the maps (4 x 4 for images of 28 and 32 pixels): 512 features.
    The variant AP has no final pooling: 512 x 4 x 4 features at 32 pixels, 512 x 3 x 3 at 28. Gray images are
    not padded.

    Args:
        channels: 1 or 3.
        size: height and width of the images in pixels.
        classes: number of classes.
        norm: ``in`` or ``bn``.
        average_pooling: whether to build the variant AP.
    """
    inputs, maps = _STAGES[0], size
    layers: list[nn.Module] = [
        nn.Conv2d(channels, inputs, 3, padding=1, bias=False),
        *normalization(norm, inputs, maps),
        nn.ReLU(),
    ]
    for stage, outputs in enumerate(_STAGES):
        for block in range(_BLOCKS_A_STAGE):
            # Convolutions follow every halving, so none of them is the last layer.
            halve = stage > 0 and block == 0 and can_halve(maps, last=False)
            if halve:
                # Strides round odd sizes up, poolings round them down.
                maps = halved(maps) if average_pooling else halved((maps[0] + 1, maps[1] + 1))
            layers.append(
                _BasicBlock(
                    inputs, outputs, halve=halve, norm=norm, average_pooling=average_pooling, size=maps
                )
            )
            inputs = outputs
    if not average_pooling:
        layers.append(nn.AdaptiveAvgPool2d(1))
    return Network(nn.Sequential(*layers), inputs * (maps[0] * maps[1] if average_pooling else 1), classes)
