"""The lists of params.yaml: the existing tables and figures of its protocol, or all if none exists.

dvc.yaml has a stage for each. `python -m tests.stages` writes them.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from condensery.experiment import load_config
from condensery.files import atomic

ROOT = Path(__file__).resolve().parents[1]
PARAMS = ROOT / "params.yaml"


def with_targets(text: str) -> str:
    """Return params.yaml with the lists for the protocol that it names."""
    config = load_config(ROOT / "config", yaml.safe_load(text)["protocol"])
    existing = {path.stem for path in (ROOT / "results" / config.protocol / "settings").glob("*.json")}
    for key, names in (("tables", config.tables()), ("figures", config.figures())):
        lines = "".join(f"  - {name}\n" for name in names if name in existing or not existing)
        text = re.sub(rf"^{key}:.*\n(?:  - .*\n)*", f"{key}:\n{lines}", text, flags=re.MULTILINE)
    return text


if __name__ == "__main__":
    with atomic(PARAMS) as temporary:
        temporary.write_text(with_targets(PARAMS.read_text()))
