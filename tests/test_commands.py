"""The command `condensery`: its subcommands are the scripts, and start without needless imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

import condensery
from condensery import __main__ as command

ROOT = Path(__file__).resolve().parents[1]


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Run `condensery` in this process; return its exit status, standard output and standard error."""
    with mock.patch.object(sys, "argv", ["condensery", *map(str, words)]):
        try:
            status = command.main()
        except SystemExit as end:
            status = end.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_every_script_is_a_command_and_says_in_the_help_what_it_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scripts = {path.stem.replace("_", "-") for path in (ROOT / "scripts").glob("*.py")}
    assert scripts <= command.summaries().keys()
    _, shown, _ = run(capsys, "--help")
    for name, summary in command.summaries().items():
        assert summary, name
        assert f"  {name} " in shown
        assert summary in shown


@pytest.mark.parametrize("name", command.summaries())
def test_a_command_has_help_and_version(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, shown, _ = run(capsys, name, "--help")
    assert (status, shown.split()[:3]) == (0, ["usage:", "condensery", name])
    assert run(capsys, name, "--version") == (0, f"condensery {condensery.__version__}\n", "")


def test_what_is_no_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, error = run(capsys, "condens")
    assert status == 2
    assert "'condens'" in error
    assert "'condense'" in error


def test_a_command_reads_what_its_script_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "prepare", "--config", ROOT / "config", "--data", "digits", "--out", "new")[0] == 0
    assert (tmp_path / "new" / "info.json").is_file()


@pytest.mark.parametrize("name", ["condense", "table"])
def test_in_a_wrong_folder_a_command_says_where_to_run_it(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = {
        "condense": ("--data", "digits", "--method", "dm", "--ipc", 1, "--seed", 0, "--out", "x.safetensors"),
        "table": ("--table", "table1", "--protocol", "smoke", "--rows", "x.parquet", "--out", "x"),
    }
    status, _, error = run(capsys, name, *words[name])
    assert status == 1
    assert error.startswith(f"error: config: no such folder in {tmp_path}: run this in the project's folder")
    assert list(tmp_path.iterdir()) == []


def test_help_and_tables_do_not_wait_for_pytorch() -> None:
    for words in (["--help"], ["table", "--help"], ["report", "--help"]):
        code = "import runpy, sys\n"
        code += f"sys.argv = ['condensery', *{words}]\n"
        code += "try:\n    runpy.run_module('condensery', run_name='__main__')\n"
        code += "except SystemExit:\n    sys.exit('torch' in sys.modules)\n"
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
