"""Names for readers: the protocol and what it lowers, and what methods are called."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from condensery.errors import CondenseryError
from condensery.experiment.groups import BINS

PAPER_TITLES = {
    "random": "Random",
    "herding": "Herding",
    "forgetting": "Forgetting",
    "kcenter": "K-Center",
    "gmmn": "GMMN",
    "vae": "VAE",
    "biggan": "BigGAN",
    "mmd": "MMD",
    "dd": "DD",
    "ld": "LD",
    "dc": "DC",
    "dsa": "DSA",
    "dm": "DM",
    "dm-pool-random": "DM, random",
    **{f"dm-pool-{group}": f"DM, {group} %" for group in BINS},
    "dm-pool": "DM, all",
    "whole": "Whole set",
}
"""Methods in the order of the columns of DM Tables 1, 6 and, at DM, 4, and how the papers call them."""


@dataclass(frozen=True)
class Labels:
    """Names for readers.

    Attributes:
        protocol: name of the protocol.
        description: what the protocol is, or which numbers it lowers; may be empty.
        titles: method name to title, for methods that the papers do not print or that are renamed.
    """

    protocol: str
    description: str = ""
    titles: Mapping[str, str] = field(default_factory=dict)

    def method(self, name: str) -> str:
        """Return the title of a method, or its name."""
        return self.titles.get(name) or PAPER_TITLES.get(name, name)

    def sentence(self) -> str:
        """Return the protocol as a caption begins."""
        return f"Protocol {self.protocol}" + (f" ({self.description})" if self.description else "") + "."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `read` needs, besides --protocol."""
    parser.add_argument(
        "--protocol-file",
        type=Path,
        metavar="YAML",
        help="whose description is printed (default: config/protocols/PROTOCOL.yaml)",
    )
    parser.add_argument(
        "--methods",
        type=Path,
        default=Path("config/methods.yaml"),
        metavar="YAML",
        help="the titles of methods (default: %(default)s)",
    )


def read(arguments: argparse.Namespace) -> Labels:
    """Read names from the files that the arguments give.

    Raises:
        CondenseryError: a file is absent or is not such a YAML file.
    """
    protocol: str = arguments.protocol
    described = _mapping(arguments.protocol_file or Path("config/protocols") / f"{protocol}.yaml")
    methods = _mapping(arguments.methods)
    titles = {name: str(entry["title"]) for name, entry in methods.items() if _has_title(entry)}
    return Labels(protocol, str(described.get("description", "")), titles)


def _has_title(entry: Any) -> bool:
    return isinstance(entry, Mapping) and "title" in entry


def _mapping(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CondenseryError(
            f"{path}: no such file; give the configuration that the rows were made with"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CondenseryError(f"{path}: not YAML: {error}") from error
    if not isinstance(content, Mapping):
        raise CondenseryError(f"{path}: must be a YAML mapping")
    return content
