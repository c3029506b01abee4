"""The target of ImageNet-1K with few classes: from a folder of images, condensed in shards, to a table."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from condensery.synthetic import SyntheticSet

ROOT = Path(__file__).parents[1]

TINY = """
description: tiny
sets: 1
networks: 1
whole_networks: 1
classes_per_job: {imagenet1k: 5}
methods: {dm: {parameters: {iterations: 2, batch_real: 3}}}
recipes: {dsa: {parameters: {epochs: 1}}, dc: {parameters: {epochs: 1}}}
targets:
  imagenet: [{datasets: [imagenet1k], methods: [random, dm], ipc: [2]}]
"""
CLASSES = 12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a working directory with an ImageNet of few classes, none of whose images has 64x64 pixels."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    (tmp_path / "config/protocols/tiny.yaml").write_text(TINY)
    datasets = yaml.safe_load((tmp_path / "config/datasets.yaml").read_text())
    datasets["imagenet1k"]["classes"] = CLASSES
    del datasets["imagenet1k"]["smallest_class"]
    (tmp_path / "config/datasets.yaml").write_text(yaml.safe_dump(datasets))
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for c in range(CLASSES):
            folder = tmp_path / f"data/raw/imagenet/{split}/n{c:08}"
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (70 + c, 96, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path


def run(folder: Path, *words: str) -> None:
    command = [sys.executable, *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_from_a_folder_of_images_by_parts_to_a_table(folder: Path) -> None:
    words = ("--cores", "2", "--config", "protocol=tiny", "--", "imagenet")
    run(folder, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), *words)
    results = folder / "results/tiny"
    cells = pd.read_csv(results / "tables/imagenet.csv")
    assert sorted(zip(cells["method"], cells["recipe"], strict=True)) == [
        ("dm", "dsa"),
        ("random", "dc"),
        ("random", "dsa"),
    ]
    assert set(cells["images"]) == {2 * CLASSES}
    assert set(cells["evaluate_network"]) == {"convnet-d4"}
    logs = sorted(path.stem for path in (results / "logs/synthetic/imagenet1k/dm").rglob("*.log"))
    assert logs == ["classes0-4", "classes10-11", "classes5-9"]
    gathered = results / "synthetic/imagenet1k/dm/convnet-d4/ipc2/seed0.safetensors"
    # The shards are removed once gathered, and the gathered set equals that of one job.
    assert [path for path in gathered.parent.rglob("*") if path.is_file()] == [gathered]
    words = ("--data", "imagenet1k", "--method", "dm", "--ipc", "2", "--seed", "0", "--protocol", "tiny")
    run(folder, "scripts/condense.py", *words, "--out", "whole.safetensors")
    parts, whole = SyntheticSet.load(gathered), SyntheticSet.load(folder / "whole.safetensors")
    assert parts.images.shape == (2 * CLASSES, 3, 64, 64)
    assert torch.equal(parts.labels, whole.labels)
    torch.testing.assert_close(parts.images, whole.images, rtol=0, atol=1e-4)
