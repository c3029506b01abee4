"""Network families: how their networks are named, what these cost, and where they are built.

A network's name is a family and options joined by ``-``: ``convnet``, ``convnet-d4-w64-sigmoid-bn-max``,
``vgg11-bn``. Options may come in any order; the canonical form orders them and leaves out the defaults.

Nothing here needs PyTorch: the configuration and the workflow read names too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from condensery.errors import CondenseryError


@dataclass(frozen=True)
class Family:
    """A network family. Building a network checks it against what its family states.

    Attributes:
        builder: the function that builds a network, as ``module:function``. It takes the number of channels,
            the size and the number of classes of the images, and the options by name.
        options: option -> its spellings, the default first; those of ``depth`` and ``width`` are patterns.
        arguments: more arguments of the builder.
        batch_norm: whether every network of the family has batch norm; if false, only those whose option
            ``norm`` is ``bn``.
        pixel_multiply_adds: multiply-adds of a forward pass per pixel of a 32x32 RGB image. Without a number
            the cost is estimated as that of a ConvNet.
        weights: number of weights, for such images of 10 classes; likewise.
    """

    builder: str
    options: Mapping[str, Sequence[str]] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    batch_norm: bool = False
    pixel_multiply_adds: float | None = None
    weights: float | None = None


DEPTH, WIDTH = ("d3", "d[1-9][0-9]?"), ("w128", "w[1-9][0-9]{0,4}")
"""Default and pattern of the options that are numbers."""

NORMS = ("in", "bn", "ln", "gn", "nonorm")
POOLINGS = ("avg", "max", "nopool")

FAMILIES = {
    "mlp": Family("condensery.networks.mlp:mlp", pixel_multiply_adds=400, weights=411e3),
    "convnet": Family(
        "condensery.networks.convnet:convnet",
        {
            "depth": DEPTH,
            "width": WIDTH,
            "activation": ("relu", "sigmoid", "leakyrelu", "swish"),
            "norm": NORMS,
            "pooling": POOLINGS,
        },
    ),
    "frepo": Family(
        "condensery.networks.frepo:frepo",
        {"depth": DEPTH, "width": WIDTH, "norm": ("nonorm", "bn")},
        pixel_multiply_adds=151e3,
        weights=1.56e6,
    ),
    "lenet": Family("condensery.networks.lenet:lenet", pixel_multiply_adds=640, weights=62e3),
    "alexnet": Family(
        "condensery.networks.alexnet:alexnet",
        {"norm": ("nonorm", "in", "bn")},
        pixel_multiply_adds=240e3,
        weights=1.87e6,
    ),
    "vgg11": Family(
        "condensery.networks.vgg:vgg11",
        {"norm": ("in", "bn")},
        pixel_multiply_adds=150e3,
        weights=9.23e6,
    ),
    "resnet18": Family(
        "condensery.networks.resnet:resnet18",
        {"norm": ("in", "bn")},
        pixel_multiply_adds=543e3,
        weights=11.2e6,
    ),
    "resnet18ap": Family(
        "condensery.networks.resnet:resnet18",
        {"norm": ("in", "bn")},
        arguments={"average_pooling": True},
        pixel_multiply_adds=727e3,
        weights=11.2e6,
    ),
}
"""Every family by name, in the order in which tables list networks."""

NUMBERS = ("depth", "width")
"""The options that are numbers."""


def parse(name: str) -> tuple[str, dict[str, str]]:
    """Split a name into its family and the spelling of every option.

    Raises:
        CondenseryError: the name is unknown.
    """
    family, *words = name.split("-")
    if family not in FAMILIES:
        raise CondenseryError(f"unknown network {name!r}: known are {grammar()}")
    options: dict[str, str] = {}
    for word in words:
        option = _option_of(family, word)
        if option is None:
            raise CondenseryError(f"unknown option {word!r} of network {name!r}: known are {grammar()}")
        if option in options:
            raise CondenseryError(f"network {name!r} gives its {option} twice: keep one")
        options[option] = word
    return family, {
        option: options.get(option, known[0]) for option, known in FAMILIES[family].options.items()
    }


def canonical(name: str) -> str:
    """Return the name with its options in order and without those that are the default.

    Raises:
        CondenseryError: the name is unknown.
    """
    family, options = parse(name)
    defaults = FAMILIES[family].options
    return "-".join([family, *(word for option, word in options.items() if word != defaults[option][0])])


def has_batch_norm(name: str) -> bool:
    """Say whether a network has batch norm, which makes the images of a batch depend on each other.

    Raises:
        CondenseryError: the name is unknown.
    """
    family, options = parse(name)
    return FAMILIES[family].batch_norm or options.get("norm") == "bn"


def number(word: str) -> int:
    """Return the value of an option that is a number, such as 3 for ``d3``."""
    return int(word[1:])


def sort_key(name: str) -> tuple[int, str]:
    """Return the sort key of a network: the index of its family, unknown families last, and its name."""
    families, family = list(FAMILIES), name.partition("-")[0]
    return (families.index(family) if family in FAMILIES else len(families), name)


def search_space(widths: Sequence[int] = (32, 64, 128, 256)) -> list[str]:
    """Return the canonical names of the 720 ConvNets of DM's architecture search (section 3.6).

    Args:
        widths: the widths, in channels; there are 180 networks per width.
    """
    axes = product((1, 2, 3, 4), widths, ("sigmoid", "relu", "leakyrelu"), NORMS, POOLINGS)
    return [canonical(f"convnet-d{d}-w{w}-{act}-{norm}-{pool}") for d, w, act, norm, pool in axes]


def grammar() -> str:
    """Describe all valid names in one line, for error messages."""
    return "; ".join(_family_grammar(name, family) for name, family in FAMILIES.items())


def _option_of(family: str, word: str) -> str | None:
    for option, known in FAMILIES[family].options.items():
        if re.fullmatch(known[1], word) if option in NUMBERS else word in known:
            return option
    return None


def _family_grammar(name: str, family: Family) -> str:
    shown = {
        option: f"-{words[0][0]}<{option}>" if option in NUMBERS else "|".join(f"-{word}" for word in words)
        for option, words in family.options.items()
    }
    if len(shown) > 1:
        return f"{name} with {', '.join(shown.values())}"
    return name + "".join(f"[{words}]" for words in shown.values())
