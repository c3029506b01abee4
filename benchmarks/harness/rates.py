"""Update benchmarks/rates.yaml, from which times of jobs are estimated, after a benchmark."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from condensery.experiment import load_config
from condensery.files import atomic
from condensery.machine import speed
from harness.loops import CONFIG
from harness.table import Row

FILE = Path(__file__).parents[1] / "rates.yaml"

# Kind of device -> its entry, and the precision of the protocol for such devices.
_ENTRIES = {"cpu": ("cpu", "bf16"), "cuda": ("gpu", "fp32")}

_ITERATIONS = 1000


def update(rows: Sequence[Row], path: Path) -> None:
    """Replace the measured device's entry in a file of rates; the rest of it is unchanged.

    Args:
        rows: rows of a complete benchmark, not of a quick one.
        path: the file, created if it does not exist.
    """
    name, precision = _ENTRIES[rows[0]["kind"]]
    found = list(jobs([r for r in rows if r["precision"] == precision]))
    if not found:
        return
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    with atomic(path) as temporary:
        temporary.write_text(replaced(text, name, _block(name, precision, rows, found)), encoding="utf-8")


def jobs(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Yield jobs with the published settings and their estimated seconds.

    On a CPU these are seconds of one core, since jobs run with different numbers of threads.

    Args:
        rows: rows of one precision.
    """
    config = load_config(CONFIG, "paper")
    for point in _points(rows):
        first = next(iter(point.values()))
        dataset, ipc = "cifar10", first["ipc"]
        cores = first["threads"] if first["kind"] == "cpu" else 1
        seconds = {loop: cores * row["seconds"] for loop, row in point.items()}
        real = {"batch_real": first["batch_real"]}
        if "dm" in point:
            yield {
                "method": "dm",
                "dataset": dataset,
                "ipc": ipc,
                "parameters": {"iterations": _ITERATIONS, **real},
                "seconds": _rounded(_ITERATIONS * seconds["dm"]),
            }
        loops = config.parameters(dataset, "dsa", "convnet", ipc)
        outer, between = loops["outer_loop"], (loops["outer_loop"] - 1) * loops["inner_loop"]
        if "dsa-pixels" in point and ("dsa-network" in point or not between):
            network = seconds.get("dsa-network", 0)
            yield {
                "method": "dsa",
                "dataset": dataset,
                "ipc": ipc,
                "parameters": {"iterations": 1, **real},
                "seconds": _rounded(outer * seconds["dsa-pixels"] + between * network),
            }
        if "training" in point:
            epochs = config.recipe("dsa", dataset, ipc)["epochs"]
            total = (epochs + 1) * seconds["training"] + seconds.get("testing", 0)
            yield {
                "recipe": "dsa",
                "dataset": dataset,
                "ipc": ipc,
                "seconds": _rounded(total / point["training"]["networks"]),
            }


def replaced(text: str, name: str, block: str) -> str:
    """Return a YAML text whose top-level entry ``name``, with the comment right above it, is ``block``."""
    lines = text.splitlines(keepends=True)
    starts = [i for i, line in enumerate(lines) if re.match(rf"{name}\s*:", line)]
    if not starts:
        return f"{text.rstrip()}\n\n{block}" if text.strip() else block
    first = starts[0]
    last = first + 1
    while last < len(lines) and (not lines[last].strip() or lines[last][0] in " -"):
        last += 1
    while first and lines[first - 1].startswith("#"):
        first -= 1
    after = "".join(lines[last:])
    return "".join(lines[:first]) + block + (f"\n{after}" if after else "")


def _points(rows: Sequence[Row]) -> Iterator[dict[str, Row]]:
    """Yield, by loop, the rows that determine the times of jobs: the library's default, then other sets."""
    own = [r for r in rows if r["study"] == "loops" and (r["compiled"] or r["networks"] > 1)]
    usual = {r["loop"]: r for r in sorted(own, key=lambda r: (r["networks"], r["compiled"]))}
    if usual:
        yield usual
    known = {r["ipc"] for r in usual.values()}
    varied = [r for r in rows if r["study"] == "ipc" and r["ipc"] not in known]
    for ipc in sorted({r["ipc"] for r in varied}):
        yield {r["loop"]: r for r in varied if r["ipc"] == ipc}


def _block(name: str, precision: str, rows: Sequence[Row], found: Sequence[dict[str, Any]]) -> str:
    first = rows[0]
    start = statistics.median(r["start_seconds"] for r in rows)
    cores = " Seconds of one core: a job with two threads takes about half the time." * (name == "cpu")
    head = [
        f"# Written by `make bench`.{cores}",
        f"{name}:",
        f"  device: {_text(first['device'])}, {precision}",
        f"  source: measured by make bench at commit {first['commit'][:12]}",
        f"  start: {start:.0f}",
        *(_speed(precision) if name == "cpu" else []),
        "  jobs:",
    ]
    return "\n".join([*head, *(f"    - {_flow(job)}" for job in found)]) + "\n"


def _speed(precision: str) -> list[str]:
    """Return the speed of the measured machine, and the unchanged speed of the slowest one."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    present = {"product": speed.product_rate(dtype), "convolution": speed.convolution_rate(dtype)}
    slowest = yaml.safe_load(FILE.read_text(encoding="utf-8"))["cpu"]["slowest"]
    return [f"  speed: {_flow(present)}", f"  slowest: {_flow(slowest)}"]


def _text(value: str) -> str:
    """Return a text without characters that have a meaning in YAML."""
    return re.sub(r"[^\w ().,-]", " ", value)


def _flow(job: dict[str, Any]) -> str:
    return yaml.safe_dump(job, default_flow_style=True, sort_keys=False, width=10_000).strip()


def _rounded(seconds: float) -> float:
    return float(f"{seconds:.3g}")
