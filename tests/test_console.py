"""Ends of scripts: exit status and standard error."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from condensery import console
from condensery.errors import CondenseryError

SOURCE = Path(console.__file__).parents[1]


def raising(error: BaseException) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


def run_script(body: str, **options: object) -> subprocess.CompletedProcess:
    """Run `body` as the main function of a script."""
    code = "import logging, sys\nfrom condensery import console\n"
    code += f"def main():\n    {body}\nraise SystemExit(console.run(main))\n"
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    return subprocess.run([sys.executable, "-c", code], env=environment, text=True, check=False, **options)


def test_success_is_zero_and_silent(capsys: pytest.CaptureFixture) -> None:
    assert console.run(lambda: None) == 0
    assert capsys.readouterr() == ("", "")


def test_an_error_for_people_is_one_line(capsys: pytest.CaptureFixture) -> None:
    assert console.run(raising(CondenseryError("a.yaml: no key 'ipc';\n  add it"))) == 1
    assert capsys.readouterr() == ("", "error: a.yaml: no key 'ipc'; add it\n")


def test_a_path_that_cannot_be_used_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    missing = tmp_path / "nowhere.csv"
    assert console.run(lambda: print(missing.read_text())) == 1
    assert capsys.readouterr() == ("", f"error: {missing}: no such file or directory\n")
    assert console.run(lambda: print(tmp_path.read_text())) == 1
    assert capsys.readouterr() == ("", f"error: {tmp_path}: is a directory\n")
    denied = PermissionError(13, "Permission denied", str(missing))
    assert console.run(raising(denied)) == 1
    assert capsys.readouterr() == ("", f"error: {missing}: permission denied\n")


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyError("x"), FileNotFoundError("no name"), OSError("x")]
)
def test_defects_keep_their_traceback(error: Exception) -> None:
    with pytest.raises(type(error)):
        console.run(raising(error))


def test_interrupted_from_the_keyboard(capsys: pytest.CaptureFixture) -> None:
    assert console.run(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr() == ("", "error: interrupted\n")


def test_argparse_and_scripts_keep_their_own_exit_status() -> None:
    with pytest.raises(SystemExit) as ended:
        console.run(raising(SystemExit(2)))
    assert ended.value.code == 2


def test_log_lines_go_to_standard_error_with_the_time_of_day() -> None:
    ended = run_script("logging.getLogger('x').info('step %d', 3); print('result')", capture_output=True)
    assert ended.returncode == 0
    assert ended.stdout == "result\n"
    time, message = ended.stderr.split(" ", 1)
    assert [len(part) for part in time.split(":")] == [2, 2, 2]
    assert message == "step 3\n"


def test_a_reader_that_leaves_early_gets_no_complaint() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = run_script("print('x' * 10)", stdout=writer, stderr=subprocess.PIPE)
    finally:
        os.close(writer)
    assert ended.returncode == 1
    assert ended.stderr == ""
