"""States of trained networks on disk, read one at a time, and pools: those with accuracies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from condensery.errors import CondenseryError
from condensery.experiment.groups import BINS, belongs
from condensery.files import TensorFile, write_tensors
from condensery.networks import Network


@dataclass(frozen=True)
class State:
    """A network after some steps of its training.

    Attributes:
        network: its number in the pool.
        step: the number of batches that it was trained on.
        accuracy: in percent, on the validation images or, for pairs, on the training images; None for
            experts.
        weights: all parameters in the order of the module, floating (P,).
    """

    network: int
    step: int
    accuracy: float | None
    weights: Tensor


@dataclass(frozen=True)
class Member:
    """A stored state, whose weights are read on demand; see `State`."""

    network: int
    step: int
    accuracy: float | None
    file: TensorFile

    def weights(self) -> Tensor:
        """Return all parameters in the order of the module, floating (P,), on the CPU.

        Raises:
            CondenseryError: the file was altered.
        """
        try:
            return self.file[_name(self.network, self.step)]
        except ValueError as error:
            raise CondenseryError(f"{self.file.path}: {error}: make it anew") from None


def write(path: Path, states: Iterable[State], provenance: Mapping[str, Any]) -> None:
    """Write a part of the networks as one safetensors file, atomically.

    Args:
        path: the file.
        states: the states of the networks of this part.
        provenance: as `Job.provenance` returns it; its ``experiment`` has ``dataset``, ``network`` and
            ``networks``, the number of networks in all parts together.
    """
    tensors, index = {}, []
    for state in sorted(states, key=lambda each: (each.network, each.step)):
        tensors[_name(state.network, state.step)] = state.weights
        index.append({"network": state.network, "step": state.step, "accuracy": state.accuracy})
    write_tensors(path, tensors, {"provenance": dict(provenance), "states": index})


class States:
    """All states of the networks of one training, from the files of all parts.

    Attributes:
        script: name of the script that writes the files.
        experiment: the settings of the training: data set, network, recipe.
        members: all states, ordered by network and step, independent of the parts.
    """

    script: ClassVar[str]

    def __init__(self, experiment: Mapping[str, Any], members: Sequence[Member]) -> None:
        """Wrap the index that `open` has read."""
        self.experiment = experiment
        self.members = members

    @classmethod
    def open(cls, paths: Sequence[Path], dataset: str, network: str) -> Self:
        """Read the index of every part.

        Args:
            paths: the files of all parts.
            dataset: name of the required data set.
            network: name of the required network.

        Raises:
            CondenseryError: a file was not written by the script, or belongs to another data set, network or
                training; or parts overlap or are missing.
        """
        files = {path: _opened(path) for path in paths}
        experiments = {path: _experiment(file) for path, file in files.items()}
        for path, experiment in experiments.items():
            found, needed = f"{experiment['dataset']}/{experiment['network']}", f"{dataset}/{network}"
            if found != needed:
                raise CondenseryError(
                    f"{path}: networks of {found}, but {needed} is needed: make it with "
                    f"scripts/{cls.script}.py"
                )
            if experiment != experiments[paths[0]]:
                raise CondenseryError(f"{path}: not of the pool of {paths[0]}: give the parts of one pool")
        members = [member for file in files.values() for member in _members(file)]
        members.sort(key=lambda each: (each.network, each.step))
        _check_whole(experiment["networks"], members, paths[0].parent)
        return cls(experiment, members)


class Pool(States):
    """All parts of a pool: networks with their accuracies on validation images."""

    script = "pool"

    @classmethod
    def open(cls, paths: Sequence[Path], dataset: str, network: str) -> Self:
        """See :meth:`States.open`.

        Raises:
            CondenseryError: see :meth:`States.open`; or a state has no accuracy.
        """
        pool = super().open(paths, dataset, network)
        if any(each.accuracy is None for each in pool.members):
            raise CondenseryError(f"{paths[0]}: not a part of a pool: give what scripts/pool.py made")
        return pool

    def group(self, name: str) -> list[Member]:
        """Return the states of a group, one of `groups.BINS` or `groups.ALL`, in the order of the pool.

        Raises:
            CondenseryError: the group is empty; the message names the groups that are not.
        """
        found = [each for each in self.members if each.accuracy is not None and belongs(each.accuracy, name)]
        if not found:
            dataset, network = self.experiment["dataset"], self.experiment["network"]
            counts = count_groups(self.members)
            others = ", ".join(f"{group} ({count})" for group, count in counts.items())
            raise CondenseryError(
                f"no state in the pool of {dataset}/{network} is in group {name}, only in {others}: list "
                "these in the protocol, or give the recipe `pool` other epochs"
            )
        return found

    def pairs(self) -> list[tuple[Member, Member]]:
        """Return each network before its training and after it, in the order of the pool.

        Raises:
            CondenseryError: states other than these two are stored.
        """
        found = [tuple(states) for _, states in groupby(self.members, lambda each: each.network)]
        if any(len(states) != 2 or states[0].step for states in found):
            raise CondenseryError(
                f"{self.members[0].file.path}: networks on the way, but pairs before and after the training "
                "are needed: give what scripts/pairs.py made"
            )
        return [(first, last) for first, last in found]


def count_groups(states: Iterable[State | Member]) -> dict[str, int]:
    """Return the number of states per group of `groups.BINS`; states without accuracy are not counted."""
    known = [each.accuracy for each in states if each.accuracy is not None]
    counts = {group: sum(belongs(each, group) for each in known) for group in BINS}
    return {group: count for group, count in counts.items() if count}


@torch.no_grad()
def load_weights(net: Network, weights: Tensor) -> None:
    """Set the weights of a network to those of a state, in place; buffers are unchanged.

    Args:
        net: a network like those of the pool, on any device.
        weights: the weights of a `State`, (P,).
    """
    parameters = list(net.parameters())
    parts = weights.to(parameters[0].device).split([parameter.numel() for parameter in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.copy_(part.view(parameter.shape))


def _name(network: int, step: int) -> str:
    return f"network{network}.step{step}"


def _opened(path: Path) -> TensorFile:
    try:
        file = TensorFile(path)
    except (OSError, ValueError) as error:
        raise CondenseryError(f"{path}: not a part of a pool ({error}): make it again") from None
    if "states" not in file.about:
        raise CondenseryError(f"{path}: not a part of a pool: give what scripts/pool.py made")
    return file


def _experiment(file: TensorFile) -> dict[str, Any]:
    try:
        experiment = file.about["provenance"]["experiment"]
        return {**experiment, **{key: experiment[key] for key in ("dataset", "network", "networks")}}
    except (KeyError, TypeError) as error:
        raise CondenseryError(f"{file.path}: a pool without provenance ({error}): make it again") from None


def _members(file: TensorFile) -> list[Member]:
    try:
        return [Member(**state, file=file) for state in file.about["states"]]
    except TypeError as error:
        raise CondenseryError(f"{file.path}: not a part of a pool ({error}): make it again") from None


def _check_whole(networks: int, members: Sequence[Member], folder: Path) -> None:
    """Refuse parts that overlap or are incomplete."""
    names = {(each.network, each.step) for each in members}
    if len(names) < len(members):
        raise CondenseryError(f"{folder}: parts of the pool overlap: give each once")
    count = len({each.network for each in members})
    if count != networks:
        raise CondenseryError(
            f"{folder}: {count} networks of a pool of {networks}: give the files of all of its parts"
        )
