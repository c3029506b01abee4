"""The network that the coreset methods look through: trained on the whole set, read from a file."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from condensery.checkpoint import read_tensors
from condensery.errors import CondenseryError
from condensery.methods.base import Problem
from condensery.networks import Network

_BATCH = 500


def read(problem: Problem) -> dict[str, Tensor]:
    """Return what :func:`condensery.pretraining.pretrain` saved for this problem.

    Raises:
        CondenseryError: no file was given, or it is not one for this data set and network.
    """
    path = problem.features
    if path is None:
        raise CondenseryError(
            "this method looks at features: give the file that scripts/pretrain.py makes (--features)"
        )
    try:
        tensors, about = read_tensors(Path(path))
    except (OSError, ValueError) as error:
        raise CondenseryError(f"{path}: cannot be read as a features file ({error}): make it anew") from None
    expected = {"dataset": problem.data.info.name, "network": problem.network}
    found = {name: about.get(name) for name in expected}
    if found != expected:
        raise CondenseryError(
            f"{path}: made for {found}, but {expected} is needed: make it with scripts/pretrain.py"
        )
    return tensors


def network(problem: Problem) -> Network:
    """Return the trained network, in evaluation mode on the problem's device."""
    tensors = read(problem)
    net = problem.new_network()
    net.load_state_dict(
        {name.removeprefix("network."): t for name, t in tensors.items() if name.startswith("network.")}
    )
    return net.eval()


@torch.no_grad()
def of_class(net: Network, problem: Problem, c: int) -> Tensor:
    """Return the features of all training images of class ``c``, float32 (n, F), in split order."""
    device = problem.device
    rows = problem.data.train.indices_of(c)
    batches = (rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH))
    with device.autocast():
        parts = [net.embed(problem.data.train.batch(batch, device.torch_device)).float() for batch in batches]
    return torch.cat(parts)
