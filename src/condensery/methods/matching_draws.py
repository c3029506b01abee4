"""The random draws of gradient matching: for a step of the pixels, and for the training after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from condensery import streams
from condensery.augmentation import Change, drawn_for_batches, drawn_for_each
from condensery.machine.transfer import Parcel
from condensery.methods.base import Problem

# Real images of a class that set the statistics of batch norm (the authors' public code).
STATISTICS_IMAGES = 16

# Kind of matching -> the streams of the draws for real and for synthetic images; None does not augment.
TRANSFORMS: dict[str, tuple[str | None, str | None]] = {
    "shared": ("siamese", "siamese"),
    "independent": ("siamese", "synthetic-augmentation"),
    "real": ("siamese", None),
    "synthetic": (None, "siamese"),
}


class Group(NamedTuple):
    """Classes that are matched together in a step, and their random draws.

    Attributes:
        classes: positions in the classes of the problem.
        rows: returns the indices of their real images, int64 (N,), one class after the other.
        sizes: number of real images per class.
        of_real: the augmentation of the real images.
        of_synthetic: the augmentation of the synthetic images.
    """

    classes: range
    rows: Callable[[], list[Tensor]]
    sizes: list[int]
    of_real: Change
    of_synthetic: Change


class Drawn(NamedTuple):
    """The random draws of the matching of a step.

    Attributes:
        statistics: returns the indices of the real images for the statistics of batch norm, int64 (n,).
        groups: the groups of classes.
    """

    statistics: Callable[[], list[Tensor]]
    groups: list[Group]


class Batches(NamedTuple):
    """Batches of the network's training that are augmented together.

    Attributes:
        rows: returns the indices of their synthetic images, int64 (N,), one batch after the other.
        sizes: number of images per batch.
        change: the augmentation of all these images.
    """

    rows: Callable[[], list[Tensor]]
    sizes: list[int]
    change: Callable[[Tensor], Tensor]


class Draws:
    """Makes the random draws of each step; the same step always gets the same draws."""

    def __init__(
        self, problem: Problem, strategy: str, transform: str, *, with_statistics: bool, at_once: int
    ) -> None:
        """Set the parameters of the draws.

        Args:
            problem: the condensation.
            strategy: the augmentation, or ``none``.
            transform: the images that the matching augments, a key of :data:`TRANSFORMS`.
            with_statistics: whether batch norm needs statistics of real images.
            at_once: number of images that fit the memory budget together.
        """
        self._problem, self._strategy, self._streams = problem, strategy, TRANSFORMS[transform]
        self._with_statistics, self._at_once = with_statistics, at_once
        self._train, self._together = problem.training_split(), problem.device.stack_networks

    def following(self, step: tuple[int, int]) -> Iterator[tuple[int, int]]:
        """Yield the steps after a given one, each as the indices of its network and of the step with it."""
        iterations, outer = (self._problem.parameters[key] for key in ("iterations", "outer_loop"))
        yield from ((step[0], number) for number in range(step[1] + 1, outer))
        yield from product(range(step[0] + 1, iterations), range(outer))

    def batches(self, address: tuple[int, int]) -> list[Batches]:
        """Draw the batches of the training after a step; they are copied to the device in one transfer.

        The images do not change during this training: except on a CPU, as many batches as fit the memory
        budget are augmented at once.
        """
        problem, info = self._problem, self._problem.data.info
        seed, parameters = problem.seed, problem.parameters
        rows, drawing = [], []
        for epoch in range(parameters["inner_loop"]):
            stream = streams.generator(seed, "shuffle", *address, epoch)
            order = torch.randperm(len(problem.classes) * problem.ipc, generator=stream)
            for number, batch in enumerate(order.split(parameters["batch_net"])):
                rows.append(batch)
                drawing.append(streams.generator(seed, "augmentation", *address, epoch, number))
        at_once = max(1, self._at_once // parameters["batch_net"]) if self._together else 1
        parcel, found = Parcel(problem.device.torch_device), []
        for first in range(0, len(rows), at_once):
            some = rows[first : first + at_once]
            sizes = [len(batch) for batch in some]
            change = drawn_for_batches(
                self._strategy,
                sizes,
                (info.height, info.width),
                drawing[first : first + at_once],
                parcel,
            )
            found.append(Batches(parcel.add([torch.cat(some)]), sizes, change))
        parcel.close()
        return found

    def matching(self, address: tuple[int, int]) -> Drawn:
        """Make the draws of a step's matching; they are copied to the device in one transfer."""
        problem = self._problem
        device = problem.device.torch_device
        parcel = Parcel(device)
        # Images that lie on the host are read there.
        of_rows = parcel if self._train.device.type == device.type else Parcel(self._train.device)

        def chosen(purpose: str, count: int, classes: Sequence[int]) -> list[Tensor]:
            drawing = [streams.generator(problem.seed, purpose, *address, c) for c in classes]
            return [
                torch.from_numpy(problem.random_batch(c, count, stream))
                for c, stream in zip(classes, drawing, strict=True)
            ]

        norms = problem.classes if self._with_statistics else ()
        statistics = of_rows.add([torch.cat(chosen("statistics", STATISTICS_IMAGES, norms))] if norms else [])
        groups = []
        for positions in self._positions():
            classes = [problem.classes[i] for i in positions]
            real = chosen("real", problem.parameters["batch_real"], classes)
            changes = {
                stream: self._change(stream, classes, address, parcel) for stream in set(self._streams)
            }
            of_real, of_synthetic = (changes[stream] for stream in self._streams)
            sizes = [len(each) for each in real]
            groups.append(Group(positions, of_rows.add([torch.cat(real)]), sizes, of_real, of_synthetic))
        parcel.close()
        return Drawn(statistics, groups)

    def _positions(self) -> Iterator[range]:
        """Yield the positions in the problem's classes of those that are matched together."""
        count, problem = len(self._problem.classes), self._problem
        # A synthetic image keeps three times as much memory.
        images = max(3 * problem.images_per_class, problem.parameters["batch_real"])
        at_once = max(1, self._at_once // images) if self._together else 1
        for start in range(0, count, at_once):
            yield range(start, min(start + at_once, count))

    def _change(
        self, stream: str | None, classes: Sequence[int], address: tuple[int, int], parcel: Parcel
    ) -> Change:
        """Return the augmentation of some classes, drawn from a stream; without a stream, the identity."""
        info, seed = self._problem.data.info, self._problem.seed
        strategy = "none" if stream is None else self._strategy
        drawing = [streams.generator(seed, stream or "none", *address, c) for c in classes]
        return drawn_for_each(strategy, (info.height, info.width), drawing, parcel)
