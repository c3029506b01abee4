"""The images that a method learns: their optimizer, their checkpoints, and the time of condensing."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from condensery.errors import CondenseryError
from condensery.methods.base import Problem
from condensery.run import UNATTENDED, Run, Stopwatch, last_iteration


class Pixels:
    """Images under stochastic gradient descent with momentum; a run may be stopped between two iterations.

    Reads the parameters ``iterations``, ``lr_img``, ``momentum`` and ``init`` of the problem.

    Attributes:
        images: float32 (N, C, H, W) on the device, in the order of the problem's labels.
    """

    def __init__(self, problem: Problem, run: Run = UNATTENDED) -> None:
        """Begin with the initial images.

        Args:
            problem: the condensation.
            run: saves the state, and has the recorder of snapshots.
        """
        self._problem, self._recorder = problem, run.recorder
        self._clock = Stopwatch(problem.device.synchronize)
        self._run = run.carrying({"snapshots": run.recorder}) if run.recorder else run
        self.images = problem.initial_images(problem.parameters["init"])
        self._momentum = torch.zeros_like(self.images)

    def iterations(self) -> Iterator[int]:
        """Yield the index of every remaining iteration; after each, record and save the images if due.

        Between two iterations the state consists of the images and their momentum. The time of iterations is
        added up over all runs of a job; work that is lost at a stop is not counted, and neither are recording
        and saving.
        """
        last = last_iteration(self._problem.parameters["iterations"], self._recorder)
        for iteration in self._run.steps(last, self):
            if self._recorder:
                self._recorder.check(iteration)
            self._clock.start()
            yield iteration
            if self._recorder and self._recorder.wants(iteration + 1):
                self._recorder.record(iteration + 1, self._clock.stop(), self.images, self.learning_rate())
        if self._recorder:
            self._recorder.check(last)

    def step(self, gradient: Tensor) -> None:
        """Take one step of SGD, whose momentum is never reset (the authors' public code).

        Args:
            gradient: gradient of the loss with respect to the images, (N, C, H, W).
        """
        self._momentum.mul_(self._problem.parameters["momentum"]).add_(gradient)
        self.images.sub_(self._momentum, alpha=self._problem.parameters["lr_img"])

    def heed(self, losses: Tensor) -> None:
        """Receive the losses of an iteration, (classes,); subclasses may adapt their learning rates."""

    def learning_rate(self) -> Tensor | None:
        """Return the learning rate that is learned with the images; None here."""
        return None

    def state(self) -> dict[str, Tensor]:
        """Return all tensors that the steps change."""
        self._clock.stop()  # until the next iteration
        return {"images": self.images, "momentum": self._momentum} | self._clock.state()

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore what :meth:`state` returned."""
        device = self._problem.device.torch_device
        self.images, self._momentum = (state[name].to(device) for name in ("images", "momentum"))
        self._clock.restore(state)


class UnitPixels(Pixels):
    """Images whose learning rate refers to pixels from 0 to 1.

    Pixels are clamped to this range before every iteration, but not after the last. ``lr_img`` refers to one
    image per class: with n images the gradient of each is 1/n as large, and the learning rate is n times as
    large.
    """

    def __init__(self, problem: Problem, run: Run = UNATTENDED) -> None:
        """See :class:`Pixels`.

        Raises:
            CondenseryError: the data set is whitened, so that its images have no pixels from 0 to 1.
        """
        super().__init__(problem, run)
        info = problem.data.info
        if info.whitening:
            raise CondenseryError(
                f"{info.name} is whitened: this method keeps pixels from 0 to 1, give another"
            )
        mean, self._std = (self.images.new_tensor(values).view(-1, 1, 1) for values in (info.mean, info.std))
        self._lowest, self._highest = -mean / self._std, (1 - mean) / self._std
        # x = (u - mean) / std: a step of u along its own gradient moves x by 1 / std^2 times that of x.
        self._factor = problem.ipc / self._std.square()

    def iterations(self) -> Iterator[int]:
        """See :class:`Pixels`."""
        for iteration in super().iterations():
            self.images = self.images.clamp(self._lowest, self._highest)
            yield iteration

    def step(self, gradient: Tensor) -> None:
        """See :class:`Pixels`."""
        super().step(self._factor * gradient)


class FallingPixels(UnitPixels):
    """Unit pixels with a learning rate per class, which is halved when the loss of the class stops falling.

    Reads the parameters ``optimizer``, ``adamw`` or ``sgd``; ``weight_decay`` of AdamW, which pulls pixels
    towards 0, black; and ``patience``, the number of iterations without a new minimum of the loss. ``lr_img``
    of AdamW does not depend on the number of images. Every class has its own optimizer state and learning
    rate, so that classes are independent.
    """

    _MOMENTUM, _SQUARES, _EPSILON = 0.9, 0.999, 1e-8  # of AdamW
    _FALL, _LEAST_GAIN = 0.5, 1e-4  # a loss that is lower by less than this share is no new low

    def __init__(self, problem: Problem, run: Run = UNATTENDED) -> None:
        """See :class:`Pixels`."""
        super().__init__(problem, run)
        each_class = self.images.new_ones(len(problem.classes))
        self._kept = {
            "squares": torch.zeros_like(self.images),
            "shares": each_class,  # what is left of the rate
            "lows": torch.finfo(torch.float32).max * each_class,
            "waits": 0 * each_class,
            "steps": torch.zeros((), dtype=torch.int64),
        }

    def step(self, gradient: Tensor) -> None:
        """See :class:`Pixels`."""
        parameters = self._problem.parameters
        share = self._kept["shares"].repeat_interleave(self._problem.ipc).view(-1, 1, 1, 1)
        if parameters["optimizer"] == "sgd":
            super().step(share * gradient)
            return
        # Of u from 0 to 1, where x = (u - mean) / std, and so u = std (x - lowest).
        gradient = gradient / self._std
        self._kept["steps"] += 1
        done = int(self._kept["steps"])
        rate = parameters["lr_img"] * share
        self.images.sub_(rate * parameters["weight_decay"] * (self.images - self._lowest))
        self._momentum.lerp_(gradient, 1 - self._MOMENTUM)
        squares = self._kept["squares"].mul_(self._SQUARES)
        squares.addcmul_(gradient, gradient, value=1 - self._SQUARES)
        spread = (squares / (1 - self._SQUARES**done)).sqrt_().add_(self._EPSILON)
        mean = self._momentum / (1 - self._MOMENTUM**done)
        self.images.sub_(rate * mean / spread / self._std)

    def heed(self, losses: Tensor) -> None:
        """See :class:`Pixels`."""
        lows, waits, shares = (self._kept[name] for name in ("lows", "waits", "shares"))
        low = losses < lows * (1 - self._LEAST_GAIN)
        waits = torch.where(low, 0, waits + 1)
        fall = waits > self._problem.parameters["patience"]
        self._kept["lows"] = torch.where(low, losses, lows)
        self._kept["waits"] = torch.where(fall, 0, waits)
        self._kept["shares"] = torch.where(fall, self._FALL * shares, shares)

    def state(self) -> dict[str, Tensor]:
        """See :class:`Pixels`."""
        return super().state() | self._kept

    def restore(self, state: dict[str, Tensor]) -> None:
        """See :class:`Pixels`."""
        super().restore(state)
        self._kept = {name: state[name].to(kept.device) for name, kept in self._kept.items()}
