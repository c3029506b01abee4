"""One comparison with the authors' code: the work of both sides, and its precision."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from condensery.machine import support
from harness.case import Case

# Kind of work -> its step, and the result of a step.
KINDS = {
    "dm": ("one step of DM", "loss"),
    "dsa": ("one outer step of DSA", "loss"),
    "train": ("training one network", "test accuracy (%)"),
    "test": ("testing one network on 10,000 images", "test accuracy (%)"),
}


@dataclass(frozen=True)
class PairCase:
    """One comparison.

    Attributes:
        kind: a key of :data:`KINDS`.
        ipc: synthetic images per class.
        epochs: epochs of the network's training, after a step of DSA's pixels or in an evaluation.
        batch_real: real images per class in a step.
        size: side of the images, in pixels, if the data are noise.
        precision: precision of the authors' side: ``fp32`` or ``tf32``.
        our_precision: precision of our side: ``fp32``, ``tf32`` or ``bf16``.
    """

    kind: str
    ipc: int
    epochs: int = 0
    batch_real: int = 256
    size: int = 32
    precision: str = "fp32"
    our_precision: str = "fp32"

    @property
    def case(self) -> Case:
        """The sizes of our side, and of the data if they are noise."""
        return Case("", self.kind, ipc=self.ipc, size=self.size, batch_real=self.batch_real, images=5_000)

    @property
    def seed(self) -> int:
        """Our side's first seed: comparisons with seeds in common would not be independent of each other."""
        return int.from_bytes(hashlib.sha256(repr(self).encode()).digest()[:4])

    def steps(self, device: str) -> int:
        """Return the number of timed pairs of steps on a kind of device."""
        return 20 if device == "cuda" and self.kind in ("dm", "dsa") else 5

    def describe(self) -> str:
        """Return the comparison in a few words."""
        epochs = f", {self.epochs} epochs" if self.epochs else ""
        return f"{KINDS[self.kind][0]}, ipc {self.ipc}{epochs}"


def pair_cases(device: str, *, quick: bool) -> list[PairCase]:
    """Return the comparisons for a kind of device, ``cpu`` or ``cuda``.

    An outer step of DSA at 10 images per class trains the network for 50 epochs; on a CPU 5 of them give
    the same ratio in less time.
    """
    if quick:
        tiny: dict[str, Any] = {"batch_real": 8, "size": 16}
        return [
            PairCase("dm", 1, **tiny),
            PairCase("dsa", 1, epochs=1, **tiny),
            PairCase("train", 1, epochs=2, **tiny),
            PairCase("test", 1, **tiny),
        ]
    slow = device == "cpu"
    # Without instructions for it, bfloat16 takes 20 to 90 times as long.
    bf16 = support.computes_natively(torch.device(device), "bf16")
    work = [
        PairCase("dm", 10),
        PairCase("dm", 50),
        PairCase("dsa", 1),
        PairCase("dsa", 10, epochs=5 if slow else 50),
        PairCase("train", 1, epochs=50 if slow else 100),
        PairCase("train", 10, epochs=20 if slow else 100),
        PairCase("train", 50, epochs=5 if slow else 100),
        PairCase("test", 10),
    ]
    return [case for each in work for case in _precisions(each, slow, bf16)]


def _precisions(case: PairCase, slow: bool, bf16: bool) -> Iterator[PairCase]:
    yield case
    if not slow and case.kind in ("dm", "dsa"):
        yield replace(case, precision="tf32", our_precision="tf32")
    if bf16:
        yield replace(case, our_precision="bf16")
