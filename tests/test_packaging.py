"""The project: consistent versions, scripts that start, no dependence on one machine."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.scripts import run

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
SCRIPTS = sorted(path.stem for path in (ROOT / "scripts").glob("*.py"))
# Names under which packages are imported, where they differ from those under which they are installed.
IMPORTED_AS = {"pillow": "PIL", "scikit-learn": "sklearn", "pyyaml": "yaml"}
# Imported by one function only, whose error names the missing package.
OPTIONAL = {"datasets"}


def _pins(lines: list[str]) -> dict[str, str]:
    """Return {canonical name: version}, having checked that every line pins one version exactly."""
    pins: dict[str, str] = {}
    for line in lines:
        requirement = Requirement(line)
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", line
        name = canonicalize_name(requirement.name)
        assert name not in pins, f"{name} is pinned twice"
        pins[name] = specifier.version
    return pins


def _lock() -> dict[str, str]:
    text = (ROOT / "requirements.lock").read_text()
    return _pins(re.findall(r"^([^\s#].*) \\$", text, re.MULTILINE))


def _conda() -> tuple[list[str], dict[str, str]]:
    """Return environment.yml's conda packages and its pins of Python packages."""
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (pip,) = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    return [entry for entry in entries if isinstance(entry, str)], _pins(pip)


def _requirements(*extras: str) -> dict[str, Requirement]:
    listed = [*PROJECT["dependencies"]]
    for extra in extras:
        listed += PROJECT["optional-dependencies"][extra]
    requirements = [Requirement(text) for text in listed]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def _tracked() -> list[Path]:
    """Return the files that are in the repository, or would be by `git add --all`."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def test_every_requirement_allows_its_locked_version() -> None:
    lock = _lock()
    for name, requirement in _requirements("workflow", "docs", "dev").items():
        assert requirement.specifier.contains(lock[name]), f"{requirement} does not allow {name} {lock[name]}"


def test_every_locked_file_is_named_by_its_digest() -> None:
    text = (ROOT / "requirements.lock").read_text()
    release = r"[^\s#].* \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+"
    assert re.fullmatch(rf"(?:#.*\n)+(?:{release})+", text)


def test_conda_environment_pins_the_direct_requirements_as_the_lock_does() -> None:
    lock = _lock()
    conda, pins = _conda()
    assert pins == {name: lock[name] for name in _requirements("workflow", "dev")}
    (python,) = [entry.partition("=")[2] for entry in conda if entry.startswith("python=")]
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(python)


def test_environment_has_the_locked_versions() -> None:
    """Applies to the environment of `make env`; other environments need not follow the lock."""
    from importlib import metadata

    have = {name: metadata.version(name) for name in _requirements("workflow", "docs", "dev")}
    assert have == {name: _lock()[name] for name in have}


def test_supported_pythons() -> None:
    supported = Requirement(f"python{PROJECT['requires-python']}").specifier
    assert not supported.contains("3.10")
    assert all(supported.contains(version) for version in ("3.11", "3.12", "3.13"))
    assert sys.version_info[:2] >= (3, 11)


def test_all_code_is_of_the_oldest_supported_python() -> None:
    folders = (ROOT / "src", ROOT / "scripts", ROOT / "benchmarks")
    for path in (path for folder in folders for path in folder.rglob("*.py")):
        ast.parse(path.read_text(), filename=str(path), feature_version=(3, 11))


def test_every_import_of_the_library_is_a_declared_requirement() -> None:
    declared = {IMPORTED_AS.get(name, name) for name in _requirements()}
    imported: dict[str, Path] = {}
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0]: path for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported[node.module.partition(".")[0]] = path
    foreign = set(imported) - set(sys.stdlib_module_names) - {"condensery"} - OPTIONAL
    assert foreign - declared == set(), {name: str(imported[name]) for name in foreign - declared}
    assert declared - foreign == set(), "declared, but nothing imports it"


@pytest.mark.slow
def test_library_imports_without_snakemake_and_dvc() -> None:
    code = """
import importlib, pkgutil, sys
for name in ("snakemake", "dvc", "dvc_ssh", "pytest", "hypothesis"):
    sys.modules[name] = None
import condensery
modules = [module.name for module in pkgutil.walk_packages(condensery.__path__, "condensery.")]
for name in modules:
    importlib.import_module(name)
print(len(modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10


def test_tables_and_pages_do_not_wait_for_pytorch() -> None:
    code = """
import runpy, sys
for script in ("table", "cost", "report", "continual_report", "search_report", "trajectory"):
    runpy.run_path(f"scripts/{script}.py")
    if "torch" in sys.modules:
        sys.exit(f"{script} imports torch")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_explains_itself(script: str, tmp_path: Path) -> None:
    done = run(script, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"python scripts/{script}.py" in done.stdout, "--help shows no example to copy"
    assert list(tmp_path.iterdir()) == []


def test_tracked_files_are_small() -> None:
    large = {str(path): path.stat().st_size for path in _tracked() if path.stat().st_size > 2 * 2**20}
    assert large == {}


def test_tracked_files_name_no_machine() -> None:
    folders = "|".join(("home", "Users", "root", "work", "opt", "tmp"))
    absolute = re.compile(rf"(?<![\w.$}}~>-])/(?:{folders})/\w".encode())
    index = re.compile(b"//[^/\\s\"']*(?:" + b"|".join((b"pypi", b"pythonhosted", b"anaconda")) + b")")
    found = [
        f"{path.relative_to(ROOT)}: {match.group().decode()}"
        for path in _tracked()
        for match in [*absolute.finditer(path.read_bytes()), *index.finditer(path.read_bytes())]
        if b"\0" not in path.read_bytes()[:4096]
    ]
    assert found == []


def test_readme_commands_are_make_targets() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    named = {name for page in pages for name in re.findall(r"`?\bmake ([a-z-]+)`", page.read_text())}
    assert {"quickstart", "test"} <= named <= targets


def test_another_pytorch_keeps_all_other_locked_versions(tmp_path: Path) -> None:
    wanted = "torch==2.11.0+cu126 torchvision==0.26.0+cu126"
    command = ["make", "--dry-run", "env", f"VENV={tmp_path}", f"TORCH={wanted}", "TORCH_INDEX=file:///index"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    steps = [line for line in done.stdout.splitlines() if line.startswith(("sed", "python -m pip"))]
    kept = tmp_path / "requirements.txt"
    assert f"--extra-index-url file:///index --constraint {kept} " in steps[1]
    assert steps[1].endswith(wanted)
    assert steps[2].endswith(f"--requirement {kept}")
    assert "pip check" in steps[-1]
    subprocess.run(["bash", "-c", steps[0]], cwd=ROOT, check=True)
    lines = [line for line in kept.read_text().splitlines() if line and not line.startswith("#")]
    have, lock = _pins(lines), _lock()
    dropped = lock.keys() - have.keys()
    assert have == {name: version for name, version in lock.items() if name not in dropped}
    assert {"torch", "torchvision", "triton"} <= dropped
    assert all(name.startswith(("torch", "triton", "nvidia-", "cuda-", "setuptools")) for name in dropped)
