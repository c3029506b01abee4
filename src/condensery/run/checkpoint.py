"""Checkpoints, which survive a kill of the process, and the state of optimizers in them."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor

from condensery.files import read_tensors, sweep, write_tensors
from condensery.identity import first_difference

_log = logging.getLogger(__name__)
_SCHEMA = "checkpoint/3"


class Checkpoint:
    """The state of a long job, in one safetensors file next to the job's output.

    Two jobs with one output share the file. A job may begin with a state that the other one saved, but from
    then on it resumes its own states only: in the middle of its work the other's state belongs to another
    stage.

    Args:
        path: the file.
        identity: the experiment to which the state belongs, JSON-able; a file with another identity is
            ignored.
        every_seconds: the time between two saves, and thus the work that may be lost; 0 is always due.
        commit: the current commit; the log reports if a state was saved by another commit.

    Attributes:
        step: the step of the state that was last loaded or saved; 0 before.
    """

    def __init__(self, path: Path, identity: Any, every_seconds: float = 60.0, *, commit: str = "") -> None:
        """Store the arguments; nothing is read yet."""
        self.path = Path(path)
        # As JSON returns it: tuples become lists, and all keys strings.
        self.identity = json.loads(json.dumps(identity))
        self.every_seconds = every_seconds
        self.commit = commit
        self.step = 0
        self._saved_at = monotonic()
        self._begun = False
        self._name = ""
        self._beside_another = False

    def load(self) -> tuple[int, dict[str, Tensor]] | None:
        """Return the next step and the state, on the CPU; None if there is nothing to resume.

        A file that is damaged or belongs to another experiment is ignored, and the log says what differs; the
        job then starts anew and overwrites the file. A state that another job saved since this one began is
        ignored as well; the log says so once, although each part of a job asks again.
        """
        begun, self._begun = self._begun, True
        if not self.path.exists():
            return None
        try:
            state, metadata = read_tensors(self.path)
            if metadata["schema"] != _SCHEMA:
                raise ValueError(f"written as {metadata['schema']}")
            identity, step = metadata["identity"], int(metadata["step"])
        except (ValueError, KeyError, TypeError, OSError) as error:
            _log.warning(
                "%s: ignoring an unreadable checkpoint, starting from the first step: %s", self.path, error
            )
            return None
        difference = first_difference(identity, self.identity)
        if difference:
            key, was, now = difference
            where = f" ({key} was {was!r}, is {now!r})" if key else ""
            _log.warning(
                "%s: ignoring a checkpoint of another experiment, starting from the first step%s",
                self.path,
                where,
            )
            return None
        if begun and metadata.get("name", "") != self._name:
            if not self._beside_another:
                _log.warning(
                    "%s: another run has the same output; each run goes on with its own state", self.path
                )
            self._beside_another = True
            return None
        if metadata.get("commit", "") != self.commit:
            _log.info(
                "%s: continues what commit %s began: the code that computes is the same",
                self.path,
                metadata.get("commit") or "unknown",
            )
        self.step, self._name = step, metadata.get("name", "")
        return step, state

    def save(self, step: int, state: Mapping[str, Tensor]) -> None:
        """Replace the checkpoint atomically.

        Args:
            step: the step with which a resumed job continues.
            state: all tensors on which this step depends, except for random draws, which are addressed.
        """
        name = secrets.token_hex(8)
        about = {"schema": _SCHEMA, "identity": self.identity, "commit": self.commit, "step": step}
        write_tensors(self.path, state, about | {"name": name})
        self.step, self._begun, self._name = step, True, name
        self._saved_at = monotonic()

    def due(self) -> bool:
        """Say whether `every_seconds` have passed since the last save, or since the start."""
        return monotonic() - self._saved_at >= self.every_seconds

    def remove(self) -> None:
        """Delete the checkpoint and any temporary file that a killed save left."""
        self.path.unlink(missing_ok=True)
        sweep(self.path)


def adam_state(name: str, adam: torch.optim.Adam) -> dict[str, Tensor]:
    """Return the tensors of an optimizer's state; their names begin with ``name`` and a dot."""
    parts = adam.state_dict()["state"].items()
    return {f"{name}.{number}.{key}": tensor for number, part in parts for key, tensor in part.items()}


def restore_adam(name: str, adam: torch.optim.Adam, tensors: Mapping[str, Tensor]) -> None:
    """Restore the state of an optimizer.

    Args:
        name: the name given to :func:`adam_state`.
        adam: the optimizer, changed in place.
        tensors: the tensors that :func:`adam_state` returned, among others with other names.
    """
    parts: dict[int, dict[str, Tensor]] = {}
    for full, tensor in tensors.items():
        owner, _, rest = full.partition(".")
        if owner == name:
            number, _, key = rest.partition(".")
            parts.setdefault(int(number), {})[key] = tensor
    adam.load_state_dict({"state": parts, "param_groups": adam.state_dict()["param_groups"]})
