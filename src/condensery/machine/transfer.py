"""Copies from the host to a device: even a small one takes a GPU as long as many small operations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def together(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Copy tensors to a device in one transfer.

    Args:
        tensors: of one type, on the CPU.
        device: where to.

    Returns:
        The same values in the same shapes on the device; parts of one tensor, unless they stay on the CPU.
    """
    if device.type == "cpu" or not tensors:
        return list(tensors)
    parts = torch.cat([each.flatten() for each in tensors]).to(device)
    sizes = [each.numel() for each in tensors]
    return [part.view(each.shape) for part, each in zip(parts.split(sizes), tensors, strict=True)]
