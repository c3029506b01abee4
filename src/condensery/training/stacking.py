"""Which of several networks of one shape are trained at once."""

from __future__ import annotations

from collections.abc import Sequence

from condensery import networks
from condensery.data import DataInfo
from condensery.machine.device import Device


def groups(
    network: str, info: DataInfo, batch: int, seeds: Sequence[int], device: Device
) -> list[tuple[int, ...]]:
    """Split networks into those that are trained at once.

    Args:
        network: name of the networks.
        info: the images' shape and the classes.
        batch: images that each network sees in a step.
        seeds: one per network.
        device: it determines whether networks are stacked, and how much memory their activations may take.

    Returns:
        The seeds, in their order: each alone if the device does not stack, otherwise as many together as
        fit its memory budget, at least one.
    """
    if not device.stack_networks:
        return [(seed,) for seed in seeds]
    size = (info.height, info.width)
    net = networks.build(network, channels=info.channels, size=size, classes=len(info.classes))
    images = device.images_at_once(networks.activations(net, info.channels, size))
    count = max(1, images // batch)
    return [tuple(seeds[first : first + count]) for first in range(0, len(seeds), count)]
