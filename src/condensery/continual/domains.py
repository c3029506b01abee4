"""Domain-incremental learning: one network learns one data set after another, all with the same classes.

For every task it trains on the whole new data set and on the memory of the earlier ones. Knowledge
distillation keeps its outputs close to those of the network before that task (Castro et al. 2018, *End-to-end
incremental learning*); without distillation, only the memory prevents forgetting. Alternatively it trains on
the joint sets alone: the memory of the earlier tasks and that of the new one. DSA compares memories in this
experiment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from condensery.data import DataInfo, RealData
from condensery.data.contents import Shape
from condensery.data.views import shape_of
from condensery.errors import CondenseryError
from condensery.machine.device import Device
from condensery.run import UNATTENDED, Run, Stopwatch
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
        recipe: how the network is trained on the data set and the memory.
        joint: how the network is trained on the joint sets alone.
        memory: the images of the data set that later tasks keep; None is allowed for the last task, and then
            no network trains on the joint sets.
    """

    data: RealData
    recipe: Recipe
    joint: Recipe
    memory: SyntheticSet | None


class Way(NamedTuple):
    """A way to learn the tasks.

    Attributes:
        joint: whether the network trains on the joint sets alone.
        distillation: whether the loss includes distillation from the network before each task.
    """

    joint: bool
    distillation: bool


_DISTILLED, _PLAIN, _JOINT = Way(False, True), Way(False, False), Way(True, False)


@dataclass(frozen=True)
class Learned:
    """One network after one task.

    Attributes:
        step: index of the task, from 0.
        way: how the network learned.
        network_seed: the seed of the network.
        accuracies: one per task so far, on its test split, in percent.
        train_seconds: time of the training on this task.
        test_seconds: time of all tests after this task.
    """

    step: int
    way: Way
    network_seed: int
    accuracies: tuple[float, ...]
    train_seconds: float
    test_seconds: float


def memories(tasks: Sequence[Task], step: int) -> list[SyntheticSet]:
    """Return the memories of the tasks before a step."""
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
        logits: logits of the networks in training, (K, n, classes).
        teacher: logits of the networks before the task, (K, n, classes).
        temperature: both logits are divided by it before the softmax.

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
    run: Run = UNATTENDED,
) -> list[Learned]:
    """Learn the tasks in their order, in each of their :func:`ways`.

    The first task has no earlier network to distill from, so training with and without distillation continues
    from the same network after it.

    Args:
        network: name of the network.
        tasks: at most `TASKS`.
        seeds: one per network.
        device: where to compute; it determines which networks are trained at once.
        run: the checkpoint saves the finished tasks and the current training; the progress counts epochs,
            `epochs` per seed.

    Returns:
        For every network, one entry per task and way.
    """
    finished = _Results()
    whole = run.resumed({"finished": finished})
    ready = {each.network_seed for each in finished.learned}
    left = [seed for seed in seeds if seed not in ready]
    batch = max(recipe.batch for task in tasks for recipe in (task.recipe, task.joint))
    for group in stacking.groups(network, tasks[0].data.info, batch, left, device):
        networks = len(finished.learned) // (len(ways(tasks)) * len(tasks))
        sequence = _Sequence(network, tasks, group, device)
        finished.learned += sequence.learn(whole.counting(networks * epochs(tasks)))
        whole.save(0)
    return finished.learned


def epochs(tasks: Sequence[Task]) -> int:
    """Return the number of epochs that `learn` trains per seed."""
    return sum(_epochs(tasks, step, way) for way in ways(tasks) for step in range(len(tasks)))


def ways(tasks: Sequence[Task]) -> tuple[Way, ...]:
    """Return the ways in which the tasks can be learned, in order; joint sets need a memory of every task."""
    return (_DISTILLED, _PLAIN) if tasks[-1].memory is None else (_DISTILLED, _PLAIN, _JOINT)


def _epochs(tasks: Sequence[Task], step: int, way: Way) -> int:
    """Return the epochs of a network's training on a task: 0 if it shares the network of another way."""
    if way.joint:
        return tasks[step].joint.epochs_run
    return tasks[step].recipe.epochs_run if step or way.distillation else 0


class _Results:
    """The results of the networks, in the order of their training."""

    def __init__(self) -> None:
        self.learned: list[Learned] = []

    def state(self) -> dict[str, Tensor]:
        state = {}
        for number, one in enumerate(self.learned):
            about = (one.step, *one.way, one.network_seed, one.train_seconds, one.test_seconds)
            state[str(number)] = torch.tensor([*about, *one.accuracies], dtype=torch.float64)
        return state

    def restore(self, state: dict[str, Tensor]) -> None:
        self.learned = []
        for number in range(len(state)):
            step, joint, distillation, seed, trained, tested, *scores = state[str(number)].tolist()
            way = Way(bool(joint), bool(distillation))
            self.learned.append(Learned(int(step), way, int(seed), tuple(scores), trained, tested))


class _Trained:
    """The networks after the first task and after the latest: name -> tensor, and ``seconds`` of the task."""

    def __init__(self) -> None:
        self.first: dict[str, Tensor] = {}
        self.latest: dict[str, Tensor] = {}

    def state(self) -> dict[str, Tensor]:
        return {f"first {name}": tensor for name, tensor in self.first.items()} | {
            f"latest {name}": tensor for name, tensor in self.latest.items()
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        parts = [(*full.partition(" "), tensor) for full, tensor in state.items()]
        self.first = {name: tensor for when, _, name, tensor in parts if when == "first"}
        self.latest = {name: tensor for when, _, name, tensor in parts if when == "latest"}


class _Sequence:
    """The networks of some seeds, trained at once on one task after another."""

    def __init__(self, network: str, tasks: Sequence[Task], seeds: tuple[int, ...], device: Device) -> None:
        self._network, self._tasks, self._seeds, self._device = network, tasks, seeds, device

    def learn(self, run: Run) -> list[Learned]:
        """Learn all tasks in every way; without distillation the first task is the same as with it."""
        results, trained = _Results(), _Trained()
        # Another device may train other networks at once. The names hold the seeds, so their state is not
        # resumed.
        names = " ".join(map(str, self._seeds))
        run = run.resumed({f"results of {names}": results, f"networks of {names}": trained})
        count = len(self._seeds)
        stages = [(step, way) for way in ways(self._tasks) for step in range(len(self._tasks))]
        for number in range(len(results.learned) // count, len(stages)):
            step, way = stages[number]
            stage = run.counting(count * sum(_epochs(self._tasks, s, w) for s, w in stages[:number]), count)
            if step:
                trained.latest = self._train(step, trained.latest, way, stage)
            elif way == _PLAIN:
                trained.latest = trained.first
            else:
                trained.latest = self._train(0, {}, way, stage)
                if way == _DISTILLED:
                    trained.first = trained.latest
            results.learned += self._test(step, trained.latest, way)
            run.save(0)
        return results.learned

    def _train(self, step: int, before: dict[str, Tensor], way: Way, run: Run) -> dict[str, Tensor]:
        """Return the state of the networks ``before`` after one more task, or of new ones after the first."""
        task, device = self._tasks[step], self._device
        recipe = task.joint if way.joint else task.recipe
        real = [] if way.joint else [Samples.of_split(task.data.train, device)]
        sets = [Samples.of_set(each, device) for each in memories(self._tasks, step + way.joint)]
        samples = Samples.joined([*real, *sets])
        seen = len(samples) * recipe.epochs_run
        stacked = self._stacked(step, before, images=seen)
        teacher = self._stacked(step, before, images=seen) if step and way.distillation else None
        clock = Stopwatch().start()
        train(
            stacked,
            samples,
            recipe,
            run=run.carrying({"clock": clock}),
            extra_loss=_held_to(teacher) if teacher else None,
        )
        return stacked.state() | {"seconds": torch.tensor(clock.stop(), dtype=torch.float64)}

    def _test(self, step: int, trained: dict[str, Tensor], way: Way) -> list[Learned]:
        splits = [task.data.test for task in self._tasks[: step + 1]]
        stacked = self._stacked(step, trained, images=sum(map(len, splits)))
        started = time.perf_counter()
        scores = list(zip(*(accuracies(stacked, split) for split in splits), strict=True))
        count = len(self._seeds)
        seconds = (trained["seconds"].item() / count, (time.perf_counter() - started) / count)
        return [
            Learned(step, way, seed, of_tasks, *seconds)
            for seed, of_tasks in zip(self._seeds, scores, strict=True)
        ]

    def _stacked(self, step: int, trained: dict[str, Tensor], *, images: int) -> StackedNetworks:
        streams = [seed * TASKS + step for seed in self._seeds]
        stacked = StackedNetworks(
            self._network, self._tasks[0].data.info, streams, self._device, images=images
        )
        if trained:
            stacked.load(trained)
        return stacked


def _held_to(teacher: StackedNetworks) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the distillation loss of a batch, from its images and the logits of the networks in training."""

    def loss(images: Tensor, logits: Tensor) -> Tensor:
        with torch.no_grad():
            targets = teacher.logits(images, train=False)
        return distillation(logits, targets)

    return loss
