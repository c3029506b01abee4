"""Train networks, and record their states during training, with validation accuracies."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from condensery.data import RealData, Split
from condensery.machine.device import Device
from condensery.pool.store import State
from condensery.run import UNATTENDED, Run
from condensery.training.evaluation import accuracies
from condensery.training.loop import train
from condensery.training.recipes import Recipe
from condensery.training.samples import Samples
from condensery.training.stacking import StackedNetworks

FIRST_SEED = 1_000_000
"""Seed of a pool's first network: none may start like a network that sets are evaluated with."""


def batches(data: RealData, recipe: Recipe) -> int:
    """Return the number of batches in an epoch."""
    return -(-len(data.train) // recipe.batch)


def train_states(
    data: RealData,
    network: str,
    recipe: Recipe,
    numbers: Sequence[int],
    state_steps: Sequence[int],
    device: Device,
    *,
    dtype: torch.dtype = torch.float16,
    run: Run = UNATTENDED,
) -> list[State]:
    """Train networks together, and record the state of each after some steps.

    Args:
        data: the networks train on its training split; its test split has the validation images. If that is
            empty, states have no accuracy.
        network: name of the networks.
        recipe: how they are trained.
        numbers: the numbers of the networks in the pool, which determine their seeds.
        state_steps: the numbers of steps after which a state is recorded, at most those of the whole
            training.
        device: where to compute.
        dtype: the type of the recorded weights. float16 takes half of the space of float32; the relative
            error of a weight is at most 1/2,000.
        run: the checkpoint saves the training and the recorded states, in the end all of them; the progress
            counts epochs.

    Returns:
        The states, one network after the other. They do not depend on which networks are trained together.
    """
    seeds = [FIRST_SEED + number for number in numbers]
    stacked = StackedNetworks(network, data.info, seeds, device, images=len(data.train) * recipe.epochs_run)
    watch = _Watch(stacked, data.test, state_steps, dtype)
    run = run.carrying({"states": watch})
    samples = Samples.of_split(data.train, device)
    descent = train(stacked, samples, recipe, run=run, on_batch=watch.see)
    watch.look()
    run.carrying({"work": descent}).save(recipe.epochs_run)
    return watch.states(numbers)


class _Watch:
    """Records the states of stacked networks.

    Args:
        stacked: the networks.
        validation: the images for the accuracies.
        state_steps: the numbers of steps after which states are recorded.
        dtype: the type of the recorded weights.
    """

    def __init__(
        self, stacked: StackedNetworks, validation: Split, state_steps: Sequence[int], dtype: torch.dtype
    ) -> None:
        self._stacked, self._validation, self._state_steps = stacked, validation, state_steps
        self._dtype = dtype
        self._step = 0
        self._taken: dict[str, Tensor] = {}

    def see(self, rows: Tensor, logits: Tensor) -> None:
        """Record the states, if due, before the step of a batch; then count the step."""
        self.look()
        self._step += 1

    def look(self) -> None:
        """Record the states if they are due after the present number of steps."""
        if self._step in self._state_steps and f"weights.{self._step}" not in self._taken:
            count = len(self._stacked.seeds)
            weights = [each.detach().reshape(count, -1) for each in self._stacked.parameters.values()]
            self._taken[f"weights.{self._step}"] = torch.cat(weights, 1).to("cpu", self._dtype)
            if len(self._validation):
                tested = torch.tensor(accuracies(self._stacked, self._validation), dtype=torch.float64)
                self._taken[f"accuracies.{self._step}"] = tested

    def states(self, numbers: Sequence[int]) -> list[State]:
        """Return the recorded states, one network after the other."""
        return [
            State(
                number,
                step,
                self._taken[f"accuracies.{step}"][index].item() if len(self._validation) else None,
                self._taken[f"weights.{step}"][index],
            )
            for index, number in enumerate(numbers)
            for step in self._state_steps
        ]

    def state(self) -> dict[str, Tensor]:
        """See `condensery.run.Part`."""
        return self._taken | {"step": torch.tensor(self._step)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """See `condensery.run.Part`."""
        self._step = int(state["step"])
        self._taken = {name: tensor for name, tensor in state.items() if name != "step"}
