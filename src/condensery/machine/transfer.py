"""Copies from the host to a device: even a small one takes a GPU as long as many small operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
from torch import Tensor

# Every tensor of a parcel begins at a multiple of this many bytes, as those of PyTorch's own kernels do.
_ALIGNED = 16


class Parcel:
    """Tensors that reach a device in one copy, for which the host does not wait.

    Who draws fills and closes it, in any thread; who computes takes out what was put in, and the first time
    starts the copy, in the stream of the device that is its own.

    Attributes:
        device: where to.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._tensors: list[Tensor] = []
        self._packed: Tensor | None = None
        self._sent: list[Tensor] | None = None

    def add(self, tensors: Sequence[Tensor]) -> Callable[[], list[Tensor]]:
        """Put in tensors of the CPU; what is returned takes them out, on the device.

        They keep values, shapes and types. On the CPU they are themselves, elsewhere parts of one tensor.
        """
        first = len(self._tensors)
        self._tensors += tensors
        return lambda: self._all()[first : first + len(tensors)]

    def close(self) -> None:
        """Pack what is in it; nothing may be added from now on."""
        if self.device.type == "cpu" or not self._tensors:
            return
        # A GPU reads by itself only what the system cannot move or swap.
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
        firsts = accumulate(self._padded(), initial=0)
        return [
            packed[first : first + each.nbytes].view(each.dtype).view(each.shape)
            for first, each in zip(firsts, self._tensors, strict=False)
        ]


def together(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Copy tensors of the CPU to a device in one transfer, see :class:`Parcel`."""
    parcel = Parcel(device)
    take_out = parcel.add(tensors)
    parcel.close()
    return take_out()
