"""Open the inputs of a score: the job on a data set, and a set in memory."""

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
    """Open a job on a data set; a built-in data set is prepared first.

    Args:
        data: name of the data set, an entry of datasets.yaml.
        config: the folder of the configuration.
        protocol: name of the protocol; default: config.yaml's.
        prepared: the folder of the prepared data; default: data/prepared/NAME.
        others: further arguments of `Job.open`.

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
    """Return images in memory as a synthetic set of a data set.

    Args:
        images: (N, C, H, W), or (N, H, W, C).
        labels: classes, (N,), or soft labels, (N, K).
        info: the data set.
        space: the space of the pixels; default: the only one that the values allow.
        formation: parts along each side of a stored image.

    Raises:
        CondenseryError: images, labels and data set do not agree, or several spaces are possible.
    """
    found = Found(images.cpu().contiguous(), labels.cpu().contiguous(), layout="tensors")
    pixels, targets = found.values(_IN_MEMORY, info, Choices(space=space))
    synthetic = SyntheticSet.of(info, pixels, targets, formation=formation)
    synthetic.check_against(info)
    return synthetic
