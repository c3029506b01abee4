"""FRePo's step by this project."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from condensery.machine import device as devices
from condensery.methods import frepo
from harness import data as noise
from harness import loops
from harness.case import Case

_KINDS = {nn.Conv2d: "conv", nn.BatchNorm2d: "norm"}


class Ours:
    """See :class:`harness.against.Side`."""

    def __init__(self, sizes: Mapping[str, int], shared: str, compiled: bool) -> None:
        device = devices.choose("cpu", compile=compiled)
        network = f"frepo-d{sizes['depth']}-w{sizes['width']}-bn"
        size, images = sizes["size"], sizes["images"]
        case = Case("", "frepo", ipc=sizes["ipc"], size=size, images=images, network=network)
        real = noise.real_data(case, Path())
        problem = loops.problem(case, real, device, "frepo", batch_real=sizes["batch_real"])
        self._prediction, self._pool = frepo.Prediction(problem), frepo.Pool(problem)
        self._learned = frepo._Learned(problem)
        self._member = self._pool.members[0]
        # The training gives batch norm statistics that are not the initial ones.
        self._pool.train(self._member, self._learned.images, self._learned.targets, 0)
        everything = torch.arange(len(real.train))
        np.savez(
            shared,
            images=real.train.batch(everything, device.torch_device).numpy(),
            labels=real.train.labels,
            rows=self._prediction._rows(0).numpy(),
            synthetic=self._learned.images.numpy(),
            targets=self._learned.targets.numpy(),
            **self._weights(),
        )

    def check(self) -> dict[str, np.ndarray]:
        """See :class:`harness.against.Side`."""
        of_images, of_targets, loss = self._prediction.gradient(
            self._member.weights, self._learned.images, self._learned.targets, 0
        )
        return {"loss": loss.numpy(), "images": of_images.numpy(), "targets": of_targets.numpy()}

    def step(self, number: int) -> None:
        """See :class:`harness.against.Side`."""
        learned, member = self._learned, self._pool.drawn(number)
        *gradients, _ = self._prediction.gradient(member.weights, learned.images, learned.targets, number)
        learned.step(number, *gradients)
        self._pool.train(member, learned.images, learned.targets, number)

    def _weights(self) -> dict[str, Any]:
        """Return the weights of convolutions and batch norms: their kind and number, and PyTorch's name."""
        network = self._prediction.network
        network.load_state_dict(self._member.weights)
        found: dict[str, Any] = {}
        for kind, name in _KINDS.items():
            layers = [module for module in network.modules() if isinstance(module, kind)]
            for number, layer in enumerate(layers):
                tensors = layer.state_dict().items()
                found |= {f"{name} {number} {of}": tensor.numpy() for of, tensor in tensors}
        return found
