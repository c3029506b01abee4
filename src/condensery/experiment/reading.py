"""Strict reading of YAML: no repeated key, no unknown key, and errors of one line with file and key."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from condensery import architectures
from condensery.errors import CondenseryError
from condensery.experiment import catalog

SCHEMAS = Path(__file__).resolve().parents[1] / "schemas"

_EXPONENT = re.compile(r"[-+]?\d+\.?\d*[eE][-+]?\d+")
_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping of keys",
    "null": "null",
}
_LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "greater than {}",
    "exclusiveMaximum": "less than {}",
    "minItems": "a list of at least {}",
    "minProperties": "a mapping of at least {} key",
    "uniqueItems": "a list without repetitions",
}


def _is_number(_checker: object, value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return _is_integer(_checker, value)


def _is_integer(_checker: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# JSON Schema takes 20.0 for an integer and accepts infinity: both would fail late, inside a job.
_Validator = validators.extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"number": _is_number, "integer": _is_integer}
    ),
)


_FORMATS = FormatChecker(formats=())


def _is_network(value: object) -> bool:
    return not isinstance(value, str) or bool(architectures.parse(value))


_FORMATS.checks("network", raises=CondenseryError)(_is_network)


# The loader in C reads config/ in a tenth of the time; not every build of PyYAML has it.
class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # known when it runs
    """The safe loader, which also refuses keys that are given twice, and what YAML misreads."""

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
        """Return a truth value, number or date, but only as everyone would write it.

        YAML 1.1 reads ``yes`` as true, ``060`` as 48 and ``1:00`` as 60.
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
        CondenseryError: the file is absent, is not a YAML mapping, or gives a key twice.
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
        # PyYAML passes on what Python says of a number of 5,000 digits, a list as a key, or deep nesting.
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
    """Return how deep a text of YAML can be nested at most: the loader in C has no limit but its stack."""
    brackets = deepest = 0
    for line in text.splitlines():
        opened = line.count("[") + line.count("{")
        indent = len(line) - len(line.lstrip()) + line.count("- ") + line.count("? ")
        deepest = max(deepest, brackets + opened + indent)
        brackets = max(0, brackets + opened - line.count("]") - line.count("}"))
    return deepest


def _size(value: Any, known: dict[int, int]) -> int:
    """Return how many values there are if each alias is written out.

    Raises:
        ValueError: one contains itself.
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


@cache
def schema(name: str) -> dict[str, Any]:
    """Read the schema called ``name``; the known targets are filled into that of protocols.

    Raises:
        CondenseryError: the schema is absent, or is not YAML.
    """
    content = read(SCHEMAS / f"{name}.schema.yaml")
    if name == "protocol":
        for target_name, target in catalog.TARGETS.items():
            if target.entry:
                known = content["properties"][target.section].setdefault("properties", {})
                known[target_name] = {"$ref": f"#/$defs/{target.entry}"}
    return content


@cache
def _registry() -> Registry:
    # Without $schema, which would make jsonschema use its own validator instead of _Validator.
    names = [path.name.partition(".")[0] for path in SCHEMAS.glob("*.schema.yaml")]
    contents = {
        f"{name}.schema.yaml": {key: value for key, value in schema(name).items() if key != "$schema"}
        for name in names
    }
    return Registry().with_resources((name, DRAFT202012.create_resource(c)) for name, c in contents.items())


def check(
    content: Any, reference: str, file: Path, keys: Iterable[str | int] = (), *, partial: bool = False
) -> None:
    """Check content against its schema.

    Args:
        content: the content of the file.
        reference: the schema, such as ``methods.schema.yaml`` or ``parameters.schema.yaml#/$defs/recipe``.
        file: the file that the message names.
        keys: the path of the content in the file.
        partial: allow keys to be absent at the top.

    Raises:
        CondenseryError: the first thing that is not allowed.
    """
    validator = _Validator({"$ref": reference}, registry=_registry(), format_checker=_FORMATS)
    errors = [
        e
        for e in validator.iter_errors(content)
        if not (partial and e.validator == "required" and not e.path)
    ]
    if errors:
        # An unknown key first: a misspelt one is often also the reason why another is missing.
        first = min(
            errors, key=lambda e: (e.validator != "additionalProperties", [str(p) for p in e.absolute_path])
        )
        raise CondenseryError(f"{file}: {_explain(first, [*keys, *first.absolute_path])}")


def base_of(name: str, entry: Mapping[str, Any]) -> str:
    """Return the name of the entry that an entry is a variant of, or its own."""
    return entry.get("variant_of", name)


def key_path(keys: Iterable[str | int]) -> str:
    """Write a path in a file, such as ``targets.table1[0].ipc``."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """Say that a name is unknown, suggest a similar one, and list all."""
    names = sorted(str(k) for k in known)
    close = difflib.get_close_matches(str(name), names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown {what} {name!r}; {hint}known: {', '.join(names) or 'none'}"


def _explain(error: ValidationError, keys: list[str | int]) -> str:
    prefix = f"{key_path(keys)}: " if keys else ""
    rule, limit, value = error.validator, error.validator_value, error.instance
    if rule == "additionalProperties":
        known = error.schema.get("properties", {})
        extra = next(key for key in value if key not in known)
        return prefix + unknown("key", extra, known)
    if rule == "required":
        missing = next(key for key in limit if key not in value)
        return f"{prefix}key {missing!r} is missing; add it"
    if rule == "format":
        return f"{prefix}{error.cause}"
    return f"{prefix}must be {_wanted(error.schema, rule, limit)}, not {shown(value)}{_quotes(error)}"


def _wanted(schema: Mapping[str, Any], rule: str, limit: Any) -> str:
    if rule == "type":
        kinds = [limit] if isinstance(limit, str) else limit
        return " or ".join(_KINDS[kind] for kind in kinds)
    if rule == "enum":
        return "one of " + ", ".join("null" if value is None else str(value) for value in limit)
    if rule in _LIMITS:
        return _LIMITS[rule].format(limit)
    return schema.get("description", f"valid by the rule {rule!r} of its schema")


def _quotes(error: ValidationError) -> str:
    """Return a word about quotes, where a text is wanted and YAML reads something else."""
    for each in [error, *(error.context or [])]:
        wanted = each.validator == "type" and "string" in each.validator_value
        if wanted and isinstance(each.instance, bool | int | float | None):
            text = "null" if each.instance is None else str(each.instance).lower()
            return f': put "{text}" in quotes'
    return ""


def shown(value: object) -> str:
    """Return a value as a message shows it, with a word on exponents that YAML does not know."""
    text = repr(value)
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        text += " (a text for YAML: write exponents as 1.0e-3)"
    return text if len(text) <= 100 else f"{text[:97]}..."
