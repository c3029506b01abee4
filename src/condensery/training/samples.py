"""Training images in batches, from the host or the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from condensery.data import Split
from condensery.machine.device import Device
from condensery.synthetic import SyntheticSet


@dataclass(frozen=True)
class Samples:
    """Training images in batches.

    Attributes:
        labels: int64 (N,) or soft float32 (N, classes), on the device.
        batch: returns the images at some indices, float32 (n, C, H, W) on the device, normalized.
        rows_there: whether ``batch`` accepts indices on the device, without waiting for them.
    """

    labels: Tensor
    batch: Callable[[Tensor], Tensor]
    rows_there: bool = True

    @classmethod
    def of_set(cls, synthetic: SyntheticSet, device: Device) -> Samples:
        """Return the images of a synthetic set, decoded."""
        whole = synthetic.decoded()
        images = whole.images.to(device.torch_device)
        return cls(whole.labels.to(device.torch_device), lambda rows: images[rows.to(images.device)])

    @classmethod
    def of_split(cls, split: Split, device: Device) -> Samples:
        """Return the images of a real split; their bytes are moved to the device unless it is the CPU."""
        target = device.torch_device
        source = split if target.type == "cpu" else split.resident(target)
        return cls(torch.as_tensor(split.labels).to(target), lambda rows: source.batch(rows, target))

    @classmethod
    def joined(cls, parts: Sequence[Samples]) -> Samples:
        """Return the images of all parts, in their order."""
        firsts = list(accumulate(map(len, parts), initial=0))

        def batch(rows: Tensor) -> Tensor:
            part = torch.bucketize(rows, torch.tensor(firsts[1:]), right=True)
            positions = [(part == number).nonzero().flatten() for number in range(len(parts))]
            images = [
                each.batch(rows[position] - first)
                for each, first, position in zip(parts, firsts, positions, strict=False)
                if len(position)
            ]
            joined = torch.cat(images)
            return joined[torch.cat(positions).argsort().to(joined.device)]

        return cls(torch.cat([each.labels for each in parts]), batch, rows_there=False)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)
