"""Images and labels as read from a file, and their conversion to a synthetic set of a data set."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from condensery.data import DataInfo
from condensery.data.contents import readable
from condensery.data.formats import check_stored
from condensery.errors import CondenseryError
from condensery.exchange.checks import for_data
from condensery.exchange.whitening import Whitening
from condensery.synthetic import SyntheticSet

Space = Literal["uint8", "unit", "normalized"]
"""The space of pixels: 0 to 255, 0 to 1, or normalized (and whitened, if the data set is)."""

LabelKind = Literal["classes", "probabilities", "logits", "centered"]
"""The kind of labels: a class per image; or, per class, a probability, a logit, or a probability minus
1 / classes, the target of ridge regression."""

Normalization = tuple[Sequence[float], Sequence[float]]
"""Mean and standard deviation per channel, in units in which pixels are from 0 to 1."""

_BARELY = 0.5
"""Learned pixels in the space from 0 to 1 exceed it by less; dark normalized pixels are farther below 0."""

_EQUAL = 1e-4
"""Pixels from 0 to 1, or from -1 to 1, exceed this by less if they were computed from others."""


@dataclass(frozen=True)
class Choices:
    """Properties that a file does not state. None stands for the only possible value, if there is one.

    Attributes:
        space: the space of the pixels, before any whitening.
        normalization: the normalization of normalized pixels, if it differs from that of the data.
        labels: the kind of labels.
        formation: parts along each side of a stored image.
        whitening: the file of the matrix that the images were whitened with.
    """

    space: Space | None = None
    normalization: Normalization | None = None
    labels: LabelKind | None = None
    formation: int | None = None
    whitening: Path | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            CondenseryError: a space or a kind of labels is unknown, or values contradict each other.
        """
        for name, value, known in (
            ("space", self.space, get_args(Space)),
            ("labels", self.labels, get_args(LabelKind)),
        ):
            if value is not None and value not in known:
                raise CondenseryError(f"{name} {value!r} is unknown; choose one of {', '.join(known)}")
        if self.normalization is not None and self.space not in (None, "normalized"):
            raise CondenseryError(
                f"mean and std are of normalized pixels, not of the space {self.space!r}; omit one of the two"
            )
        if self.whitening is not None and self.space is None and self.normalization is None:
            raise CondenseryError(
                "--zca: the images were from 0 to 1 or normalized before; give --space unit or normalized too"
            )


@dataclass(frozen=True)
class Found:
    """The content of a file.

    Attributes:
        images: pixels of any type, (N, C, H, W), (N, H, W, C), or gray ones (N, H, W).
        labels: (N,), (N, 1) or (N, classes).
        layout: a description of the layout, for the provenance.
        learning_rate: the rate that was learned with the images, or None.
        otherwise: the space of pixels that are neither whole numbers nor from 0 to 1; None if it is open.
        may_be_whitened: whether authors of this layout whiten some of their sets, which the file does not
            state.
        experiment: index of the set in a file of several sets; None in a file of one.
        beside: the other files that were read.
    """

    images: Any
    labels: Any
    layout: str
    learning_rate: float | None = None
    otherwise: Space | None = None
    may_be_whitened: bool = False
    experiment: int | None = None
    beside: tuple[Path, ...] = ()

    def as_set(self, path: Path, info: DataInfo, choices: Choices) -> SyntheticSet:
        """Return the synthetic set, normalized as the data is.

        Args:
            path: the file, whose name and SHA-256 go into the provenance.
            info: the data set.
            choices: properties that the file does not state.

        Raises:
            CondenseryError: a property is open that only ``choices`` can state, or the set does not match the
                data.
        """
        images, labels = self.values(path, info, choices)
        about: dict[str, Any] = {"format": self.layout, "file": path.name}
        if path.is_file():  # of a folder, the files in it stand for it
            about["sha256"] = _sha256(path)
        chosen: dict[str, Any] = {
            "experiment": self.experiment,
            "space": choices.space,
            "labels": choices.labels,
        }
        if choices.normalization is not None:
            chosen["normalization"] = [list(map(float, values)) for values in choices.normalization]
        if choices.whitening is not None:
            chosen["whitening"] = _sha256(choices.whitening)
        about |= {name: value for name, value in chosen.items() if value is not None}
        if self.beside:
            about["beside"] = {each.name: _sha256(each) for each in self.beside}
        return for_data(
            path,
            info,
            images=images,
            labels=labels,
            classes=None,
            provenance={"imported": about},
            learning_rate=self.learning_rate,
            formation=1 if choices.formation is None else choices.formation,
        )

    def values(self, path: Path, info: DataInfo, choices: Choices) -> tuple[Tensor, Tensor]:
        """Return images, (N, C, H, W) float32, normalized as the data is, and labels, see `labels_of`.

        Args:
            path: the file, or another name of the set, for messages.
            info: the data set.
            choices: properties that the file does not state.

        Raises:
            CondenseryError: a property is open that only ``choices`` can state, or the values are invalid.
        """
        with readable(path):
            images, labels = plain(self.images), plain(self.labels)
            return self._pixels(path, images, info, choices), labels_of(path, labels, info, choices.labels)

    def _pixels(self, path: Path, images: Tensor, info: DataInfo, choices: Choices) -> Tensor:
        """Return the images as (N, C, H, W) float32, normalized as the data is."""
        if images.is_complex():
            raise CondenseryError(f"{path}: its pixels are complex numbers; give real ones")
        if not images.numel():
            raise CondenseryError(f"{path}: holds no images; give another file")
        if images.is_floating_point() and not images.isfinite().all():
            raise CondenseryError(f"{path}: has pixels that are not finite; give another file")
        if choices.whitening is not None:
            images = Whitening.read(choices.whitening).undo(path, images)
        space: Space = choices.space or "normalized"
        if choices.space is None and choices.normalization is None:
            space = space_of(path, images, info, self.otherwise, self.may_be_whitened)
        images = channels_first(path, images, info).float()
        if space == "normalized" and choices.normalization is None:
            return images.contiguous()
        scale = 255.0 if space == "uint8" else 1.0
        mean, std = choices.normalization or ([0.0] * info.channels, [1 / scale] * info.channels)
        return info.whitened(renormalized(path, images, (mean, std), info))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_array(value: Any) -> bool:
    """Say whether a value is a tensor or an array."""
    return isinstance(value, Tensor | np.ndarray)


def plain(values: Any) -> Tensor:
    """Return a tensor or an array as a tensor without gradient, after a check that all values are stored.

    Raises:
        ValueError: the value is neither, or the file stores fewer values than the shape claims.
    """
    if isinstance(values, np.ndarray):
        if values.dtype.kind not in "biuf":
            raise ValueError(f"it holds an array of {values.dtype}, not of numbers")
        values = torch.from_numpy(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("="))))
    if not isinstance(values, Tensor):
        raise ValueError("its images and labels are not tensors or arrays")
    check_stored(values)
    return values.detach()


def channels_first(path: Path, images: Tensor, info: DataInfo) -> Tensor:
    """Return images as (N, C, H, W).

    Args:
        path: the file, for messages.
        images: (N, C, H, W) or (N, H, W, C); gray ones also (N, H, W).
        info: the data set that the images stand for.

    Raises:
        CondenseryError: the images have another number of dimensions.
    """
    size = (info.height, info.width)
    if info.channels == 1 and tuple(images.shape[1:]) == size:
        return images[:, None]
    if images.ndim != 4:
        raise CondenseryError(
            f"{path}: images must be (N, C, H, W) or (N, H, W, C), got {tuple(images.shape)}; give another"
        )
    last = tuple(images.shape[1:]) == (*size, info.channels)
    return images.permute(0, 3, 1, 2) if last and images.shape[1] != info.channels else images


def space_of(
    path: Path, images: Tensor, info: DataInfo, otherwise: Space | None, may_be_whitened: bool
) -> Space:
    """Return the space of the pixels that their values or the layout determine.

    Args:
        path: the file, for messages.
        images: (N, C, H, W).
        info: the data set.
        otherwise: the space that the layout implies for values that fit several; None if it implies none.
        may_be_whitened: whether authors of this layout whiten some of their sets.

    Raises:
        CondenseryError: several spaces are possible; the message names the options that choose one.
    """
    low, high = (float(value) for value in images.aminmax())
    whole = not images.is_floating_point() or bool((images == images.round()).all())
    if whole and low >= 0 and 1 < high <= 255:
        return "uint8"
    if images.is_floating_point() and -_EQUAL <= low < high <= 1 + _EQUAL and not whole:
        return "unit"
    between = f"{path}: pixels from {low:.3g} to {high:.3g}"
    about_unit = low >= -_BARELY and high <= 1 + _BARELY
    if not info.whitening and (about_unit or max(-low, high) <= 1 + _EQUAL < _reach(info) / 1.5):
        raise CondenseryError(
            f"{between} may be of any space; give --space uint8, unit or normalized, or the --mean and --std "
            "that they are normalized with (0.5 and 0.5 if -1 is black and 1 is white)"
        )
    if otherwise:
        return otherwise
    if may_be_whitened and not info.whitening:
        raise CondenseryError(
            f"{between} may be normalized or whitened, which the file does not state; give --space "
            "normalized, or the matrix with --zca"
        )
    if low < -_BARELY:
        return "normalized"
    raise CondenseryError(f"{between} may be of any space; give --space uint8, unit or normalized")


def _reach(info: DataInfo) -> float:
    """Return the largest absolute value of a normalized pixel that is black or white."""
    return max(max(mean, 1 - mean) / std for mean, std in zip(info.mean, info.std, strict=True))


def renormalized(path: Path, images: Tensor, normalization: Normalization, info: DataInfo) -> Tensor:
    """Move images from one normalized space to that of the data, without clamping.

    Args:
        path: the file, for messages.
        images: (N, C, H, W), normalized by ``normalization``.
        normalization: a mean and a standard deviation per channel.
        info: the data set, with the normalization to move to.

    Raises:
        CondenseryError: not one mean and one standard deviation per channel.
    """
    if images.shape[1] != info.channels:
        return images  # the comparison with the data says so
    if not all(len(values) == info.channels for values in normalization):
        raise CondenseryError(
            f"{path}: {info.name} has {info.channels} channels; give one mean and std for each"
        )
    old_mean, old_std, mean, std = (
        torch.tensor(values, dtype=torch.float32).reshape(1, -1, 1, 1)
        for values in (*normalization, info.mean, info.std)
    )
    return (images * old_std + old_mean - mean) / std


def labels_of(path: Path, labels: Tensor, info: DataInfo, kind: LabelKind | None = None) -> Tensor:
    """Return classes, (N,) int64, or a target per class, (N, classes) float32.

    Args:
        path: the file, for messages.
        labels: the labels in the file: (N,), (N, 1) or (N, classes).
        info: the data set.
        kind: the kind of labels; None if the values determine it.

    Raises:
        CondenseryError: the labels fit several kinds, or none.
    """
    if labels.is_complex():
        raise CondenseryError(f"{path}: its labels are complex numbers; give classes or probabilities")
    classes = len(info.classes)
    if labels.ndim == 2 and labels.shape[1] == classes > 1:
        return _soft(path, labels.float().contiguous(), kind or _kind_of(path, labels.float()))
    if kind not in (None, "classes"):
        raise CondenseryError(f"{path}: has no label per class; give labels classes, or leave it open")
    if labels.is_floating_point() and not torch.equal(labels, labels.round()):
        raise CondenseryError(
            f"{path}: its labels are not whole numbers; give a class per image, or a probability per class"
        )
    labels = labels.long().flatten()
    if len(labels) and labels.min() == 1 and labels.max() == classes:
        raise CondenseryError(
            f"{path}: its labels count the {labels.max()} classes of {info.name} from 1; subtract 1 from each"
        )
    return labels


_ROUNDING = 1e-2
"""Tolerance of the sum of a row of probabilities, which may be stored with 16 bits."""


def _kind_of(path: Path, labels: Tensor) -> LabelKind:
    sums = labels.sum(1)
    if bool((labels >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=_ROUNDING):
        return "probabilities"
    hot = labels + 1 / labels.shape[1]
    if torch.allclose(hot, torch.nn.functional.one_hot(hot.argmax(1), hot.shape[1]).float(), atol=_ROUNDING):
        return "centered"
    raise CondenseryError(
        f"{path}: its labels per class are not probabilities; give --labels logits, centered (a probability "
        "less 1 / classes) or classes (the largest alone)"
    )


def _soft(path: Path, labels: Tensor, kind: LabelKind) -> Tensor:
    if kind == "classes":
        return labels.argmax(1)
    if kind == "logits":
        return labels.softmax(1)
    return labels + 1 / labels.shape[1] if kind == "centered" else labels


def learned_rate(path: Path, value: Any) -> float:
    """Return the learning rate in a file as a number.

    Raises:
        CondenseryError: the value is not a single positive number.
    """
    with readable(path):
        tensor = plain(value) if isinstance(value, Tensor | np.ndarray) else torch.tensor(float(value))
        rate = float(tensor) if tensor.numel() == 1 else math.nan
    if not (math.isfinite(rate) and rate > 0):
        raise CondenseryError(
            f"{path}: holds no learning rate above 0; remove the file to read the set without"
        )
    return rate
