"""Files that are complete under their final name, and files of tensors with a description."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from condensery.errors import CondenseryError

# PyTorch is imported where it is needed: writing a table must not wait seconds for it.
if TYPE_CHECKING:
    from torch import Tensor

_METADATA = "condensery"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Write a file, or a folder, that appears under its final name only when it is complete.

    Args:
        path: the final name. Missing parent folders are made. An existing file is replaced; an existing
            folder is replaced only when it is empty.

    Yields:
        A temporary path in the same folder, with the same suffix, at which the caller writes.
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
    """Check, before any work is done, that `atomic` can give a folder this name.

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

    Equal tensors and metadata give equal bytes: the description is one JSON text with sorted keys, since
    safetensors itself writes several metadata entries in no fixed order.

    Args:
        path: the file to write.
        tensors: of any shape, on any device. Memory layout (strides) is not kept.
        metadata: JSON-able values.
    """
    from safetensors.torch import save

    # Copies, because safetensors refuses tensors that share memory.
    plain = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    text = json.dumps(metadata, sort_keys=True, allow_nan=False)
    with atomic(path) as temporary:
        # Not save_file: only the owner may read its files, and sets are shared.
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

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor without reading it."""
        return tuple(self._file.get_slice(name).get_shape())

    def __getitem__(self, name: str) -> Tensor:
        """Return a tensor, on the CPU."""
        # The file is mapped; a copy stays valid when it is replaced.
        return self._file.get_tensor(name).clone()


def provenance_of(path: Path) -> dict[str, Any]:
    """Return the provenance that a file of `write_tensors` holds: ``experiment`` and all other entries.

    Raises:
        CondenseryError: it is not such a file, or has no provenance.
    """
    try:
        provenance = TensorFile(path).about["provenance"]
        return {**provenance, "experiment": provenance["experiment"]}
    except (OSError, ValueError, KeyError) as error:
        raise CondenseryError(f"{path}: has no provenance ({error}): make it again") from None
