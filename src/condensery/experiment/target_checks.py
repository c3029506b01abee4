"""Checks of targets beyond the schemas: names, sizes, and the capabilities of methods."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from condensery.errors import CondenseryError
from condensery.experiment import target_kinds
from condensery.experiment.memories import datasets_of
from condensery.experiment.needs import NEEDS
from condensery.experiment.plans import EARLY_STOPPING, PER_WIDTH, embedding
from condensery.experiment.schemas import key_path, unknown
from condensery.experiment.targets import sets_of
from condensery.experiment.trajectories import iterations

if TYPE_CHECKING:
    from condensery.experiment.config import Config


def check_memories(config: Config, file: Path) -> None:
    """Check names, sizes and numbers of classes of the targets of continual learning.

    Raises:
        CondenseryError: the first invalid value.
    """
    for target, entry in config.spec.get("continual", {}).items():
        prefix = f"{file}: {key_path(('continual', target))}"
        for dataset in datasets_of(entry):
            if dataset not in config.datasets:
                raise CondenseryError(f"{prefix}: {unknown('data set', dataset, config.datasets)}")
            limit = config.dataset(dataset).get("smallest_class", entry["ipc"])
            if entry["ipc"] > limit:
                raise CondenseryError(
                    f"{prefix}.ipc: {entry['ipc']} images per class, but the smallest class of {dataset} has "
                    f"{limit}; give {limit} or less"
                )
        for method in entry["methods"]:
            if method not in config.methods:
                raise CondenseryError(f"{prefix}.methods: {unknown('method', method, config.methods)}")
            for need in config.needs(method):
                if not (NEEDS[need].step_path or NEEDS[need].optional):
                    raise CondenseryError(
                        f"{prefix}.methods: {method} needs a {need} that was trained on all classes; give a "
                        "method that does not"
                    )
        counts = [config.class_count(dataset) for dataset in datasets_of(entry)]
        if len(counts) == 1 and counts[0] % entry["steps"]:
            raise CondenseryError(
                f"{prefix}.steps: {counts[0]} classes cannot be split evenly into {entry['steps']}; "
                "give a divisor"
            )
        if len(set(counts)) > 1:
            numbers = " and ".join(map(str, sorted(set(counts))))
            raise CondenseryError(
                f"{prefix}.datasets: have {numbers} classes; give data sets with equal numbers of classes"
            )


def check_trajectories(config: Config, file: Path) -> None:
    """Check that the methods of trajectories condense in iterations, and do so up to the snapshots.

    Raises:
        CondenseryError: a method has no iterations, or not as many as a snapshot; or a list of snapshots does
            not ascend.
    """
    for target in config.listed(target_kinds.Trajectories):
        for number, block in enumerate(config.blocks(target)):
            for method in block["methods"]:
                parameters = config.method(config.implementation(method))["parameters"]
                if "iterations" not in parameters or "generator" in config.needs(method):
                    prefix = key_path(("targets", target, number, "methods"))
                    raise CondenseryError(
                        f"{file}: {prefix}: {method} does not learn its images in iterations; name one that "
                        "does"
                    )
            if isinstance(block["snapshots"], list):
                prefix = f"{file}: {key_path(('targets', target, number, 'snapshots'))}"
                _check_steps(config, block, prefix)


def _check_steps(config: Config, block: Mapping[str, Any], prefix: str) -> None:
    steps = block["snapshots"]
    for step, following in pairwise(steps):
        if following < step:
            raise CondenseryError(f"{prefix}: {following} comes after {step}; list the iterations ascending")
    networks = {dataset: config.network(dataset) for dataset in block["datasets"]}
    for each in sets_of(block, networks, 1):
        last = iterations(config, each)
        if steps[-1] > last:
            raise CondenseryError(
                f"{prefix}: {each.method} runs {last} iterations on {each.dataset} with {each.ipc} images "
                f"per class; give {last} or less, not {steps[-1]}"
            )


def check_embeddings(config: Config, file: Path) -> None:
    """Check that the data set of each map has enough classes.

    Raises:
        CondenseryError: a data set has fewer classes than its map shows.
    """
    for target in config.listed(target_kinds.Embedding):
        wanted = embedding(config, target)
        known = config.class_count(wanted.dataset)
        if wanted.classes > known:
            prefix = key_path(("targets", target, 0, "classes"))
            raise CondenseryError(
                f"{file}: {prefix}: {wanted.dataset} has {known} classes; give {known} or less"
            )


def check_search(config: Config, file: Path) -> None:
    """Check the names and the number of networks of the architecture search.

    Raises:
        CondenseryError: the first invalid value.
    """
    search = config.search
    if search is None:
        return
    prefix = f"{file}: search"
    if search.dataset not in config.datasets:
        raise CondenseryError(f"{prefix}.dataset: {unknown('data set', search.dataset, config.datasets)}")
    for proxy in search.proxies:
        if proxy == EARLY_STOPPING:
            continue
        if proxy not in config.methods:
            known = [*config.methods, EARLY_STOPPING]
            raise CondenseryError(f"{prefix}.proxies: {unknown('proxy', proxy, known)}")
        if config.needs(proxy):
            raise CondenseryError(
                f"{prefix}.proxies: {proxy} needs networks trained on the whole set, which have seen "
                "the validation images; give a method that does not"
            )
    limit = PER_WIDTH * len(search.widths)
    if search.networks > limit:
        raise CondenseryError(
            f"{prefix}.networks: must be at most {limit}, the networks of width "
            f"{', '.join(map(str, search.widths))}, not {search.networks}"
        )


def check_needs(config: Config, file: Path) -> None:
    """Check that the protocol has a section for each kind of file that the methods of its sets need.

    Raises:
        CondenseryError: a section is missing; the message names the first method that needs it.
    """
    for target in config.spec["targets"]:
        for method in dict.fromkeys(set_id.method for set_id in config.target_sets(target)):
            for section in (NEEDS[need].section for need in config.needs(method)):
                if section and section not in config.spec:
                    prefix = key_path(("targets", target))
                    raise CondenseryError(
                        f"{file}: {prefix}: {method} needs what {section!r} describes; add that key to the "
                        "protocol, or take another method"
                    )
