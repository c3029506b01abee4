"""Optional tests of a score: looks at the test images during training, and robustness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from condensery import streams
from condensery.data import Split
from condensery.scoring import attack, corruptions
from condensery.training.evaluation import TEST_BATCH, accuracies
from condensery.training.stacking import StackedNetworks

IMAGES = 1000
"""Test images that robustness is measured on, chosen at random, if there are more."""
LOOK, CORRUPTED, ATTACKED = "epoch", "corrupted", f"pgd-{attack.STEPS}"
"""How the names of tests begin; after the first comes the epoch, after the second kind and severity."""


@dataclass(frozen=True)
class Wanted:
    """The requested tests besides the accuracy after the last epoch.

    Attributes:
        looks: number of tests during training, evenly spaced, including the one at the end.
        robustness: whether to test on corrupted images and under attack.
    """

    looks: int = 0
    robustness: bool = False

    def epochs(self, epochs: int) -> list[int]:
        """Return the numbers of epochs, out of ``epochs``, after which networks are tested."""
        return sorted({max(1, round(epochs * look / self.looks)) for look in range(1, self.looks + 1)})

    def tests(self, epochs: int) -> set[str]:
        """Return the names of the tests of networks that are trained for ``epochs`` epochs."""
        names = {f"{LOOK} {epoch}" for epoch in self.epochs(epochs)}
        if self.robustness:
            names |= {f"{CORRUPTED} {kind} {level}" for kind, level in _corruptions()} | {ATTACKED}
        return names


class Examination:
    """Tests networks as requested, see `condensery.training.evaluation.Examiner`; a part of the run.

    Attributes:
        found: seed of the network -> name of the test -> accuracy in percent.
    """

    def __init__(self, wanted: Wanted, epochs: int, test: Split) -> None:
        """Begin without results.

        Args:
            wanted: the requested tests.
            epochs: number of epochs of the training.
            test: the test images.
        """
        self._wanted, self._looks, self._test = wanted, frozenset(wanted.epochs(epochs)), test
        self.found: dict[int, dict[str, float]] = {}

    def look(self, stacked: StackedNetworks, test: Split, epochs: int) -> None:
        """See `condensery.training.evaluation.Examiner`; only the epochs in `Wanted.epochs` are tested."""
        if epochs in self._looks:
            self._note(f"{LOOK} {epochs}", stacked, accuracies(stacked, test))

    def examine(self, stacked: StackedNetworks, test: Split) -> None:
        """Test networks after their last epoch."""
        if self._wanted.robustness:
            for name, split in self._corrupted.items():
                self._note(name, stacked, accuracies(stacked, split))
            self._note(ATTACKED, stacked, under_attack(stacked, self._sample))

    def state(self) -> dict[str, Tensor]:
        """Return all results."""
        return {
            f"{seed} {name}": torch.tensor(accuracy, dtype=torch.float64)
            for seed, tests in self.found.items()
            for name, accuracy in tests.items()
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore what :meth:`state` returned."""
        self.found = {}
        for key, accuracy in state.items():
            seed, _, name = key.partition(" ")
            self.found.setdefault(int(seed), {})[name] = accuracy.item()

    def _note(self, name: str, stacked: StackedNetworks, scores: list[float]) -> None:
        for seed, score in zip(stacked.seeds, scores, strict=True):
            self.found.setdefault(seed, {})[name] = score

    @cached_property
    def _sample(self) -> Split:
        """The test images that robustness is measured on."""
        order = torch.randperm(len(self._test), generator=streams.generator(0, "robustness-images"))
        return self._test.subset(order[:IMAGES].sort().values)

    @cached_property
    def _corrupted(self) -> dict[str, Split]:
        """The corrupted test images by the name of their test: 1,000 of 3x32x32 take 180 MB."""
        images, sample = torch.as_tensor(self._sample.images).cpu(), self._sample
        return {
            f"{CORRUPTED} {kind} {level}": Split(
                corruptions.corrupted(images, kind, level), sample.labels, sample.info
            )
            for kind, level in _corruptions()
        }


def under_attack(stacked: StackedNetworks, split: Split) -> list[float]:
    """Return each network's accuracy, in percent, on images that PGD changes for this network."""
    device, info = stacked.device.torch_device, split.info
    mean, std = (torch.tensor(values, device=device).view(-1, 1, 1) for values in (info.mean, info.std))

    def logits(images: Tensor) -> Tensor:
        return stacked.logits(info.whitened((images - mean) / std), train=False)

    correct = torch.zeros(len(stacked.seeds), dtype=torch.int64, device=device)
    for rows in torch.arange(len(split)).split(TEST_BATCH):
        images = torch.as_tensor(split.subset(rows).images).to(device).float() / 255
        labels = torch.as_tensor(split.labels)[rows].to(device).expand(len(stacked.seeds), -1)
        found = attack.attacked(logits, images.expand(len(stacked.seeds), *images.shape), labels)
        with torch.no_grad():
            correct += (logits(found).argmax(-1) == labels).sum(1)
    return [100 * count / len(split) for count in correct.tolist()]


def _corruptions() -> list[tuple[str, int]]:
    return [(kind, level) for kind in corruptions.KINDS for level in corruptions.SEVERITIES]
