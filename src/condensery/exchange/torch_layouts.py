"""The layouts of ``.pt`` files: of IDC, IDM, DREAM and NCFM, of MTT and DATM, and dictionaries."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from condensery.errors import CondenseryError
from condensery.exchange.found import Found, is_array, learned_rate, plain
from condensery.exchange.reference import entry_of
from condensery.exchange.torch_file import load_safely

IMAGES = ("images", "image", "x", "data", "x_proto", "x_train")
LABELS = ("labels", "label", "y", "targets", "target", "y_proto", "y_train")
_RATES = ("learning_rate", "lr", "syn_lr")


def of_torch(path: Path, experiment: int) -> Found:
    """Return the images and labels of a ``.pt`` file.

    Args:
        path: the file.
        experiment: index, from 0, of the set in a file of several sets.

    Raises:
        CondenseryError: the file contains neither images and labels nor images alone, or the file of labels
            next to it is missing or invalid.
    """
    content = load_safely(path)
    if isinstance(content, Mapping) and isinstance(content.get("data"), list | tuple):
        return entry_of(path, content, experiment)
    if experiment:
        raise CondenseryError(f"{path}: holds one set, not set {experiment}; omit --experiment")
    if isinstance(content, Mapping) and list(content) == list(range(len(content))):
        content = list(content.values())
    if isinstance(content, Mapping):
        return of_mapping(path, content, "pt of images and labels by name")
    if is_array(content):
        return with_labels_beside(path, content, "pt of images alone", load_safely)
    found = _listed(path, content) if isinstance(content, list | tuple) and len(content) else None
    if found is None:
        raise CondenseryError(
            f"{path}: holds neither [images, labels] nor these two by name, nor images alone, nor those of "
            "each class; save it as one of these"
        )
    return found


def _listed(path: Path, content: Sequence[Any]) -> Found | None:
    """Return the content of a list: images and labels, perhaps with a learning rate; or pairs; or classes."""
    of_classes = all(is_array(each) and each.ndim >= 3 for each in content)
    if of_classes and len({tuple(each.shape[1:]) for each in content}) == 1:
        labels = [c for c, images in enumerate(content) for _ in range(len(images))]
        return Found(torch.cat([plain(each) for each in content]), torch.tensor(labels), "pt of classes")
    if len(content) in (2, 3) and all(map(is_array, content[:2])):
        rate = learned_rate(path, content[2]) if len(content) == 3 and _is_number(content[2]) else None
        whole = len(content) == 2 or rate is not None
        return Found(content[0], content[1], "pt of [images, labels]", rate) if whole else None
    pairs = [each for each in content if isinstance(each, list | tuple) and len(each) == 2]
    if len(pairs) == len(content) and all(is_array(image) and _is_number(c) for image, c in pairs):
        labels = [int(c) for _, c in pairs]
        return Found(torch.stack([plain(image) for image, _ in pairs]), torch.tensor(labels), "pt of pairs")
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or (is_array(value) and math.prod(value.shape) == 1)


def of_mapping(path: Path, content: Mapping[str, Any], layout: str, *, whitened: bool = False) -> Found:
    """Return images, labels and an optional learning rate of a file that stores them under their usual names.

    Args:
        path: the file, for messages.
        content: name -> value.
        layout: a description of the layout, for the provenance.
        whitened: whether authors of this layout whiten some of their sets.

    Raises:
        CondenseryError: there are no images or labels under a known name, or the learning rate is not a
            positive number.
    """
    images, labels = (_named(path, content, names) for names in (IMAGES, LABELS))
    rate = next((content[name] for name in _RATES if name in content), None)
    return Found(
        images, labels, layout, None if rate is None else learned_rate(path, rate), may_be_whitened=whitened
    )


def with_labels_beside(path: Path, images: Any, layout: str, load: Callable[[Path], Any]) -> Found:
    """Return the images of a file, with the labels and the learning rate from the files next to it.

    MTT, DATM and others write ``images_best.pt`` and ``labels_best.pt``, and some the learning rate as
    ``lr_best.pt`` or ``lr.pt``.

    Args:
        path: the file of the images.
        images: its content, a tensor or an array.
        layout: a description of the layout, for the provenance.
        load: reads the other files.

    Raises:
        CondenseryError: the file of the labels is missing or invalid, or the learning rate is not a positive
            number.
    """
    name = path.name
    if "images" not in name:
        raise CondenseryError(
            f"{path}: holds images alone; name it images{path.suffix}, and put labels{path.suffix} beside it"
        )
    # MTT writes images_5000.pt and, with the whitening undone, images_zca_5000.pt; both share their labels.
    labels, same = (path.with_name(name.replace(part, "labels")) for part in ("images", "images_zca"))
    if not labels.is_file() and "images_zca" in name:
        labels = same
    if not labels.is_file():
        raise CondenseryError(f"{path}: holds images alone, and {labels.name} is not beside it; put it there")
    rates = dict.fromkeys((labels.name.replace("labels", "lr"), f"lr{path.suffix}", f"syn_lr{path.suffix}"))
    beside = [path.with_name(each) for each in rates if path.with_name(each).is_file()]
    rate = learned_rate(beside[0], load(beside[0])) if beside else None
    read = load(labels)
    if not is_array(read):
        raise CondenseryError(f"{labels}: holds no tensor of labels; give the labels of {name}")
    return Found(images, read, layout, rate, may_be_whitened=True, beside=(labels, *beside[:1]))


def _named(path: Path, content: Mapping[str, Any], names: Sequence[str]) -> Any:
    there = [name for name in names if name in content]
    if not there:
        # As many write syn_images, image_syn or X: where one name alone is like these.
        like = [name for name in content if any(part in str(name).lower() for part in names if len(part) > 3)]
        there = [name for name in like if is_array(content[name])] or [
            name for name in content if str(name).lower() in names
        ]
    if len(there) != 1 or not is_array(content[there[0]]):
        known = ", ".join(str(name) for name in list(content)[:8]) or "nothing"
        raise CondenseryError(
            f"{path}: holds {known}, but not one tensor called {' or '.join(names)}; rename what it holds"
        )
    return content[there[0]]
