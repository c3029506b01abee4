"""The notebooks: their code runs from the first cell to the last, and agrees with their text."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

from tests.pages import ROOT

NOTEBOOKS = ROOT / "docs" / "notebooks"


def run(name: str) -> dict[str, Any]:
    """Run the code of a notebook as a kernel does, without the installation; return its variables."""
    notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    variables: dict[str, Any] = {"shell": shell}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            source = re.sub(r"^%pip .*$", "", "".join(cell["source"]), flags=re.MULTILINE)
            exec(re.sub(r"^!(.*)$", r"shell(f'''\1''')", source, flags=re.MULTILINE), variables)
    return variables


def shell(command: str) -> None:
    """Run a line that begins with an exclamation mark."""
    words = command.replace("condensery ", f"{sys.executable} -m condensery ", 1)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    subprocess.run(words, shell=True, check=True, env=environment)


@pytest.mark.slow
def test_training_on_a_synthetic_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(NOTEBOOKS)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with mpl.rc_context({"backend": "agg"}):
        accuracy = run("train_on_a_synthetic_set")["accuracy"]
    assert accuracy["dm"] > accuracy["random"] + 5


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_names_files_that_exist(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    for link in re.findall(r"\]\(([^)\s#]+)\)", text):
        assert (path.parent / link).is_file(), link
