"""The golden value of each method, within the tolerance of rounding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from condensery import methods
from condensery.data import RealData
from tests.golden import CORRUPTED, corrupted, digits, golden, read, trained

GOLDEN = read()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> RealData:
    return digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def files(real: RealData, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    return trained(tmp_path_factory.mktemp("trained"), real)


# Relative to the largest sum of a golden value. Other rounding changes the sums by less than 1e-6, another
# seed by more than 0.4. But Adam's first steps have the size of its rate for any gradient, even a rounding
# error.
WITHIN = {"biggan": 5e-2, "vae": 5e-2}


def near(name: str, values: list[float]) -> Any:
    """Return an approximation that the values satisfy on any processor."""
    return pytest.approx(values, rel=0, abs=WITHIN.get(name, 1e-4) * max(map(abs, values)))


def test_every_method_has_a_golden_value() -> None:
    assert sorted(GOLDEN) == methods.names(), "write what is missing with: python -m tests.golden METHOD"


@pytest.mark.parametrize("name", methods.names())
def test_a_method_keeps_its_golden_value(name: str, real: RealData, files: dict[str, list[Path]]) -> None:
    found = golden(name, real, files)
    assert found.keys() == GOLDEN[name].keys()
    for key, values in GOLDEN[name].items():
        assert found[key] == (values if key == "indices" else near(name, values)), key


def test_every_corruption_keeps_its_strength() -> None:
    known = json.loads(CORRUPTED.read_text())
    found = corrupted()
    assert found.keys() == known.keys()
    for kind, levels in known.items():
        # Other arithmetic may round some of 6,144 pixels to a neighboring whole number.
        assert found[kind] == [pytest.approx(each, rel=0, abs=0.05) for each in levels], kind
