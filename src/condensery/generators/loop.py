"""Train a generator from the first step, or from the step at which an earlier run stopped, to the last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from condensery.data import DataInfo
from condensery.generators import biggan, gmmn, vae
from condensery.generators.base import Generator, Setting, Training
from condensery.machine.device import Device
from condensery.run import UNATTENDED, Run

REPORT_EVERY = 10
CHECK_EVERY = 100

KINDS: dict[str, type[Training]] = {"gmmn": gmmn.Training, "vae": vae.Training, "biggan": biggan.Training}
"""Every kind of generator, by the name of its method."""


def train(
    kind: str,
    setting: Setting,
    *,
    run: Run = UNATTENDED,
) -> dict[str, Tensor]:
    """Train a generator.

    Args:
        kind: one of `KINDS`.
        setting: its setting; the parameter ``iterations`` is the number of steps.
        run: the checkpoint saves the state; the progress counts steps.

    Returns:
        The weights by name, which :func:`build` takes.

    Raises:
        CondenseryError: the training has failed, or its values are not finite.
    """
    training = KINDS[kind](setting)
    for step in run.steps(setting.parameters["iterations"], training):
        losses = training.step(step)
        if (step + 1) % CHECK_EVERY == 0 or step + 1 == setting.parameters["iterations"]:
            training.check()
        if (step + 1) % REPORT_EVERY == 0:
            run.report(step + 1, **losses)
    return training.result.state_dict()


def build(
    kind: str, info: DataInfo, parameters: Mapping[str, Any], weights: Mapping[str, Tensor], device: Device
) -> Generator:
    """Return a trained generator, on the device.

    Args:
        kind: one of `KINDS`.
        info: the data set of the training.
        parameters: the hyper-parameters of the training.
        weights: the weights that :func:`train` returned.
        device: where to compute.
    """
    generator = KINDS[kind].make(info, parameters)
    generator.load_state_dict(weights)
    return generator.to(device.torch_device)
