"""Golden values: the set of each method for the digits under one seed, and the effect of each corruption.

Methods have the parameters of config/, but few steps. Golden values detect what no other test does: a draw
from another stream, another order of the classes, a changed default. Such a change leaves the quality of the
results as it was, but alters every released number.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from condensery import data, methods
from condensery.data import RealData
from condensery.data.views import of_classes
from condensery.experiment import load_config
from condensery.methods.selection import Selection
from condensery.scoring import corruptions
from tests import problems

ROOT = Path(__file__).resolve().parents[2]
FILE = Path(__file__).with_name("requirements.lock.json")
CORRUPTED = Path(__file__).with_name("corruptions.json")

NETWORK = "convnet-d2-w16"
IPC = 2
CLASSES = (1, 4, 6, 7)
# Lowered parameters, so that a method takes about a second.
LOWERED = {
    **{"iterations": 4, "batch_real": 16, "batch_net": 8},
    **{"outer_loop": 2, "inner_loop": 2},  # of DC, DSA and DCC
    **{"alone_networks": 1, "alone_steps": 1},  # of DCC
    **{"batch_synthetic": 6},  # of IDC
    **{"stages": 2, "steps": 2, "epochs": 2},  # of DD
    **{"patience": 2},  # of LD and NCFM
    **{"frequencies": 16},  # of NCFM
    **{"train_steps": 2},  # of IDM
    **{"expert_epochs": 2, "start_epochs": 2},  # of MTT
    **{"batch": 16, "noise": 5, "width": 32, "steps_net": 2, "ema": 0.5},  # of generators, IDC
}


def read() -> dict[str, dict[str, Any]]:
    """Return method -> its golden values in the file."""
    return json.loads(FILE.read_text())


def digits(folder: Path) -> RealData:
    """Return the digits of some classes, prepared in a folder."""
    spec = load_config(ROOT / "config", "smoke").dataset("digits")
    data.prepare("digits", spec, folder / "raw", folder / "digits")
    return of_classes(data.load(folder / "digits"), CLASSES)


def trained(folder: Path, real: RealData) -> dict[str, list[Path]]:
    """Return need -> files of the networks, pools and generators that methods need."""
    return {
        # At this rate rounding errors do not grow, so that the selected images do not depend on them.
        "features": [problems.features_file(folder, real, NETWORK, lr=0.001)],
        "experts": [problems.experts_file(folder, real, NETWORK, batch=256)],
        "pairs": [problems.pairs_file(folder, real, NETWORK)],
        "pool": [problems.pool_file(folder, real, NETWORK)],
    }


def golden(
    name: str, real: RealData, trained_files: dict[str, list[Path]], *, seed: int = 0, **changes: Any
) -> dict[str, Any]:
    """Return a summary of a method's set that is equal on another processor and under another PyTorch.

    Args:
        name: the method.
        real: the digits, see :func:`digits`.
        trained_files: see :func:`trained`.
        seed: seed of the set.
        changes: parameters that replace those of config/.

    Returns:
        For a selection method, ``indices`` of the training images, class by class. For other methods, four
        weighted sums over each tensor of the set, in which every pixel and the order of the images count.
    """
    config = load_config(ROOT / "config", "paper")
    entry = config.parameters("digits", name, NETWORK, IPC)
    parameters = entry | {key: value for key, value in LOWERED.items() if key in entry} | changes
    augmentation = config.augmentation("digits")
    problem = problems.problem(
        real, ipc=IPC, classes=CLASSES, network=NETWORK, seed=seed, augmentation=augmentation
    )
    problem = dataclasses.replace(problem, parameters=parameters, trained=trained_files)
    method = methods.get(config.implementation(name))
    if isinstance(method, Selection):
        return {"indices": [[int(index) for index in chosen] for chosen in method.choose(problem)]}
    condensed = method.condense(problem)
    tensors = {
        "images": condensed.images,
        "labels": condensed.labels,
        "learning_rate": condensed.learning_rate,
    }
    return {key: sums(torch.as_tensor(value)) for key, value in tensors.items() if value is not None}


def sums(tensor: Tensor) -> list[float]:
    """Return four sums over a tensor with pseudo-random weights between -0.5 and 0.5."""
    positions = torch.arange(1, tensor.numel() + 1, dtype=torch.float64)
    weights = torch.tensor([2.0, 3.0, 5.0, 7.0], dtype=torch.float64).sqrt().outer(positions) % 1 - 0.5
    return [float(f"{value:.7g}") for value in (weights @ tensor.double().flatten()).tolist()]


def corrupted() -> dict[str, list[list[float]]]:
    """Return kind of corruption -> for each severity, the mean and the mean absolute change of a pixel."""
    rows, columns = torch.arange(32).view(-1, 1), torch.arange(32)
    planes = [(6 * rows + 3 * columns + 50 * plane) % 256 for plane in range(6)]
    pictures = torch.stack(planes).view(2, 3, 32, 32).to(torch.uint8)

    def changes(kind: str, severity: int) -> list[float]:
        change = corruptions.corrupted(pictures, kind, severity).double() - pictures
        return [round(float(each), 4) for each in (change.mean(), change.abs().mean())]

    return {kind: [changes(kind, each) for each in corruptions.SEVERITIES] for kind in corruptions.KINDS}
