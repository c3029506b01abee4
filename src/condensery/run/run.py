"""The run of long work, step by step: saved, resumed, reported and stopped."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from condensery.errors import CondenseryError, Stopped
from condensery.progress import Progress
from condensery.run.checkpoint import Checkpoint
from condensery.run.parts import Part, Recorder
from condensery.run.stopping import Request, deferred

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """The run of long work: its checkpoint, its progress, and the recorder of its images.

    Attributes:
        checkpoint: saves the state from time to time, and resumes from it; None saves nothing.
        progress: shows the number of completed steps; None shows nothing.
        recorder: takes snapshots of the images of a condensation; None takes none.
        parts: name -> a part that is saved in addition to the state of the work. A checkpoint that lacks one
            of them belongs to other work, and is ignored.
        before: steps of the progress that were completed before this work.
        times: steps of the progress per step of this work.
        may_diverge: whether to continue when values are no longer finite, with a warning at the end:
            divergence of a network is a valid outcome of a search.
    """

    checkpoint: Checkpoint | None = None
    progress: Progress | None = None
    recorder: Recorder | None = None
    parts: Mapping[str, Part] = field(default_factory=dict)
    before: int = 0
    times: int = 1
    may_diverge: bool = False

    def refuse_snapshots(self, because: str) -> None:
        """Refuse snapshots, for methods whose result is more than the images.

        Args:
            because: the reason, the beginning of the message.

        Raises:
            CondenseryError: snapshots are requested.
        """
        if self.recorder:
            raise CondenseryError(f"{because}: omit --snapshots")

    def carrying(self, parts: Mapping[str, Part]) -> Run:
        """Return the run with these parts added."""
        return replace(self, parts={**self.parts, **parts})

    def resumed(self, parts: Mapping[str, Part]) -> Run:
        """Return the run with these parts added, and restore all parts if the checkpoint has all of them.

        Work with several stages calls this first, saves after each stage, and resumes at the first missing
        one.
        """
        whole = self.carrying(parts)
        whole.resume()
        return whole

    def counting(self, before: int, times: int = 1) -> Run:
        """Return the run of one stage of this work.

        Args:
            before: steps of this work that were completed before the stage.
            times: steps of this work per step of the stage.
        """
        return replace(self, before=self.before + self.times * before, times=self.times * times)

    def steps(self, total: int, work: Part) -> Iterator[int]:
        """Restore the work, yield the index of every remaining step, and save after each if due.

        Args:
            total: number of steps of the whole work, including those of earlier runs.
            work: the object that the steps change. Its state must be complete between two steps.

        Raises:
            CondenseryError: a value of the state is not finite when it is saved, or after the last step.
            Stopped: a signal asked the process to stop; the state after the last completed step is saved.
        """
        whole = self.carrying({"work": work})
        first = whole.resume()
        with deferred() if self.checkpoint else nullcontext(Request()) as stopped:
            for step in range(first, total):
                yield step
                if self.checkpoint and (stopped or self.checkpoint.due()):
                    whole.save(step + 1)
                if stopped:
                    raise Stopped(
                        stopped.number,
                        f"step {step + 1} of {total} is saved, and the same command goes on from there",
                    )
        if first < total:
            whole._check(total, whole._state())

    def resume(self) -> int:
        """Restore all parts, if the checkpoint has all of them; return the index of the next step."""
        found = self.checkpoint.load() if self.checkpoint else None
        if found is None:
            return 0
        step, tensors = found
        states: dict[str, dict[str, Tensor]] = {}
        for full, tensor in tensors.items():
            name, _, key = full.partition("/")
            states.setdefault(name, {})[key] = tensor
        if not self.parts.keys() <= states.keys():
            return 0
        for name, part in self.parts.items():
            part.restore({key: tensor for key, tensor in states[name].items() if key})
        return step

    def save(self, done: int) -> None:
        """Save all parts, if there is a checkpoint.

        Args:
            done: the step with which a resumed run continues.

        Raises:
            CondenseryError: a value is not finite; the last saved state is kept.
        """
        if self.checkpoint:
            tensors = self._state()
            if not self.may_diverge:
                self._check(done, tensors)
            self.checkpoint.save(done, tensors)

    def _state(self) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = {}
        for name, part in self.parts.items():
            # The first entry records that the part is present, even if its state is empty.
            tensors |= {f"{name}/": torch.empty(0)}
            tensors |= {f"{name}/{key}": tensor for key, tensor in part.state().items()}
        return tensors

    def report(self, done: int, **values: Tensor | float) -> None:
        """Report the number of completed steps of this work, and values to show, such as a loss.

        Raises:
            CondenseryError: a value is not finite.
        """
        if self.progress:
            figures = {name: float(value) for name, value in values.items()}
            for name, figure in figures.items():
                if not math.isfinite(figure):
                    self._diverged(f"{name} is {figure}", done)
            self.progress.step(self.before + self.times * done, **figures)

    def _check(self, done: int, tensors: Mapping[str, Tensor]) -> None:
        name = not_finite(tensors)
        if name is not None:
            self._diverged(f"{name.partition('/')[2]} is not finite", done)

    def _diverged(self, what: str, done: int) -> None:
        """Raise the error about values that are not finite after ``done`` steps, or log it."""
        where = f"{self.progress.label}: " if self.progress else ""
        last = (self.progress.done - self.before) // self.times if self.progress else 0
        saved = self.checkpoint.step if self.checkpoint else 0
        first = max(last, saved) if max(last, saved) < done else 0
        message = f"{where}{what} between steps {first} and {done}"
        if self.may_diverge:
            _log.warning("%s: its accuracy is that of chance", message)
            return
        kept = f"; {self.checkpoint.path} keeps step {saved}" if self.checkpoint and saved else ""
        raise CondenseryError(
            f"{message}: lower the learning rate (config/methods.yaml, config/recipes.yaml or the "
            f"protocol){kept}"
        )


def not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor with a value that is not finite, or None; waits once per device."""
    floating = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    bad: set[str] = set()
    for device in {tensor.device for tensor in floating.values()}:
        names = [name for name, tensor in floating.items() if tensor.device == device]
        finite = torch.stack([floating[name].isfinite().all() for name in names]).tolist()
        bad |= {name for name, well in zip(names, finite, strict=True) if not well}
    return next((name for name in floating if name in bad), None)


UNATTENDED = Run()
"""Nothing is saved, reported or kept."""
