"""Trajectories: the snapshots of a protocol, the points of the curves, and the statements about them."""

from __future__ import annotations

import copy
import dataclasses
import statistics
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from condensery.cost.jobs import of_job
from condensery.cost.work import Work
from condensery.errors import CondenseryError
from condensery.experiment import SetId, load_config, target_checks, trajectories
from condensery.reporting import published, trajectory_cells, trajectory_figure
from condensery.reporting.labels import Labels
from condensery.rows import SNAPSHOT, read_rows, write_rows
from tests.test_reporting_tables import TITLES, run_script

ROOT = Path(__file__).parents[1]
LABELS = Labels("smoke", "a quick check", TITLES)
COSTS = published.costs(ROOT / "config/published")
CPU, GPU = "cpu (one, 2 threads)", "NVIDIA H200"

# method -> step -> (seconds of each set, accuracies of each set's networks)
CURVES = {
    "dsa": {5: ([30.0, 34.0], [[20, 22], [24, 26]]), 10: ([7000, 7400], [[59, 61], [60, 62]])},
    "dm": {
        2: ([1.0, 2.0], [[50, 52], [51, 53]]),
        4: ([100.0, 140.0], [[60, 62], [60, 62]]),
        8: ([200, 240], [[58, 60], [59, 61]]),
    },
}


def rows(curves=None, **changes):
    """Return the rows of `CURVES`, last steps first, with some columns changed."""
    found = []
    for method, steps in (curves or CURVES).items():
        for step in sorted(steps, reverse=True):
            for seed, (seconds, accuracies) in enumerate(zip(*steps[step], strict=True)):
                for network, accuracy in enumerate(accuracies):
                    row = {
                        "protocol": "smoke",
                        "dataset": "cifar10",
                        "method": method,
                        "ipc": 50,
                        "condense_network": "convnet",
                        "evaluate_network": "convnet",
                        "recipe": "dsa",
                        "set_seed": seed,
                        "network_seed": 1000 * seed + network,
                        "images": 500,
                        "epochs": 10,
                        "accuracy": float(accuracy),
                        "train_seconds": 3.0,
                        "test_seconds": 0.5,
                        "device": CPU,
                        "precision": "fp32",
                        "torch": "2.11.0",
                        "python": "3.11",
                        "condensery": "0.1.0",
                        "commit": "c" * 40,
                        "step": step,
                        "condense_seconds": float(seconds),
                        "condense_device": CPU,
                    }
                    found.append(row | changes)
    return found


def goals_of(frame: pd.DataFrame, protocol: str = "few") -> pd.DataFrame:
    """Return the goals of curves as if they were of a protocol."""
    config, paper = (load_config(ROOT / "config", name) for name in (protocol, "paper"))
    return trajectory_cells.goals(frame, config, paper, ROOT / "config/published")


def points(tmp_path: Path, found=None) -> pd.DataFrame:
    """Return the points of rows that were written and read."""
    write_rows(found or rows(), tmp_path / "rows.parquet", SNAPSHOT)
    return trajectory_cells.points(read_rows([tmp_path / "rows.parquet"], "smoke", SNAPSHOT), LABELS)


# ---- the snapshots of a protocol


@pytest.mark.parametrize(
    ("iterations", "count", "steps"),
    [
        (20000, 10, [40, 79, 157, 313, 625, 1250, 2500, 5000, 10000, 20000]),
        (1000, 4, [125, 250, 500, 1000]),
        (5, 3, [2, 3, 5]),
        (3, 9, [1, 2, 3]),
    ],
)
def test_every_snapshot_is_at_half_the_iterations_of_the_next(iterations, count, steps):
    assert trajectories.snapshots(iterations, count) == steps


def test_listed_snapshots_are_those_of_the_list():
    assert trajectories.snapshots(20000, [500, 2000]) == [500, 2000]
    assert load_config(ROOT / "config", "few").blocks("figure4")[0]["snapshots"][0] == 500


def config_with(*blocks):
    config = load_config(ROOT / "config", "smoke")
    spec = copy.deepcopy(config.spec)
    spec["targets"]["figure4"] = list(blocks)
    return dataclasses.replace(config, spec=spec)


def test_blocks_add_up_their_sets_and_snapshots():
    block = {"datasets": ["digits"], "methods": ["dm"], "ipc": [1, 10], "snapshots": 2}
    config = config_with(block, block | {"ipc": [10], "snapshots": 3, "sets": 1})
    iterations = config.parameters("digits", "dm", "convnet", 10)["iterations"]
    two, three = ([-(-iterations // 2**i) for i in reversed(range(n))] for n in (2, 3))
    expected = {SetId("digits", "dm", "convnet", 1, seed): two for seed in range(config.spec["sets"])}
    expected[SetId("digits", "dm", "convnet", 10, 0)] = three
    expected[SetId("digits", "dm", "convnet", 10, 1)] = two
    assert trajectories.trajectories(config, "figure4") == expected
    coordinates = {"dataset": "digits", "method": "dm", "network": "convnet", "ipc": "10", "seed": "0"}
    assert trajectories.steps_of(config, coordinates) == three
    with pytest.raises(
        CondenseryError, match="no target follows digits/dm/convnet/10/2; add it to one of figure4"
    ):
        trajectories.steps_of(config, coordinates | {"seed": "2"})


def test_a_method_without_iterations_is_refused():
    block = {"datasets": ["digits"], "methods": ["dm", "random"], "ipc": [1], "snapshots": 2}
    with pytest.raises(
        CondenseryError, match=r"^f.yaml: targets.figure4\[0\].methods: random does not learn its images"
    ):
        target_checks.check_trajectories(config_with(block), Path("f.yaml"))


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([20, 10], "10 comes after 20; list the iterations ascending"),
        ([10, 31], "dm runs 30 iterations on digits with 1 images per class; give 30 or less, not 31"),
    ],
)
def test_a_list_of_snapshots_that_cannot_be_taken_is_refused(steps, message):
    block = {"datasets": ["digits"], "methods": ["dm"], "ipc": [1], "snapshots": steps}
    with pytest.raises(CondenseryError) as caught:
        target_checks.check_trajectories(config_with(block), Path("f.yaml"))
    assert str(caught.value) == f"f.yaml: targets.figure4[0].snapshots: {message}"


def test_the_plan_of_a_run_that_ends_early_is_its_share():
    block = {"datasets": ["digits"], "methods": ["dm"], "ipc": [1], "snapshots": 1}
    coordinates = {"dataset": "digits", "method": "dm", "network": "convnet", "ipc": "1", "seed": "0"}
    whole, part = (
        of_job(config_with(block | {"snapshots": steps}), "trajectory", coordinates) for steps in (1, [3, 6])
    )
    assert part == Work(whole.kind, whole.steps / 5, whole.multiply_adds / 5)  # 6 of 30 iterations


# ---- points


def test_points_are_means_over_the_networks_of_all_sets(tmp_path):
    frame = points(tmp_path)
    assert frame[["method", "step"]].to_numpy().tolist() == [
        ["dsa", 5], ["dsa", 10], ["dm", 2], ["dm", 4], ["dm", 8]
    ]  # fmt: skip
    for _, point in frame.iterrows():
        seconds, by_set = CURVES[point["method"]][point["step"]]
        pooled = [accuracy for part in by_set for accuracy in part]
        assert point["condense_seconds"] == pytest.approx(statistics.fmean(seconds))
        assert point["mean"] == pytest.approx(statistics.fmean(pooled))
        assert point["std"] == pytest.approx(statistics.pstdev(pooled))
        means = [statistics.fmean(part) for part in by_set]
        assert point["std_between_sets"] == pytest.approx(statistics.pstdev(means))
        assert (point["sets"], point["networks"], point["n"]) == (2, 4, "2x2")
        assert point["seconds"] == pytest.approx(4 * 3.5)


def test_a_row_of_a_snapshot_is_not_one_of_a_table(tmp_path):
    write_rows(rows(), tmp_path / "rows.parquet", SNAPSHOT)
    with pytest.raises(CondenseryError, match="unknown condense_device, condense_seconds, step"):
        read_rows([tmp_path / "rows.parquet"], "smoke")


# ---- the time in which one method reaches the accuracy of the other


# DSA ends at 60.5 with sets of 60 and 61: a standard error of 0.5.
ABOVE = {"dm": {2: ([1.0, 2.0], [[62, 62], [63, 63]]), 4: ([100.0, 140.0], [[61, 61], [61, 61]])}}
STAYS = {
    "dm": {2: ([1.0, 2.0], [[50, 50], [51, 51]]), 4: ([100, 140], [[63, 63], [64, 64]]), 8: ABOVE["dm"][4]}
}


def test_the_factor_is_that_of_the_first_snapshot_that_is_above_and_stays(tmp_path):
    curves = CURVES | {"dm": STAYS["dm"] | {8: ([200, 240], [[62, 62], [62, 62]])}}
    (comparison,) = trajectory_cells.comparisons(points(tmp_path, rows(curves)))
    assert comparison.goal[["step", "mean", "condense_seconds"]].tolist() == [10, 60.5, 7200]
    assert comparison.reached[["step", "mean", "condense_seconds"]].tolist() == [4, 63.5, 120]
    assert comparison.factor == 60
    assert trajectory_figure.statements(points(tmp_path, rows(curves)), LABELS) == [
        "cifar10, 50 images/class: DSA ends with 60.5 after 2 h 00 min, DM with 62.0 after 3 min 40 s. "
        "From its snapshot after 2 min 00 s on, DM is above DSA's last accuracy by 2 standard errors: at "
        "least 60 times as fast."
    ]


@pytest.mark.parametrize(
    "dm",
    [
        ABOVE["dm"],  # above once; the last point is above by only one standard error
        STAYS["dm"],
        CURVES["dm"],  # above once by half a point, and below at the end
    ],
)
def test_a_passing_or_uncertain_lead_gives_no_factor(tmp_path, dm):
    (comparison,) = trajectory_cells.comparisons(points(tmp_path, rows(CURVES | {"dm": dm})))
    assert comparison.reached is None
    (statement,) = trajectory_figure.statements(points(tmp_path, rows(CURVES | {"dm": dm})), LABELS)
    assert statement.endswith("No snapshot of DM is above that, and stays there, by 2 standard errors.")


def test_the_error_of_a_mean_is_that_of_a_sample_of_sets():
    means = [61.0, 64.0, 62.5]
    frame = pd.DataFrame({"std_between_sets": [statistics.pstdev(means), 0.0], "sets": [3, 1]})
    known, alone = trajectory_cells._error(frame)
    assert known == pytest.approx(statistics.stdev(means) / 3**0.5)
    assert pd.isna(alone)


def test_one_set_gives_no_factor(tmp_path):
    curves = {name: {k: (v[0][:1], v[1][:1]) for k, v in steps.items()} for name, steps in CURVES.items()}
    (statement,) = trajectory_figure.statements(points(tmp_path, rows(curves)), LABELS)
    assert statement.endswith("One set does not show how much faster DM is.")


def test_two_devices_are_not_compared_in_silence(tmp_path):
    curves = CURVES | {"dm": {4: ([100, 140], [[70, 70], [70, 70]])}}
    found = [row | ({"condense_device": GPU} if row["method"] == "dm" else {}) for row in rows(curves)]
    (statement,) = trajectory_figure.statements(points(tmp_path, found), LABELS)
    assert statement.endswith("the factor compares devices too.")


def test_one_method_alone_is_compared_with_nothing(tmp_path):
    assert trajectory_figure.statements(points(tmp_path, rows({"dm": CURVES["dm"]})), LABELS) == []


# ---- figure, table and statements


def test_curves_show_the_points_and_their_deviations(tmp_path):
    frame = points(tmp_path)
    drawing = trajectory_figure.draw("figure4", frame, goals_of(frame), COSTS, LABELS)
    (axes,) = drawing.figure.axes
    assert axes.get_xscale() == "log"
    curves = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    assert list(curves) == ["DSA", "DM", "DSA's last accuracy"]
    assert "protocol" in axes.get_title(loc="left")
    del curves["DSA's last accuracy"]
    for method, line in zip(("dsa", "dm"), curves.values(), strict=True):
        own = frame[frame["method"] == method]
        assert line.get_xydata().tolist() == own[["condense_seconds", "mean"]].to_numpy().tolist()
    bands = [band.get_paths()[0].vertices[:, 1] for band in axes.collections]
    for band, (_, own) in zip(bands, frame.groupby("method", sort=False), strict=True):
        assert band.max() == pytest.approx((own["mean"] + own["std"]).max())
        assert band.min() == pytest.approx((own["mean"] - own["std"]).min())


def test_one_method_alone_is_drawn_against_its_iterations(tmp_path):
    frame = points(tmp_path, rows({"dm": CURVES["dm"]}))
    drawing = trajectory_figure.draw("figure4", frame, goals_of(frame), COSTS, LABELS)
    (axes,) = drawing.figure.axes
    curve, published_line = axes.lines
    assert curve.get_xydata().tolist() == frame[["step", "mean"]].to_numpy().tolist()
    assert (axes.get_xlabel(), axes.get_xticks().tolist()) == ("iterations", [2, 4, 8, 20000])
    assert published_line.get_label() == "published, 20,000 iterations"
    assert set(published_line.get_ydata()) == {63.0}
    assert "Dotted" not in drawing.caption


def test_the_title_names_the_axes(tmp_path):
    def title(found: list) -> str:
        frame = points(tmp_path, found)
        drawing = trajectory_figure.draw("figure4", frame, goals_of(frame), COSTS, LABELS)
        trajectory_figure.write_numbers("figure4", frame, goals_of(frame), COSTS, LABELS, tmp_path / "f")
        assert (tmp_path / "f.md").read_text().splitlines()[0] == f"# {drawing.title}"
        return drawing.title

    alone = rows({"dm": CURVES["dm"]}, ipc=10)
    assert title(rows()) == "Figure 4: accuracy against the time of condensing"
    assert title(alone) == "Figure 4: accuracy against the iterations"
    assert title(alone + rows()) == "Figure 4: accuracy against the iterations and the time of condensing"


def test_the_figure_shows_how_much_of_a_curve_was_not_run(tmp_path):
    def shaded(last: int) -> dict[str, list[float]]:
        frame = points(tmp_path, rows({"dm": {500: CURVES["dm"][2], last: CURVES["dm"][8]}}))
        (axes,) = trajectory_figure.draw("figure4", frame, goals_of(frame), COSTS, LABELS).figure.axes
        assert axes.get_xlim()[1] >= 20000
        return {area.get_label(): [area.get_x(), area.get_x() + area.get_width()] for area in axes.patches}

    assert shaded(2000) == {"gray: not run, 2,000 to 20,000 iterations": [2000, 20000]}
    assert shaded(20000) == {}


def test_what_is_known_of_a_whole_or_shortened_curve(tmp_path):
    frame = points(tmp_path, rows({"dm": {20000: CURVES["dm"][8]}}, ipc=10))
    assert trajectory_figure.known(goals_of(frame), LABELS) == [
        "cifar10, 10 images/class: DM was run for all 20,000 iterations. After 20,000 iterations, 48.9 ± 0.6 "
        "is published (DM Table 1)."
    ]
    last = load_config(ROOT / "config", "laptop").parameters("cifar10", "dm", "convnet", 10)["iterations"]
    frame = points(tmp_path, rows({"dm": {last: CURVES["dm"][8]}}, ipc=10))
    assert trajectory_figure.known(goals_of(frame, "laptop"), LABELS) == []


def test_figure_and_numbers_say_what_stands_behind_them(tmp_path):
    frame = points(tmp_path)
    trajectory_figure.draw("figure4", frame, goals_of(frame), COSTS, LABELS).write(tmp_path / "figure4")
    trajectory_figure.write_numbers("figure4", frame, goals_of(frame), COSTS, LABELS, tmp_path / "figure4")
    with Image.open(tmp_path / "figure4.png") as image:
        caption = image.info["Description"]
    page = (tmp_path / "figure4.md").read_text(encoding="utf-8")
    for text in (caption, page):
        for words in (
            "Protocol smoke (a quick check).",
            "networks per point: 2\N{MULTIPLICATION SIGN}2; recipe dsa.",
            # Two sets of 7200 s and two of 220 s.
            f"on {CPU}, 4 h 07 min in all; networks trained and tested in 1 min 10 s on {CPU}, fp32.",
            "PyTorch 2.11.0",
            "No snapshot of DM is above that",
            "DSA on GTX 1080, 15 h 00 min (DM section 3.2: 15 hours)",
            "cifar10, 50 images/class: DM was run for 8 of 20,000 iterations. After 20,000 iterations, "
            "63.0 ± 0.4 is published (DM Table 1), and users of the public code report 55 to 57 (threads 12",
        ):
            assert words in text
    lines = [line for line in page.splitlines() if line.startswith("| cifar10")]
    assert [entry.strip() for entry in lines[3].split("|")[1:-1]] == [
        "cifar10", "50", "DM", "convnet", "4", "2 min 00 s", "61.0 ± 1.0", "2\N{MULTIPLICATION SIGN}2"
    ]  # fmt: skip
    table = pd.read_csv(tmp_path / "figure4.csv", dtype={"n": str})
    pd.testing.assert_frame_equal(table, frame, check_dtype=False, atol=1e-4)


def test_times_are_quoted_only_where_they_were_published(tmp_path):
    frame = points(tmp_path, rows(ipc=1))
    assert trajectory_figure.quoted(frame, COSTS, LABELS) == []


def test_the_script_takes_the_snapshots_of_the_protocol(tmp_path, monkeypatch, capsys):
    found, config = [], load_config(ROOT / "config", "smoke")
    for followed, steps in trajectories.trajectories(config, "figure4").items():
        curve = {step: ([1.0 * step], [[20 + step]]) for step in [*steps, 1]}  # step 1 is not in the protocol
        found += rows({followed.method: curve}, dataset=followed.dataset, ipc=followed.ipc)
    folder = tmp_path / "accuracy"
    write_rows(found, folder / "rows.parquet", SNAPSHOT)
    arguments = ["--protocol", "smoke", "--rows", folder, "--out-prefix", tmp_path / "figure4"]
    assert run_script(monkeypatch, capsys, "trajectory", *arguments) == (0, "")
    assert 1 not in pd.read_csv(tmp_path / "figure4.csv")["step"].to_list()
    assert sorted(path.suffix for path in tmp_path.glob("figure4*")) == [".csv", ".md", ".pdf", ".png"]
    write_rows(found[1:], folder / "rows.parquet", SNAPSHOT)
    code, output = run_script(monkeypatch, capsys, "trajectory", *arguments)
    assert code == 1
    assert output.startswith("error: no rows of 1 of ")
