"""The configuration of methods that sample from a generator, and of table 6."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from condensery import generators
from condensery.errors import CondenseryError
from condensery.experiment import Config, load_config
from condensery.reporting import published
from tests.test_experiment import CONFIG, ROOT, edit


@pytest.fixture(scope="module")
def paper() -> Config:
    return load_config(CONFIG, "paper")


def test_every_kind_of_generator_has_a_method(paper: Config) -> None:
    generated = {paper.implementation(name) for name in paper.methods if "generator" in paper.needs(name)}
    assert generated == set(generators.KINDS)


def test_a_generator_is_one_for_all_sizes_and_networks(paper: Config) -> None:
    for name in generators.KINDS:
        trained = paper.generator_parameters("cifar10", name)
        for ipc, network in ((1, "convnet"), (50, "alexnet")):
            assert paper.parameters("cifar10", name, network, ipc) == trained


def test_table6_has_every_published_cell(paper: Config) -> None:
    listed = {(e.set.dataset, e.set.ipc, e.set.method, e.recipe) for e in paper.target_evaluations("table6")}
    cells = published.table("table6_generative", ROOT / "config/published").to_dict("records")
    assert len(cells) == 18
    for cell in cells:
        for recipe in [cell["recipe"]] if cell["recipe"] else ["dc", "dsa"]:
            assert (cell["dataset"], cell["ipc"], cell["method"], recipe) in listed


def test_variants_of_mmd_differ_in_their_kernels(paper: Config) -> None:
    variants = [name for name in paper.methods if paper.implementation(name) == "mmd"]
    kernels = {name: paper.parameters("cifar10", name, "convnet", 10)["kernel"] for name in variants}
    assert kernels.pop("mmd") == kernels.pop("mmd-whole-class") == "linear"
    assert set(kernels.values()) == {"polynomial", "rbf", "laplacian"}
    assert all(name.split("-")[1] == kernel for name, kernel in kernels.items())


WRONG = [
    (
        "methods.yaml",
        ("vae", "overrides"),
        [{"when": {"dataset": ["digits"], "ipc": [1]}, "set": {"noise": 8}}],
        "vae.overrides[0].when: one generator of vae serves every ipc and network; give",
    ),
    (
        "protocols/smoke.yaml",
        ("methods", "biggan", "overrides"),
        [{"when": {"network": ["mlp"]}, "set": {"noise": 8}}],
        "methods.biggan.overrides[0].when: one generator of biggan serves",
    ),
    (
        "protocols/smoke.yaml",
        ("methods", "biggan", "parameters", "strategy"),
        "crop_crop",
        "methods.biggan.parameters.strategy: must be none, or families",
    ),
    (
        "protocols/smoke.yaml",
        ("methods", "mmd", "parameters", "kernel"),
        "cosine",
        "methods.mmd.parameters.kernel: must be one of linear, polynomial, rbf, laplacian",
    ),
    (
        "protocols/smoke.yaml",
        ("search", "proxies"),
        ["vae"],
        "search.proxies: vae needs networks trained on",
    ),
    (
        "protocols/smoke.yaml",
        ("targets", "figure4", 0, "methods"),
        ["gmmn"],
        "targets.figure4[0].methods: gmmn does not learn its images",
    ),
]


@pytest.mark.parametrize(("file", "keys", "value", "expected"), WRONG)
def test_a_wrong_value_is_one_line(
    tmp_path: Path, file: str, keys: tuple[str | int, ...], value: Any, expected: str
) -> None:
    folder = shutil.copytree(CONFIG, tmp_path / "config")
    edit(folder / file, keys, value)
    with pytest.raises(CondenseryError) as caught:
        load_config(folder, "smoke")
    assert str(caught.value).startswith(f"{folder / file}: ")
    assert expected in str(caught.value)
