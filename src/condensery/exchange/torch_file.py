"""Read a file of ``torch.save`` safely: tensors, arrays, numbers and plain containers, and no code."""

from __future__ import annotations

import _codecs
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from condensery.errors import CondenseryError

# Published files contain NumPy numbers and arrays, which the safe reader of PyTorch refuses by default. These
# constructors create only numbers and arrays of numbers; NumPy 1 and 2 spell them differently.
_scalar: Any = np.float64(0).__reduce__()[0]
_array: Any = np.empty(0).__reduce__()[0]
_KINDS = ("float64", "float32", "float16", "int64", "int32", "uint8")
_SAFE: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    *((_scalar, f"numpy.{core}.multiarray.scalar") for core in ("_core", "core")),
    *((_array, f"numpy.{core}.multiarray._reconstruct") for core in ("_core", "core")),
    np.ndarray,
    np.dtype,
    *(type(np.dtype(kind)) for kind in _KINDS),
    _codecs.encode,
]


def load_safely(path: Path) -> Any:
    """Return the content of a file of ``torch.save``.

    Raises:
        CondenseryError: the file contains anything else than numbers in plain containers, or is damaged.
    """
    try:
        # PyTorch does not verify the checksums of the archive.
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
            if damaged:
                raise ValueError(f"{damaged} differs from its checksum")
        with torch.serialization.safe_globals(_SAFE):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CondenseryError(
            f"{path}: holds something other than tensors and numbers, which is not safe to read; "
            "ask for a plain file"
        ) from error
    except PermissionError:
        raise
    except Exception as error:  # what a damaged file makes PyTorch raise is of any kind
        raise CondenseryError(f"{path}: not a complete file of torch.save; fetch it again") from error
