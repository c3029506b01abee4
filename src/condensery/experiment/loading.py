"""Read the folder config/ and check all of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from condensery.errors import CondenseryError
from condensery.experiment import checks
from condensery.experiment.config import Config
from condensery.experiment.reading import read
from condensery.experiment.schemas import unknown


def load_config(
    directory: Path, protocol: str | None = None, settings: Mapping[str, Any] | None = None
) -> Config:
    """Read and check everything in config/.

    Args:
        directory: the folder config/.
        protocol: name of the protocol; default: the one in config.yaml.
        settings: values that override those of config.yaml.

    Raises:
        CondenseryError: a key is unknown, missing, of the wrong type or out of range, or a name is unknown;
            one line that names the file and the key.
    """
    if not directory.is_dir():
        raise CondenseryError(
            f"{directory}: no such folder in {Path.cwd()}: run this in the project's folder, "
            "or name its folder config (--config DIR)"
        )
    files = {name: directory / f"{name}.yaml" for name in ("config", "datasets", "methods", "recipes")}
    content = {name: read(path) for name, path in files.items()}
    for key, value in {**(settings or {}), **({"protocol": protocol} if protocol else {})}.items():
        both = isinstance(value, dict) and isinstance(content["config"].get(key), dict)
        content["config"][key] = {**content["config"][key], **value} if both else value
    for name, path in files.items():
        checks.check_file(name, content[name], path)
    chosen = content["config"]["protocol"]
    protocols = {path.stem: path for path in (directory / "protocols").glob("*.yaml")}
    if chosen not in protocols:
        raise CondenseryError(f"{files['config']}: protocol: {unknown('protocol', chosen, protocols)}")
    spec = read(protocols[chosen])
    checks.check_file("protocol", spec, protocols[chosen])
    config = Config(
        chosen, content["config"], content["datasets"], content["methods"], content["recipes"], spec
    )
    checks.check_names(config, files, protocols[chosen])
    return config
