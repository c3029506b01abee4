"""The package as users install it: a wheel, without the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

import condensery
from condensery.synthetic import SyntheticSet
from tests.pages import blocks, page

ROOT = Path(__file__).resolve().parents[1]
README_SET = "results/quickstart/synthetic/digits/dm/convnet-d2-w32/ipc10/seed0.safetensors"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, built from a copy of its sources because a build leaves files in them."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    words = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", *words, "--wheel-dir", folder, folder], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which only the wheel is installed."""
    target = tmp_path_factory.mktemp("installed")
    words = ["install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", *words, "--target", target, wheel], check=True)
    return target


def python(installed: Path, folder: Path, *words: object) -> str:
    """Run Python with the installed package in a folder, and return what it prints."""
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def small_set() -> SyntheticSet:
    """Return a set of two gray images."""
    return SyntheticSet(torch.zeros(2, 1, 4, 4), torch.tensor([0, 1]), ("zero", "one"), (0.5,), (0.25,))


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    source = ROOT / "src"
    wanted = {
        str(path.relative_to(source))
        for path in (source / "condensery").rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if name.startswith("condensery/")} == wanted
    assert wheel.name.startswith(f"condensery-{condensery.__version__}-")


@pytest.mark.slow
def test_the_snippets_of_the_readme_run_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    (tmp_path / README_SET).parent.mkdir(parents=True)
    small_set().save(tmp_path / README_SET)
    snippets = [block.text for block in blocks(page("README.md")) if block.language == "python"]
    code = "\n".join([*snippets, "print(condensery.__file__, len(dataset))", ""])
    assert snippets
    printed = python(installed, tmp_path, "-c", f"import condensery\n{code}")
    assert printed.split() == [str(installed / "condensery" / "__init__.py"), "2"]


@pytest.mark.slow
def test_the_command_shows_a_set_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    small_set().save(tmp_path / "mine.safetensors")
    shown = python(installed, tmp_path, installed / "bin" / "condensery", "show", "mine.safetensors")
    assert shown.startswith("mine.safetensors: synthetic set, 2 images of 1x4x4, 2 classes\n")


@pytest.mark.slow
def test_an_installed_package_reads_a_configuration(installed: Path, tmp_path: Path) -> None:
    code = f"import condensery, pathlib; path = pathlib.Path({str(ROOT / 'config')!r})\n"
    code += "print(condensery.load_config(path, 'smoke').protocol)"
    assert python(installed, tmp_path, "-c", code) == "smoke\n"


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, condensery; dir(condensery)\n"
    code += (
        "print(*(name for name in sys.modules if name.partition('.')[0] in ('torch', 'numpy', 'condensery')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "condensery\n"


def test_every_name_that_is_offered_is_there() -> None:
    for name in condensery.__all__:
        assert getattr(condensery, name).__name__.endswith(name)
    assert set(condensery.__all__) <= set(dir(condensery))
    assert condensery.SyntheticSet is SyntheticSet
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = condensery.nothing
