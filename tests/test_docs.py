"""What README.md and docs/ show works as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from condensery import data, methods
from condensery.methods import base
from condensery.reporting.continual import ROWS
from condensery.reporting.rows import read_rows
from condensery.synthetic import SyntheticSet
from tests import problems

ROOT = Path(__file__).resolve().parents[1]


def _blocks(language: str, page: str = "docs/extend.md") -> list[str]:
    text = (ROOT / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def _entry(name: str) -> dict:
    (entry,) = [found[name] for block in _blocks("yaml") if name in (found := yaml.safe_load(block))]
    return entry


def _run_commands(page: str, folder: Path) -> None:
    """Run the commands of a page that need no Snakemake, in a folder that looks like the repository."""
    (commands,) = [block for block in _blocks("", page) if "scripts/prepare.py" in block]
    for name in ("scripts", "config", "workflow"):
        (folder / name).symlink_to(ROOT / name)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euc", commands],
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def nearest():
    (code,) = _blocks("python")
    exec(compile(code, "docs/extend.md", "exec"), {"__name__": "condensery.methods.nearest"})
    yield methods.get("nearest")
    del base._METHODS["nearest"]


def test_method_selects_what_its_docstring_says(nearest) -> None:
    problem = problems.problem(ipc=3)
    chosen = nearest.condense(problem)
    assert chosen.labels.tolist() == [c for c in problem.classes for _ in range(3)]
    train = problem.data.train
    for c in problem.classes:
        images = train.batch(train.indices_of(c), torch.device("cpu")).flatten(1)
        distances = torch.linalg.vector_norm(images - images.mean(0), dim=1).sort().values
        mine = chosen.images[chosen.labels == c].flatten(1)
        torch.testing.assert_close(torch.linalg.vector_norm(mine - images.mean(0), dim=1), distances[:3])


def test_method_entry_agrees_with_the_class(nearest) -> None:
    entry = _entry("nearest")
    assert entry["independent_classes"] == nearest.independent_classes
    assert entry["needs_features"] == nearest.needs_features


def test_image_folder_needs_no_code(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("test", 2)):
        for name, shade in (("rose", 60), ("tulip", 180)):
            folder = tmp_path / "raw" / "flowers" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(shade - 20, shade + 20, (48, 40, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    data.prepare("flowers", _entry("flowers"), tmp_path / "raw", tmp_path / "prepared")
    flowers = data.load(tmp_path / "prepared")
    assert flowers.info.classes == ("rose", "tulip")
    assert (len(flowers.train), len(flowers.test)) == (8, 4)
    images = flowers.train.batch(torch.arange(8), torch.device("cpu"))
    assert images.shape == (8, 3, 32, 32)
    torch.testing.assert_close(images.mean((0, 2, 3)), torch.zeros(3), atol=0.01, rtol=0)
    chosen = methods.get("random").condense(problems.problem(flowers, ipc=1))
    assert chosen.classes == ("rose", "tulip")


@pytest.mark.slow
def test_commands_without_snakemake(tmp_path: Path) -> None:
    """Condense, evaluate, export and import, as docs/workflow.md says, and load as README.md says."""
    _run_commands("docs/workflow.md", tmp_path)
    made = SyntheticSet.load(tmp_path / "dm.safetensors")
    again = SyntheticSet.load(tmp_path / "again.safetensors")
    assert made.images.shape == (100, 1, 8, 8)
    assert torch.equal(made.images, again.images)
    assert torch.equal(made.labels, again.labels)
    rows = read_rows([tmp_path / "dm.parquet"], "smoke")
    assert len(rows) == yaml.safe_load((ROOT / "config/protocols/smoke.yaml").read_text())["networks"]
    assert rows["accuracy"].between(10, 100).all(), "no better than chance"

    (snippet,) = _blocks("python", "README.md")
    shown: dict = {}
    exec(re.sub(r'load\(".*?"\)', f"load({str(tmp_path / 'dm.safetensors')!r})", snippet), shown)
    image, label = shown["dataset"][99]
    assert image.shape == (1, 8, 8)
    assert 0 <= image.min() <= image.max() <= 1
    assert int(label) == 9


@pytest.mark.slow
def test_commands_of_continual_learning(tmp_path: Path) -> None:
    _run_commands("docs/continual.md", tmp_path)
    assert SyntheticSet.load(tmp_path / "step0.safetensors").labels.tolist() == [2, 8]
    for name, steps in (("classes", 5), ("domains", 2)):
        rows = read_rows([tmp_path / f"{name}.parquet"], "smoke", ROWS)
        assert rows["step"].nunique() == steps
