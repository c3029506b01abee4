"""The work of every kind of job that trains, by the name of its rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from condensery.cost import expert_work, generator_work, memory_work, pool_work, search_work
from condensery.cost.condensing_work import condensing
from condensery.cost.work import Work, evaluating, training
from condensery.experiment import Config, trajectories


def _set(config: Config, dataset: str, method: str, network: str, ipc: int) -> Work | None:
    """Return the work of making a set, whose generator, if it has one, has been trained."""
    if config.method(method).get("work") in generator_work.KINDS:
        return generator_work.sampling(config, dataset, method, ipc)
    return condensing(config, dataset, method, network, ipc)


def _trajectory(config: Config, w: Mapping[str, Any]) -> Work | None:
    """Return the work of making a set up to its last snapshot."""
    work = _JOBS["condense"](config, w)
    whole = config.parameters(w["dataset"], w["method"], w["network"], int(w["ipc"]))["iterations"]
    share = trajectories.steps_of(config, w)[-1] / whole
    return work and Work(work.kind, share * work.steps, share * work.multiply_adds)


def _generator(config: Config, w: Mapping[str, Any]) -> Work | None:
    known = config.method(w["method"]).get("work") in generator_work.KINDS
    return generator_work.training(config, w["dataset"], w["method"]) if known else None


def _evaluate(config: Config, w: Mapping[str, Any]) -> Work:
    dataset, ipc = w["dataset"], int(w["ipc"])
    held = config.parameters(dataset, w["method"], w["network"], ipc).get("formation", 1) ** 2
    return evaluating(config, dataset, w["recipe"], w["evaluation"], ipc, held)


# kind of job -> its work, from the configuration and the job's coordinates
_JOBS: dict[str, Callable[[Config, Mapping[str, Any]], Work | None]] = {
    "condense": lambda c, w: _set(c, w["dataset"], w["method"], w["network"], int(w["ipc"])),
    "evaluate": _evaluate,
    "evaluate_whole": lambda c, w: training(c, w["dataset"], w["recipe"], w["evaluation"]),
    "generator": _generator,
    "pretrain": lambda c, w: training(c, w["dataset"], "features", w["network"]),
    "pool": pool_work.training,
    "pairs": pool_work.training_pairs,
    "experts": expert_work.training,
    "search": search_work.search,
    "search_test": search_work.test,
    "continual_features": memory_work.features,
    "continual_memory": memory_work.memory,
    "continual_accuracy": memory_work.accuracy,
}
_JOBS |= dict.fromkeys(("condense_classes", "condense_proxy"), _JOBS["condense"])
_JOBS |= {"trajectory": _trajectory, "evaluate_snapshot": _JOBS["evaluate"]}


def of_job(config: Config, kind: str, coordinates: Mapping[str, Any]) -> Work | None:
    """Return the work of a job, or None if that of its kind or its method is unknown.

    Args:
        config: the configuration.
        kind: the name of its rule.
        coordinates: the wildcards of the rule; the numbers may be texts.
    """
    work = _JOBS[kind](config, coordinates) if kind in _JOBS else None
    if work and coordinates.get("shard"):
        work = work.part(classes_of_job(config, coordinates) / config.class_count(coordinates["dataset"]))
    return work


def classes_of_job(config: Config, coordinates: Mapping[str, Any]) -> int:
    """Return the number of classes that a job handles: of its ``shard``, such as ``0-4``, or else all."""
    if not (shard := coordinates.get("shard")):
        return config.class_count(coordinates["dataset"])
    first, _, last = str(shard).partition("-")
    return int(last or first) - int(first) + 1
