"""Train one network on the whole set and watch which images it forgets.

Herding and k-center select in its feature space (iCaRL; Sener and Savarese 2018); forgetting counts, for
each image, how often it goes from right to wrong (Toneva et al. 2019, Algorithm 1).
"""

from __future__ import annotations

import torch
from torch import Tensor

from condensery.checkpoint import Checkpoint
from condensery.data import RealData
from condensery.device import Device
from condensery.progress import Progress
from condensery.recipes import Recipe
from condensery.samples import Samples
from condensery.training import Fleet, train
from condensery.watching import WatchedCheckpoint

FIRST_SEED = 2_000_000
"""Seed of the network of seed 0: none may start like a network that sets are evaluated with."""


def pretrain(
    data: RealData,
    network: str,
    recipe: Recipe,
    seed: int,
    device: Device,
    *,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
) -> dict[str, Tensor]:
    """Train and watch.

    Args:
        data: the real data; only the training split is used.
        network: name of the network.
        recipe: how it is trained.
        seed: seed of its weights, batches and augmentations, counted from :data:`FIRST_SEED`.
        device: where to compute.
        checkpoint: where to save the state, and to resume from.
        progress: told the epochs done.

    Returns:
        ``network.*``, its parameters and buffers, and ``forgetting_events``, int64 (N,), one count for each
        training image; images that were never right have one more than the number of epochs.
    """
    fleet = Fleet(network, data.info, [FIRST_SEED + seed], device, images=len(data.train) * recipe.passes)
    samples = Samples.of_split(data.train, device)
    watch = Forgetting(samples.labels)
    train(
        fleet,
        samples,
        recipe,
        checkpoint=WatchedCheckpoint(checkpoint, watch) if checkpoint else None,
        on_epoch=progress.step if progress else None,
        on_batch=watch.see,
    )
    weights = {f"network.{name}": tensor.detach().cpu() for name, tensor in fleet.state().items()}
    return weights | {"forgetting_events": watch.events(never_right=recipe.passes + 1).cpu()}


class Forgetting:
    """Counts forgetting events: a batch that has an image wrong after the last one had it right.

    Args:
        labels: int64 (N,).
    """

    def __init__(self, labels: Tensor) -> None:
        self._labels = labels
        self.counts = torch.zeros_like(labels)
        self.was_right = torch.zeros_like(labels, dtype=torch.bool)
        self.ever_right = torch.zeros_like(labels, dtype=torch.bool)

    def see(self, rows: Tensor, logits: Tensor) -> None:
        """Take in one batch of one network: indices (1, n) and logits (1, n, classes) before the step."""
        rows = rows[0].to(self._labels.device)
        right = logits[0].argmax(1) == self._labels[rows]
        self.counts[rows] += (self.was_right[rows] & ~right).long()
        self.was_right[rows] = right
        self.ever_right[rows] |= right

    def events(self, never_right: int) -> Tensor:
        """Return the counts, int64 (N,), with ``never_right`` for images that were never right."""
        return torch.where(self.ever_right, self.counts, never_right)

    def state(self) -> dict[str, Tensor]:
        """See `condensery.watching.Watcher`."""
        return {"counts": self.counts, "was_right": self.was_right, "ever_right": self.ever_right}

    def restore(self, state: dict[str, Tensor]) -> None:
        """See `condensery.watching.Watcher`."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
