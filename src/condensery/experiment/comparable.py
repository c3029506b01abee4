"""Differences between an experiment under a protocol and the same under ``paper``, the papers' protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from condensery.experiment.config import Config
from condensery.experiment.targets import WHOLE

PAPER = "paper"
"""The protocol whose values are those that the papers state."""

_NOTHING: Mapping[str, int] = {}

# The division into jobs, and the other proxies: neither changes the result for one proxy.
_SCHEDULING = ("proxies", "networks_per_job")


def cell_differences(
    config: Config, paper: Config, cell: Mapping[str, Any], used: Mapping[str, int] = _NOTHING
) -> list[str]:
    """Return the values in which a cell of a protocol differs from the same cell of the papers' protocol.

    The numbers of sets and networks are not compared, because the spread reflects them. Neither are the
    epochs of the network whose features the coreset methods use, which the papers do not state.

    Args:
        config: the configuration of the cell's protocol.
        paper: the configuration of the papers' protocol.
        cell: ``dataset``, ``method``, ``ipc``, ``condense_network``, ``evaluate_network`` and ``recipe``.
        used: what the rows of the cell state, in place of the protocol's values: ``epochs`` of the recipe,
            ``iterations`` of the method.

    Returns:
        Texts such as ``iterations 500, not 20000``; empty if the cells are comparable. If recipe and method
        have a value of the same name, the text for that of the recipe begins with ``recipe's``.

    Raises:
        CondenseryError: the configuration lacks the data set, the method or the recipe.
    """
    return _differing(_values(config, cell, used), _values(paper, cell, _NOTHING))


def search_differences(config: Config, paper: Config) -> list[str]:
    """Return the values in which a protocol's architecture search differs from that of the papers' protocol.

    Returns:
        Texts as `cell_differences` returns them.
    """
    ours, theirs = (
        {k: v for k, v in asdict(one.search).items() if k not in _SCHEDULING} if one.search else {}
        for one in (config, paper)
    )
    return _differing(ours, theirs)


def _values(config: Config, cell: Mapping[str, Any], used: Mapping[str, int]) -> dict[str, Any]:
    dataset, method, ipc = cell["dataset"], cell["method"], cell["ipc"]
    network = cell["evaluate_network"]
    recipe = _replaced(config.recipe(cell["recipe"], dataset, ipc, network), used, "epochs")
    if method == WHOLE:
        return recipe
    parameters = config.parameters(dataset, method, cell["condense_network"] or network, ipc)
    values = recipe | _replaced(parameters, used, "iterations")
    values |= {f"recipe's {name}": value for name, value in recipe.items() if name in parameters}
    needs = config.needs(method)
    if "generator" in needs:
        trained = config.generator_parameters(dataset, method)
        values |= {f"generator's {name}": value for name, value in trained.items()}
    for section in ("pool", "pairs", "experts"):
        if section in needs:
            values |= {f"{section}'s {name}": v for name, v in config.spec.get(section, {}).items()}
    return values


def _replaced(values: Mapping[str, Any], used: Mapping[str, int], name: str) -> dict[str, Any]:
    return {**values, name: used[name]} if name in values and name in used else dict(values)


def _differing(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    return [
        f"{name} {ours.get(name, 'absent')}, not {theirs.get(name, 'absent')}"
        for name in dict.fromkeys([*theirs, *ours])
        if ours.get(name) != theirs.get(name)
    ]
