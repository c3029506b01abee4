"""Files that are complete under their final name, and files of tensors with a description."""

from __future__ import annotations

import errno
import fcntl
import glob
import hashlib
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open

from condensery.errors import CondenseryError

# PyTorch is imported where it is needed: writing a table must not wait seconds for it.
if TYPE_CHECKING:
    from torch import Tensor

_METADATA = "condensery"
_DIGESTS = "sha256"
_DESCRIPTION = ""
"""The key of the description's digest among those of the tensors; no tensor has this name."""
_TOKEN_BYTES = 4
_LONGEST_ADDITION = 64
"""Bytes by which the names of temporary files and checkpoints are longer than that of the output."""


@contextmanager
def atomic(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """Write a file, or a folder, that appears under its final name only when it is complete.

    Temporary files that killed processes left for the same name are removed first, see `sweep`.

    Args:
        path: the final name. Missing parent folders are created. An existing file is replaced; an existing
            folder is replaced only if it is empty.
        folder: whether to write a folder.

    Yields:
        A temporary path in the same folder, with the same suffix: an empty file or folder, which the caller
        fills. After the block it is flushed to the disk and renamed; if the block raises, it is removed.

    Raises:
        OSError: the folder is not writable; the error has the final name.
        CondenseryError: the final name belongs to a device, or to a folder that must not be replaced.
    """
    path = Path(path)
    _check_replaceable(path, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    temporary, lock = _locked(path, folder)
    try:
        yield temporary
        for file in sorted(temporary.rglob("*")) if folder else ():
            _flush(file)
        _flush(temporary)
        os.replace(temporary, path)
    except OSError as error:
        _delete(temporary)
        raise _about(path, temporary, error) from error
    except BaseException:
        _delete(temporary)
        raise
    finally:
        os.close(lock)
    _flush(path.parent)


def _locked(path: Path, folder: bool) -> tuple[Path, int]:
    """Create a temporary file or folder for a final name; return it, and a descriptor that holds its lock."""
    while True:
        temporary = path.with_name(f".partial-{secrets.token_hex(_TOKEN_BYTES)}-{path.name}")
        if folder:
            temporary.mkdir()
            try:
                lock = os.open(temporary, os.O_RDONLY)
            except FileNotFoundError:
                continue  # swept by another process before it was opened
            except OSError:
                temporary.rmdir()
                raise
        else:
            lock = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        # Some network file systems have no locks; what is left there is not swept either.
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock).st_nlink:
            return temporary, lock
        os.close(lock)  # swept by another process before it was locked


def sweep(path: Path) -> None:
    """Remove the temporary files that killed processes left for ``path``; those of live processes are kept.

    A writing process holds a lock, which the system releases when the process ends in any way.
    """
    for leftover in path.parent.glob(f".partial-{'?' * 2 * _TOKEN_BYTES}-{glob.escape(path.name)}"):
        with suppress(OSError):
            lock = os.open(leftover, os.O_RDONLY if leftover.is_dir() else os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _delete(leftover)
            finally:
                os.close(lock)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _about(path: Path, temporary: Path, error: OSError) -> OSError:
    """Return an error about a temporary file as one about the final name; return other errors unchanged."""
    named = error.filename is not None and not str(error.filename).startswith(str(temporary))
    if named:
        return error
    # NumPy reports only the number of values that it could write.
    number = error.errno or (errno.ENOSPC if not shutil.disk_usage(path.parent).free else errno.EIO)
    return OSError(number, os.strerror(number), str(path))


def _check_replaceable(path: Path, folder: bool) -> None:
    """Check that a name is free, or that `atomic` may replace what has it.

    Raises:
        CondenseryError: the name belongs to something that must not be replaced.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if folder:
        check_new_folder(path)
    elif stat.S_ISDIR(mode):
        raise CondenseryError(f"{path}: is a folder: give the name of a file")
    elif not stat.S_ISREG(mode):
        raise CondenseryError(f"{path}: is a device or a pipe: give the name of a file")


def check_output(path: Path, *, folder: bool = False) -> None:
    """Check, before the work starts, that `atomic` can write this output, and that checkpoints fit beside it.

    Args:
        path: the final name; missing parent folders are not created yet.
        folder: whether the output is a folder.

    Raises:
        CondenseryError: the name is too long or taken, or the folder is not writable.
    """
    _check_replaceable(path, folder)
    most = 255 - _LONGEST_ADDITION
    if len(os.fsencode(path.name)) > most:
        raise CondenseryError(f"{path}: the name is too long: give one of at most {most} bytes")
    parent = path.absolute().parent
    try:
        while not parent.exists():
            parent = parent.parent
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CondenseryError(f"{path}: {parent} cannot be written ({reason}): give another path") from error


def check_new_folder(folder: Path) -> None:
    """Check, before the work starts, that `atomic` can give a folder this name.

    Raises:
        CondenseryError: the name exists and is not an empty folder.
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

    Equal tensors and metadata give equal bytes: the description is one JSON text with sorted keys, because
    safetensors writes several metadata entries in no fixed order. It includes the SHA-256 of every tensor and
    of itself, which readers compare.

    Args:
        path: the file to write.
        tensors: name -> tensor, of any shape and on any device. The memory layout (strides) is not kept.
        metadata: the description, JSON-able.
    """
    from safetensors.torch import save

    # Copies, because safetensors refuses tensors that share memory.
    plain = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    digests = {name: _tensor_digest(tensor) for name, tensor in plain.items()}
    digests[_DESCRIPTION] = _text_digest(metadata)
    text = json.dumps({**metadata, _DIGESTS: digests}, sort_keys=True, allow_nan=False)
    with atomic(path) as temporary:
        # Not save_file, whose files only their owner can read: sets are shared.
        temporary.write_bytes(save(plain, metadata={_METADATA: text}))


def _text_digest(metadata: Mapping[str, object]) -> str:
    text = json.dumps(metadata, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _tensor_digest(tensor: Tensor) -> str:
    """Return the SHA-256 of type, shape and bytes of a tensor on the CPU."""
    import torch

    found = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
    found.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote.

    Returns:
        The tensors, on the CPU, and the description.

    Raises:
        ValueError: the file is not a complete safetensors file, has no description by `write_tensors`, or was
            altered since it was written.
        OSError: the file is absent or not readable.
    """
    from safetensors.torch import load

    # Not mapped: each tensor would be opened by name again, after the file may have been replaced.
    content = path.read_bytes()
    with _whole():
        tensors = load(content)
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
        about, digests = _described(header.get("__metadata__"), tensors)
    for name, tensor in tensors.items():
        _check(name, tensor, digests)
    return tensors, about


@contextmanager
def _whole() -> Iterator[None]:
    """Turn any exception that a reader raises on a damaged file into a ValueError."""
    try:
        yield
    except (OSError, ValueError, MemoryError):
        raise
    except Exception as error:  # the library's own, and those of names and of texts nested too deep
        raise ValueError(f"not a whole safetensors file ({error})") from error


def _described(
    entries: Mapping[str, str] | None, names: Iterable[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the verified description in the metadata of a file, and the digests of its tensors."""
    text = (entries or {}).get(_METADATA)
    if text is None:
        raise ValueError("a safetensors file, but not one that condensery wrote")
    about = json.loads(text)
    if not isinstance(about, dict) or not isinstance(about.get(_DIGESTS, {}), dict):
        raise ValueError("its description is not one that condensery wrote")
    digests = about.pop(_DIGESTS, {})
    if any(isinstance(value, dict) and _DESCRIPTION in value for value in about.values()):
        raise ValueError("the name of its digests was altered since it was written")
    if digests and digests.pop(_DESCRIPTION, None) != _text_digest(about):
        raise ValueError("its description was altered since it was written")
    if digests and digests.keys() != set(names):
        raise ValueError("its tensors are not those that were written")
    return about, digests


def _check(name: str, tensor: Tensor, digests: dict[str, str]) -> None:
    """Compare a tensor with its digest, which is then removed; files of earlier code have no digests."""
    if name in digests and digests.pop(name) != _tensor_digest(tensor):
        raise ValueError(f"its tensor {name!r} was altered since it was written")


class TensorFile:
    """A file of `write_tensors`, from which a few of many tensors are read.

    Each tensor is compared with its digest when it is first read; files of earlier code have no digests.

    Attributes:
        path: the file.
        about: the description.
        names: the names of the tensors, sorted.
    """

    def __init__(self, path: Path) -> None:
        """Read and verify the description; the file stays open.

        Raises:
            ValueError: see `read_tensors`.
            OSError: see `read_tensors`.
        """
        self.path = path
        with _whole():
            self._file = safe_open(path, framework="pt")
            self.names: list[str] = sorted(self._file.keys())
            self.about, self._unchecked = _described(self._file.metadata(), self.names)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor without reading it."""
        return tuple(self._file.get_slice(name).get_shape())

    def __getitem__(self, name: str) -> Tensor:
        """Return a tensor, on the CPU.

        Raises:
            ValueError: the tensor was altered since it was written.
        """
        # The file is mapped; a copy stays valid when it is replaced.
        tensor = self._file.get_tensor(name).clone()
        _check(name, tensor, self._unchecked)
        return tensor


def provenance_of(path: Path) -> dict[str, Any]:
    """Return the provenance in a file of `write_tensors`: ``experiment`` and all other entries.

    Raises:
        CondenseryError: the file is not one of `write_tensors`, or has no provenance.
    """
    try:
        provenance = TensorFile(path).about["provenance"]
        return {**provenance, "experiment": provenance["experiment"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CondenseryError(f"{path}: has no provenance ({error}): make it again") from None
