"""The recorded cost of the jobs behind a table: wall time, processor time, memory, device."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from condensery.errors import CondenseryError
from condensery.experiment.jobs import JobId
from condensery.files import atomic
from condensery.progress import duration
from condensery.reporting.labels import Labels
from condensery.reporting.layout import ABSENT
from condensery.reporting.markdown import table
from condensery.rows import USE, read_table

COLUMNS = (*JobId._fields, "seconds", "cpu_seconds", *USE.names, "device", "source")
"""The columns of a table of costs, one line per job; the columns of memory are those of `rows.USE`.

``source`` is ``benchmark`` or ``rows``, or empty if there is no record of the job.
"""

_MEASURED = ("seconds", "cpu_seconds", *USE.names)
_CELL = ["rule", "dataset", "method", "ipc", "network"]
_HEADS = (
    "Job",
    "Data set",
    "Method",
    "Images/class",
    "Network",
    "Known",
    "Mean time",
    "Longest",
    "Peak memory",
)
_PUBLISHED = (
    "A published time is that of all sizes together; the measured one adds up the mean time of a set of "
    "each. What the protocol lowers makes the measured one shorter."
)
_PUBLISHED_HEADS = ("Data set", "Method", "Images/class", "Published", "On", "Measured", "On")
_PART = re.compile(r"/classes[^/]*$")
_DEVICE = re.compile(r"device: (.+)$", re.MULTILINE)
_DEVICE_MEMORY = re.compile(r"(\d+) MB of the device, which holds (\d+) MB$", re.MULTILINE)
_DEVICE_HEAD = "Peak on the device"


def read(results: Path, jobs: Sequence[JobId]) -> pd.DataFrame:
    """Collect the records of jobs.

    Args:
        results: the results of a protocol, with ``benchmarks/`` (times and memory), ``logs/`` (the device)
            and row files. For a job without a benchmark, whose results were fetched, the rows give the
            seconds of training and testing, and the device.
        jobs: the jobs.

    Returns:
        A frame with `COLUMNS`, one line per job, or one line per part of a job that was split.

    Raises:
        CondenseryError: a benchmark or a row file cannot be read.
    """
    lines = []
    for job in jobs:
        lines += [_of_benchmark(results, job, file) for file in _benchmarks(results, job)] or [
            _of_rows(results / f"{job.path}.parquet", job)
        ]
    frame = pd.DataFrame(lines, columns=list(COLUMNS))
    return frame.astype(dict.fromkeys(_MEASURED, float))


def _benchmarks(results: Path, job: JobId) -> list[Path]:
    """Return the benchmark of a job, or those of its parts; the newer ones if it was run in both ways."""
    whole = results / "benchmarks" / f"{job.path}.tsv"
    ways = [[whole] if whole.is_file() else [], sorted(whole.with_suffix("").glob("classes*.tsv"))]
    return max(ways, key=lambda files: max((file.stat().st_mtime for file in files), default=0))


def _of_benchmark(results: Path, job: JobId, file: Path) -> dict[str, Any]:
    try:
        measured = pd.read_csv(file, sep="\t", na_values="-").iloc[0]
        times = {
            "seconds": measured["s"],
            "cpu_seconds": measured["cpu_time"],
            "memory_mb": measured["max_rss"],
        }
    except (ValueError, KeyError, IndexError) as error:
        raise CondenseryError(f"{file}: not a benchmark of Snakemake; remove it") from error
    path = file.relative_to(results / "benchmarks").with_suffix("")
    log = results / "logs" / f"{path}.log"
    text = log.read_text(errors="replace") if log.is_file() else ""
    found = _DEVICE.search(text)
    device = found[1] if found else "cpu" if job.rule == "prepare" else ""
    taken = _DEVICE_MEMORY.search(text)
    memory = dict(zip(USE.names[1:], map(float, taken.groups()), strict=True)) if taken else {}
    return {**job._asdict(), "path": str(path), **times, **memory, "device": device, "source": "benchmark"}


def _of_rows(file: Path, job: JobId) -> dict[str, Any]:
    if not file.is_file():
        return {**job._asdict(), "device": "", "source": ""}
    try:
        rows = read_table(file).to_pandas()
        seconds = (rows["train_seconds"] + rows["test_seconds"]).sum()
        devices = sorted(set(rows["device"] + ", " + rows["precision"]))
    except KeyError as error:
        raise CondenseryError(f"{file}: not a file of rows ({error}); make it again") from error
    memory = {name: rows[name].max() for name in USE.names if name in rows}
    return {**job._asdict(), "seconds": seconds, **memory, "device": " + ".join(devices), "source": "rows"}


def write(frame: pd.DataFrame, title: str, labels: Labels, prefix: Path, known: pd.DataFrame) -> None:
    """Write prefix.csv, one line per job, and prefix.md, one line per kind of job and cell.

    If the papers print the time of condensing such sets, prefix.md compares it with the measured time.

    Args:
        frame: records as `read` returns them.
        title: heading of the page.
        labels: names for readers.
        prefix: path of the files without their suffix.
        known: published times as `published.costs` returns them.
    """
    csv = frame.to_csv(index=False, float_format="%.1f", lineterminator="\n")
    for suffix, text in ((".csv", csv), (".md", _page(frame, title, labels, known))):
        with atomic(prefix.with_name(prefix.name + suffix)) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _page(frame: pd.DataFrame, title: str, labels: Labels, known: pd.DataFrame) -> str:
    lines = [_line(cell, group, labels) for cell, group in frame.groupby(_CELL, sort=False)]
    heads = [*_HEADS, _DEVICE_HEAD]
    if not any(line[-1] for line in lines):
        heads, lines = heads[:-1], [line[:-1] for line in lines]
    parts = [f"# {title}", _about(frame), table(heads, lines)]
    published = [line for time in known.to_dict("records") if (line := _compared(time, frame, labels))]
    if published:
        parts += ["## Condensing, beside the published times", _PUBLISHED, table(_PUBLISHED_HEADS, published)]
    return "\n\n".join(parts) + "\n"


def _compared(time: dict[str, Any], frame: pd.DataFrame, labels: Labels) -> list[str]:
    """Return the line with a published time and the measured time of the same sizes, or no line."""
    of_method = (frame["dataset"] == time["dataset"]) & (frame["method"] == time["method"])
    jobs = frame[of_method & frame["rule"].str.startswith("condense")]
    sizes = [int(ipc) for ipc in time["ipc"].split("+")]
    if not set(sizes) <= set(jobs["ipc"]):
        return []
    jobs = jobs[jobs["ipc"].isin(sizes) & jobs["seconds"].notna()]
    # The time of a set in parts is the sum over the parts.
    each = jobs.groupby(["ipc", jobs["path"].str.replace(_PART, "", regex=True)])["seconds"].sum()
    means = each.groupby("ipc").mean()
    measured = duration(means.sum()) if len(means) == len(sizes) else ABSENT
    return [
        *(labels.dataset(time["dataset"]), labels.method(time["method"]), " + ".join(map(str, sizes))),
        *(duration(60 * time["minutes"]), time["hardware"]),
        *(measured, ", ".join(sorted(set(jobs["device"]) - {""})) or ABSENT),
    ]


def _about(frame: pd.DataFrame) -> str:
    """Return sentences about the number of jobs with a record, and the total time per device."""
    counts = frame["source"].value_counts()
    measured, from_rows, unknown = (int(counts.get(source, 0)) for source in ("benchmark", "rows", ""))
    sentences = [
        f"Jobs with a benchmark: {measured} of {len(frame)}. A benchmark has the wall time of "
        "the job's last attempt and its peak memory on the host."
    ]
    if from_rows:
        sentences.append(f"Fetched, with the time of training and testing from the rows: {from_rows}.")
    if unknown:
        sentences.append(f"Fetched or made elsewhere, with unknown cost: {unknown}.")
    known = frame[frame["source"] != ""]
    spent = known.groupby(known["device"].replace("", "a device that was not recorded"))["seconds"].sum()
    sentences += [f"Total: {duration(seconds)} on {device}." for device, seconds in spent.items()]
    return " ".join(sentences)


def _line(cell: tuple[Any, ...], group: pd.DataFrame, labels: Labels) -> list[str]:
    rule, dataset, method, ipc, network = cell
    seconds = group["seconds"].dropna()
    return [
        *(rule, labels.dataset(dataset), labels.method(method), str(ipc or ""), network),
        f"{len(seconds)} of {len(group)}",
        *((duration(seconds.mean()), duration(seconds.max())) if len(seconds) else ("", "")),
        *(_megabytes(group[name].max()) for name in USE.names[:2]),
    ]


def _megabytes(number: float) -> str:
    return "" if pd.isna(number) else f"{number:,.0f} MB"
