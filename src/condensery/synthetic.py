"""The synthetic set: a few images, their labels, and their provenance."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from condensery import identity
from condensery.errors import CondenseryError
from condensery.files import read_tensors, write_tensors
from condensery.formation import MOST, decode

if TYPE_CHECKING:
    import datasets

    from condensery.data import DataInfo

SCHEMA = "synthetic-set/1"
_OF_PARTS = "synthetic-set/2"
"""The schema of a set whose images hold several each: code that does not know of it must refuse the file."""
_WHITENED = "synthetic-set/3"
"""The schema of a set of a whitened data set; likewise."""
_WITH_MOMENTUM = "synthetic-set/4"
"""The schema of a set with momenta, likewise; it may be whitened and its images hold several each too."""


class _Images(Dataset[tuple[Any, Tensor]]):
    """Pairs of image and label; the transform is applied when an image is read."""

    def __init__(self, images: Tensor, labels: Tensor, transform: Callable[[Tensor], Any]) -> None:
        self._images, self._labels, self._transform = images, labels, transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, position: int) -> tuple[Any, Tensor]:
        return self._transform(self._images[position]), self._labels[position]


@dataclass(eq=False, repr=False)
class SyntheticSet:
    """A few images that replace a data set in training.

    Attributes:
        images: (N, C, H, W) float32 in normalized space, (x / 255 - mean) / std, never clamped.
        labels: (N,) int64 class indices, or (N, K) float32 soft labels over the K classes.
        classes: the names of all K classes of the data set, even if the set has images of only some.
        mean: one value per channel, in [0, 1] units; with `std` it undoes the normalization.
        std: one value per channel, in [0, 1] units.
        provenance: JSON-able: the resolved experiment and the versions of the code.
        learning_rate: learned with the images: a number, a tensor with one rate per step, or None.
        formation: each image holds ``formation`` x ``formation`` small ones, which `decoded` enlarges.
        whitening: the digest of the data set's whitening; "" if the data set is not whitened.
        momentum: learned with the images: a tensor shaped like ``learning_rate``, or None.

    Raises:
        CondenseryError: shapes, types or labels do not agree with each other.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    provenance: dict[str, Any] = field(default_factory=dict)
    learning_rate: float | Tensor | None = None
    formation: int = 1
    whitening: str = ""
    momentum: Tensor | None = None
    source: str = field(default="synthetic set", init=False)
    """The name of the set in error messages: its file, once it has one. Not stored."""

    @classmethod
    def of(cls, info: DataInfo, images: Tensor, labels: Tensor, **others: Any) -> Self:
        """Return a set with the classes, the normalization and the whitening of a data set.

        Args:
            info: the data set.
            images: (N, C, H, W) float32, normalized.
            labels: (N,) int64, or (N, K) float32.
            others: further attributes of the class.
        """
        return cls(images, labels, info.classes, info.mean, info.std, whitening=info.whitened_by, **others)

    def __post_init__(self) -> None:
        """Check that shapes, types and labels agree."""
        self.classes = tuple(str(name) for name in self.classes)
        self.mean = tuple(float(value) for value in self.mean)
        self.std = tuple(float(value) for value in self.std)
        problem = self._problem()
        if problem:
            raise CondenseryError(problem)

    def _problem(self) -> str | None:
        images, labels = self.images, self.labels
        if images.ndim != 4 or images.dtype != torch.float32:
            return f"images must be (N, C, H, W) float32, got {_describe(images)}"
        rate = torch.as_tensor(0.0 if self.learning_rate is None else self.learning_rate)
        momentum = rate if self.momentum is None else self.momentum
        numbers = {"images": images, "labels": labels, "learning rates": rate, "momenta": momentum}
        for name, values in numbers.items():
            if not values.isfinite().all():
                return f"{name} hold values that are not finite; lower the learning rate of what made them"
        if momentum.shape != rate.shape:
            return f"momenta must be one for each learning rate, got {_describe(momentum)}"
        hard = labels.ndim == 1 and labels.dtype == torch.int64
        soft = labels.ndim == 2 and labels.dtype == torch.float32 and labels.shape[1] == len(self.classes)
        if not (hard or soft) or len(labels) != len(images):
            wanted = f"({len(images)},) int64 or ({len(images)}, {len(self.classes)}) float32"
            return f"labels must be {wanted}, got {_describe(labels)}"
        if hard and len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(self.classes):
            return (
                f"labels run from {int(labels.min())} to {int(labels.max())}, "
                f"but there are {len(self.classes)} classes"
            )
        if not len(self.mean) == len(self.std) == images.shape[1]:
            return f"{images.shape[1]} channels need as many means and standard deviations"
        if not all(map(math.isfinite, (*self.mean, *self.std))) or min(self.std, default=1.0) <= 0:
            return f"mean {self.mean} and std {self.std} are not finite, or no std greater than 0"
        most = max(1, min(MOST, *images.shape[2:]))
        if type(self.formation) is not int or not 1 <= self.formation <= most:
            return f"formation {self.formation!r:.40} is not a number of parts along a side"
        if not isinstance(self.provenance, dict):
            return f"provenance must be a mapping, got {self.provenance!r:.40}"
        return None

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    @property
    def class_indices(self) -> Tensor:
        """The class of each image, (N,) int64; for soft labels, the most probable class."""
        return self.labels if self.labels.ndim == 1 else self.labels.argmax(dim=1)

    def digest(self) -> str:
        """Return a digest of images, labels, classes and normalization; the provenance is not included."""
        rate = self.learning_rate
        description: tuple[Any, ...] = (
            *(self.images.shape, self.classes, self.mean, self.std, str(self.labels.dtype)),
            None if isinstance(rate, Tensor) else rate,
        )
        if self.formation > 1:
            description += (self.formation,)
        if self.whitening:
            description += (self.whitening,)
        found = hashlib.sha256(repr(description).encode())
        learned = [each for each in (rate, self.momentum) if isinstance(each, Tensor)]
        for tensor in (self.images, self.labels, *learned):
            found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()[: identity.DIGITS]

    def save(self, path: Path | str) -> None:
        """Write the set as one safetensors file, atomically; equal sets give equal bytes."""
        tensors = {"images": self.images, "labels": self.labels}
        rate = self.learning_rate
        if isinstance(rate, Tensor):
            tensors["learning_rate"] = rate
        metadata: dict[str, Any] = {
            "schema": SCHEMA,
            "classes": self.classes,
            "mean": self.mean,
            "std": self.std,
            "provenance": self.provenance,
            "learning_rate": None if isinstance(rate, Tensor) else rate,
        }
        if self.formation > 1:
            metadata |= {"schema": _OF_PARTS, "formation": self.formation}
        if self.whitening:
            metadata |= {"schema": _WHITENED, "whitening": self.whitening}
        if self.momentum is not None:
            tensors["momentum"] = self.momentum
            metadata["schema"] = _WITH_MOMENTUM
        write_tensors(Path(path), tensors, metadata)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a set that `save` wrote.

        Raises:
            CondenseryError: the file is absent, damaged, or not a synthetic set.
        """
        path = Path(path)
        if not path.is_file():
            raise CondenseryError(f"{path}: no such synthetic set; condense it, or fetch it with `dvc pull`")
        try:
            tensors, metadata = read_tensors(path)
        except ValueError as error:
            raise CondenseryError(f"{path}: {error}; make or fetch the file again") from error
        if metadata.get("schema") not in (SCHEMA, _OF_PARTS, _WHITENED, _WITH_MOMENTUM):
            raise CondenseryError(
                f"{path}: holds {metadata.get('schema')!r}, not {SCHEMA!r}; give a synthetic set"
            )
        try:
            loaded = cls(
                tensors["images"],
                tensors["labels"],
                metadata["classes"],
                metadata["mean"],
                metadata["std"],
                metadata["provenance"],
                tensors.get("learning_rate", metadata["learning_rate"]),
                metadata.get("formation", 1),
                str(metadata.get("whitening", "")),
                tensors.get("momentum"),
            )
        except KeyError as error:
            raise CondenseryError(f"{path}: has no {error}; make or fetch the file again") from error
        except (CondenseryError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise CondenseryError(f"{path}: {error}; make or fetch the file again") from error
        loaded.source = str(path)
        return loaded

    def experiment(self, *keys: str) -> dict[str, Any]:
        """Return the experiment in the provenance: method, network, images per class and so on.

        Args:
            keys: required entries.

        Raises:
            CondenseryError: the experiment lacks one of ``keys``.
        """
        experiment = self.provenance.get("experiment", {})
        missing = [key for key in keys if key not in experiment]
        if missing:
            raise CondenseryError(
                f"{self.source}: its provenance lacks {', '.join(missing)}; make it with scripts/condense.py"
            )
        return experiment

    def decoded(self) -> SyntheticSet:
        """Return the set of the images to train on: the set itself, unless its formation is above 1."""
        if self.formation == 1:
            return self
        gray = (0.5 - self._column(self.mean)) / self._column(self.std)
        images = decode(self.images, self.formation, gray)
        labels = torch.cat([self.labels] * self.formation**2)
        whole = replace(self, images=images, labels=labels, formation=1)
        whole.source = self.source
        return whole

    def storage(self) -> dict[str, int]:
        """Return the storage of the set.

        Returns:
            ``images_stored``, the number of images; ``pixel_bytes``, the bytes of their pixels as 8-bit
            values; ``label_bytes``, the bytes of soft labels as float32. Hard labels follow from the order of
            the images, and count as 0 bytes.
        """
        return {
            "images_stored": len(self),
            "pixel_bytes": self.images.numel(),
            "label_bytes": 4 * self.labels.numel() if self.labels.ndim == 2 else 0,
        }

    def unit_images(self) -> Tensor:
        """Return the images with the normalization undone, (N, C, H, W) float32, clamped to [0, 1].

        Raises:
            CondenseryError: the images are whitened.
        """
        if self.whitening:
            raise CondenseryError(
                f"{self.source}: its images are whitened and have no pixels from 0 to 1; use them as they "
                "are (safetensors, npz), or a set of the data set that is not whitened"
            )
        return (self.images * self._column(self.std) + self._column(self.mean)).clamp(0, 1)

    def _column(self, values: tuple[float, ...]) -> Tensor:
        return self.images.new_tensor(values).reshape(1, -1, 1, 1)

    def uint8_images(self) -> Tensor:
        """Return the images as 8-bit pixels, (N, C, H, W) uint8, rounded to the nearest value."""
        return (self.unit_images() * 255).round().to(torch.uint8)

    def __repr__(self) -> str:
        """Return one line: number and shape of the images, number of classes, data set, method and ipc."""
        number, *shape = self.images.shape
        experiment = self.provenance.get("experiment", {})
        by = "".join(
            f", {name} {experiment[name]}" for name in ("dataset", "method", "ipc") if name in experiment
        )
        holding = f" that hold {self.formation}x{self.formation} each" if self.formation > 1 else ""
        size = "x".join(map(str, shape))
        return f"SyntheticSet({number} images of {size}{holding}, {len(self.classes)} classes{by})"

    def as_dataset(
        self, space: Literal["normalized", "unit"], transform: Callable[[Tensor], Any] | None = None
    ) -> Dataset[tuple[Any, ...]]:
        """Return a PyTorch data set of pairs (image, label) with the images to train on, see `decoded`.

        Args:
            space: ``"normalized"`` for networks trained on normalized data, or ``"unit"`` for [0, 1].
            transform: applied to each image, (C, H, W) float32, when it is read, such as a transform of
                torchvision's v2.

        Raises:
            CondenseryError: the space is unknown.
        """
        if space not in ("normalized", "unit"):
            raise CondenseryError(f"space {space!r} is unknown; choose 'normalized' or 'unit'")
        whole = self.decoded()
        images = whole.images if space == "normalized" else whole.unit_images()
        return _Images(images, whole.labels, transform) if transform else TensorDataset(images, whole.labels)

    def to_hf(self) -> datasets.Dataset:
        """Return the content of the Parquet export, 8-bit images and labels, as a `datasets.Dataset`.

        Raises:
            CondenseryError: the library `datasets` is not installed, or the images are neither gray nor RGB.
        """
        # Imported here: the formats import this module, which needs them only here.
        from condensery.exchange.parquet import to_hf

        return to_hf(self)

    def check_against(self, info: DataInfo) -> None:
        """Check that the set belongs to a data set: its classes, image shape and normalization.

        Raises:
            CondenseryError: the set does not belong to the data set; the message names the first difference.
        """
        have = f"{len(self.classes)} classes of {'x'.join(str(side) for side in self.images.shape[1:])}"
        want = f"{len(info.classes)} classes of {info.channels}x{info.height}x{info.width}"
        if have != want:
            raise CondenseryError(
                f"{self.source}: {have}, but {info.name} has {want}; give the set's own data"
            )
        for index, (mine, theirs) in enumerate(zip(self.classes, info.classes, strict=True)):
            if mine != theirs:
                raise CondenseryError(
                    f"{self.source}: class {index} is {mine!r}, but {info.name} calls it {theirs!r}; "
                    "give the set's own data"
                )
        for name in ("mean", "std"):
            mine, theirs = getattr(self, name), getattr(info, name)
            if not all(math.isclose(a, b, abs_tol=1e-4) for a, b in zip(mine, theirs, strict=True)):
                raise CondenseryError(
                    f"{self.source}: normalized with {name} {_numbers(mine)}, but {info.name} has "
                    f"{_numbers(theirs)}; prepare the data with the set's values"
                )
        if self.whitening != info.whitened_by:
            both = self.whitening and info.whitening
            had = "whitened by another matrix" if both else "whitened" if self.whitening else "not whitened"
            raise CondenseryError(f"{self.source}: {had}, unlike {info.name}; give the set's own data")


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _describe(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
