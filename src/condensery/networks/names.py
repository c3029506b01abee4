"""Networks by name.

A name is a family and options joined by ``-``: ``convnet``, ``convnet-d4-w64-sigmoid-bn-max``, ``vgg11-bn``.
Options may come in any order; the canonical form orders them and leaves out those that are the default.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import product

from condensery.errors import CondenseryError
from condensery.networks.alexnet import alexnet
from condensery.networks.base import Network
from condensery.networks.convnet import ACTIVATIONS, NORMS, POOLINGS, convnet
from condensery.networks.lenet import lenet
from condensery.networks.mlp import mlp
from condensery.networks.resnet import resnet18
from condensery.networks.vgg import vgg11

# family -> builder
_FAMILIES: dict[str, Callable[..., Network]] = {
    "convnet": convnet,
    "mlp": mlp,
    "lenet": lenet,
    "alexnet": alexnet,
    "vgg11": vgg11,
    "resnet18": resnet18,
    "resnet18ap": resnet18,
}

# family -> option -> its spellings; the first is the default. "d" and "w" take a number.
_OPTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "convnet": {
        "depth": ("d3",),
        "width": ("w128",),
        "activation": ("relu", *(a for a in ACTIVATIONS if a != "relu")),
        "norm": NORMS,
        "pooling": tuple(POOLINGS),
    },
    "mlp": {},
    "lenet": {},
    "alexnet": {"norm": ("nonorm", "in", "bn")},
    "vgg11": {"norm": ("in", "bn")},
    "resnet18": {"norm": ("in", "bn")},
    "resnet18ap": {"norm": ("in", "bn")},
}

_NUMBERS = {"depth": re.compile(r"d[1-9]\d?"), "width": re.compile(r"w[1-9]\d{0,4}")}

_SMALLEST = 8

_GRAMMAR = (
    "convnet with -d<depth>, -w<width>, -sigmoid|-relu|-leakyrelu|-swish, -in|-bn|-ln|-gn|-nonorm, "
    "-avg|-max|-nopool; mlp; lenet; alexnet[-in|-bn]; vgg11[-bn]; resnet18[-bn]; resnet18ap[-bn]"
)


def build(name: str, *, channels: int, size: tuple[int, int], classes: int) -> Network:
    """Build a network by its name, with PyTorch's own initial parameters (see `initialise`).

    Args:
        name: see the head of this module.
        channels: 1 (grey) or 3.
        size: height and width of the images in pixels, at least 8 each.
        classes: number of classes.

    Raises:
        CondenseryError: the name is unknown, or the images are too small.
    """
    family, options = _parse(name)
    if min(size) < _SMALLEST:
        raise CondenseryError(
            f"images of {size[0]}x{size[1]} pixels are too small for network {name!r}: "
            f"enlarge them to {_SMALLEST}x{_SMALLEST} or more"
        )
    arguments: dict[str, str | int | bool] = {
        option: int(value[1:]) if option in _NUMBERS else value for option, value in options.items()
    }
    if family.endswith("ap"):
        arguments["average_pooling"] = True
    return _FAMILIES[family](channels, size, classes, **arguments)


def canonical(name: str) -> str:
    """Return the name with its options in order and without those that are the default.

    Raises:
        CondenseryError: the name is unknown.
    """
    return _join(*_parse(name))


def evaluation_name(name: str) -> str:
    """Return the network that evaluates a set condensed with this one in mode S of the authors' public code.

    It is the canonical name itself, or for batch norm its namesake without (instance norm; no
    normalisation for AlexNet).

    Raises:
        CondenseryError: the name is unknown.
    """
    family, options = _parse(name)
    if options.get("norm") == "bn":
        options = options | {"norm": _OPTIONS[family]["norm"][0]}
    return _join(family, options)


def search_space(widths: Sequence[int] = (32, 64, 128, 256)) -> list[str]:
    """Return the canonical names of the 720 ConvNets of DM's architecture search (section 3.6).

    Args:
        widths: only those of these widths, 180 each.
    """
    axes = product((1, 2, 3, 4), widths, ("sigmoid", "relu", "leakyrelu"), NORMS, POOLINGS)
    return [canonical(f"convnet-d{d}-w{w}-{act}-{norm}-{pool}") for d, w, act, norm, pool in axes]


def _parse(name: str) -> tuple[str, dict[str, str]]:
    """Split a name into its family and the spelling of every option."""
    family, *words = name.split("-")
    if family not in _OPTIONS:
        raise CondenseryError(f"unknown network {name!r}: there is {_GRAMMAR}")
    given: dict[str, str] = {}
    for word in words:
        option = _option_of(family, word)
        if option is None:
            raise CondenseryError(f"unknown option {word!r} of network {name!r}: there is {_GRAMMAR}")
        if option in given:
            raise CondenseryError(f"network {name!r} gives its {option} twice: keep one of them")
        given[option] = word
    return family, {option: given.get(option, known[0]) for option, known in _OPTIONS[family].items()}


def _option_of(family: str, word: str) -> str | None:
    for option, known in _OPTIONS[family].items():
        if _NUMBERS[option].fullmatch(word) if option in _NUMBERS else word in known:
            return option
    return None


def _join(family: str, options: dict[str, str]) -> str:
    defaults = _OPTIONS[family]
    return "-".join([family, *(word for option, word in options.items() if word != defaults[option][0])])
