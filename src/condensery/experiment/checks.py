"""Checks beyond the schemas: names that must exist in another file, and types of values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from condensery.errors import CondenseryError
from condensery.experiment import target_checks
from condensery.experiment.catalog import TARGETS
from condensery.experiment.needs import NEEDS
from condensery.experiment.schemas import base_of, check, key_path, schema, shown, unknown
from condensery.experiment.targets import WHOLE

if TYPE_CHECKING:
    from condensery.experiment.config import Config

Keys = tuple[str | int, ...]


def check_file(name: str, content: Mapping[str, Any], file: Path) -> None:
    """Check one file against its schema, and the variants and the parameters of its entries.

    Args:
        name: name of the file, without suffix, and of its schema: ``methods``, ``recipes`` and so on.
        content: the content of the file.
        file: the path, for messages.

    Raises:
        CondenseryError: the content is invalid; the message names the first error.
    """
    check(content, f"{name}.schema.yaml", file)
    if name in ("methods", "recipes"):
        for entry, values in content.items():
            if "variant_of" in values:
                _check_base(name[:-1], values["variant_of"], content, file, (entry, "variant_of"))
            else:
                _check_values(name, entry, values["parameters"], file, (entry, "parameters"), partial=False)


def check_names(config: Config, files: Mapping[str, Path], protocol: Path) -> None:
    """Check that every name in config/ exists and that every value can be used.

    Args:
        config: the configuration, each file of which has passed its schema.
        files: name -> path of the files other than the protocols.
        protocol: path of the protocol.

    Raises:
        CondenseryError: a name does not exist, or a value is invalid; the message names the first.
    """
    for dataset, entry in config.datasets.items():
        for key in ("mean", "std"):
            if entry[key] != "auto" and len(entry[key]) != entry["channels"]:
                raise CondenseryError(
                    f"{files['datasets']}: {dataset}.{key}: must have one value for each of the "
                    f"{entry['channels']} channels, not {len(entry[key])}"
                )
    formulas = schema("parameters")["$defs"]["work"]
    for method, entry in config.methods.items():
        for need in entry.get("needs", []):
            _known("need", need, NEEDS, files["methods"], (method, "needs"))
        if "work" in entry:
            _known("formula", entry["work"], formulas, files["methods"], (method, "work"))
            formula = f"parameters.schema.yaml#/$defs/work/{entry['work']}"
            check(entry["parameters"], formula, files["methods"], (method, "parameters"))
        for recipe in entry.get("recipes", []):
            _known("recipe", recipe, config.recipes, files["methods"], (method, "recipes"))
    for kind in ("methods", "recipes"):
        entries = getattr(config, kind)
        for name, entry in entries.items():
            _check_changes(config, kind, name, entry, files[kind], (name,))
        for name, entry in config.spec.get(kind, {}).items():
            _known(kind[:-1], name, entries, protocol, (kind,))
            _check_changes(config, kind, name, entry, protocol, (kind, name))
    for dataset in config.spec.get("classes_per_job", {}):
        _known("data set", dataset, config.datasets, protocol, ("classes_per_job",))
    for target, blocks in config.spec["targets"].items():
        for number, block in enumerate(blocks):
            _check_block(config, block, protocol, ("targets", target, number))
    target_checks.check_memories(config, protocol)
    target_checks.check_trajectories(config, protocol)
    target_checks.check_embeddings(config, protocol)
    target_checks.check_search(config, protocol)
    target_checks.check_needs(config, protocol)


def _known(what: str, name: str, known: Mapping[str, Any], file: Path, keys: Keys) -> None:
    if name not in known:
        raise CondenseryError(f"{file}: {key_path(keys)}: {unknown(what, name, known)}")


def _check_base(what: str, base: str, entries: Mapping[str, Any], file: Path, keys: Keys) -> None:
    _known(what, base, entries, file, keys)
    if "variant_of" in entries[base]:
        other = entries[base]["variant_of"]
        raise CondenseryError(
            f"{file}: {key_path(keys)}: {base!r} is a variant itself; name {other!r}, its base"
        )


def _check_values(
    kind: str, name: str, values: Mapping[str, Any], file: Path, keys: Keys, *, partial: bool
) -> None:
    """Check names, kinds and ranges of the parameters that src/condensery/schemas/ knows."""
    known = schema("parameters")["$defs"][kind]
    if kind == "recipes" or name in known:
        entry = name if name in known else "any"
        check(values, f"parameters.schema.yaml#/$defs/{kind}/{entry}", file, keys, partial=partial)


def check_set(
    config: Config, kind: str, name: str, values: Mapping[str, Any], file: Path, keys: Keys
) -> None:
    """Check values that replace those of an entry: each must be a parameter of it, of the same type.

    Optional parameters of the schema are allowed, even if the entry does not have them.

    Args:
        config: the configuration.
        kind: ``methods`` or ``recipes``.
        name: name of an existing entry.
        values: the replaced parameters.
        file: the file that contains the values, for the message.
        keys: the path of the values in the file.

    Raises:
        CondenseryError: a value is invalid; the message names the first.
    """
    entries = getattr(config, kind)
    name = base_of(name, entries[name])
    base = entries[name]["parameters"]
    optional = schema("parameters")["$defs"][kind].get(name, {}).get("properties", {})
    for key, value in values.items():
        if kind == "methods":
            _known("key", key, {**base, **optional}, file, keys)
        if None not in (value, base.get(key)) and _kind(value) is not _kind(base[key]):
            raise CondenseryError(
                f"{file}: {key_path((*keys, key))}: must be like {base[key]!r} of {kind}.yaml, not "
                f"{shown(value)}"
            )
    _check_values(kind, name, values, file, keys, partial=True)


def _kind(value: object) -> type:
    return float if type(value) is int else type(value)


def _check_changes(
    config: Config, kind: str, name: str, entry: Mapping[str, Any], file: Path, keys: Keys
) -> None:
    """Check the parameters and the overrides of one entry."""
    check_set(config, kind, name, entry.get("parameters", {}), file, (*keys, "parameters"))
    for number, override in enumerate(entry.get("overrides", [])):
        at = (*keys, "overrides", number)
        if kind == "methods" and "generator" in config.needs(name) and set(override["when"]) != {"dataset"}:
            raise CondenseryError(
                f"{file}: {key_path((*at, 'when'))}: one generator of {name} serves every ipc and network; "
                "give conditions on the data set alone"
            )
        for dataset in override["when"].get("dataset", []):
            _known("data set", dataset, config.datasets, file, (*at, "when", "dataset"))
        check_set(config, kind, name, override["set"], file, (*at, "set"))


def _check_block(config: Config, block: Mapping[str, Any], file: Path, keys: Keys) -> None:
    for dataset in block["datasets"]:
        _known("data set", dataset, config.datasets, file, (*keys, "datasets"))
    methods = {**config.methods, WHOLE: None} if TARGETS[str(keys[1])].whole_set else config.methods
    for recipe in block.get("recipes", []):
        _known("recipe", recipe, config.recipes, file, (*keys, "recipes"))
    for method in block["methods"]:
        _known("method", method, methods, file, (*keys, "methods"))
    if set(block["methods"]) == {WHOLE}:
        return
    for dataset, ipc, limit, held in _too_many(config, block):
        holding = f" that hold {held} each" if held > 1 else ""
        raise CondenseryError(
            f"{file}: {key_path((*keys, 'ipc'))}: {ipc} images per class{holding}, but a class of {dataset} "
            f"has only {limit}; give {limit // held} or less"
        )


def _too_many(config: Config, block: Mapping[str, Any]) -> Iterator[tuple[str, int, int, int]]:
    methods = [method for method in block["methods"] if method != WHOLE]
    for dataset in block["datasets"]:
        limit = config.datasets[dataset].get("smallest_class")
        if limit is None:
            continue
        for ipc in block["ipc"]:
            held = max(config.parameters(dataset, m, "", ipc).get("formation", 1) ** 2 for m in methods)
            if ipc * held > limit:
                yield dataset, ipc, limit, held
