"""GTN's step by this project."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from condensery.machine import device as devices
from condensery.methods import gtn
from harness import data as noise
from harness import loops
from harness.case import Case

# Layer of the generator -> its name in the authors' code.
_LAYERS = {
    **{"flat.0": "model.0", "flat.1": "model.1", "flat.3": "model.3", "flat.4": "model.4"},
    **{"maps.2": "deconv.0.conv", "maps.3": "deconv.1", "maps.7": "deconv.3.conv"},
}
_LENGTH, _DIRECTION = "parametrizations.weight.original0", "parametrizations.weight.original1"
_TENSORS = {_LENGTH: "weight_g", _DIRECTION: "weight", "weight": "weight", "bias": "bias"}
# Layers before batch norm, which removes the length of their weights: its gradient is a rounding error.
_LENGTHLESS = {f"{layer}.weight_g" for layer in ("model.0", "model.3", "deconv.0.conv")}


class Ours:
    """See :class:`harness.against.Side`."""

    def __init__(self, sizes: Mapping[str, int], shared: str, compiled: bool) -> None:
        device = devices.choose("cpu", compile=compiled)
        network = f"convnet-d{sizes['depth']}-w{sizes['width']}"
        case = Case("", "gtn", ipc=sizes["ipc"], size=sizes["size"], images=sizes["images"], network=network)
        real = noise.real_data(case, Path())
        changed: dict[str, Any] = {name: sizes[name] for name in ("steps", "batch_real")}
        self._teaching = gtn.Teaching(loops.problem(case, real, device, "gtn", **changed))
        self._learned = gtn._Learned(self._teaching.teacher)
        functional = self._teaching.functional
        batches = [functional.real_batch(sizes["batch_real"], 0, step) for step in range(sizes["steps"])]
        common: dict[str, Any] = {
            f"teacher {name}": value.detach().numpy() for name, value in self._named().items()
        }
        common |= {f"weights {i}": weight.numpy() for i, weight in enumerate(functional.initial(0))}
        np.savez(
            shared,
            images=real.train.batch(torch.arange(len(real.train)), device.torch_device).numpy(),
            labels=real.train.labels,
            drawn=torch.stack([images for images, _ in batches]).numpy(),
            answers=torch.stack([labels for _, labels in batches]).numpy(),
            **common,
        )

    def check(self) -> dict[str, np.ndarray]:
        """See :class:`harness.against.Side`; the loss is that of the real batch after the last step."""
        losses = self._teaching.differentiate(0)
        found: dict[str, Any] = {"loss": losses[-1].numpy()}
        for name, parameter in self._named().items():
            assert parameter.grad is not None  # differentiate sets it
            if name not in _LENGTHLESS:
                found[name] = parameter.grad.numpy()
        return found

    def step(self, number: int) -> None:
        """See :class:`harness.against.Side`."""
        self._teaching.differentiate(number)
        self._learned.step(0.02)

    def _named(self) -> dict[str, Tensor]:
        """Return what is learned, by the names of the authors' code."""
        teacher = self._teaching.teacher
        found: dict[str, Tensor] = {}
        for layer, name in _LAYERS.items():
            for own, parameter in teacher.get_submodule(layer).named_parameters():
                found[f"{name}.{_TENSORS[own]}"] = parameter
        learned = {"curriculum": teacher.curriculum, "log_lr": teacher.log_rates}
        return found | learned | {"log_momentum": teacher.log_momenta}
