"""The steps of the methods after DM, with their published parameters but for the number of real images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from condensery.data import RealData
from condensery.experiment import load_config
from condensery.experiment.plans import PAIRS_RECIPE
from condensery.machine.device import Device
from condensery.methods import Problem, get, idc, idm
from condensery.methods.dm import DistributionMatching
from condensery.methods.pixels import Pixels, UnitPixels
from condensery.methods.queue import Queue
from condensery.pool.states import train_states
from condensery.pool.store import write
from condensery.run import UNATTENDED
from condensery.training import recipes
from harness import loops
from harness.case import Case
from harness.loops import CONFIG, Step

# Training images of the networks of DANCE and NCFM: what they have learned changes no time.
_PAIR_IMAGES = 100


def build(case: Case, data: RealData, device: Device, folder: Path, *, part: bool = False) -> Step:
    """Return the step of a case of the study ``methods``; see :func:`harness.loops.build`.

    Args:
        case: which method, at which sizes.
        data: as :func:`harness.data.real_data` makes it for the case.
        device: where and how to compute.
        folder: where networks that a method needs beforehand are written.
        part: build a part of the step, one of :func:`harness.loops.parts` equal ones.
    """
    problem = loops.problem(case, data, device, case.loop, part=part and loops.parts(case) > 1)
    builders: dict[str, Callable[[Problem], Step]] = {"idm": _queued, "idc": _trained}
    if case.loop in ("dance", "ncfm"):
        problem = replace(problem, trained={"pairs": [_pairs(case, data, device, folder)]})
    if case.loop in builders:
        return builders[case.loop](problem)
    method = get(case.loop)
    assert isinstance(method, DistributionMatching)
    return _matched(method, problem)


def _matched(method: DistributionMatching, problem: Problem) -> Step:
    pixels, matchers = method.pixels(problem, UNATTENDED), method.matchers(problem)

    def step(number: int) -> None:
        for matcher in matchers:
            gradient, _ = matcher.gradient(pixels.images, number)
            pixels.step(gradient)

    return step


def _queued(problem: Problem) -> Step:
    queue = Queue(problem)
    matcher, pixels = idm.Matcher(problem, queue), Pixels(problem)

    def step(number: int) -> None:
        queue.renew(number)
        gradient, _ = matcher.gradient(pixels.images, number)
        pixels.step(gradient)
        queue.train(number)

    return step


def _trained(problem: Problem) -> Step:
    return loops.trained_between(idc.Matcher(problem, problem.parameters["strategy"]), UnitPixels(problem))


def _pairs(case: Case, data: RealData, device: Device, folder: Path) -> Path:
    """Return the file of one network before and after its training."""
    few = data.train.subset(np.arange(_PAIR_IMAGES))
    recipe = recipes.resolve(load_config(CONFIG, "paper").recipe(PAIRS_RECIPE, case.dataset), None)
    recipe = replace(recipe, epochs=1)
    states = train_states(replace(data, train=few, test=few), case.network, recipe, range(1), [0, 1], device)
    path = folder / "pairs.safetensors"
    write(path, states, {"experiment": {"dataset": data.info.name, "network": case.network, "networks": 1}})
    return path
