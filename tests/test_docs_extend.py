"""The steps of docs/extend.md: each section is applied to a copy of the project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from condensery import data
from condensery.files import read_tensors
from condensery.rows import read_rows
from condensery.synthetic import SyntheticSet
from tests.pages import ROOT, Block, blocks, page, sections

SECTIONS = sections(page("docs/extend.md"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for part in ("src", "scripts", "config", "workflow", "tests"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "benchmarks/harness", tmp_path / "benchmarks/harness")
    for file in ("Snakefile", "environment.yml", "benchmarks/rates.yaml"):
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def follow(section: str, project: Path) -> None:
    """Carry out a section: write its code, apply its changes, run its commands."""
    for block in blocks(SECTIONS[section]):
        if block.language == "diff":
            change(project / block.file, block)
        elif block.file:
            file = project / block.file
            file.write_text((file.read_text() + "\n" if file.exists() else "") + block.text)
        else:
            run(project, block.text)


def change(file: Path, block: Block) -> None:
    """Apply a diff whose hunks, separated by @@, have no line numbers and match exactly once.

    A change that is already applied is left as it is.
    """
    text = file.read_text()
    for hunk in block.text.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        old, new = ("".join(line[1:] for line in lines if line[0] in kept) for kept in (" -", " +"))
        if f"\n{new}" in f"\n{text}":
            continue
        assert f"\n{text}".count(f"\n{old}") == 1, f"{file.name} is not as the page has it:\n{old}"
        text = f"\n{text}".replace(f"\n{old}", f"\n{new}")[1:]
    file.write_text(text)


def run(project: Path, commands: str) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(project / "src")}
    done = subprocess.run(
        ["bash", "-euc", commands], cwd=project, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("section", [name for name, text in SECTIONS.items() if "```diff" in text])
def test_changes_fit_the_files_that_they_are_for(project: Path, section: str) -> None:
    for block in blocks(SECTIONS[section]):
        if block.language == "diff":
            change(project / block.file, block)
            added = [line[1:] for line in block.text.splitlines() if line.startswith("+")]
            assert set(added) <= set((project / block.file).read_text().splitlines())


@pytest.mark.slow
def test_a_method(project: Path) -> None:
    follow("A method", project)
    chosen = SyntheticSet.load(project / "nearest.safetensors")
    assert chosen.labels.tolist() == [c for c in range(10) for _ in range(3)]
    train = data.load(project / "data/prepared/digits").train
    for c in range(10):
        images = train.batch(train.indices_of(c), torch.device("cpu")).flatten(1)
        distances = torch.linalg.vector_norm(images - images.mean(0), dim=1).sort().values
        mine = chosen.images[chosen.labels == c].flatten(1)
        torch.testing.assert_close(torch.linalg.vector_norm(mine - images.mean(0), dim=1), distances[:3])
    rows = read_rows([project / "nearest.parquet"], "nearest")
    assert rows["accuracy"].between(20, 100).all(), "no better than chance"
    pinned = json.loads((project / "tests/golden/requirements.lock.json").read_text())
    assert [len(chosen) for chosen in pinned["nearest"]["indices"]] == [2, 2, 2, 2]


@pytest.mark.slow
def test_a_file_that_is_made_beforehand(project: Path) -> None:
    follow("A file that is made beforehand", project)
    means = read_tensors(project / "means.safetensors")[0]["means"]
    train = data.load(project / "data/prepared/digits").train
    for c in range(10):
        images = train.batch(train.indices_of(c), torch.device("cpu"))
        torch.testing.assert_close(means[c], images.mean(0))
    synthetic = SyntheticSet.load(project / "typical.safetensors")
    assert synthetic.provenance["means"]["protocol"] == "typical"
    assert len(synthetic) == 30


@pytest.mark.slow
def test_a_data_set(project: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("test", 2)):
        for name, shade in (("rose", 60), ("tulip", 180)):
            folder = project / "data/raw/flowers" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(shade - 20, shade + 20, (48, 40, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    follow("A data set", project)
    flowers = data.load(project / "data/prepared/flowers")
    assert flowers.info.classes == ("rose", "tulip")
    assert (len(flowers.train), len(flowers.test)) == (8, 4)
    images = flowers.train.batch(torch.arange(8), torch.device("cpu"))
    torch.testing.assert_close(images.mean((0, 2, 3)), torch.zeros(3), atol=0.01, rtol=0)
    synthetic = SyntheticSet.load(project / "flowers.safetensors")
    assert synthetic.classes == ("rose", "tulip")
    assert synthetic.images.shape == (4, 3, 32, 32)
    # Dark and light images: any trained network can distinguish them.
    assert (read_rows([project / "flowers.parquet"], "smoke")["accuracy"] == 100).all()


@pytest.mark.slow
def test_a_network(project: Path) -> None:
    follow("A network", project)
    synthetic = SyntheticSet.load(project / "dm.safetensors")
    assert synthetic.provenance["experiment"]["network"] == "strided-bn"
    rows = read_rows([project / "dm.parquet"], "strided")
    assert set(rows["evaluate_network"]) == {"strided-bn"}
    assert rows["accuracy"].between(15, 100).all(), "no better than chance"


@pytest.mark.slow
def test_a_recipe_option(project: Path) -> None:
    follow("A recipe option", project)
    rows = read_rows([project / "smoothed.parquet"], "smoothed")
    assert set(rows["recipe"]) == {"smoothed"}
    assert rows["accuracy"].between(15, 100).all(), "no better than chance"


@pytest.mark.slow
def test_a_protocol(project: Path) -> None:
    follow("A protocol", project)
    table = pd.read_csv(project / "results/mine/tables/table1.csv")
    measured = table[table["mean"].notna()]
    assert dict(zip(measured["method"], measured["n"], strict=True)) == {"random": "1x2", "dm": "1x2"}


@pytest.mark.slow
def test_a_table_or_a_figure(project: Path) -> None:
    follow("A table or a figure", project)
    table = pd.read_csv(project / "results/coresets/tables/coresets.csv")
    assert dict(zip(table["method"], table["n"], strict=True)) == {"random": "1x2", "herding": "1x2"}
    assert (project / "results/coresets/tables/coresets.md").read_text().startswith("# Coresets of digits\n")
    with Image.open(project / "results/coresets/figures/figure_coresets.png") as figure:
        assert "Images of the coreset methods" in figure.text.values()
