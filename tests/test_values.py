"""Values of options and of config/: one line for values out of range, and for those that YAML misreads."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from condensery import console
from condensery.errors import CondenseryError
from condensery.experiment import load_config
from condensery.experiment.reading import read
from tests import scripts

CONFIG = Path(__file__).parents[1] / "config"


def refused(tmp_path: Path, text: str) -> str:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(CondenseryError) as error:
        read(file)
    assert str(error.value).startswith(f"{file}:")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", "the truth value true"),
        ("off", "the truth value false"),
        ("060", "the number 48"),
        ("0x10", "the number 16"),
        ("1_000", "the number 1000"),
        ("1:00", "the number 60"),
        ("1:30.5", "the number 90.5"),
        ("2024-01-31", "the date 2024-01-31"),
    ],
)
def test_what_yaml_takes_for_another_value_is_refused_with_a_word_about_quotes(
    tmp_path: Path, written: str, value: str
) -> None:
    message = refused(tmp_path, f"first: 1\nkey: [{written}]\n")
    assert f"line 2: {written} is {value} for YAML: " in message
    assert f'"{written}" in quotes if it is a text' in message
    assert f"{written} is " in refused(tmp_path, f"{written}: 1\n")
    (tmp_path / "quoted.yaml").write_text(f'key: "{written}"\n')
    assert read(tmp_path / "quoted.yaml") == {"key": written}


@pytest.mark.parametrize(
    "written", ["true", "false", "0", "-3", "10", "1.5", "1.0e-3", ".5", "null", "a", "5."]
)
def test_what_everyone_reads_alike_is_read(tmp_path: Path, written: str) -> None:
    (tmp_path / "a.yaml").write_text(f"key: {written}\n")
    assert read(tmp_path / "a.yaml") == {"key": yaml.safe_load(written)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\na: 2\n", "key 'a' is given twice"),
        ("[1]: 2\n", "cannot be read as YAML"),
        ("a: 2024-13-45\n", "cannot be read as YAML"),
        ("a: !!int x\n", "cannot be read as YAML"),
        (f"a: {'1' * 5000}\n", "cannot be read as YAML"),
        (f"a: {'[' * 100_000}\n", "nested more than 200 deep"),  # beyond the stack of the loader in C
        ("- " * 100_000 + "\n", "nested more than 200 deep"),
        ("a: &a [*a]\n", "an alias that contains itself"),
        ("a0: &a0 1\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}]\n" for i in range(1, 9)), "stand for"),
        ("a: \t1\n\tb: 2\n", "a.yaml"),
    ],
)
def test_what_yaml_itself_trips_over_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    assert says in refused(tmp_path, text)


def test_a_file_that_is_not_utf8_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(CondenseryError, match=r"a\.yaml: cannot be read as YAML \(not UTF-8\)"):
        read(tmp_path / "a.yaml")


HUGE = 10**400

VALUES = [
    ("protocols/smoke.yaml", "networks: ", 1001, "networks: must be at most 1000, not 1001"),
    ("protocols/smoke.yaml", "networks: ", -1, "networks: must be at least 1, not -1"),
    ("protocols/smoke.yaml", "sets: ", 0, "sets: must be at least 1, not 0"),
    ("protocols/smoke.yaml", "sets: ", 1.5, "sets: must be a whole number, not 1.5"),
    ("protocols/smoke.yaml", "sets: ", 10**9, "sets: must be at most 1000"),
    ("protocols/smoke.yaml", "whole_networks: ", HUGE, "whole_networks: must be at most 1000, not 1000"),
    ("protocols/smoke.yaml", "iterations: ", "1e3", "a text for YAML: write exponents as 1.0e-3"),
    ("methods.yaml", "lr_img: ", HUGE, "lr_img: must be at most 100000"),
    ("methods.yaml", "lr_img: ", "1.0e+30", "lr_img: must be at most 100000"),
    ("methods.yaml", "lr_img: ", -1.0, "lr_img: must be greater than 0"),
    ("methods.yaml", "batch_real: ", HUGE, "batch_real: must be at most 1000000"),
    ("recipes.yaml", "epochs: ", 0, "epochs: must be at least 1"),
    ("config.yaml", "data_dir: ", 60, 'data_dir: must be a text, not 60: put "60" in quotes'),
    ("config.yaml", "data_dir: ", "true", 'must be a text, not True: put "true" in quotes'),
    ("datasets.yaml", "classes: ", "[0, 1]", 'put "0" in quotes'),
    ("datasets.yaml", "classes: ", '["a", null]', 'put "null" in quotes'),
]


@pytest.mark.parametrize(("name", "key", "value", "says"), VALUES, ids=lambda v: str(v)[:20])
def test_a_value_of_the_configuration_that_is_out_of_range_is_one_line(
    tmp_path: Path, name: str, key: str, value: object, says: str
) -> None:
    folder = tmp_path / "config"
    shutil.copytree(CONFIG, folder)
    lines = (folder / name).read_text().splitlines()
    first = next(n for n, line in enumerate(lines) if line.strip().startswith(key))
    lines[first] = lines[first].partition(key)[0] + f"{key}{value}"
    (folder / name).write_text("\n".join(lines))
    with pytest.raises(CondenseryError) as error:
        load_config(folder, "smoke")
    assert says in str(error.value)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["0", "-1", "11", "1.5", "1e1", "", "²", "٣", "1_0", "abc", "9" * 40, "nan"])
def test_an_option_that_is_no_whole_number_in_its_range_is_refused(text: str) -> None:
    with pytest.raises(CondenseryError, match=r"^--ipc .*: give a whole number from 1 to 10$"):
        console.whole_number("--ipc", 1, 10)(text)
    assert console.whole_number("--ipc", 1, 10)("7") == 7


CONDENSE = ("condense", "--data", "digits", "--method", "dm", "--out", "/nowhere/x")
EVALUATE = ("evaluate", "--data", "digits", "--whole", "--recipe", "dc", "--out", "/nowhere/x")
SEARCH = ("search", "--data", "digits", "--whole", "--out", "/nowhere/x")


@pytest.mark.parametrize(
    "words",
    [
        (*CONDENSE, "--ipc", "0", "--seed", "0"),
        (*CONDENSE, "--ipc", "1", "--seed", "-1"),
        (*CONDENSE, "--ipc", "1", "--seed", str(2**62)),
        (*EVALUATE, "--threads", "0"),
        (*EVALUATE, "--threads", "-5"),
        (*EVALUATE, "--threads", "99999"),
        (*EVALUATE, "--networks", "1001"),
        (*EVALUATE, "--networks", "0"),
        ("plan", "--protocol", "smoke", "--devices", "0"),
        ("import_set", "x.pt", "--data", "digits", "--experiment", "-1", "--out", "/nowhere/x"),
    ],
    ids=lambda words: " ".join(words[-2:]),
)
def test_a_script_refuses_a_number_before_it_does_anything(words: tuple[str, ...]) -> None:
    done = scripts.run(*words)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: --")
    assert ": give a whole number from " in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe rule condense:\n",
        b"rule condense:\n    wildcards: dataset=digits\n    resources: gpu=1\n",
        b"rule prepare:\n    wildcards: x=y\n    resources: mem_mb=much\n",
        b"rule nothing:\n    resources: gpu=1\n",
    ],
)
def test_what_is_no_dry_run_is_refused_in_one_line(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    done = scripts.run("plan", "--protocol", "smoke")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "; give it the output of a dry run" in done.stderr
