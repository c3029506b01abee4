"""The images that a method learns: their optimiser, their state on disk, and the time that they took."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

import torch
from torch import Tensor

from condensery.checkpoint import Checkpoint
from condensery.methods.base import Problem
from condensery.methods.recorder import Recorder


class Pixels:
    """Images under stochastic gradient descent with momentum, in iterations that may be stopped between.

    Reads the parameters ``iterations``, ``lr_img``, ``momentum`` and ``init`` of the problem.

    Attributes:
        images: float32 (N, C, H, W) on the device, in the order of the problem's labels.
    """

    def __init__(
        self, problem: Problem, checkpoint: Checkpoint | None = None, recorder: Recorder | None = None
    ) -> None:
        """Take up the state of the checkpoint, or else the initial images.

        Args:
            problem: the condensation.
            checkpoint: where to save the state now and then.
            recorder: shown the images after the iterations that it wants to see.
        """
        self._problem, self._checkpoint, self._recorder = problem, checkpoint, recorder
        self._first, self._seconds = 0, 0.0
        resumed = checkpoint.load() if checkpoint else None
        if resumed is None:
            self.images = problem.initial_images(problem.parameters["init"])
            self._momentum = torch.zeros_like(self.images)
        else:
            self._first, state = resumed
            self._seconds = state["seconds"].item()
            where = problem.device.torch_device
            self.images, self._momentum = (state[name].to(where) for name in ("images", "momentum"))
            if recorder:
                recorder.restore(state)

    def iterations(self) -> Iterator[int]:
        """Yield the number of every iteration still to be done; after each, record and save what is due.

        Between two iterations the images and their momentum are all that there is. The time of the
        iterations adds up over the runs of a job that is stopped and resumed; what a stopped run lost does
        not count, nor does recording and saving.
        """
        started = perf_counter()
        for iteration in range(self._first, self._problem.parameters["iterations"]):
            yield iteration
            done = iteration + 1
            recording = self._recorder is not None and self._recorder.wants(done)
            saving = self._checkpoint is not None and self._checkpoint.due()
            if recording or saving:
                self._problem.device.synchronise()
                self._seconds += perf_counter() - started
                if recording:
                    self._recorder.record(done, self._seconds, self.images)
                if saving:
                    self._checkpoint.save(done, self._state())
                started = perf_counter()

    def step(self, gradient: Tensor) -> None:
        """Take one step of SGD, which keeps its momentum through the whole run (the authors' public code).

        Args:
            gradient: (N, C, H, W), of the loss with respect to the images.
        """
        self._momentum.mul_(self._problem.parameters["momentum"]).add_(gradient)
        self.images.sub_(self._momentum, alpha=self._problem.parameters["lr_img"])

    def _state(self) -> dict[str, Tensor]:
        seconds = torch.tensor(self._seconds, dtype=torch.float64)
        recorded = self._recorder.state() if self._recorder else {}
        return recorded | {"images": self.images, "momentum": self._momentum, "seconds": seconds}
