"""Copies to a device in one transfer: on a GPU, each transfer takes as long as many small operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
from torch import Tensor

# Every tensor of a parcel is aligned to this many bytes, as PyTorch's kernels expect.
_ALIGNED = 16


class Parcel:
    """Tensors that are copied to a device in one transfer, for which the host does not wait.

    The code that draws, in any thread, adds tensors and closes the parcel. The code that computes takes them
    out; the first call starts the copy, in the stream in which it computes.

    Attributes:
        device: the destination.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._tensors: list[Tensor] = []
        self._packed: Tensor | None = None
        self._sent: list[Tensor] | None = None

    def add(self, tensors: Sequence[Tensor]) -> Callable[[], list[Tensor]]:
        """Add tensors on the CPU; return a function that returns them on the device.

        Values, shapes and types do not change. If the device is the CPU, the same tensors are returned;
        otherwise they are views of one tensor.
        """
        first = len(self._tensors)
        self._tensors += tensors
        return lambda: self._all()[first : first + len(tensors)]

    def close(self) -> None:
        """Pack the tensors for the transfer; no more can be added."""
        if self.device.type == "cpu" or not self._tensors:
            return
        # A GPU copies asynchronously only from pinned memory, which the system cannot move or swap.
        total = sum(self._padded())
        self._packed = torch.empty(total, dtype=torch.uint8, pin_memory=self.device.type == "cuda")
        for part, tensor in zip(self._parts(self._packed), self._tensors, strict=True):
            part.copy_(tensor)

    def _all(self) -> list[Tensor]:
        if self._packed is None:
            return self._tensors
        if self._sent is None:
            self._sent = self._parts(self._packed.to(self.device, non_blocking=True))
        return self._sent

    def _padded(self) -> list[int]:
        """Return the bytes of each tensor, rounded up."""
        return [-(-each.nbytes // _ALIGNED) * _ALIGNED for each in self._tensors]

    def _parts(self, packed: Tensor) -> list[Tensor]:
        """Return the tensors in the packed bytes, with one operation for each, and one for each type."""
        firsts = accumulate(self._padded(), initial=0)
        typed = {dtype: packed.view(dtype) for dtype in {each.dtype for each in self._tensors}}
        return [
            typed[each.dtype].as_strided(each.shape, each.contiguous().stride(), first // each.itemsize)
            for first, each in zip(firsts, self._tensors, strict=False)
        ]


def together(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Copy tensors from the CPU to a device in one transfer, see :class:`Parcel`."""
    parcel = Parcel(device)
    take_out = parcel.add(tensors)
    parcel.close()
    return take_out()
