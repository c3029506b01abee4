"""The layouts of ``.pt`` files: of IDC, IDM, DREAM and NCFM, of MTT and DATM, and dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from condensery.errors import CondenseryError
from condensery.exchange.found import Found, is_array, learned_rate
from condensery.exchange.reference import entry_of
from condensery.exchange.torch_file import load_safely

IMAGES = ("images", "image", "x", "data", "x_proto")
LABELS = ("labels", "label", "y", "targets", "target", "y_proto")
_RATES = ("learning_rate", "lr", "syn_lr")


def of_torch(path: Path, experiment: int) -> Found:
    """Return the images and labels that a ``.pt`` file holds.

    Args:
        path: the file.
        experiment: which set of a file that holds several, from 0.

    Raises:
        CondenseryError: it holds neither a pair of images and labels nor images alone, or what is beside it
            does not belong to it.
    """
    content = load_safely(path)
    if isinstance(content, Mapping) and isinstance(content.get("data"), list | tuple):
        return entry_of(path, content, experiment)
    if experiment:
        raise CondenseryError(f"{path}: holds one set, not set {experiment}; omit --experiment")
    if isinstance(content, Mapping):
        return of_mapping(path, content, "pt of images and labels by name")
    if isinstance(content, list | tuple) and len(content) == 2 and all(map(is_array, content)):
        return Found(content[0], content[1], "pt of [images, labels]")
    if is_array(content):
        return with_labels_beside(path, content, "pt of images alone", load_safely)
    raise CondenseryError(
        f"{path}: holds neither [images, labels] nor these two by name, nor images alone; save it as one of "
        "these"
    )


def of_mapping(path: Path, content: Mapping[str, Any], layout: str, *, whitened: bool = False) -> Found:
    """Return images and labels, and a learning rate if there is one, of a file with their usual names.

    Args:
        path: the file, for messages.
        content: what it holds, by name.
        layout: what the file is, for the provenance.
        whitened: whether the authors of this layout whiten some of their sets.

    Raises:
        CondenseryError: no images or no labels by a known name, or the learning rate is not a number.
    """
    images, labels = (_named(path, content, names) for names in (IMAGES, LABELS))
    rate = next((content[name] for name in _RATES if name in content), None)
    return Found(
        images, labels, layout, None if rate is None else learned_rate(path, rate), may_be_whitened=whitened
    )


def with_labels_beside(path: Path, images: Any, layout: str, load: Callable[[Path], Any]) -> Found:
    """Return the images of a file, with the labels and the learning rate that lie beside it.

    MTT, DATM and others write ``images_best.pt`` and ``labels_best.pt``, and some the learning rate as
    ``lr_best.pt`` or ``lr.pt``.

    Raises:
        CondenseryError: no such labels.
    """
    name = path.name
    if "images" not in name:
        raise CondenseryError(
            f"{path}: holds images alone; name it images{path.suffix}, and put labels{path.suffix} beside it"
        )
    labels = path.with_name(name.replace("images", "labels"))
    if not labels.is_file():
        raise CondenseryError(f"{path}: holds images alone, and {labels.name} is not beside it; put it there")
    rates = dict.fromkeys((name.replace("images", "lr"), f"lr{path.suffix}", f"syn_lr{path.suffix}"))
    beside = [path.with_name(each) for each in rates if path.with_name(each).is_file()]
    rate = learned_rate(beside[0], load(beside[0])) if beside else None
    read = load(labels)
    if not is_array(read):
        raise CondenseryError(f"{labels}: holds no tensor of labels; give the labels of {name}")
    return Found(images, read, layout, rate, may_be_whitened=True, beside=(labels, *beside[:1]))


def _named(path: Path, content: Mapping[str, Any], names: Sequence[str]) -> Any:
    there = [name for name in names if name in content]
    if len(there) != 1 or not is_array(content[there[0]]):
        known = ", ".join(str(name) for name in list(content)[:8]) or "nothing"
        raise CondenseryError(
            f"{path}: holds {known}, but not one tensor called {' or '.join(names)}; rename what it holds"
        )
    return content[there[0]]
