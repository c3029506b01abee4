"""Domain-incremental learning: one network learns one data set after another, all with the same classes.

At every task it trains on the whole new data set and on the memory of the earlier ones. Knowledge
distillation holds its outputs to those of the network before that task (Castro et al. 2018, *End-to-end
incremental learning*); without distillation only the memory does. DSA compares memories in this experiment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from condensery.checkpoint import Checkpoint
from condensery.data import DataInfo, RealData
from condensery.data.contents import Shape
from condensery.data.views import shape_of
from condensery.errors import CondenseryError
from condensery.machine.device import Device
from condensery.progress import Progress
from condensery.run import Run, Stopwatch
from condensery.synthetic import SyntheticSet
from condensery.training import stacking
from condensery.training.evaluation import accuracies
from condensery.training.loop import train
from condensery.training.recipes import Recipe
from condensery.training.samples import Samples
from condensery.training.stacking import StackedNetworks

TEMPERATURE = 2.0
"""Of the distillation (Castro et al. 2018)."""

TASKS = 100
"""Largest number of tasks in a sequence: a network draws from other streams in each."""


@dataclass(frozen=True)
class Task:
    """One data set of a sequence.

    Attributes:
        data: the data set, in the common shape.
        recipe: how the network is trained on it.
        memory: the images of it that later tasks keep; none for the last task.
    """

    data: RealData
    recipe: Recipe
    memory: SyntheticSet | None


@dataclass(frozen=True)
class Learned:
    """One network after one task.

    Attributes:
        step: the task, from 0.
        distillation: whether the network was held to the one before each task.
        network_seed: its seed.
        accuracies: in percent, on the test split of every task so far.
        train_seconds: of the training on this task.
        test_seconds: of all its tests after this task.
    """

    step: int
    distillation: bool
    network_seed: int
    accuracies: tuple[float, ...]
    train_seconds: float
    test_seconds: float


def memories(tasks: Sequence[Task], step: int) -> list[SyntheticSet]:
    """Return what is kept of the tasks before a step."""
    return [task.memory for task in tasks[:step] if task.memory is not None]


def common_shape(infos: Sequence[DataInfo]) -> Shape:
    """Return the shape that the images of all data sets can take: the most channels, rows and columns.

    Raises:
        CondenseryError: the data sets have different numbers of classes.
    """
    counts = {len(info.classes) for info in infos}
    if len(counts) > 1:
        listed = ", ".join(f"{info.name} {len(info.classes)}" for info in infos)
        raise CondenseryError(f"a sequence needs data sets with equal numbers of classes, not {listed}")
    return Shape(*(max(sides) for sides in zip(*map(shape_of, infos), strict=True)))


def distillation(logits: Tensor, teacher: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Return the cross-entropy between the softened outputs of two networks (Castro et al. 2018).

    Args:
        logits: of the network in training, (K, n, classes).
        teacher: of the network before the task, likewise.
        temperature: by which both are divided.

    Returns:
        The mean over images, summed over the K networks: a scalar.
    """
    wanted = F.softmax(teacher / temperature, dim=-1)
    return -(wanted * F.log_softmax(logits / temperature, dim=-1)).sum(-1).mean(1).sum()


def learn(
    network: str,
    tasks: Sequence[Task],
    seeds: Sequence[int],
    device: Device,
    *,
    checkpoint: Callable[[str], Checkpoint | None] = lambda name: None,
    progress: Progress | None = None,
) -> Iterator[Learned]:
    """Learn the tasks in their order, with and without distillation.

    On the first task there is nothing to distil, so that both continue from the same network.

    Args:
        network: name of the network.
        tasks: at most `TASKS`.
        seeds: one per network.
        device: where to compute; it determines which networks are trained at once.
        checkpoint: returns the checkpoint of a part of the work, by its name; kept until all is done.
        progress: shown the epochs done, of `epochs` for every seed.

    Yields:
        For every network, each task once with and once without distillation.
    """
    done = 0
    batch = max(task.recipe.batch for task in tasks)
    for group in stacking.groups(network, tasks[0].data.info, batch, seeds, device):
        sequence = _Sequence(network, tasks, group, device, checkpoint, progress, done)
        first = sequence.train(0, None, distil=False)
        for distil in (True, False):
            state = first
            yield from sequence.test(0, state, distil)
            for step in range(1, len(tasks)):
                state = sequence.train(step, state, distil=distil)
                yield from sequence.test(step, state, distil)
        done = sequence.epochs_done


def epochs(tasks: Sequence[Task]) -> int:
    """Return how many epochs `learn` trains for each seed."""
    first, *others = (task.recipe.epochs_run for task in tasks)
    return first + 2 * sum(others)


@dataclass(frozen=True)
class _State:
    """Trained networks: their tensors and how long the last task took."""

    tensors: dict[str, Tensor]
    seconds: float


class _Sequence:
    """The networks of some seeds, trained at once on one task after another."""

    def __init__(
        self,
        network: str,
        tasks: Sequence[Task],
        seeds: tuple[int, ...],
        device: Device,
        checkpoint: Callable[[str], Checkpoint | None],
        progress: Progress | None,
        epochs_done: int,
    ) -> None:
        self._network, self._tasks, self._seeds, self._device = network, tasks, seeds, device
        self._checkpoint, self._progress, self.epochs_done = checkpoint, progress, epochs_done

    def train(self, step: int, before: _State | None, *, distil: bool) -> _State:
        task, device = self._tasks[step], self._device
        memory = [Samples.of_set(each, device) for each in memories(self._tasks, step)]
        samples = Samples.joined([Samples.of_split(task.data.train, device), *memory])
        seen = len(samples) * task.recipe.epochs_run
        stacked = self._stacked(step, before, images=seen)
        teacher = self._stacked(step, before, images=seen) if before and distil else None
        name = f"{self._seeds[0]}to{self._seeds[-1]}-{step}" + ("-distilled" if distil else "")
        clock, count = Stopwatch().start(), len(self._seeds)
        run = Run(self._checkpoint(name), self._progress).carrying({"clock": clock})
        descent = train(
            stacked,
            samples,
            task.recipe,
            run=run.counting(self.epochs_done, count),
            extra_loss=_held_to(teacher) if teacher else None,
        )
        run.carrying({"work": descent}).save(task.recipe.epochs_run)
        self.epochs_done += count * task.recipe.epochs_run
        return _State(stacked.state(), clock.stop())

    def test(self, step: int, state: _State, distil: bool) -> Iterator[Learned]:
        splits = [task.data.test for task in self._tasks[: step + 1]]
        stacked = self._stacked(step, state, images=sum(map(len, splits)))
        started = time.perf_counter()
        scores = zip(*(accuracies(stacked, split) for split in splits), strict=True)
        for seed, of_tasks in zip(self._seeds, list(scores), strict=True):
            tested = (time.perf_counter() - started) / len(self._seeds)
            yield Learned(step, distil, seed, of_tasks, state.seconds / len(self._seeds), tested)

    def _stacked(self, step: int, state: _State | None, *, images: int) -> StackedNetworks:
        streams = [seed * TASKS + step for seed in self._seeds]
        stacked = StackedNetworks(
            self._network, self._tasks[0].data.info, streams, self._device, images=images
        )
        if state is not None:
            stacked.load(state.tensors)
        return stacked


def _held_to(teacher: StackedNetworks) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the distillation loss of a batch, from its images and the logits of the networks in training."""

    def loss(images: Tensor, logits: Tensor) -> Tensor:
        with torch.no_grad():
            targets = teacher.logits(images, train=False)
        return distillation(logits, targets)

    return loss
