"""What watches a training, and the checkpoint that carries along what it has seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from condensery.checkpoint import Checkpoint

_PREFIX = "watched."


class Watcher(Protocol):
    """Something that a training shows its batches to, and that has a state of its own."""

    def state(self) -> dict[str, Tensor]:
        """Return everything that a resumed training needs to go on watching."""
        ...

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take up what :meth:`state` returned."""
        ...


class WatchedCheckpoint:
    """A training's checkpoint that carries the state of a watcher along."""

    def __init__(self, inner: Checkpoint, watcher: Watcher) -> None:
        """Join the two."""
        self._inner, self._watcher = inner, watcher

    def load(self) -> tuple[int, dict[str, Tensor]] | None:
        """See :class:`Checkpoint`; the watcher takes up its part."""
        found = self._inner.load()
        if found is not None:
            seen = {name: tensor for name, tensor in found[1].items() if name.startswith(_PREFIX)}
            self._watcher.restore({name.removeprefix(_PREFIX): tensor for name, tensor in seen.items()})
        return found

    def due(self) -> bool:
        """See :class:`Checkpoint`."""
        return self._inner.due()

    def save(self, epoch: int, state: Mapping[str, Tensor]) -> None:
        """See :class:`Checkpoint`."""
        seen = {f"{_PREFIX}{name}": tensor for name, tensor in self._watcher.state().items()}
        self._inner.save(epoch, {**state, **seen})
