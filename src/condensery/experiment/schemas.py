"""The schemas of the configuration: checks of files, and messages about invalid keys and values."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from condensery import architectures
from condensery.errors import CondenseryError
from condensery.experiment import catalog
from condensery.experiment.reading import read

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


# JSON Schema accepts 20.0 as an integer, and infinity: both would fail late, inside a job.
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


@cache
def schema(name: str) -> dict[str, Any]:
    """Read the schema called ``name``; the schema of protocols is completed with the names of all targets.

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
        partial: whether keys may be missing at the top level.

    Raises:
        CondenseryError: the content is invalid; the message names the first error.
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
    """Return the name of the entry of which an entry is a variant, or the name itself."""
    return entry.get("variant_of", name)


def key_path(keys: Iterable[str | int]) -> str:
    """Write a path in a file, such as ``targets.table1[0].ipc``."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """Return the message about an unknown name, with the most similar known name and a list of all.

    Args:
        what: the kind of name, such as ``data set``.
        name: the unknown name.
        known: all valid names.
    """
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
    """Return advice on quotes if a text is expected and YAML reads something else, or an empty text."""
    for each in [error, *(error.context or [])]:
        wanted = each.validator == "type" and "string" in each.validator_value
        if wanted and isinstance(each.instance, bool | int | float | None):
            text = "null" if each.instance is None else str(each.instance).lower()
            return f': put "{text}" in quotes'
    return ""


def shown(value: object) -> str:
    """Return a value as messages show it, with advice on exponents that YAML reads as text."""
    text = repr(value)
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        text += " (a text for YAML: write exponents as 1.0e-3)"
    return text if len(text) <= 100 else f"{text[:97]}..."
