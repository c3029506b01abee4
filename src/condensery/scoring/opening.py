"""Open what is scored: the job on a data set, and a set in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from condensery import data as real_data
from condensery.data import DataInfo, kinds
from condensery.exchange import Space
from condensery.exchange.found import Choices, Found
from condensery.experiment import load_config
from condensery.jobs import Job
from condensery.synthetic import SyntheticSet

_IN_MEMORY = Path("the set in memory")
"""Its name in messages."""


def open_job(data: str, *, config: Path, protocol: str | None, prepared: Path | None, **others: Any) -> Job:
    """Open a job on a data set, which is prepared first if it is built in; see `Job.open`.

    Raises:
        CondenseryError: the configuration or the data set cannot be used, or is not prepared.
    """
    read = load_config(config, protocol)
    spec = read.dataset(data)
    folder = prepared or read.data_dir / "prepared" / data
    first = spec["sources"][0]
    if prepared is None and not first.keys() & {"path", "url"} and kinds.KINDS[first["kind"]]().built_in:
        real_data.prepare(data, spec, read.data_dir / "raw", folder)
    return Job.open(data, config=config, protocol=protocol, prepared=folder, **others)


def in_space(
    images: Tensor, labels: Tensor, info: DataInfo, space: Space | None = None, formation: int = 1
) -> SyntheticSet:
    """Return images in memory as a set of a data set; see `condensery.scoring.score`.

    Raises:
        CondenseryError: images, labels and data set do not agree, or the space has to be given.
    """
    found = Found(images.cpu().contiguous(), labels.cpu().contiguous(), layout="tensors")
    pixels, targets = found.values(_IN_MEMORY, info, Choices(space=space))
    synthetic = SyntheticSet.of(info, pixels, targets, formation=formation)
    synthetic.check_against(info)
    return synthetic
