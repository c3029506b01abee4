"""The hot loops, built from the library in the same way as by its own callers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import condensery
from condensery.augmentation.siamese import FAMILIES
from condensery.data import RealData
from condensery.experiment import load_config
from condensery.jobs import Job
from condensery.machine.device import Device
from condensery.methods import Problem, dm, gradient_matching
from condensery.methods.pixels import Pixels
from condensery.synthetic import SyntheticSet
from condensery.training import recipes
from condensery.training.evaluation import accuracies
from condensery.training.loop import train
from condensery.training.recipes import Recipe
from condensery.training.samples import Samples
from condensery.training.stacking import StackedNetworks
from harness.case import TEST_IMAGES, Case

# Does one step; its argument is the number of the step.
Step = Callable[[int], None]

AUGMENTATION = "_".join(FAMILIES)
# That of the library which is measured: `host.py --beside` takes one from another checkout.
CONFIG = Path(condensery.__file__).parents[2] / "config"

# Images in one part of a test.
_PART_TEST_IMAGES = 100


def build(case: Case, data: RealData, device: Device, *, part: bool = False) -> Step:
    """Return the step of a case's loop.

    Args:
        case: which loop, at which sizes.
        data: the result of :func:`harness.data.real_data` for the case.
        device: where and how to compute.
        part: build one of :func:`parts` equal parts of the step, to count operations in less time: one class,
            one network, or a few test images.
    """
    builders = {
        "dm": _dm,
        "dsa-pixels": _pixels,
        "dsa-network": _network,
        "training": _training,
        "testing": _testing,
    }
    return builders[case.loop](case, data, device, part)


def parts(case: Case) -> int:
    """Return how many parts a step of the case has."""
    return {
        "idm": 1,  # both train networks on all classes
        "idc": 1,
        "training": case.classes * case.networks,
        "testing": case.networks * TEST_IMAGES // _PART_TEST_IMAGES,
    }.get(case.loop, case.classes)


def problem(
    case: Case, data: RealData, device: Device, method: str, *, part: bool = False, **changed: Any
) -> Problem:
    """Return the condensation of a case with the published parameters of a method, or some changed."""
    job = Job(load_config(CONFIG, "paper"), case.dataset, data, case.network, device)
    classes = (0,) if part else tuple(range(case.classes))
    parameters: dict[str, Any] = {"batch_real": case.batch_real} | changed
    problem = job.problem(method, case.ipc, seed=0, real=data, classes=classes, **parameters)
    return replace(problem, augmentation=AUGMENTATION)


def _dm(case: Case, data: RealData, device: Device, part: bool) -> Step:
    condensation = problem(case, data, device, "dm", part=part)
    matcher, pixels = dm.Matcher(condensation), Pixels(condensation)

    def step(number: int) -> None:
        gradient, _ = matcher.gradient(pixels.images, number)
        pixels.step(gradient)

    return step


def trained_between(matcher: gradient_matching.Matcher, pixels: Pixels) -> Step:
    """Return a step of the pixels and the training of the first network that follows it."""
    matcher.renew(0)

    def step(number: int) -> None:
        gradient, _ = matcher.gradient(pixels.images, 0, number)
        pixels.step(gradient)
        matcher.train(pixels.images, 0, number)

    return step


def _pixels(case: Case, data: RealData, device: Device, part: bool) -> Step:
    condensation = problem(case, data, device, "dsa", part=part)
    matcher, pixels = gradient_matching.Matcher(condensation, AUGMENTATION), Pixels(condensation)
    matcher.renew(0)

    def step(number: int) -> None:
        gradient, _ = matcher.gradient(pixels.images, 0, number)
        pixels.step(gradient)

    return step


def _network(case: Case, data: RealData, device: Device, part: bool) -> Step:
    # A step is one epoch; all epochs have the same work.
    condensation = problem(case, data, device, "dsa", part=part, inner_loop=1)
    matcher, pixels = gradient_matching.Matcher(condensation, AUGMENTATION), Pixels(condensation)
    matcher.renew(0)
    return lambda number: matcher.train(pixels.images, 0, number)


def _training(case: Case, data: RealData, device: Device, part: bool) -> Step:
    classes = range(1 if part else case.classes)
    rows = np.concatenate([data.train.indices_of(c)[: case.ipc] for c in classes])
    info = data.info
    synthetic = SyntheticSet(
        images=data.train.batch(rows, torch.device("cpu")),
        labels=torch.as_tensor(data.train.labels[rows]),
        classes=info.classes,
        mean=info.mean,
        std=info.std,
    )
    samples = Samples.of_set(synthetic, device)
    stacked = _stacked(case, data, device, part)
    one_pass = replace(_recipe(case), epochs=0)  # a recipe of E epochs runs E + 1

    def step(number: int) -> None:
        train(stacked, samples, one_pass)

    return step


def _testing(case: Case, data: RealData, device: Device, part: bool) -> Step:
    test = data.test.subset(np.arange(_PART_TEST_IMAGES)) if part else data.test
    stacked = _stacked(case, data, device, part)

    def step(number: int) -> None:
        accuracies(stacked, test)

    return step


def _stacked(case: Case, data: RealData, device: Device, part: bool) -> StackedNetworks:
    """Return networks that are compiled where those of a complete evaluation are."""
    seen = case.classes * case.ipc * _recipe(case).epochs_run + TEST_IMAGES
    return StackedNetworks(case.network, data.info, range(1 if part else case.networks), device, images=seen)


def _recipe(case: Case) -> Recipe:
    values = load_config(CONFIG, "paper").recipe("dsa", case.dataset, case.ipc)
    return replace(recipes.resolve(values, None), augmentation=AUGMENTATION)
