"""Small data sets and problems that tests share; their classes differ, so that networks can learn them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch

from condensery.data import DataInfo, RealData, Split
from condensery.gathering import gather
from condensery.machine.device import Device
from condensery.methods import Method, Problem
from condensery.progress import Progress
from condensery.synthetic import SyntheticSet

CPU = Device(torch.device("cpu"), "fp32", compile=False, memory_bytes=10**9)


class Stacking(Device):
    """A device that trains several networks as one."""

    stack_networks = True


STACKING = Stacking(torch.device("cpu"), "fp32", compile=False, memory_bytes=10**9)
STRATEGY = "color_crop_cutout_flip_scale_rotate"


def real_data(classes: int = 3, per_class: int = 20, size: int = 16, channels: int = 3) -> RealData:
    """Return images of a pattern of their class plus noise, in mixed order; the last class is smaller."""
    rng = np.random.default_rng(0)
    names = tuple(f"class {c}" for c in range(classes))
    info = DataInfo("patterns", channels, size, size, names, (0.5,) * channels, (0.25,) * channels)
    patterns = rng.integers(40, 216, (classes, channels, size, size))

    def split(count: int) -> Split:
        labels = np.repeat(np.arange(classes), count)[: classes * count - count // 4]
        labels = rng.permutation(labels)
        noise = rng.normal(0, 30, (len(labels), channels, size, size))
        return Split(np.clip(patterns[labels] + noise, 0, 255).astype(np.uint8), labels, info)

    return RealData(info, split(per_class), split(per_class))


def problem(data: RealData | None = None, **changes: Any) -> Problem:
    """Return a small problem for DM with some fields changed."""
    data = data or real_data()
    parameters: dict[str, Any] = {
        "iterations": 4,
        "lr_img": 1.0,
        "momentum": 0.5,
        "batch_real": 8,
        "init": "real",
    }
    parameters |= changes.pop("parameters", {})
    fields: dict[str, Any] = {
        "data": data,
        "ipc": 2,
        "classes": tuple(range(len(data.info.classes))),
        "network": "convnet-d2-w16",
        "parameters": parameters,
        "augmentation": STRATEGY,
        "seed": 0,
        "device": CPU,
    }
    return Problem(**(fields | changes))


class Steps(Progress):
    """Records the reported progress in ``seen``."""

    def __init__(self) -> None:
        super().__init__("test", 0, "epochs")
        self.seen: list[int] = []

    def step(self, done: int, **values: float) -> None:
        self.seen.append(done)


def features_file(folder: Path, data: RealData, network: str = "convnet-d2-w16", lr: float = 0.01) -> Path:
    """Return the file of a network trained for two epochs on the whole set."""
    from condensery.files import write_tensors
    from condensery.training.pretrained import pretrain
    from condensery.training.recipes import Recipe

    recipe = Recipe(
        "features", epochs=2, lr=lr, momentum=0.9, weight_decay=0.0, batch=16, augmentation="none"
    )
    path = folder / "features.safetensors"
    about = {"dataset": data.info.name, "network": network}
    write_tensors(path, pretrain(data, network, recipe, 0, CPU), about)
    return path


def pool_file(folder: Path, data: RealData, network: str = "convnet-d2-w16") -> Path:
    """Return the file of a pool of two networks in three states each."""
    from condensery.data.views import held_out
    from condensery.pool.states import train_states
    from condensery.pool.store import write
    from condensery.training.recipes import Recipe

    recipe = Recipe("pool", epochs=0, lr=0.02, momentum=0.9, weight_decay=0.0, batch=16, augmentation="none")
    states = train_states(held_out(data, 0.1, seed=0), network, recipe, range(2), [1, 3, 9], CPU)
    path = folder / "pool.safetensors"
    about = {"dataset": data.info.name, "network": network, "networks": 2}
    write(path, states, {"experiment": about})
    return path


def pairs_file(folder: Path, data: RealData, network: str = "convnet-d2-w16") -> Path:
    """Return the file of two networks before and after two epochs of training."""
    from condensery.pool.states import train_states
    from condensery.pool.store import write
    from condensery.training.recipes import Recipe

    recipe = Recipe(
        "teacher", epochs=1, lr=0.01, momentum=0.9, weight_decay=0.0, batch=16, augmentation="none"
    )
    seen = dataclasses.replace(data, test=data.train)
    steps = [0, 2 * -(-len(data.train) // 16)]
    states = train_states(seen, network, recipe, range(2), steps, CPU)
    path = folder / "pairs.safetensors"
    about = {"dataset": data.info.name, "network": network, "networks": 2}
    write(path, states, {"experiment": about})
    return path


def experts_file(
    folder: Path, data: RealData, network: str = "convnet-d2-w16", *, epochs: int = 3, **changes: Any
) -> Path:
    """Return the file of two experts; ``changes`` replaces fields of their recipe."""
    from condensery.data.views import training_only
    from condensery.pool.states import batches, train_states
    from condensery.pool.store import write
    from condensery.training.recipes import Recipe
    from condensery.training.schedules import Schedule

    values: dict[str, Any] = {
        "lr": 0.02,
        "momentum": 0.0,
        "weight_decay": 0.0,
        "batch": 16,
        "augmentation": "none",
    } | changes
    recipe = Recipe("expert", epochs=epochs, schedule=Schedule("constant"), **values)
    steps = [epoch * batches(data, recipe) for epoch in range(epochs + 1)]
    states = train_states(training_only(data), network, recipe, range(2), steps, CPU, dtype=torch.float32)
    path = folder / "experts.safetensors"
    about = {"dataset": data.info.name, "network": network, "networks": 2, "steps": steps}
    write(path, states, {"experiment": about})
    return path


def in_shards(method: Method, whole: Problem) -> SyntheticSet:
    """Return the set gathered from two shards: the third class, and the first two classes together."""
    parts = []
    for classes in [(2,), (0, 1)]:
        part = method.condense(dataclasses.replace(whole, classes=classes))
        part.provenance = {"shard": list(classes)}
        parts.append(part)
    return gather(parts)
