"""Files that are whole under their final name, and checkpoints that survive being killed."""

from __future__ import annotations

import glob
import json
import logging
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from condensery.errors import CondenseryError

_log = logging.getLogger(__name__)
_METADATA = "condensery"
_SCHEMA = "checkpoint/1"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Write a file, or a folder, that appears under its final name only when it is complete.

    Args:
        path: the final name. Missing parent folders are made. An existing file is replaced; an existing
            folder is replaced only when it is empty.

    Yields:
        A temporary name in the same folder, with the same suffix, where the caller makes a file or a folder.
        After the block it is flushed to the disk and renamed; when the block raises, it is removed.

    Raises:
        OSError: when the folder cannot be written, or the final name is a folder that is not empty.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".partial-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        for file in sorted(temporary.rglob("*")) if temporary.is_dir() else ():
            _flush(file)
        _flush(temporary)
        os.replace(temporary, path)
    except BaseException:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
        raise
    _flush(path.parent)


def check_new_folder(folder: Path) -> None:
    """Check, before there is anything to lose, that `atomic` can give a folder this name.

    Raises:
        CondenseryError: the name is taken, by anything but an empty folder.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise CondenseryError(f"{folder}: exists and is not an empty folder; give a new name")


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, object]) -> None:
    """Write tensors and their description as one safetensors file, atomically.

    Equal tensors and metadata give equal bytes: the description is one JSON text with sorted keys, since
    safetensors itself writes several metadata entries in no fixed order.

    Args:
        path: the file to write.
        tensors: of any shape, on any device. Memory layout (strides) is not kept.
        metadata: JSON-able values.
    """
    # A copy each, because safetensors refuses tensors that share memory.
    plain = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    text = json.dumps(metadata, sort_keys=True, allow_nan=False)
    with atomic(path) as temporary:
        # Not save_file, whose files only their owner may read: sets are shared.
        temporary.write_bytes(save(plain, metadata={_METADATA: text}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Read what `write_tensors` wrote.

    Returns:
        The tensors, on the CPU, and the description.

    Raises:
        ValueError: the file is not a whole safetensors file, or carries no description of ours.
        OSError: the file is absent or may not be read.
    """
    file = TensorFile(path)
    return {name: file[name] for name in file.names}, file.about


class TensorFile:
    """A file of `write_tensors`, for reading few of many tensors.

    Attributes:
        about: the description.
        names: of the tensors, sorted.
    """

    def __init__(self, path: Path) -> None:
        """Read the description; the file stays open.

        Raises:
            ValueError, OSError: as `read_tensors`.
        """
        try:
            self._file = safe_open(path, framework="pt")
        except SafetensorError as error:
            raise ValueError(f"not a whole safetensors file ({error})") from error
        text = (self._file.metadata() or {}).get(_METADATA)
        if text is None:
            raise ValueError("a safetensors file, but not one that condensery wrote")
        self.about: dict = json.loads(text)
        self.names: list[str] = sorted(self._file.keys())

    def __getitem__(self, name: str) -> Tensor:
        """Return a tensor, on the CPU."""
        # The file is mapped; a copy stays valid when it is replaced.
        return self._file.get_tensor(name).clone()


class Checkpoint:
    """The state of a long job, in one safetensors file beside the job's output.

    Args:
        path: the file.
        identity: what experiment the state belongs to; a file with another identity is not used.
        every_seconds: how much work, in seconds, may be lost; 0 saves whenever asked.
    """

    def __init__(self, path: Path, identity: str, every_seconds: float = 60.0) -> None:
        """Note where the state lies; nothing is read yet."""
        self.path = Path(path)
        self.identity = identity
        self.every_seconds = every_seconds
        self._saved_at = monotonic()

    def load(self) -> tuple[int, dict[str, Tensor]] | None:
        """Return the next step and the state, on the CPU; None when there is nothing to resume.

        A file that is damaged, or that belongs to another experiment, is ignored with a log line: the job
        then starts anew and overwrites it.
        """
        if not self.path.exists():
            return None
        try:
            state, metadata = read_tensors(self.path)
            if metadata["schema"] != _SCHEMA:
                raise ValueError(f"written as {metadata['schema']}")
            identity, step = metadata["identity"], int(metadata["step"])
        except (ValueError, KeyError, TypeError, OSError) as error:
            _log.warning("%s: ignoring an unreadable checkpoint, starting anew: %s", self.path, error)
            return None
        if identity != self.identity:
            _log.warning("%s: ignoring a checkpoint of another experiment, starting anew", self.path)
            return None
        return step, state

    def save(self, step: int, state: Mapping[str, Tensor]) -> None:
        """Replace the checkpoint atomically.

        Args:
            step: the step that a resumed job does next.
            state: everything that the step depends on and that its random streams do not give.
        """
        write_tensors(self.path, state, {"schema": _SCHEMA, "identity": self.identity, "step": step})
        self._saved_at = monotonic()

    def due(self) -> bool:
        """Say whether `every_seconds` have passed since the last save, or since the start."""
        return monotonic() - self._saved_at >= self.every_seconds

    def remove(self) -> None:
        """Delete the checkpoint, and what a killed save may have left beside it."""
        self.path.unlink(missing_ok=True)
        for leftover in self.path.parent.glob(f".partial-*-{glob.escape(self.path.name)}"):
            leftover.unlink(missing_ok=True)
