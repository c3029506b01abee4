"""A score against values computed by hand, against separately trained networks, and from a cache."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from jsonschema import Draft202012Validator
from scipy import stats

import condensery
from condensery import load_config, rows, streams
from condensery.errors import CondenseryError
from condensery.jobs import Job
from condensery.scoring import (
    Comparison,
    Score,
    attack,
    cells,
    corruptions,
    examining,
    formulas,
    report,
    score_set,
    scores,
)
from condensery.scoring.cells import Store, random_set
from condensery.scoring.examining import Wanted
from condensery.scoring.opening import in_space, open_job
from condensery.synthetic import SyntheticSet
from condensery.training.evaluation import evaluate
from condensery.training.samples import Samples
from condensery.training.stacking import StackedNetworks
from tests.problems import CPU, real_data
from tests.scripts import ROOT, run

DATA = real_data(channels=1)
JOB = Job(load_config(ROOT / "config", "smoke"), "digits", DATA, "convnet-d2-w16", CPU)
COUNTS = [2, 2, 2]


def scored(
    synthetic: SyntheticSet, folder: Path | None = None, name: str = "mine", **changes: object
) -> Score:
    comparison = Comparison(networks=2, whole_networks=2, store=Store(folder))
    return score_set(JOB, synthetic, name, replace(comparison, **changes))


def network_of(accuracy: float) -> cells.Network:
    return cells.Network({"accuracy": accuracy}, {})


# ---- formulas


@pytest.mark.parametrize(("ior", "hlr", "wanted"), [(14, 35, 22.65), (20, 22, 26.47), (0, 0, 26.89)])
def test_lrs_of_fractions_is_what_the_formula_gives_by_hand(ior: float, hlr: float, wanted: float) -> None:
    # (e^a - e^-1) / (e - e^-1) with a = 0.5 * 0.14 - 0.5 * 0.35 = -0.105 is 0.2265, and so on.
    found = formulas.label_robust([60.0], [60.0], [60.0 - ior], [60.0 + hlr])
    assert found.value == pytest.approx(wanted, abs=0.01)
    assert (found.low, found.high) == (None, None)


def test_the_scores_end_at_0_and_100() -> None:
    assert formulas.normalized(-100) == pytest.approx(0)
    assert formulas.normalized(100) == pytest.approx(100)


def test_ars_weighs_the_gains_with_and_without_augmentation() -> None:
    # Gains of 20 and 10 points: b = 0.15, (e^0.15 - e^-1) / (e - e^-1) = 0.3378.
    assert formulas.augmentation_robust([50], [30], [40], [30]).value == pytest.approx(33.78, abs=0.01)


def test_intervals_are_those_of_student_and_of_welch() -> None:
    one, other = [41.0, 42.0, 43.5], [30.0, 36.0, 33.0, 31.0]
    low, high = stats.t.interval(0.95, 2, loc=sum(one) / 3, scale=stats.sem(one))
    found = formulas.accuracy(one)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    wanted = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    found = formulas.gain(one, other)
    assert (found.low, found.high) == (pytest.approx(wanted.low), pytest.approx(wanted.high))


def test_a_random_set_is_within_the_interval_of_one_in_95_of_100() -> None:
    # Mean 40, variance 8, and 12.706 is Student's t for one degree of freedom.
    found = formulas.random_set([38.0, 42.0])
    assert (found.low, found.high) == (0.0, pytest.approx(40 + 12.7062 * math.sqrt(1.5 * 8), abs=1e-2))
    assert formulas.random_set([38.0]) == formulas.Estimate(38.0, None, None)
    draw = np.random.default_rng(0)
    inside = 0
    for _ in range(2000):
        # Sets vary by 3 points, networks on one set by 2; five networks on random images, three on the set.
        found = formulas.random_set(list(50 + draw.normal(0, 3, 5) + draw.normal(0, 2, 5)))
        score = 50 + draw.normal(0, 3) + draw.normal(0, 2, 3).mean()
        inside += found.low <= score <= found.high
    assert 0.94 <= inside / 2000 <= 0.985


def test_soft_and_hard_labels_of_one_network_are_not_independent() -> None:
    # What one network gains the other loses: their mean, and so LRS, does not vary with them.
    found = formulas.label_robust([50, 52, 54], [44, 42, 40], [30, 30, 30], [80, 80, 80])
    assert found.low == pytest.approx(found.high)


def test_an_interval_ends_where_accuracies_do() -> None:
    assert formulas.accuracy([90.0, 99.0]).high == 100
    assert formulas.accuracy([50.0, 50.0]) == formulas.Estimate(50.0, 50.0, 50.0)
    assert math.isclose(formulas.recovery([80.0], [70.0]).value, 10)


# ---- networks


def test_a_score_is_of_the_networks_that_an_evaluation_trains(tmp_path: Path) -> None:
    mine = random_set(JOB, COUNTS, 1, 7)
    score = scored(mine, tmp_path, whole_networks=0)
    recipe = JOB.recipe("dsa", 2, mine)
    outcomes = evaluate(JOB.network, Samples.of_set(mine, CPU), DATA.test, recipe, range(2), CPU)
    line = score.lines[0]
    assert line.accuracy.value == pytest.approx(sum(each.accuracy for each in outcomes) / 2)
    assert (line.whole, line.lrs, line.recovery) == (None, None, None)
    assert line.gain.value == pytest.approx(line.accuracy.value - line.random.value)
    assert score.ars_recipes == ("dsa", "plain")


def test_what_is_kept_is_not_trained_again_and_changes_nothing(tmp_path: Path) -> None:
    mine = random_set(JOB, COUNTS, 1, 7)
    first = scored(mine, tmp_path)
    assert asdict(scored(mine)) | {"rows": ()} == asdict(first) | {"rows": ()}
    with mock.patch.object(cells, "evaluate_each", side_effect=AssertionError):
        assert asdict(scored(mine, tmp_path)) == asdict(first)
        assert scored(mine, tmp_path, networks=1).lines[0].accuracy.low is None
    # More networks than the cache has: only the missing ones are trained, and the cached ones are unchanged.
    more = scored(mine, tmp_path, networks=3, recipes=("plain",), whole_networks=0)
    known = [row for row in first.rows if row["recipe"] == "plain" and row["method"] == "mine"]
    assert [row for row in more.rows if row["method"] == "mine"][:2] == known
    assert not list(tmp_path.glob(".*"))


def test_rows_of_other_code_are_measured_again_unless_they_are_released(tmp_path: Path) -> None:
    cell = cells.of_random(JOB, "dsa", random_set(JOB, COUNTS, 1, 7), 2)
    (network,) = cell.networks(1, Store(), Wanted())
    row = network.row
    rows.write_rows([row | {"code": "other", "accuracy": 1.5}], tmp_path / cell.file)
    assert cell.networks(1, Store(released=tmp_path), Wanted())[0].accuracy == 1.5
    assert cell.networks(1, Store(tmp_path), Wanted())[0].accuracy == row["accuracy"]


def test_other_tests_of_other_code_are_measured_again(tmp_path: Path) -> None:
    cell = cells.of_random(JOB, "dsa", random_set(JOB, COUNTS, 1, 7), 2)
    (network,) = cell.networks(1, Store(), Wanted(looks=1))
    # As a run without looks leaves them, after one with looks by earlier code.
    path = tmp_path / cell.file
    rows.write_rows([network.row], path)
    earlier = {**network.examinations[0], "code": "other", "accuracy": 1.5}
    rows.write_rows([earlier], path.with_suffix(".tests.parquet"), rows.EXAMINATION)
    assert cell.networks(1, Store(tmp_path), Wanted(looks=1))[0].tests == network.tests


def test_random_images_are_not_trained_on_where_two_networks_of_them_are_released(tmp_path: Path) -> None:
    released = tmp_path / "released"
    for recipe, networks in (("dsa", 2), ("plain", 3), ("dc", 1)):
        cells.of_random(JOB, recipe, random_set(JOB, COUNTS, 1, 7), 2).networks(
            networks, Store(released), Wanted()
        )
    mine = random_set(JOB, COUNTS, 1, 7)
    kept = {path.name: path.read_bytes() for path in released.iterdir()}
    store = Store(tmp_path / "cache", released)
    score = scored(mine, recipes=("dsa", "plain", "dc"), networks=3, whole_networks=0, store=store)
    assert [(line.networks, line.random_networks) for line in score.lines] == [(3, 2), (3, 3), (3, 3)]
    of_random = [path.name for path in store.cache.iterdir() if "-random-" in path.name]
    assert len(of_random) == 1
    assert "-dc-" in of_random[0]
    assert {path.name: path.read_bytes() for path in released.iterdir()} == kept
    assert score.ars is not None
    assert "n of random" in report.text([score])
    # Released and cached networks count, so that only the remaining ones are trained.
    more = replace(store, cache=tmp_path / "more")
    score = scored(mine, recipes=("dsa",), networks=3, random_networks=3, whole_networks=0, store=more)
    assert score.lines[0].random_networks == 3
    score = scored(mine, recipes=("dsa",), networks=4, whole_networks=0, store=more)
    assert score.lines[0].random_networks == 3
    # Released rows have no other tests.
    score = scored(mine, recipes=("dsa",), networks=3, whole_networks=0, store=store, wanted=Wanted(looks=1))
    assert score.lines[0].random_networks == 3


def test_rows_of_another_protocol_with_the_same_recipe_are_taken(tmp_path: Path) -> None:
    cell = cells.of_random(JOB, "plain", random_set(JOB, COUNTS, 1, 7), 2)
    (network,) = cell.networks(1, Store(tmp_path), Wanted())
    other = replace(cell, job=replace(JOB, config=replace(JOB.config, protocol="other")))
    with mock.patch.object(cells, "evaluate_each", side_effect=AssertionError):
        (taken,) = other.networks(1, Store(tmp_path), Wanted())
    assert taken.row == network.row | {"protocol": "other"}
    changed = replace(JOB.config, spec={**JOB.config.spec, "recipes": {"dsa": {"parameters": {"epochs": 7}}}})
    assert replace(cell, job=replace(JOB, config=changed)).file != cell.file


def test_every_random_network_sees_other_images_stored_as_the_set_stores_them() -> None:
    plain = random_set(JOB, COUNTS, 1, 0)
    assert plain.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert not torch.equal(plain.images, random_set(JOB, COUNTS, 1, 1).images)
    held = random_set(JOB, COUNTS, 2, 0)
    assert (len(held), len(held.decoded()), held.formation) == (6, 24, 2)
    # The first part of the first image is a real image of its class, reduced in size.
    pool = DATA.train.indices_of(0)
    real = torch.nn.functional.avg_pool2d(DATA.train.batch(pool, torch.device("cpu")), 2)
    assert (real - held.images[0, :, :8, :8]).abs().amax((1, 2, 3)).min() < 1e-6
    with pytest.raises(CondenseryError, match="class 2 has 15 training images"):
        random_set(JOB, [2, 2, 40], 1, 0)


def test_a_set_of_several_in_one_is_scored_beside_random_images_like_it(tmp_path: Path) -> None:
    held = random_set(JOB, COUNTS, 2, 7)
    score = scored(held, tmp_path, recipes=("plain",), whole_networks=0)
    assert (score.images_stored, score.images_trained_on) == (6, 24)
    assert {(row["images"], row["images_stored"], row["pixel_bytes"]) for row in score.rows} == {
        (24, 6, 6 * 256)
    }
    assert scored(held, tmp_path, recipes=("plain",), whole_networks=0) == score
    other = scored(random_set(JOB, COUNTS, 1, 7), name="other", recipes=("plain",), whole_networks=0)
    report.write([score, other], tmp_path / "out")
    kept = rows.read_rows([tmp_path / "out/rows.parquet"], "smoke")
    assert sorted(set(kept["method"])) == ["mine", "other", "random", "random-2x2"]


def test_the_whole_set_is_the_published_one_where_no_network_of_it_is_kept(tmp_path: Path) -> None:
    folder = ROOT / "config/published"
    job = replace(JOB, config=replace(JOB.config, protocol="paper"), name="cifar10", network="convnet")
    printed = scores._whole(job, "whole", Comparison(published=folder))
    assert (printed.accuracies, printed.source, printed.recipe) == ([84.8], "DM Table 1", "")
    own = {
        "set": [network_of(each) for each in (50.0, 54.0)],
        "random": [network_of(each) for each in (30.0, 31.0)],
    }
    line = scores._line(JOB.config.recipe("dsa", "digits", 2, "convnet"), own, printed)
    # By hand: HLR = 84.8 - 52; a = 0.5 * 0.215 - 0.5 * 0.328 = -0.0565, (e^a - e^-1) / (e - e^-1) = 0.2455.
    assert line.recovery.value == pytest.approx(32.8)
    assert line.recovery.low < line.recovery.value < line.recovery.high
    assert line.lrs.value == pytest.approx(24.55, abs=0.01)
    assert report.shown(line.whole) == "84.8"
    # Networks in the cache, requested networks and those of another protocol count as measured.
    whole = cells.of_whole(JOB, "whole")
    assert whole.kept(Store(tmp_path)) == 0
    found = scores._whole(JOB, "whole", Comparison(whole_networks=1, store=Store(tmp_path), published=folder))
    assert whole.kept(Store(tmp_path)) == len(found.accuracies) == 1
    with mock.patch.object(cells, "evaluate_each", side_effect=AssertionError):
        assert scores._whole(JOB, "whole", Comparison(store=Store(tmp_path), published=folder)) == found


def test_soft_labels_are_scored_with_and_without(tmp_path: Path) -> None:
    hard = random_set(JOB, COUNTS, 1, 7)
    soft = replace(hard, labels=torch.nn.functional.one_hot(hard.labels, 3).float() * 0.8 + 0.2 / 3)
    line = scored(soft, tmp_path, recipes=("dsa",)).lines[0]
    of_hard = scored(hard, tmp_path, recipes=("dsa",)).lines[0]
    assert line.hard == of_hard.accuracy
    assert line.recovery == of_hard.recovery


# ---- inputs and outputs


def test_tensors_in_any_space_are_the_set() -> None:
    mine = random_set(JOB, COUNTS, 1, 7)
    bytes_ = mine.uint8_images()
    for images, space in ((bytes_, None), (bytes_ / 255, None), (bytes_ / 255, "unit"), (mine.images, None)):
        found = in_space(images, mine.labels, DATA.info, space)
        assert torch.allclose(found.images, mine.images, atol=1e-5)
    with pytest.raises(CondenseryError, match=r"set in memory: .* any space; give --space uint8, unit or"):
        in_space(mine.images.clamp(min=-0.1), mine.labels, DATA.info)


def test_a_report_has_every_figure_and_rows_that_are_read_as_any(tmp_path: Path) -> None:
    score = scored(random_set(JOB, COUNTS, 1, 7))
    report.write([score], tmp_path)
    found = json.loads((tmp_path / "score.json").read_text())
    assert sorted(found) == ["confidence", "schema", "sets", "versions", "weight"]
    assert found["schema"] == "condensery-score/1"
    schema = json.loads((ROOT / "src/condensery/schemas/score.schema.json").read_text())
    validator = Draft202012Validator(schema)
    validator.check_schema(schema)
    validator.validate(found)
    found["sets"][0]["lines"][0]["accuracy"]["value"] = "high"
    assert [list(error.path) for error in validator.iter_errors(found)] == [
        ["sets", 0, "lines", 0, "accuracy", "value"]
    ]
    (one,) = found["sets"]
    assert set(one) == set(Score.__dataclass_fields__) - {"rows", "examinations"}
    assert set(one["lines"][0]["lrs"]) == {"value", "low", "high"}
    kept = rows.read_rows([tmp_path / "rows.parquet"], "smoke")
    assert kept.groupby(["method", "recipe"]).size().to_dict() == {
        ("mine", "dsa"): 2,
        ("mine", "plain"): 2,
        ("random", "dsa"): 2,
        ("random", "plain"): 2,
        ("whole", "whole"): 2,
        ("whole", "whole_plain"): 2,
    }
    page, text = (tmp_path / "report.html").read_text(), (tmp_path / "score.txt").read_text()
    assert "<h1>Score on Digits: mine</h1>" in page
    for shown in (
        "LRS",
        "ARS",
        "HLR",
        "Images stored",
        "Trained on",
        "Bytes",
        report.shown(score.lines[0].gain),
    ):
        assert shown in page
        assert shown in text


@pytest.mark.slow
def test_the_command_scores_digits_with_nothing_prepared_like_tensors_in_memory(tmp_path: Path) -> None:
    (tmp_path / "config").symlink_to(ROOT / "config")
    settings = "--data digits --protocol smoke --network convnet-d2-w16 --networks 4 --whole-networks 0"
    words = ("mine.safetensors", *settings.split(), "--recipes", "dsa", "--threads", 1, "--out", "o")
    done = run("score", *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: mine.safetensors: no such file; give a synthetic set" in done.stderr
    real = condensery.data.load(tmp_path / "data/prepared/digits")
    mine = random_set(replace(JOB, data=real), [10] * 10, 1, 5)
    mine.save(tmp_path / "mine.safetensors")
    done = run("score", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = condensery.score(
        mine.images,
        mine.labels,
        data="digits",
        config=ROOT / "config",
        prepared=tmp_path / "data/prepared/digits",
        protocol="smoke",
        network="convnet-d2-w16",
        networks=4,
        whole_networks=0,
        recipes=("dsa",),
    )
    assert not found.examinations
    (one,) = json.loads((tmp_path / "o/score.json").read_text())["sets"]
    assert one["lines"][0]["accuracy"] == asdict(found.lines[0].accuracy)
    assert report.shown(found.lines[0].random) in done.stdout
    # The set consists of random images itself.
    gain, chance = found.lines[0].gain, found.lines[0].random_set
    assert (gain.low or 0) < 0 < (gain.high or 0)
    assert (chance.low or 100) <= found.lines[0].accuracy.value <= (chance.high or 0)


# ---- other tests


def test_random_images_are_trained_with_the_rate_that_a_set_was_learned_with() -> None:
    learned = replace(random_set(JOB, COUNTS, 1, 7), learning_rate=0.03)
    cell = cells.of_random(JOB, "mtt", learned, 2)
    assert (cell.learning_rate, cells.of_random(JOB, "dsa", learned, 2).learning_rate) == (0.03, None)
    assert cell.file != cells.of_random(JOB, "mtt", random_set(JOB, COUNTS, 1, 7), 2).file


@pytest.mark.slow
def test_looks_and_robustness_leave_the_accuracies_as_they_are_and_are_kept(tmp_path: Path) -> None:
    mine = random_set(JOB, COUNTS, 1, 7)
    changes = {"recipes": ("plain",), "whole_networks": 0}
    plain = scored(mine, **changes).lines[0]
    score = scored(mine, tmp_path, wanted=Wanted(looks=3, robustness=True), **changes)
    line = score.lines[0]
    assert (line.accuracy, line.random) == (plain.accuracy, plain.random)
    best: dict[int, float] = {}
    for row in score.examinations:
        if row["method"] == "mine" and row["test"].startswith("epoch "):
            best[row["network_seed"]] = max(best.get(row["network_seed"], 0), row["accuracy"])
    assert line.best_look.value == pytest.approx(sum(best.values()) / 2)
    assert line.best_look.value >= line.accuracy.value
    assert {row["test"] for row in score.examinations} == Wanted(3, True).tests(line.epochs + 1)
    assert line.attacked.value <= line.accuracy.value
    with mock.patch.object(cells, "evaluate_each", side_effect=AssertionError):
        assert scored(mine, tmp_path, wanted=Wanted(looks=3, robustness=True), **changes).lines == score.lines
        assert scored(mine, tmp_path, **changes).lines[0] == plain
    report.write([score], tmp_path / "out")
    kept = rows.read_rows([tmp_path / "out/tests.parquet"], "smoke", rows.EXAMINATION)
    assert len(kept) == len(score.examinations)
    assert "selected on them" in (tmp_path / "out/report.html").read_text()
    assert "selected on them" not in report.text([replace(score, lines=(plain,))])


def test_a_set_below_random_images_is_named() -> None:
    score = scored(random_set(JOB, COUNTS, 1, 7), networks=1, whole_networks=0, recipes=("plain",))

    def text(high: float | None) -> str:
        line = replace(score.lines[0], gain=formulas.Estimate(-5.0, None if high is None else -9.0, high))
        return report.text([replace(score, lines=(line,))])

    assert "Below random images: mine, plain." in text(-1.0)
    assert "Below random images" not in text(1.0) + text(None)


def test_a_checkpoint_belongs_to_the_tests_that_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []

    def stopped(job: Job, path: Path, identity: object) -> None:
        seen.append(identity)
        raise KeyboardInterrupt

    monkeypatch.setattr(Job, "checkpoint", stopped)
    for wanted in (Wanted(), Wanted(looks=3), Wanted(robustness=True)):
        with pytest.raises(KeyboardInterrupt):
            cells.of_whole(JOB, "whole_plain").networks(1, Store(tmp_path), wanted)
    assert all(one != other for one, other in itertools.pairwise(seen))


def test_a_job_prepares_the_data_that_are_built_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    job = open_job("digits", config=ROOT / "config", protocol="smoke", prepared=None, network=None)
    assert (tmp_path / "data/prepared/digits/info.json").is_file()
    assert (job.network, len(job.data.info.classes)) == ("convnet", 10)


def test_the_last_look_is_after_the_last_epoch() -> None:
    assert Wanted(looks=4).epochs(1001) == [250, 500, 751, 1001]
    assert Wanted(looks=50).epochs(3) == [1, 2, 3]
    assert Wanted().tests(10) == set()


def pictures(channels: int = 3) -> torch.Tensor:
    drawn = torch.Generator().manual_seed(0)
    coarse = torch.rand(4, channels, 8, 8, generator=drawn)
    smooth = torch.nn.functional.interpolate(coarse, (32, 32), mode="bilinear")
    return (smooth * 255).to(torch.uint8)


@pytest.mark.parametrize("kind", corruptions.KINDS)
def test_a_corruption_changes_images_more_the_more_severe_it_is(kind: str) -> None:
    for images in (pictures(), pictures(1)):
        assert torch.equal(corruptions.corrupted(images, kind, 0), images)
        changed = [corruptions.corrupted(images, kind, level) for level in (1, 5)]
        mild, severe = ((each.float() - images.float()).abs().mean() for each in changed)
        assert 0 < mild < 60
        assert severe > (0.7 if kind == "elastic_transform" else 1) * mild
        assert changed[0].dtype == torch.uint8
        # The corruption of an image depends on its index alone.
        assert torch.equal(corruptions.corrupted(images[:2], kind, 5), changed[1][:2])
    assert not torch.equal(changed[0][0], changed[0][1])


def test_corruptions_are_what_their_descriptions_say() -> None:
    images = pictures()
    unit = images.double() / 255
    contrast = (unit - unit.mean((2, 3), keepdim=True)) * 0.4 + unit.mean((2, 3), keepdim=True)
    assert torch.equal(corruptions.corrupted(images, "contrast", 3), (contrast * 255).round().to(torch.uint8))
    gray = torch.full((1, 3, 32, 32), 100, dtype=torch.uint8)
    assert corruptions.corrupted(gray, "brightness", 5).unique().tolist() == [round(100 + 0.3 * 255)]
    for kind in ("defocus_blur", "motion_blur", "zoom_blur", "pixelate", "elastic_transform", "contrast"):
        assert corruptions.corrupted(gray, kind, 5).unique().tolist() == [100], kind
    noisy = corruptions.corrupted(gray.expand(8, -1, -1, -1), "gaussian_noise", 2)
    assert (noisy.double() / 255).std().item() == pytest.approx(0.06, rel=0.05)
    hit = corruptions.corrupted(gray.expand(8, -1, -1, -1), "impulse_noise", 5)
    assert ((hit == 0) | (hit == 255)).double().mean().item() == pytest.approx(0.07, rel=0.1)
    with pytest.raises(CondenseryError, match="corruption rain 1: give one of gaussian_noise"):
        corruptions.corrupted(gray, "rain", 1)


def test_glass_moves_pixels_to_places_nearby_and_snow_and_frost_brighten() -> None:
    # At severity 1 the blur on either side is of no effect, so that pixels only change places.
    row, column = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    marked = torch.stack([row * 8, column * 8, torch.full((32, 32), 7)])[None].to(torch.uint8)
    (found,) = corruptions.corrupted(marked, "glass_blur", 1)
    positions = [(int(r) // 8, int(c) // 8) for r, c in found[:2].flatten(1).T]
    assert sorted(positions) == [(r, c) for r in range(32) for c in range(32)]
    moved = [max(abs(r - at // 32), abs(c - at % 32)) for at, (r, c) in enumerate(positions)]
    assert sum(each > 0 for each in moved) > 500
    assert sorted(moved)[len(moved) // 2] <= 2
    gray = torch.full((8, 3, 32, 32), 100, dtype=torch.uint8)
    for kind in ("snow", "frost"):
        assert corruptions.corrupted(gray, kind, 2).min() >= 100, kind
    frost = corruptions.corrupted(gray, "frost", 5).double().mean((0, 2, 3)) / 255
    # The ridges of the frost have a mean between 0 and 1, and less red.
    assert 0.75 * 100 / 255 < frost[0] < frost[2] < 0.75 * 100 / 255 + 0.45
    snow = corruptions.corrupted(gray, "snow", 1)
    assert (snow == snow.mode().values.mode().values.flatten()[0]).double().mean() > 0.5


def test_pgd_on_a_linear_model_goes_to_the_corner_that_the_weights_point_to() -> None:
    drawn = torch.Generator().manual_seed(0)
    weights = torch.randn(2, 12, generator=drawn)
    images = torch.rand(5, 3, 2, 2, generator=drawn)
    labels = torch.tensor([0, 1, 0, 1, 1])
    found = attack.attacked(lambda x: x.flatten(-3) @ weights.T, images, labels)
    # With two classes the gradient of the loss is along the weights of the other class minus the true one's.
    way = (weights[1 - labels] - weights[labels]).sign().reshape(images.shape)
    assert torch.allclose(found, (images + 8 / 255 * way).clamp(0, 1), atol=1e-6)
    assert (found - images).abs().max() <= 8 / 255 + 1e-6


def test_each_network_is_attacked_on_the_sampled_test_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining, "_corruptions", lambda: [("brightness", 1)])
    monkeypatch.setattr(examining, "IMAGES", 5)
    data = real_data(per_class=12, size=8)
    seeds, name = (0, 1), "convnet-d1-w16"
    examination = examining.Examination(Wanted(robustness=True), 1, data.test)
    examination.examine(StackedNetworks(name, data.info, seeds, CPU, images=0), data.test)
    assert {frozenset(tests) for tests in examination.found.values()} == {frozenset(Wanted(0, True).tests(1))}
    rows = torch.randperm(len(data.test), generator=streams.generator(0, "robustness-images"))[:5]
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (data.info.mean, data.info.std))
    for seed in seeds:
        alone = StackedNetworks(name, data.info, [seed], CPU, images=0)

        def logits(images: torch.Tensor, alone: StackedNetworks = alone) -> torch.Tensor:
            return alone.logits(((images - mean) / std)[None], train=False)[0]

        right = 0
        for row in rows.tolist():
            image = torch.as_tensor(data.test.images[row : row + 1]) / 255
            label = torch.as_tensor(data.test.labels[row : row + 1])
            right += int(logits(attack.attacked(logits, image, label)).argmax() == label)
        assert examination.found[seed][examining.ATTACKED] == pytest.approx(100 * right / 5)
    assert any(tests[examining.ATTACKED] for tests in examination.found.values())
