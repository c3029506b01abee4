"""DCC's step by this project."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from condensery.machine import device as devices
from condensery.methods import dcc
from condensery.methods.pixels import Pixels
from harness import data as noise
from harness import loops
from harness.case import Case


class Ours:
    """See :class:`harness.against.Side`."""

    def __init__(self, sizes: Mapping[str, int], shared: str, compiled: bool) -> None:
        device = devices.choose("cpu", compile=compiled)
        case = Case("", "dcc", ipc=sizes["ipc"], size=sizes["size"], images=sizes["images"])
        real = noise.real_data(case, Path())
        changed: dict[str, Any] = {
            **{"batch_real": sizes["batch_real"], "inner_loop": sizes["epochs"]},
            **{"alone_networks": 0, "alone_steps": 0},
        }
        problem = loops.problem(case, real, device, "dcc", **changed)
        self._plain = dcc.Matcher(problem, "none")
        self._matcher = self._plain
        if sizes["augmented"]:
            self._matcher = dcc.Matcher(problem, loops.AUGMENTATION)
        self._pixels = Pixels(problem)
        for matcher in (self._plain, self._matcher):
            matcher.renew(0)
        rows = [group.rows()[0].numpy() for group in self._plain.drawn((0, 0)).groups]
        weights: dict[str, Any] = {
            f"weights {i}": each.detach().numpy() for i, each in enumerate(self._plain.network.parameters())
        }
        np.savez(
            shared,
            images=real.train.batch(torch.arange(len(real.train)), device.torch_device).numpy(),
            labels=real.train.labels,
            rows=np.concatenate(rows).reshape(case.classes, -1),
            synthetic=self._pixels.images.numpy(),
            **weights,
        )

    def check(self) -> dict[str, np.ndarray]:
        """See :class:`harness.against.Side`; without augmentation, whose draws differ."""
        gradient, loss = self._plain.gradient(self._pixels.images, 0, 0)
        return {"loss": loss.numpy(), "images": gradient.numpy()}

    def step(self, number: int) -> None:
        """See :class:`harness.against.Side`."""
        gradient, _ = self._matcher.gradient(self._pixels.images, 0, number)
        self._pixels.step(gradient)
        self._matcher.train(self._pixels.images, 0, number)
