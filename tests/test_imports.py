"""The order of the library's packages: each imports only lower ones, and none imports the workflow."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import condensery

PACKAGE = Path(condensery.__file__).resolve().parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}


def imported(path: Path, *, deferred: bool = False) -> Iterator[str]:
    """Yield the modules that a file imports; if ``deferred``, including those inside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if deferred else tree.body:
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            for each in node.names:
                full = f"{node.module}.{each.name}"
                yield full if full in MODULES else str(node.module)


def package_of(module: str) -> str:
    """Return the package of a module of the library, or the module itself at the root."""
    return ".".join(module.split(".")[:2])


@pytest.fixture(scope="module")
def uses() -> dict[str, set[str]]:
    """Return module -> the modules of the library that it imports."""
    return {name: set(imported(path)) for name, path in MODULES.items()}


@pytest.fixture(scope="module")
def packages(uses: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return package -> the other packages of the library that it imports."""
    found: dict[str, set[str]] = {}
    for name, used in uses.items():
        others = {package_of(each) for each in used if each.startswith("condensery.")}
        found.setdefault(package_of(name), set()).update(others - {package_of(name)})
    return found


def below(name: str, graph: dict[str, set[str]]) -> set[str]:
    """Return the packages that a package imports, directly or indirectly."""
    reached: set[str] = set()
    pending = [name]
    while pending:
        new = graph.get(pending.pop(), set()) - reached
        reached |= new
        pending += new
    return reached


@pytest.mark.parametrize("of", ["uses", "packages"])
def test_no_import_runs_in_a_circle(of: str, request: pytest.FixtureRequest) -> None:
    try:
        TopologicalSorter(request.getfixturevalue(of)).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


@pytest.mark.parametrize(
    ("package", "others"),
    [
        ("reporting", ["methods", "generators", "commands"]),
        ("methods", ["reporting", "rows", "search", "continual", "cost", "commands"]),
        ("training", ["methods", "experiment", "reporting", "commands"]),
        ("experiment", ["methods", "training", "data", "run", "commands"]),
        ("synthetic", ["experiment", "methods", "training", "commands"]),
    ],
)
def test_a_package_reaches_nothing_that_lies_above_it(
    packages: dict[str, set[str]], package: str, others: list[str]
) -> None:
    assert f"condensery.{package}" in packages
    reached = below(f"condensery.{package}", packages)
    assert not reached & {f"condensery.{each}" for each in others}


def test_methods_do_not_evaluate(uses: dict[str, set[str]]) -> None:
    reached = set().union(*(below(name, uses) for name in uses if name.startswith("condensery.methods.")))
    assert "condensery.training.evaluation" not in reached


def test_the_library_knows_nothing_of_the_workflow() -> None:
    for path in MODULES.values():
        tops = {each.partition(".")[0] for each in imported(path, deferred=True)}
        assert not tops & {"snakemake", "dvc", "scripts", "benchmarks", "tests"}, path


def test_few_modules_lie_loose_at_the_root() -> None:
    assert len([path for path in PACKAGE.glob("*.py") if not path.stem.startswith("__")]) <= 12


JOBS = (
    "condense",
    "evaluate",
    "pretrain",
    "pool",
    "train_generator",
    "gather",
    "continual",
    "search",
    "search_test",
)


@pytest.mark.parametrize("command", JOBS)
def test_a_job_starts_without_what_only_reports_need(uses: dict[str, set[str]], command: str) -> None:
    reached = {name.partition(".")[0] for name in below(f"condensery.commands.{command}", uses)}
    assert "torch" in reached or command == "gather"
    assert not reached & {"scipy", "sklearn", "matplotlib", "jinja2"}
