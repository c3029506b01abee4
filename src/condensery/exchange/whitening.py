"""The matrix that images were whitened with (ZCA), and its inverse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from condensery.data.contents import arrays_of_npz, readable
from condensery.data.formats import check_stored
from condensery.errors import CondenseryError
from condensery.exchange.torch_file import load_safely

_MEANS = ("mean", "mean_vector")
_MATRICES = ("matrix", "transform_matrix")


@dataclass(frozen=True)
class Whitening:
    """A whitening: flat images minus the mean, times the matrix.

    Attributes:
        mean: (D,) float64.
        matrix: (D, D) float64, invertible.
    """

    path: Path
    mean: Tensor
    matrix: Tensor

    @classmethod
    def read(cls, path: Path) -> Whitening:
        """Read a .pt or .npz with ``mean`` (D,) and ``matrix`` (D, D), or with kornia's names of the two.

        Raises:
            CondenseryError: the file is absent or damaged, or lacks mean or matrix.
        """
        if not path.is_file():
            raise CondenseryError(f"{path}: no such file; give the matrix that the images were whitened with")
        entries: Any = arrays_of_npz(path) if path.suffix.lower() == ".npz" else load_safely(path)
        if not isinstance(entries, Mapping):
            entries = {}
        found = [next((entries[n] for n in names if n in entries), None) for names in (_MEANS, _MATRICES)]
        with readable(path):
            mean, matrix = map(_checked, found)
            mean = mean.reshape(-1)
            if matrix.shape != (len(mean), len(mean)):
                raise ValueError(f"a mean of {len(mean)} and a matrix of {tuple(matrix.shape)}")
        return cls(path, mean, matrix)

    def undo(self, path: Path, images: Tensor) -> Tensor:
        """Return the images before the whitening, (N, ...) float32; the matrix is inverted in float64.

        Args:
            path: the file of the images, for messages.
            images: whitened images, (N, ...) with D values each.

        Raises:
            CondenseryError: the images are of another size, or the matrix has no inverse.
        """
        flat = images.reshape(len(images), -1).double()
        if flat.shape[1] != len(self.mean):
            raise CondenseryError(
                f"{path}: images of {flat.shape[1]} values, but {self.path.name} whitens {len(self.mean)}; "
                "give the matrix of this set"
            )
        solved, failed = torch.linalg.solve_ex(self.matrix.T, flat.T)
        before = solved.T + self.mean
        if failed or not before.isfinite().all():
            raise CondenseryError(f"{self.path}: its matrix has no inverse; give the one that whitens")
        return before.float().reshape(images.shape)


def _checked(values: Any) -> Tensor:
    """Return numbers as float64, after a check that all of them are stored."""
    if isinstance(values, Tensor):
        check_stored(values)
        return values.detach().double()
    return torch.from_numpy(np.asarray(values, np.float64))
