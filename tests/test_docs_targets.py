"""The pages of the targets: a page for each target, valid commands, and the published numbers."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from condensery.experiment import load_config
from condensery.experiment.catalog import TARGETS
from tests.pages import ROOT, blocks, page, sections, table

FOLDER = Path("docs/targets")
INDEX = page(f"{FOLDER}/README.md")
# page -> the targets that it describes.
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
    assert len(about) == len(set(about))
    assert {*LISTED["paper"], *LISTED["laptop"]} <= set(about) <= set(TARGETS)
    assert {path.name for path in (ROOT / FOLDER).glob("*.md")} == {*PAGES, "README.md"}


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
def test_tables_of_published_numbers_are_those_of_the_files(name: str) -> None:
    text = sections(page(f"{FOLDER}/{name}"))["Published"]
    lines: list[dict[str, str]] = []
    for file in re.findall(r"`(config/published/\w+\.csv)`", text):
        with (ROOT / file).open() as stream:
            lines += csv.DictReader(stream)
    quoted = table(text)
    assert lines or not quoted
    for cells in quoted:
        assert any(cells.items() <= line.items() for line in lines), cells
