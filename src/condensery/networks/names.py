"""Builds networks by name; `condensery.architectures` has the names."""

from __future__ import annotations

from importlib import import_module

from condensery.architectures import FAMILIES, NUMBERS, has_batch_norm, number, parse
from condensery.errors import CondenseryError
from condensery.networks.base import Network
from condensery.networks.inspection import mixes_images

_SMALLEST = 8


def build(name: str, *, channels: int, size: tuple[int, int], classes: int) -> Network:
    """Build a network by its name, with PyTorch's own initial parameters (see `initialize`).

    Args:
        name: see `condensery.architectures`.
        channels: 1 (gray) or 3.
        size: height and width of the images in pixels, at least 8 each.
        classes: number of classes.

    Raises:
        CondenseryError: the name is unknown, the images are too small, or the entry of the family states
            wrongly whether it has batch norm.
    """
    family, options = parse(name)
    if min(size) < _SMALLEST:
        raise CondenseryError(
            f"images of {size[0]}x{size[1]} pixels are too small for network {name!r}: "
            f"enlarge them to {_SMALLEST}x{_SMALLEST} or more"
        )
    arguments = {option: number(word) if option in NUMBERS else word for option, word in options.items()}
    module, _, function = FAMILIES[family].builder.partition(":")
    builder = getattr(import_module(module), function)
    network = builder(channels, size, classes, **arguments, **FAMILIES[family].arguments)
    if mixes_images(network) != has_batch_norm(name):
        raise CondenseryError(
            f"network {name!r}: its family in src/condensery/architectures.py states "
            f"{'that it has' if has_batch_norm(name) else 'no'} batch norm, but the network built "
            f"{'has it' if mixes_images(network) else 'has none'}: correct `batch_norm` there"
        )
    return network
