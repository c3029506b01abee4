"""The pages of the targets: one for each, in one form, with commands that plan and the published numbers."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from condensery.experiment import load_config
from condensery.reporting.specs import SPECS
from tests.pages import ROOT, blocks, page, sections, table

FOLDER = Path("docs/targets")
INDEX = page(f"{FOLDER}/README.md")
# page -> the targets that it is about.
PAGES = {
    re.search(r"\((\w+\.md)\)", line["page"])[1]: re.findall(r"`(\w+)`", line["target"])
    for line in table(INDEX)
}
CONFIGS = {
    path.stem: load_config(ROOT / "config", path.stem)
    for path in (ROOT / "config" / "protocols").glob("*.yaml")
}
LISTED = {protocol: config.targets() for protocol, config in CONFIGS.items()}
COMMAND = re.compile(r"snakemake --cores all (?:--config protocol=(\w+) -- )?([\w ]+)")


def test_every_target_has_a_page_and_every_page_a_target() -> None:
    about = [target for targets in PAGES.values() for target in targets]
    assert sorted(about) == sorted({target for targets in LISTED.values() for target in targets})
    assert {path.name for path in (ROOT / FOLDER).glob("*.md")} == {*PAGES, "README.md"}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_the_form_of_the_index(name: str) -> None:
    (form,) = [block.text for block in blocks(INDEX) if "## Published" in block.text]
    found = sections(page(f"{FOLDER}/{name}"))
    assert list(found) == re.findall(r"^## (.*)$", form, re.MULTILINE)
    assert all(text.strip() for text in found.values())


@pytest.mark.parametrize("name", PAGES)
def test_the_commands_of_a_page_name_what_their_protocol_lists(name: str) -> None:
    outputs = set()
    for line in blocks(page(f"{FOLDER}/{name}"))[0].text.splitlines():
        protocol, targets = COMMAND.fullmatch(line).groups()
        assert set(targets.split()) <= set(LISTED[protocol or "paper"]), line
        outputs.update(targets.split())
    assert outputs == set(PAGES[name])


def test_the_command_of_the_index_is_that_of_the_pages() -> None:
    (command,) = re.findall(r"`(snakemake .*protocol=smoke -- )<target>`", INDEX)
    for target in LISTED["smoke"]:
        assert COMMAND.fullmatch(command + target).groups() == ("smoke", target)


@pytest.mark.parametrize("name", PAGES)
def test_published_numbers_are_those_of_the_files(name: str) -> None:
    text = sections(page(f"{FOLDER}/{name}"))["Published"]
    lines: list[dict[str, str]] = []
    for file in re.findall(r"`(config/published/\w+\.csv)`", text):
        with (ROOT / file).open() as stream:
            lines += csv.DictReader(stream)
    quoted = table(text)
    assert lines or not quoted
    for cells in quoted:
        assert any(cells.items() <= line.items() for line in lines), cells
    numbers = {number for line in lines for number in line.values()}
    for number in re.findall(r"(\d+\.\d+)", re.sub(r"^\|.*$", "", text, flags=re.MULTILINE)):
        assert number in numbers, number


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_says_of_the_laptop_protocol(name: str) -> None:
    text = sections(page(f"{FOLDER}/{name}"))["Under `laptop`"].strip()
    listed = [target for target in PAGES[name] if target in LISTED["laptop"]]
    assert text.startswith("Not listed") == (not listed)
    for target in listed:
        for file in (f"tables/{target}.md", f"figures/{target}.png"):
            committed = (ROOT / "results/laptop" / file).exists()
            assert (f"results/laptop/{file})" in text) == committed, file


@pytest.mark.parametrize("table", [name for name in CONFIGS["paper"].spec["targets"] if name in SPECS])
def test_the_cost_of_a_table_is_that_of_its_cells(table: str) -> None:
    config = CONFIGS["paper"]
    (name,) = [name for name, targets in PAGES.items() if table in targets]
    cost = " ".join(sections(page(f"{FOLDER}/{name}"))["Cost"].split())
    networks = len(config.target_evaluations(table)) * config.spec["networks"]
    assert re.search(rf"\b{len(config.target_sets(table)):,} sets\b", cost)
    assert re.search(rf"\b{networks:,} networks\b", cost)
