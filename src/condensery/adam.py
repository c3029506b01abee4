"""Adam's state as tensors with names, as checkpoints hold it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def state(name: str, adam: torch.optim.Adam) -> dict[str, Tensor]:
    """Return the tensors of an optimiser's state, by names that begin with ``name`` and a dot."""
    parts = adam.state_dict()["state"].items()
    return {f"{name}.{number}.{key}": tensor for number, part in parts for key, tensor in part.items()}


def restore(name: str, adam: torch.optim.Adam, tensors: Mapping[str, Tensor]) -> None:
    """Take up what :func:`state` returned under this name, among tensors of other names."""
    parts: dict[int, dict[str, Tensor]] = {}
    for full, tensor in tensors.items():
        owner, _, rest = full.partition(".")
        if owner == name:
            number, _, key = rest.partition(".")
            parts.setdefault(int(number), {})[key] = tensor
    adam.load_state_dict({"state": parts, "param_groups": adam.state_dict()["param_groups"]})
