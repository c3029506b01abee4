"""One step of each hot loop, at sizes for checks, with limits of its launches, copies and waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from condensery.augmentation.siamese import FAMILIES
from condensery.data import RealData
from condensery.machine.device import Device
from condensery.methods import Problem, dd, dm, gradient_matching, ld, mmd
from condensery.methods.pixels import Pixels
from condensery.training.loop import train
from condensery.training.recipes import Recipe
from condensery.training.samples import Samples
from condensery.training.stacking import StackedNetworks

NETWORK = "convnet-d2-w16"
AUGMENTATION = "_".join(FAMILIES)
_BATCH = 256

# Runs the step of a number and returns its results, on the device.
Step = Callable[[int], Sequence[Tensor]]


@dataclass(frozen=True)
class Loop:
    """A hot loop.

    Attributes:
        name: short description.
        build: function that returns the step for data on a device.
        launches: number of kernels that a step may start.
        copies: number of copies to the device that a step may make.
        waits: number of times per step that the host may wait for a value of the device.
        compiles: whether its networks may be compiled.
    """

    name: str
    build: Callable[[RealData, Device], Step]
    launches: int
    copies: int
    waits: int = 0
    compiles: bool = False


def _problem(data: RealData, device: Device, **parameters: Any) -> Problem:
    classes = tuple(range(len(data.info.classes)))
    known = {"iterations": 4, "lr_img": 1.0, "momentum": 0.5, "batch_real": 8, "init": "real"}
    return Problem(data, 2, classes, NETWORK, known | parameters, AUGMENTATION, 0, device)


def _dm(data: RealData, device: Device) -> Step:
    problem = _problem(data, device)
    return _pixel_steps(problem, dm.Matcher(problem).gradient)


def _mmd(data: RealData, device: Device) -> Step:
    problem = _problem(data, device, kernel="rbf", width=1.0)
    return _pixel_steps(problem, mmd.Matcher(problem).gradient)


def _pixel_steps(problem: Problem, gradient: Callable[[Tensor, int], tuple[Tensor, Tensor]]) -> Step:
    pixels = Pixels(problem)

    def step(number: int) -> list[Tensor]:
        of_pixels, _ = gradient(pixels.images, number)
        pixels.step(of_pixels)
        return [of_pixels]

    return step


def _matching(data: RealData, device: Device) -> tuple[Problem, gradient_matching.Matcher]:
    own = {"inner_loop": 3, "outer_loop": 3, "batch_net": 4, "lr_net": 0.01, "distance": "layerwise"}
    problem = _problem(data, device, **own)
    matcher = gradient_matching.Matcher(problem, AUGMENTATION)
    matcher.renew(0)
    return problem, matcher


def _dsa(data: RealData, device: Device) -> Step:
    problem, matcher = _matching(data, device)
    return _pixel_steps(problem, lambda images, number: matcher.gradient(images, 0, number))


def _dsa_network(data: RealData, device: Device) -> Step:
    problem, matcher = _matching(data, device)
    images = Pixels(problem).images

    return _changes(lambda number: matcher.train(images, 0, number), list(matcher.network.parameters()))


def _changes(step: Callable[[int], object], tensors: Sequence[Tensor]) -> Step:
    """Return a step that returns its changes of some tensors."""

    def changed(number: int) -> list[Tensor]:
        before = [tensor.detach().clone() for tensor in tensors]
        step(number)
        return [tensor.detach() - earlier for tensor, earlier in zip(tensors, before, strict=True)]

    return changed


def _dd(data: RealData, device: Device) -> Step:
    unrolled = dd.Unrolled(_problem(data, device, steps=1, epochs=2, networks=1, lr_net=0.02, batch_real=16))
    images, raw = unrolled.start()
    return lambda number: unrolled.gradient(images, raw, number)[:2]


def _ld(data: RealData, device: Device) -> Step:
    own = {
        "lr_label": 0.1,
        "lr_inner": 0.01,
        "lr_net": 0.01,
        "batch_net": 4,
        "batch_real": 16,
        "patience": 99,
    }
    learner = ld.Learner(_problem(data, device, **own))

    def step(number: int) -> list[Tensor]:
        learner.step(number)
        return [learner.labels]

    return step


def _training(data: RealData, device: Device, *, networks: int, augmentation: str) -> Step:
    stacked = StackedNetworks(NETWORK, data.info, range(networks), device, images=0)
    one_batch = data.train.subset(np.arange(min(len(data.train), _BATCH)))
    samples = Samples.of_split(one_batch, device)
    recipe = Recipe("r", 0, 0.01, 0.9, 0.0, batch=_BATCH, augmentation=augmentation)
    return _changes(lambda number: train(stacked, samples, recipe), list(stacked.parameters.values()))


_DC = "dc_crop_scale_rotate_noise"

LOOPS = (
    Loop("dm", _dm, launches=75, copies=1, compiles=True),
    Loop("mmd", _mmd, launches=250, copies=1),  # which real images
    Loop("dsa", _dsa, launches=550, copies=1, compiles=True),
    Loop("dsa-network", _dsa_network, launches=210, copies=1, compiles=True),
    Loop("dd", _dd, launches=800, copies=2, waits=1),  # weights, real images; the rates, which are read
    Loop("ld", _ld, launches=370, copies=2),  # images, real images
    # The host checks at the end of a training, not of a batch, that all values are finite.
    Loop(
        "training",
        partial(_training, networks=1, augmentation=AUGMENTATION),
        launches=190,
        copies=1,
        waits=1,
        compiles=True,
    ),
    Loop(
        "training-stacked",
        partial(_training, networks=3, augmentation=AUGMENTATION),
        launches=190,
        copies=1,
        waits=1,
        compiles=True,
    ),
    Loop(
        "training-plain", partial(_training, networks=3, augmentation="none"), launches=180, copies=1, waits=1
    ),
    Loop("training-dc", partial(_training, networks=1, augmentation=_DC), launches=500, copies=1, waits=1),
    Loop(
        "training-dc-stacked",
        partial(_training, networks=3, augmentation=_DC),
        launches=1200,
        copies=1,
        waits=1,
    ),
)
