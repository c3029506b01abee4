"""The network trained on the whole set, read from the file that scripts/pretrain.py makes."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from condensery import networks
from condensery.checkpoint import read_tensors
from condensery.data import DataInfo
from condensery.errors import CondenseryError
from condensery.networks import Network


def read(path: Path, dataset: str, network: str) -> dict[str, Tensor]:
    """Return the tensors that :func:`condensery.pretraining.pretrain` saved, on the CPU.

    Args:
        path: the file.
        dataset: the data set that it must be of.
        network: the network that it must be of.

    Raises:
        CondenseryError: it is not such a file.
    """
    try:
        tensors, about = read_tensors(path)
    except (OSError, ValueError) as error:
        raise CondenseryError(f"{path}: cannot be read as a features file ({error}): make it anew") from None
    expected = {"dataset": dataset, "network": network}
    found = {name: about.get(name) for name in expected}
    if found != expected:
        raise CondenseryError(
            f"{path}: made for {found}, but {expected} is needed: make it with scripts/pretrain.py"
        )
    return tensors


def trained_network(path: Path, info: DataInfo, name: str) -> Network:
    """Return the trained network of a data set, in evaluation mode on the CPU.

    Raises:
        CondenseryError: see :func:`read`.
    """
    tensors = read(path, info.name, name)
    net = networks.build(
        name, channels=info.channels, size=(info.height, info.width), classes=len(info.classes)
    )
    prefix = "network."
    net.load_state_dict({key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)})
    return net.eval()
