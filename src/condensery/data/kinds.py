"""The kinds of source: the files of each, with the checksums that torchvision publishes, and its reader."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from condensery.data import formats
from condensery.data.contents import Contents, Shape
from condensery.data.folders import read_image_folder, read_tiny_imagenet
from condensery.data.imagenet import BATCHES, read_batches
from condensery.data.parquet import read_parquet

if TYPE_CHECKING:
    from torchvision import datasets


@dataclass(frozen=True)
class Remote:
    """A file to download: its name, its MD5 and its official addresses, tried in turn."""

    name: str
    md5: str
    urls: tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """A kind of source.

    Attributes:
        read: the reader of a folder (or a file) of the kind, given its path and the prepared shape.
        members: the files that must exist, with the MD5 to check; None accepts any content.
        endings: each member exists with one of these endings.
        any_case: whether names may differ in case.
        downloads: the files that are fetched into ``folder``, a folder below the raw root.
        built_in: whether the kind needs no file.
        layout: the expected files, for messages.
    """

    read: Callable[[Path, Shape], Contents]
    members: tuple[tuple[str, str | None], ...] = ()
    downloads: tuple[Remote, ...] = ()
    folder: str = ""
    endings: tuple[str, ...] = ("",)
    any_case: bool = False
    built_in: bool = False
    layout: str = ""


def _idx(source: type[datasets.MNIST]) -> Kind:
    resources = tuple(
        Remote(name, md5, tuple(mirror + name for mirror in source.mirrors)) for name, md5 in source.resources
    )
    members = tuple((file.name, file.md5) for file in resources)
    read = partial(formats.read_idx, compressed=True)
    return Kind(read, members, resources, f"{source.__name__}/raw")


def _cifar(source: type[datasets.CIFAR10], labels: str) -> Kind:
    train, test = ([tuple(row) for row in rows] for rows in (source.train_list, source.test_list))
    meta = source.meta["filename"]
    read = partial(
        formats.read_cifar, train=tuple(name for name, _ in train), test=test[0][0], meta=meta, labels=labels
    )
    members = (*train, *test, (meta, source.meta["md5"]))
    return Kind(read, members, (Remote(source.filename, source.tgz_md5, (source.url,)),))


def _files(
    source: type[datasets.SVHN | datasets.USPS], folder: str, read: Callable[[Path, Shape], Contents]
) -> Kind:
    rows = [source.split_list[split] for split in ("train", "test")]
    downloads = tuple(Remote(name, md5, (url,)) for url, name, md5 in rows)
    return Kind(read, tuple((file.name, file.md5) for file in downloads), downloads, folder)


def _unchecked(names: Iterable[str]) -> tuple[tuple[str, None], ...]:
    return tuple((name, None) for name in names)


_TINY = Remote(
    "tiny-imagenet-200.zip",
    "90528d7ca1a48142e341f4ef8d21d0de",
    ("http://cs231n.stanford.edu/tiny-imagenet-200.zip",),
)


def _published(name: str) -> type[Any]:
    """Return the class of torchvision that has a data set's addresses and checksums."""
    # It takes seconds and much memory to import, and most sources need nothing of it.
    from torchvision import datasets

    return getattr(datasets, name)


KINDS: dict[str, Callable[[], Kind]] = {
    "digits": lambda: Kind(formats.read_digits, built_in=True),
    "digits-inverted": lambda: Kind(partial(formats.read_digits, inverted=True), built_in=True),
    "mnist": lambda: _idx(_published("MNIST")),
    "fashionmnist": lambda: _idx(_published("FashionMNIST")),
    "idx": lambda: Kind(formats.read_idx, _unchecked(formats.IDX_FILES), endings=("", ".gz")),
    "svhn": lambda: _files(_published("SVHN"), "svhn", formats.read_svhn),
    "usps": lambda: _files(_published("USPS"), "usps", formats.read_usps),
    "medmnist": lambda: Kind(formats.read_medmnist),
    "usps-npz": lambda: Kind(formats.read_usps_npz),
    "cifar10": lambda: _cifar(_published("CIFAR10"), "labels"),
    "cifar100": lambda: _cifar(_published("CIFAR100"), "fine_labels"),
    "tinyimagenet": lambda: Kind(read_tiny_imagenet, _unchecked(["val/val_annotations.txt"]), (_TINY,)),
    "tensors": lambda: Kind(formats.read_tensors),
    "image-folder": lambda: Kind(
        read_image_folder,
        _unchecked(["train"]),
        any_case=True,
        layout="where train/<class>/<image> and test/<class>/<image> are wanted",
    ),
    "parquet": lambda: Kind(read_parquet),
    "imagenet-batches": lambda: Kind(read_batches, _unchecked(BATCHES), endings=("", ".npz")),
}
"""The kinds by their names, each made when a source of it is opened."""
