"""Train one network on the whole set, and count which images it forgets.

Herding and k-center select in its feature space (iCaRL; Sener and Savarese 2018). Forgetting counts how often
the classification of an image changes from correct to wrong (Toneva et al. 2019, Algorithm 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from condensery import networks
from condensery.data import DataInfo, RealData
from condensery.errors import CondenseryError
from condensery.files import read_tensors
from condensery.machine.device import Device
from condensery.networks import Network
from condensery.run import UNATTENDED, Run
from condensery.training.loop import train
from condensery.training.recipes import Recipe
from condensery.training.samples import Samples
from condensery.training.stacking import StackedNetworks

FIRST_SEED = 2_000_000
"""Seed of the network of seed 0: none may start like a network that sets are evaluated with."""


def pretrain(
    data: RealData,
    network: str,
    recipe: Recipe,
    seed: int,
    device: Device,
    *,
    run: Run = UNATTENDED,
) -> dict[str, Tensor]:
    """Train the network and count forgetting events.

    Args:
        data: the real data; only the training split is used.
        network: name of the network.
        recipe: how it is trained.
        seed: seed of its weights, batches and augmentations, counted from :data:`FIRST_SEED`.
        device: where to compute.
        run: the checkpoint saves the state; the progress counts epochs.

    Returns:
        ``network.*``, its parameters and buffers, and ``forgetting_events``, int64 (N,), one count per
        training image; images that were never classified correctly have the number of epochs plus one.
    """
    stacked = StackedNetworks(
        network, data.info, [FIRST_SEED + seed], device, images=len(data.train) * recipe.epochs_run
    )
    samples = Samples.of_split(data.train, device)
    watch = Forgetting(samples.labels)
    train(
        stacked,
        samples,
        recipe,
        run=run.carrying({"forgetting": watch}),
        on_batch=watch.see,
    )
    weights = {f"network.{name}": tensor.detach().cpu() for name, tensor in stacked.state().items()}
    return weights | {"forgetting_events": watch.events(never_right=recipe.epochs_run + 1).cpu()}


def read_pretrained(path: Path, dataset: str, network: str) -> dict[str, Tensor]:
    """Return the tensors that :func:`pretrain` saved, on the CPU.

    Args:
        path: the file.
        dataset: name of the required data set.
        network: name of the required network.

    Raises:
        CondenseryError: the file cannot be read, or belongs to another data set or network.
    """
    try:
        tensors, about = read_tensors(path)
    except (OSError, ValueError) as error:
        raise CondenseryError(f"{path}: cannot be read as a features file ({error}): make it again") from None
    expected = {"dataset": dataset, "network": network}
    found = {name: about.get(name) for name in expected}
    if found != expected:
        raise CondenseryError(
            f"{path}: made for {found}, but {expected} is needed: make it with scripts/pretrain.py"
        )
    return tensors


def trained_network(path: Path, info: DataInfo, name: str) -> Network:
    """Return the trained network of a data set, in evaluation mode on the CPU.

    Args:
        path: a file of :func:`pretrain`'s tensors.
        info: the data set.
        name: name of the network.

    Raises:
        CondenseryError: see :func:`read_pretrained`.
    """
    return network_of(read_pretrained(path, info.name, name), info, name)


def network_of(tensors: Mapping[str, Tensor], info: DataInfo, name: str) -> Network:
    """Return a network with the weights of :func:`pretrain`, in evaluation mode on the CPU.

    Args:
        tensors: the tensors that :func:`pretrain` returned.
        info: the data set.
        name: name of the network.
    """
    net = networks.build(
        name, channels=info.channels, size=(info.height, info.width), classes=len(info.classes)
    )
    prefix = "network."
    net.load_state_dict({key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)})
    return net.eval()


class Forgetting:
    """Counts forgetting events: an image is classified wrongly after it was correct the time before.

    Args:
        labels: int64 (N,).
    """

    def __init__(self, labels: Tensor) -> None:
        self._labels = labels
        self.counts = torch.zeros_like(labels)
        self.was_right = torch.zeros_like(labels, dtype=torch.bool)
        self.ever_right = torch.zeros_like(labels, dtype=torch.bool)

    def see(self, rows: Tensor, logits: Tensor) -> None:
        """Record a batch of one network: indices (1, n) and logits (1, n, classes) before the step."""
        rows = rows[0].to(self._labels.device)
        right = logits[0].argmax(1) == self._labels[rows]
        self.counts[rows] += (self.was_right[rows] & ~right).long()
        self.was_right[rows] = right
        self.ever_right[rows] |= right

    def events(self, never_right: int) -> Tensor:
        """Return the counts, int64 (N,), with ``never_right`` for images that were never correct."""
        return torch.where(self.ever_right, self.counts, never_right)

    def state(self) -> dict[str, Tensor]:
        """See `condensery.run.Part`."""
        return {"counts": self.counts, "was_right": self.was_right, "ever_right": self.ever_right}

    def restore(self, state: dict[str, Tensor]) -> None:
        """See `condensery.run.Part`."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
