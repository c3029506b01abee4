"""A synthetic set as folders of PNG images, for viewing and for other tools."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from condensery.data import DataInfo
from condensery.data.contents import readable
from condensery.data.decoding import ENDINGS, read_image
from condensery.errors import CondenseryError
from condensery.exchange.checks import for_data
from condensery.files import atomic, check_new_folder
from condensery.identity import digest
from condensery.synthetic import SyntheticSet

_INDEX = "set.json"
_DIGEST = "digest"

log = logging.getLogger(__name__)


def to_png_folders(synthetic: SyntheticSet, folder: Path) -> None:
    """Write one PNG per stored image, in [0, 1] space rounded to 8 bits, one folder per class.

    The layout is ``<class index>_<class name>/<position>.png``. ``set.json`` next to the folders holds the
    order, the normalization, soft labels, a learned learning rate, the formation and the provenance.

    Raises:
        CondenseryError: the folder exists and is not empty, or the images are neither gray nor RGB.
    """
    folder = Path(folder)
    channels = synthetic.images.shape[1]
    if channels not in (1, 3):
        raise CondenseryError(f"{synthetic.source}: PNG holds 1 or 3 channels, not {channels}; use npz")
    check_new_folder(folder)
    pixels = synthetic.uint8_images().permute(0, 2, 3, 1).cpu().numpy()
    with atomic(folder, folder=True) as temporary:
        files = []
        for position, label in enumerate(synthetic.class_indices.tolist()):
            name = f"{_class_folder(label, synthetic.classes)}/{position:05d}.png"
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            pixel = pixels[position, :, :, 0] if channels == 1 else pixels[position]
            Image.fromarray(np.ascontiguousarray(pixel)).save(temporary / name)
            files.append(name)
        rate = synthetic.learning_rate
        index: dict[str, Any] = {
            "files": files,
            "classes": synthetic.classes,
            "mean": synthetic.mean,
            "std": synthetic.std,
            "soft_labels": synthetic.labels.tolist() if synthetic.labels.ndim == 2 else None,
            "learning_rate": rate.tolist() if isinstance(rate, Tensor) else rate,
            "provenance": synthetic.provenance,
        }
        if synthetic.formation > 1:
            index["formation"] = synthetic.formation
        index[_DIGEST] = digest(index)
        (temporary / _INDEX).write_text(json.dumps(index, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def from_png_folders(folder: Path, info: DataInfo) -> SyntheticSet:
    """Read class folders of PNG or other image files, written by this package or any other tool.

    Args:
        folder: holds a folder per class, named as `class_indices` reads. With the ``set.json`` of
            `to_png_folders` the set is restored, its pixels within half an 8-bit step of the clamped values;
            without it, images are ordered by class and file name, and the log counts the skipped files.
        info: the data set, whose mean and std normalize the pixels.

    Raises:
        CondenseryError: no images, a damaged or wrongly sized image, or classes that the data does not have.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CondenseryError(f"{folder}: no such folder; give the folder that holds the class folders")
    index = _read_index(folder)
    with readable(folder / _INDEX if index else folder):
        return _restored(folder, index, info)


def _restored(folder: Path, index: dict[str, Any], info: DataInfo) -> SyntheticSet:
    if index.get("files"):
        labeled = [(_class_of(folder, name), name) for name in index["files"]]
    else:
        names = _image_files(folder)
        classes = class_indices(folder, dict.fromkeys(Path(name).parts[0] for name in names), info)
        labeled = [(classes[Path(name).parts[0]], name) for name in names]
    if not labeled:
        raise CondenseryError(f"{folder}: holds no <class>/*.png; give the folder of class folders")
    if "files" not in index:
        labeled.sort()
    pixels = torch.stack([_read_png(folder / name, info) for _, name in labeled])
    soft, rate = index.get("soft_labels"), index.get("learning_rate")
    labels = torch.tensor([label for label, _ in labeled]) if soft is None else torch.tensor(soft)
    provenance = index.get("provenance", {}) | {"imported": {"format": "png", "file": folder.name}}
    return for_data(
        folder,
        info,
        images=info.seen(pixels),
        labels=labels,
        classes=index.get("classes"),
        provenance=provenance,
        learning_rate=torch.tensor(rate) if isinstance(rate, list) else rate,
        formation=index.get("formation", 1),
    )


def _image_files(folder: Path) -> list[str]:
    """Return the images in the class folders, relative to `folder`; the log counts the skipped files."""
    images, left = [], Counter[str]()
    for path in sorted(folder.glob("*/*")):
        if path.suffix.lower() in ENDINGS and not path.name.startswith("."):
            images.append(str(path.relative_to(folder)))
        else:
            left["folder" if path.is_dir() else path.suffix.lower() or path.name] += 1
    if left:
        listed = ", ".join(f"{count} {ending}" for ending, count in sorted(left.items()))
        log.warning("%s: left out, by ending: %s", folder, listed)
    return images


def _class_folder(index: int, classes: Sequence[str]) -> str:
    plain = re.sub(r"[^A-Za-z0-9]+", "_", classes[index]).strip("_")[:40]
    return f"{index:0{len(str(len(classes) - 1))}d}_{plain}".rstrip("_")


def class_indices(folder: Path, names: Iterable[str], info: DataInfo) -> dict[str, int]:
    """Return the class that each folder or label name stands for.

    Args:
        folder: the folder or file with the names, for messages.
        names: either class names of the data set, in any case and punctuation; or indices from 0, such as
            ``3``, ``3_cat``, ``new003`` or ``class_003``.
        info: the data set.

    Raises:
        CondenseryError: the names are neither, they can be read as both with different results, or an index
            is followed by the name of another class.
    """
    names = list(names)
    known = {plain(name): index for index, name in enumerate(info.classes)}
    called = {name: known[plain(name)] for name in names if plain(name) in known}
    numbered = {name: int(match[1]) for name in names if (match := _NUMBERED.fullmatch(name))}
    if len(known) < len(info.classes):
        called = {}
    for name in names:
        if name not in numbered and len(called) < len(names):
            raise CondenseryError(
                f"{folder}: {name!r} is not <class index>_<name>, and not all names are of classes of "
                f"{info.name}; rename the folders"
            )
    if len(called) < len(names):
        if names and sorted(numbered.values()) == list(range(1, len(info.classes) + 1)):
            raise CondenseryError(f"{folder}: its folders count the classes from 1; rename them from 0")
        _check_words(folder, numbered, known, info)
        return numbered
    for name in numbered if len(numbered) == len(names) else ():
        if numbered[name] != called[name]:
            raise CondenseryError(
                f"{folder}: {name!r} may be class {numbered[name]} or the class of this name, "
                f"{called[name]}; rename the folders to <class index>_<name>"
            )
    return called


def _check_words(folder: Path, numbered: Mapping[str, int], known: Mapping[str, int], info: DataInfo) -> None:
    """Refuse an index with the name of another class; the log says if all names are of no class."""
    words = {name: plain(match[2]) for name in numbered if (match := _NUMBERED.fullmatch(name)) and match[2]}
    if len(known) < len(info.classes):
        return
    for name, word in words.items():
        if known.get(word, numbered[name]) != numbered[name]:
            raise CondenseryError(
                f"{folder}: {name!r} has the name of class {known[word]} of {info.name}; rename the folders, "
                "or give the set's own data"
            )
    if words and not known.keys() & words.values():
        log.warning(
            "%s: %s is not named as a class of %s; the indices count", folder, next(iter(words)), info.name
        )


_NUMBERED = re.compile(r"(?:new|class|cls|c)?[_-]?(\d{1,9})(?:_(.*))?", re.ASCII | re.DOTALL)


def plain(name: str) -> str:
    """Return a class name without case, blanks and punctuation, in which spellings differ."""
    return re.sub(r"[\W_]+", "", name.lower()) or name


def _class_of(folder: Path, name: str) -> int:
    match = re.match(r"(\d+)(?:_[^/]*)?/[^/]+$", Path(name).as_posix())
    if not match:
        raise CondenseryError(
            f"{folder}: {name!r} is not <class index>_<name>/<image>.png; rename the folder"
        )
    return int(match[1])


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / _INDEX
    if not path.is_file():
        return {}
    try:
        index = dict(json.loads(path.read_text(encoding="utf-8")))
        # Exports of earlier code have none; PNG has checksums of its own.
        altered = index.pop(_DIGEST, None) not in (None, digest(index))
    except (ValueError, TypeError, RecursionError) as error:
        raise CondenseryError(f"{path}: not JSON ({error}); delete it or export the set again") from error
    if altered:
        raise CondenseryError(f"{path}: altered since it was written; delete it or export the set again")
    return index


def _read_png(path: Path, info: DataInfo) -> Tensor:
    """Read one image as (C, H, W) uint8."""
    if not path.exists():
        raise CondenseryError(f"{path}: listed in {_INDEX} but absent; export the set again")
    pixels = np.array(read_image(path, info.channels))
    if pixels.shape[:2] != (info.height, info.width):
        height, width = pixels.shape[:2]
        raise CondenseryError(
            f"{path}: {height}x{width} pixels, but {info.name} has {info.height}x{info.width}; "
            "give the set's own data"
        )
    return torch.from_numpy(pixels).reshape(info.height, info.width, info.channels).permute(2, 0, 1)
