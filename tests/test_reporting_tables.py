"""Tables as CSV, Markdown and LaTeX."""
# ruff: noqa: RUF001 - tables print the true multiplication sign, minus sign and dash

from __future__ import annotations

import csv
import dataclasses
import json
import math
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from condensery.errors import CondenseryError
from condensery.experiment import load_config
from condensery.reporting import latex, layout, tables
from condensery.reporting.labels import Labels
from condensery.rows import write_rows
from tests.test_reporting import PUBLISHED, row, table

ROOT = PUBLISHED.parents[1]
# The titles of config/, and one of `mine`, which follows them in tables.
TITLES = Labels.of(load_config(Path(__file__).parents[1] / "config", "smoke")).titles
LABELS = Labels("test", "made by hand", {**TITLES, "mine": "My_Method"})
SIZES = {"cifar10": 3 * 32 * 32}


def rows() -> list[dict[str, Any]]:
    """Return rows of two data sets, one without published numbers, with the whole set and a user's method."""
    coreset = {"method": "random", "condense_network": "convnet"}
    whole = {"method": "whole", "ipc": 0, "condense_network": "", "recipe": "whole", "images": 50000}
    return [
        *table([[47.0, 49.0], [48.0, 50.0]]),
        *table([[25.0, 27.0]], **coreset, recipe="dc"),
        *table([[30.0, 32.0]], **coreset, recipe="dsa"),
        *table([[84.0, 85.0]], **whole),
        *table([[61.0]], dataset="digits", method="mine", ipc=1, images=10),
    ]


def built() -> tables.Table:
    """Build table 1 from the rows."""
    return tables.build("table1", pd.DataFrame(rows()), PUBLISHED, LABELS, sizes=SIZES)


def pipe_tables(text: str) -> list[list[dict[str, str]]]:
    """Read every pipe table of a Markdown text as a list of lines."""
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    split = [[re.split(r"(?<!\\)\|", line)[1:-1] for line in block] for block in blocks]
    return [
        [dict(zip(map(str.strip, block[0]), map(str.strip, line), strict=True)) for line in block[2:]]
        for block in split
    ]


def test_order_is_that_of_the_papers_and_others_follow() -> None:
    frame = built().cells
    keys = list(zip(frame["dataset"], frame["ipc"], frame["recipe"], frame["method"], strict=True))
    assert keys == [
        ("cifar10", 10, "dc", "random"),
        ("cifar10", 10, "dc", "herding"),
        ("cifar10", 10, "dc", "forgetting"),
        ("cifar10", 10, "dc", "dc"),
        ("cifar10", 10, "dsa", "random"),
        ("cifar10", 10, "dsa", "dsa"),
        ("cifar10", 10, "dsa", "dm"),
        ("cifar10", 0, "whole", "whole"),
        ("digits", 1, "dsa", "mine"),
    ]
    assert LABELS.order(["whole", "unknown", "dm", "random"]) == ["random", "dm", "unknown", "whole"]


def test_readers_see_the_titles_of_data_sets_and_programs_their_names() -> None:
    labels = dataclasses.replace(LABELS, datasets={"cifar10": "CIFAR-10"})
    titled = tables.build("table1", pd.DataFrame(rows()), PUBLISHED, labels, sizes=SIZES)
    plain = built()
    assert titled.cells.equals(plain.cells)
    assert "cifar10" not in titled.latex
    assert r"CIFAR-10 & 10 & dc & " in titled.latex
    for shown in pipe_tables(titled.markdown):
        assert {line["Data set"] for line in shown} == {"CIFAR-10", "digits"}
    assert labels.dataset("cifar10+digits") == "CIFAR-10 + digits"


def test_the_data_sets_of_the_project_have_titles() -> None:
    config = load_config(ROOT / "config", "smoke")
    titles = Labels.of(config).datasets
    assert set(titles) == set(config.datasets)
    assert titles["cifar10"] == "CIFAR-10"
    del config.datasets["cifar10"]["title"]
    assert Labels.of(config).datasets["cifar10"] == "cifar10"


def test_metrics_sum_up_what_was_measured(tmp_path: Path) -> None:
    built().write(tmp_path / "table1")
    found = json.loads((tmp_path / "table1.json").read_text())
    # Random in two recipes, DM, the whole set, and a user's method, whose only network has no deviation.
    # The published values: 26.0 for random in recipe dc, 48.9 for DM and 84.8 for the whole set.
    accuracies, deviations = (26.0, 31.0, 48.5, 84.5, 61.0), (1.0, 1.0, math.sqrt(1.25), 0.5)
    assert found == {
        "cells": 5,
        "accuracy": round(sum(accuracies) / 5, 4),
        "std": round(sum(deviations) / 4, 4),
        "compared": 3,
        "difference": round((0.0 - 0.4 - 0.3) / 3, 4),
        "farthest": -0.4,
    }


def test_a_gain_is_over_random_images_that_store_and_train_on_as_many() -> None:
    four = {"images_stored": 100, "images": 400, "pixel_bytes": 307200, "label_bytes": 0}
    one = four | {"images": 100}
    measured = [
        *table([[30.0, 32.0]], **one, method="random"),
        *table([[44.0]], **four, method="random-2x2"),
        *table([[17.0]], **four, method="random-2x2", recipe="dance"),
        *table([[20.0]], **one, method="random", evaluate_network="convnet-bn"),
        *table([[46.0, 49.0]], **one, method="dm"),
        *table([[55.5]], **four, method="m3d"),
        *table([[50.0]], **four, method="m3d", recipe="dance"),
        *table([[40.0]], **one, method="datadam-code", evaluate_network="convnet-bn"),
        *table([[41.0]], **four, method="ncfm", recipe="ncfm"),
    ]
    text = tables.build("table_methods", pd.DataFrame(measured), PUBLISHED, LABELS).markdown
    compact, every = pipe_tables(text)
    # Networks have separate lines, since random images are worth less on some.
    assert [line["Evaluated on"] for line in compact if line["Recipe"] == "dsa"] == ["convnet", "convnet-bn"]
    found = {(line["Method"], line["Recipe"], line["Network"]): line["Above random"] for line in every}
    assert found.pop(("DM", "dsa", "convnet")) == "+16.5"
    assert found.pop(("M3D", "dsa", "convnet")) == "+11.5"
    assert found.pop(("M3D", "dance", "convnet")) == "+33.0"
    assert found.pop(("DataDAM, code", "dsa", "convnet to convnet-bn")) == "+20.0"
    assert set(found.values()) == {"–"}  # random images, and a cell without comparable ones
    assert "Above random" not in built().markdown


def test_markdown_matrix_has_measured_count_and_published() -> None:
    compact, _ = pipe_tables(built().markdown)
    dc, dsa, whole, digits = compact
    assert dc["Random"] == "26.0 ± 1.0 [26.0 ± 1.2]"
    assert dc["Herding"] == "– [31.6 ± 0.7]"
    assert dc["DM"] == ""
    assert dsa["Random"] == "31.0 ± 1.0"
    assert dsa["DM"] == "48.5 ± 1.1 (n=2×2) [48.9 ± 0.6]"
    assert whole["Images/class"] == "all"
    assert whole["Whole set"] == "84.5 ± 0.5 (n=2) [84.8 ± 0.1]"
    assert digits["My_Method"] == "61.0 (n=1×1)"


def test_a_recipe_that_nothing_was_measured_with_has_no_line() -> None:
    """DD's published value is of recipe learned, LD's of recipe plain."""
    cell = {"method": "ld", "recipe": "plain", "condense_network": "alexnet", "evaluate_network": "alexnet"}
    frame = pd.DataFrame([*rows(), *table([[35.0]], **cell)])
    compact, _ = pipe_tables(tables.build("table1", frame, PUBLISHED, LABELS).markdown)
    assert {line["Recipe"] for line in compact} == {"dc", "dsa", "plain", "whole"}
    (plain,) = [line for line in compact if line["Recipe"] == "plain"]
    assert plain["LD"] == "35.0 (n=1×1) [38.3 ± 0.4]"
    assert "DD" not in plain


def test_markdown_lists_every_cell_with_its_components() -> None:
    _, every = pipe_tables(built().markdown)
    dm = next(line for line in every if line["Method"] == "DM")
    assert dm == {
        "Data set": "cifar10",
        "Images/class": "10",
        "Method": "DM",
        "Recipe": "dsa",
        "Network": "convnet",
        "Accuracy": "48.5 ± 1.1",
        "n": "2×2",
        "Std between sets": "0.5",
        "Std between networks": "1.0",
        "Published": "48.9 ± 0.6",
        "Difference": "−0.4",
        "Images stored": "100",
        "Trained on": "100",
        "Bytes": "307,200",
        "Evaluation time": "10 s",
    }
    assert len(every) == len(built().cells)


def test_caption_says_protocol_counts_machine_versions_and_time() -> None:
    caption = built().markdown.split("\n\n")[1]
    assert caption.startswith("Protocol test (made by hand). ")
    assert "on the whole set: 1×2, where a cell states no other. 11 networks, trained" in caption
    assert "trained and tested in 28 s on cpu, fp32." in caption
    assert "condensery 0.1.0, commit 000000000000, PyTorch 2.11.0" in caption


def test_csv_reads_back_as_the_cells(tmp_path: Path) -> None:
    result = built()
    result.write(tmp_path / "deep" / "table1")
    pd.testing.assert_frame_equal(
        tables.read_cells(tmp_path / "deep" / "table1.csv"), result.cells, check_dtype=False, atol=1e-4
    )
    with open(tmp_path / "deep" / "table1.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    dm = next(line for line in lines if line["method"] == "dm")
    assert (float(dm["mean"]), float(dm["difference"]), dm["n"]) == (48.5, pytest.approx(-0.4), "2x2")
    assert sum(line["networks"] == "0" for line in lines) == 4


def test_latex_is_balanced_and_escaped() -> None:
    text = built().latex
    body = text[text.index("\\begin") :]
    bare = re.sub(r"\\[\\{}&%$#_]", "", body)
    depth = 0
    for character in bare:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    assert bare.count("$") % 2 == 0
    assert body.isascii()
    for environment in ("table*", "tabular"):
        assert body.count(f"\\begin{{{environment}}}") == body.count(f"\\end{{{environment}}}") == 1
    columns = len(re.search(r"\\begin\{tabular\}\{([lrc]+)\}", body)[1])
    inside = body.split("\\toprule\n")[1].split("\\bottomrule")[0]
    lines = [line for line in inside.splitlines() if line != "\\midrule"]
    assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in lines} == {columns}
    assert all(line.endswith(" \\\\") for line in lines)
    assert "My\\_Method" in body
    assert "48.5{\\tiny$\\,\\pm\\,$1.1} {\\tiny(2$\\times$2)}" in body
    assert "{[}48.9{\\tiny$\\,\\pm\\,$0.6}{]}" in body


def test_latex_numbers_the_table_itself_and_states_the_common_count_once() -> None:
    text = built().latex
    assert "\\caption{Accuracy of networks trained on synthetic sets" in text
    # Counts are 1x1, 1x2 twice, 2 and 2x2.
    assert "1$\\times$2, where a cell states no other." in text
    body = text.split("\\toprule")[1]
    assert "1$\\times$2)" not in body
    assert body.count("{\\tiny(") == 3
    about = [line for line in text.splitlines() if line.startswith("%")]
    assert any("11 networks, trained and tested in 28 s" in line for line in about)
    assert "28 s" not in text.split("\\caption")[1]


def test_latex_has_the_chosen_columns_and_the_best_value_in_bold() -> None:
    choice = latex.Choice(("dm", "random", "whole"), best=True)
    text = tables.build("table1", pd.DataFrame(rows()), PUBLISHED, LABELS, choice).latex
    assert "Random & DM & Whole set" in text
    assert "Herding" not in text.split("\\toprule")[1]
    assert "My" not in text.split("\\toprule")[1]
    # The highest value of each line, with ties; the whole set does not compete.
    assert re.findall(r"\\textbf\{([\d.]+)\}", text) == ["26.0", "48.5"]
    assert "Bold: the highest" in text
    equal = pd.DataFrame([row(method="dm", accuracy=48.54), row(method="dsa", accuracy=48.46)])
    both = tables.build("table1", equal, PUBLISHED, LABELS, latex.Choice(best=True)).latex
    assert both.count("\\textbf{48.5}") == 2
    with pytest.raises(CondenseryError, match=r"table1: no column 'dmm'; choose from dsa, dm, whole"):
        tables.build("table1", equal, PUBLISHED, LABELS, latex.Choice(("dmm",)))


def test_latex_says_how_wide_a_table_is() -> None:
    heads, line = ["Method", "Two words"], ["DM", "9.9 [8.8]"]
    narrow = latex.tabular("mine", "Caption.", heads, [line])
    assert "\\begin{table}" in narrow
    assert "Method & \\shortstack{Two\\\\words} \\\\\n" in narrow
    assert "DM & 9.9 \\\\\n & {[}8.8{]} \\\\\n" in narrow
    broad = latex.tabular("mine", "Caption.", heads * 5, [line * 5])
    assert "\\begin{table*}" in broad
    assert "\\usepackage{booktabs}" in broad
    widest = latex.tabular("mine", "Caption.", heads, [["x" * 100, "y"]])
    assert "\\begin{table*}" in widest
    assert "\\usepackage{booktabs,graphicx}" in widest
    assert "\\resizebox" in widest


def test_latex_escapes_every_special_character() -> None:
    assert latex.escape("a_b & 5% {x} #1 $ ~^\\") == (
        r"a\_b \& 5\% \{x\} \#1 \$ \textasciitilde{}\textasciicircum{}\textbackslash{}"
    )


@pytest.mark.parametrize(
    ("mean", "std", "text"),
    [(0.52, math.nan, "0.52"), (1.3, math.nan, "1.3"), (99.6, 0.0, "99.6 ± 0.0"), (math.nan, math.nan, "–")],
)
def test_published_values_are_written_as_printed(mean: float, std: float, text: str) -> None:
    assert layout.published({"published_mean": mean, "published_std": std}) == text


def test_two_networks_in_one_cell_are_refused() -> None:
    frame = pd.DataFrame([row(), row(evaluate_network="alexnet")])
    with pytest.raises(CondenseryError, match=r"evaluate_network convnet and of .* alexnet share one cell"):
        tables.build("table1", frame, PUBLISHED, LABELS)


def test_a_cross_table_has_a_line_a_condensing_and_a_column_an_evaluation_network() -> None:
    accuracy = {("mlp", "mlp"): 60.0, ("mlp", "convnet"): 61.0, ("convnet", "mlp"): 70.0}
    accuracy |= {("convnet", "convnet"): 88.0, ("convnet", "resnet18"): 83.0}
    values = {"dataset": "mnist", "ipc": 1, "method": "dsa", "images": 10}
    crossed = [
        row(accuracy=value, condense_network=on, evaluate_network=by, **values)
        for (on, by), value in accuracy.items()
    ]
    result = tables.build("dsa_cross_architecture", pd.DataFrame(crossed), PUBLISHED, LABELS)
    compact, every = pipe_tables(result.markdown)
    of_mlp, of_convnet = compact
    assert list(of_mlp)[:4] == ["Data set", "Images/class", "Method", "Condensed on"]
    assert list(of_mlp)[4:] == ["mlp", "convnet", "resnet18"]
    assert (of_mlp["Method"], of_mlp["Condensed on"]) == ("DSA", "mlp")
    assert [of_mlp[name] for name in ("mlp", "convnet", "resnet18")] == ["60.0", "61.0", ""]
    # DSA Table 1 has ConvNet evaluated on ConvNet, and no other cell of this line.
    assert of_convnet["convnet"] == "88.0 [88.7 ± 0.6]"
    assert sum("[" in text for line in compact for text in line.values()) == 1
    assert len(every) == len(crossed)
    assert "\\begin{tabular}{lrllccc}" in result.latex


def test_the_published_part_of_a_cross_table_is_shown_too() -> None:
    values = {"condense_network": "alexnet-bn", "evaluate_network": "vgg11-bn", "ipc": 50}
    result = tables.build("table3", pd.DataFrame([row(accuracy=57.0, **values)]), PUBLISHED, LABELS)
    compact, _ = pipe_tables(result.markdown)
    assert [(line["Method"], line["Condensed on"]) for line in compact] == [
        ("DSA", "convnet-bn"),
        *(("DM", f"{name}-bn") for name in ("convnet", "alexnet", "vgg11", "resnet18ap")),
    ]
    assert list(compact[0])[4:] == ["convnet-bn", "alexnet-bn", "vgg11-bn", "resnet18-bn"]
    assert compact[2]["vgg11-bn"] == "57.0 [58.9 ± 0.4]"
    assert compact[0]["resnet18-bn"] == "– [47.3 ± 1.0]"
    assert float(result.cells["difference"].dropna().iloc[0]) == pytest.approx(-1.9)


def test_table4_has_a_column_a_group_in_the_order_of_the_paper() -> None:
    methods = ["dm-pool", "dm-pool-10-20", "dm-pool-random", "dm-pool-70-100", "dm"]
    each = [row(method=method, accuracy=40.0 + number) for number, method in enumerate(methods)]
    result = tables.build("table4", pd.DataFrame(each), PUBLISHED, LABELS)
    (line,), _ = pipe_tables(result.markdown)
    # DM Table 4, 10 images per class: random networks, groups 10-20 and 70-100, all networks.
    assert list(line.items())[2:] == [
        ("DM", "44.0 [48.9]"),
        ("DM, random", "42.0 [48.9]"),
        ("DM, 10-20 %", "41.0 [48.7]"),
        ("DM, 70-100 %", "43.0 [48.2]"),
        ("DM, all", "40.0 [50.7]"),
    ]


def test_table6_has_generators_in_the_order_of_the_paper() -> None:
    each = [
        row(method=method, recipe=recipe, accuracy=30.0)
        for recipe in ("dc", "dsa")
        for method in ("mmd-rbf", "mmd", "random", "biggan", "gmmn")
    ]
    each += [row(accuracy=48.0), row(method="vae", accuracy=29.0)]
    result = tables.build("table6", pd.DataFrame(each), PUBLISHED, LABELS)
    (plain, augmented), _ = pipe_tables(result.markdown)
    titles = ["Random", "GMMN", "VAE", "BigGAN", "MMD", "DM", "MMD, RBF"]
    assert list(plain)[3:] == titles
    assert (plain["Recipe"], augmented["Recipe"]) == ("dc", "dsa")
    # Random was published as in Table 1; the recipe of the generators' values is not known.
    assert plain["Random"] == "30.0 [26.0 ± 1.2]"
    assert augmented["Random"] == "30.0"
    assert plain["GMMN"] == augmented["GMMN"] == "30.0 [32.2 ± 1.3]"
    assert (plain["VAE"], augmented["VAE"]) == ("", "29.0 [29.8 ± 1.0]")
    assert (plain["DM"], augmented["DM"]) == ("", "48.0 [48.9 ± 0.6]")


def test_larger_sets_are_relative_to_the_whole_set_of_their_data_set() -> None:
    whole = {"method": "whole", "ipc": 0, "condense_network": "", "recipe": "whole", "images": 50000}
    each = [
        *table([[60.0, 64.0]], ipc=100, images=1000),
        *table([[84.0, 80.0, 76.0]], **whole),
        row(dataset="cifar100", ipc=100, images=10000, accuracy=40.0),
    ]
    result = tables.build("larger_sets", pd.DataFrame(each), PUBLISHED, LABELS)
    (dm, of_whole, unknown), _ = pipe_tables(result.markdown)
    # 62 of 80 percent.
    assert dm["DM"] == "62.0 ± 2.0, 77.5 % [67.0 ± 0.3]"
    assert of_whole["Whole set"] == "80.0 ± 3.3 (n=3) [84.8 ± 0.1]"
    assert unknown["DM"] == "40.0 (n=1×1)"
    assert "62.0{\\tiny$\\,\\pm\\,$2.0}, 77.5 \\%" in result.latex


def test_methods_that_have_recipes_of_their_own_stand_in_one_line() -> None:
    each = [row(method=f"dsa-{name}", recipe=f"dsa_{name}", accuracy=40.0) for name in ("crop", "flip")]
    each.append(row(method="dsa", recipe="dsa", accuracy=50.0))
    result = tables.build("dsa_ablation", pd.DataFrame(each), PUBLISHED, LABELS)
    (line,), every = pipe_tables(result.markdown)
    assert (line["DSA"], line["DSA, crop"]) == ("50.0 [52.1 ± 0.5]", "40.0")
    assert [cell["Recipe"] for cell in every] == ["dsa", "dsa_crop", "dsa_flip"]


def run_script(
    patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str], name: str, *arguments: object
) -> tuple[object, str]:
    """Run a script in the root of the project; return its exit status and standard error."""
    patch.chdir(ROOT)
    patch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(f"scripts/{name}.py", run_name="__main__")
    return ended.value.code, captured.readouterr().err


def test_script_writes_the_same_bytes_from_files_and_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for i, each in enumerate(rows()):
        write_rows([each | {"protocol": "smoke"}], tmp_path / "rows" / f"{i}.parquet")
    files = sorted((tmp_path / "rows").iterdir())
    sources = {
        "a": ["--rows", tmp_path / "rows"],
        "b": ["--rows", *files[3:], *files[:3]],
    }
    for name, source in sources.items():
        common = ["--table", "table1", "--protocol", "smoke", "--out-prefix", tmp_path / name]
        assert run_script(monkeypatch, capsys, "table", *common, *source) == (0, "")
    for suffix in ("csv", "md", "tex", "json"):
        assert len({(tmp_path / f"{name}.{suffix}").read_bytes() for name in sources}) == 1
    assert "Protocol smoke (lowered for a quick check" in (tmp_path / "a.md").read_text()


@pytest.mark.parametrize(
    ("table_name", "protocol", "more", "message"),
    [
        ("table1", "smoke", [], "holds rows of protocol 'test', not 'smoke'"),
        ("table1", "no-such", [], "unknown protocol 'no-such'"),
        ("table0", "smoke", [], "table 'table0' is unknown"),
    ],
)
def test_script_ends_with_one_line_and_no_table(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    table_name: str,
    protocol: str,
    more: list[str],
    message: str,
) -> None:
    write_rows([row()], tmp_path / "a.parquet")
    options = ["--rows", tmp_path / "a.parquet", *more]
    common = ["--table", table_name, "--protocol", protocol, "--out-prefix", tmp_path / "out"]
    status, output = run_script(monkeypatch, capsys, "table", *common, *options)
    assert status == 1
    assert output.startswith("error: ")
    assert message in output
    assert output.count("\n") == 1
    assert not list(tmp_path.glob("out*"))


def test_only_the_target_is_a_table_of_its_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load_config(ROOT / "config", "smoke")
    lines = [
        row(protocol="smoke", dataset=e.set.dataset, method=e.set.method, ipc=e.set.ipc, set_seed=e.set.seed)
        | {"recipe": e.recipe, "condense_network": e.set.network, "evaluate_network": e.network}
        for e in config.target_evaluations("table1")
    ]
    whole = {"method": "whole", "ipc": 0, "condense_network": "", "recipe": "whole"}
    lines.append(row(protocol="smoke", dataset="digits") | whole)
    lines.append(row(protocol="smoke", dataset="digits", ipc=7))  # of an earlier version of the protocol
    common = ["--table", "table1", "--protocol", "smoke", "--only-target", "--out-prefix", tmp_path / "out"]
    write_rows(lines, tmp_path / "all.parquet")
    done = run_script(monkeypatch, capsys, "table", *common, "--rows", tmp_path / "all.parquet")
    assert done == (0, "")
    frame = tables.read_cells(tmp_path / "out.csv")
    assert 7 not in set(frame["ipc"])
    assert frame["networks"].sum() == len(lines) - 1
    write_rows(lines[1:], tmp_path / "fewer.parquet")
    status, output = run_script(monkeypatch, capsys, "table", *common, "--rows", tmp_path / "fewer.parquet")
    assert status == 1
    assert f"no rows of 1 of {len(lines) - 1} evaluations" in output
