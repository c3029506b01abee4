"""Strict reading of YAML: repeated keys and values that YAML misreads are errors, with one line each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from condensery.errors import CondenseryError


# The loader in C reads config/ in a tenth of the time; not every build of PyYAML has it.
class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # known when it runs
    """The safe loader, which also refuses repeated keys and values that YAML misreads."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_plain(self, node: yaml.ScalarNode) -> Any:
        """Return a truth value, number or date; refuse spellings that YAML 1.1 reads in an unexpected way.

        It reads ``yes`` as true, ``060`` as 48 and ``1:00`` as 60.
        """
        kind = node.tag.rpartition(":")[2]
        value = self.yaml_constructors[f"plain {kind}"](self, node)
        if not _PLAIN[kind].fullmatch(node.value):
            meant = f"write {str(value).lower()}, or " if kind != "timestamp" else ""
            raise yaml.constructor.ConstructorError(
                None,
                None,
                f"{node.value} is {_READ_AS[kind]} {str(value).lower()} for YAML: {meant}"
                f'"{node.value}" in quotes if it is a text',
                node.start_mark,
            )
        return value


_PLAIN = {
    "bool": re.compile("true|false|True|False"),
    "int": re.compile(r"[-+]?(0|[1-9][0-9]*)"),
    "float": re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan"),
    "timestamp": re.compile("(?!)"),
}
_READ_AS = {"bool": "the truth value", "int": "the number", "float": "the number", "timestamp": "the date"}

for _kind in _PLAIN:
    _tag = f"tag:yaml.org,2002:{_kind}"
    _Loader.add_constructor(f"plain {_kind}", _Loader.yaml_constructors[_tag])
    _Loader.add_constructor(_tag, _Loader.construct_plain)


def read(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Raises:
        CondenseryError: the file is absent, is not a YAML mapping, or repeats a key.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if _depth(text) > _DEEPEST:
            raise ValueError(f"nested more than {_DEEPEST} deep")
        content = yaml.load(text, Loader=_Loader)
        if _size(content, {}) > _LARGEST:
            raise ValueError(f"its aliases stand for more than {_LARGEST:,} values")
    except OSError as error:
        raise CondenseryError(
            f"{path}: cannot be read ({(error.strerror or str(error)).lower()}): restore the file, or say "
            "with an option where it is"
        ) from error
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        # PyYAML passes on Python's errors on a number of 5,000 digits, a list as a key, or deep nesting.
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise CondenseryError(f"{path}: cannot be read as YAML ({reason}); correct the file") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark else ""
        problem = getattr(error, "problem", None) or "is not YAML"
        raise CondenseryError(f"{path}:{line} {problem}; correct the file") from error
    if not isinstance(content, dict):
        raise CondenseryError(f"{path}: must hold keys and values; correct the file")
    return content


_DEEPEST = 200
_LARGEST = 1_000_000


def _depth(text: str) -> int:
    """Return an upper bound of the nesting of a YAML text; too much of it overflows the C loader's stack."""
    brackets = deepest = 0
    for line in text.splitlines():
        opened = line.count("[") + line.count("{")
        indent = len(line) - len(line.lstrip()) + line.count("- ") + line.count("? ")
        deepest = max(deepest, brackets + opened + indent)
        brackets = max(0, brackets + opened - line.count("]") - line.count("}"))
    return deepest


def _size(value: Any, known: dict[int, int]) -> int:
    """Return the number of values after the expansion of all aliases.

    Args:
        value: the loaded content.
        known: id of a container -> its number of values, or -1 while it is counted; filled here.

    Raises:
        ValueError: an alias contains itself.
    """
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = -1
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(each, known) for each in inner)
    if known[id(value)] < 0:
        raise ValueError("an alias that contains itself")
    return known[id(value)]
