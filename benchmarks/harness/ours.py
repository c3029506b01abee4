"""Our side of a comparison with the authors' code."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from condensery.data import RealData
from condensery.machine import device as devices
from condensery.methods import dm, gradient_matching
from condensery.methods.pixels import Pixels
from condensery.synthetic import SyntheticSet
from condensery.training.evaluation import accuracies
from condensery.training.loop import train
from condensery.training.recipes import Recipe
from condensery.training.samples import Samples
from condensery.training.stacking import StackedNetworks
from harness import loops
from harness.pair_case import PairCase
from harness.plan import STACKED


class Ours:
    """The library, used as its scripts use it."""

    def __init__(self, case: PairCase, data: RealData, *, device: str, exchange: str) -> None:
        """Set up everything that is not timed.

        Args:
            case: the comparison.
            data: real data.
            device: auto, cpu or cuda.
            exchange: file of the weights that the other side wrote.
        """
        self._case, self._data = case, data
        self._device = devices.choose(device, case.our_precision)
        self._start = start_images(data, case.ipc).to(self._device.torch_device)
        steps = {"dm": self._dm, "dsa": self._dsa, "train": self._train, "test": self._test}
        self._work = steps[case.kind](exchange)

    def step(self, number: int) -> tuple[float, list[float]]:
        """See :class:`harness.worker.Side`."""
        return self._work(number)

    def _dm(self, exchange: str) -> Callable[[int], tuple[float, list[float]]]:
        problem = loops.problem(self._case.case, self._data, self._device, "dm")
        matcher, pixels = dm.Matcher(problem), Pixels(problem)

        def step(number: int) -> tuple[float, list[float]]:
            pixels.images.copy_(self._start)
            started = self._now()
            gradient, losses = matcher.gradient(pixels.images, number)
            pixels.step(gradient)
            return self._now() - started, [losses.sum().item()]

        return step

    def _dsa(self, exchange: str) -> Callable[[int], tuple[float, list[float]]]:
        epochs = self._case.epochs
        problem = loops.problem(self._case.case, self._data, self._device, "dsa", inner_loop=epochs)
        matcher = gradient_matching.Matcher(problem, loops.AUGMENTATION)
        pixels = Pixels(problem)

        def step(number: int) -> tuple[float, list[float]]:
            pixels.images.copy_(self._start)
            started = self._now()
            matcher.renew(number)
            gradient, loss = matcher.gradient(pixels.images, number, 0)
            pixels.step(gradient)
            if epochs:
                matcher.train(pixels.images, number, 0)
            return self._now() - started, [loss.item()]

        return step

    def _train(self, exchange: str) -> Callable[[int], tuple[float, list[float]]]:
        info = self._data.info
        synthetic = SyntheticSet(
            self._start.cpu(), start_labels(self._data, self._case.ipc), info.classes, info.mean, info.std
        )
        samples = Samples.of_set(synthetic, self._device)
        recipe = Recipe("dsa", self._case.epochs, 0.01, 0.9, 5e-4, 256, loops.AUGMENTATION)
        count = STACKED if self._device.stack_networks else 1

        def step(number: int) -> tuple[float, list[float]]:
            started = self._now()
            first = self._case.seed + number * count
            stacked = self._stacked(range(first, first + count), len(samples))
            train(stacked, samples, recipe)
            seconds = self._now() - started
            return seconds / count, accuracies(stacked, self._data.test)

        return step

    def _test(self, exchange: str) -> Callable[[int], tuple[float, list[float]]]:
        stacked = self._stacked([0], len(self._start))
        weights = torch.load(exchange, weights_only=True)
        # The names differ, the order of the layers does not.
        stacked.load(dict(zip(stacked.state(), weights.values(), strict=True)))

        def step(number: int) -> tuple[float, list[float]]:
            started = self._now()
            found = accuracies(stacked, self._data.test)
            return self._now() - started, found

        return step

    def _stacked(self, seeds: range | list[int], images: int) -> StackedNetworks:
        # Compiled as in an evaluation of the published length.
        seen = images * 1001 + len(self._data.test)
        return StackedNetworks("convnet", self._data.info, seeds, self._device, images=seen)

    def _now(self) -> float:
        self._device.synchronize()
        return time.perf_counter()


def start_images(data: RealData, ipc: int) -> Tensor:
    """Return the initial images of both sides, the first of each class: float32 (classes * ipc, C, H, W)."""
    classes = range(len(data.info.classes))
    rows = np.concatenate([data.train.indices_of(c)[:ipc] for c in classes])
    return data.train.batch(rows, torch.device("cpu"))


def start_labels(data: RealData, ipc: int) -> Tensor:
    """Return their labels, int64."""
    return torch.arange(len(data.info.classes)).repeat_interleave(ipc)
