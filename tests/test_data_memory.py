"""Host memory stays flat as a data set grows."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from condensery.data import DataInfo, prepare
from condensery.data.storage import FILES, Description, header

SAMPLE = """
import sys
from pathlib import Path
import numpy as np
import torch
from condensery.data import load

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

data = load(Path(sys.argv[1]))
rng = np.random.default_rng(0)
def sample(batches):
    for _ in range(batches):
        c = int(rng.integers(1000))
        data.train.batch(rng.choice(data.train.indices_of(c), 256, replace=False), torch.device("cpu"))
sample(10)
early = peak()
sample(200)
print(len(data.train), early, peak())
"""


def sparse_imagenet(folder):
    """Write 1.28 million 64x64 images, 15.7 GB, as sparse files that occupy almost no space."""
    counts, info = (
        {"train": 1_280_000, "test": 1_000},
        DataInfo("huge", 3, 64, 64, (), (0.5,) * 3, (0.5,) * 3),
    )
    info = DataInfo(**{**vars(info), "classes": tuple(str(c) for c in range(1000))})
    folder.mkdir()
    for split, count in counts.items():
        with (folder / f"{split}_images.npy").open("wb") as stream:
            stream.write(header((count, 3, 64, 64), np.uint8))
            stream.truncate(128 + count * 12_288)
        with (folder / f"{split}_labels.npy").open("wb") as stream:
            stream.write(header((count,), np.int64))
            stream.write((np.arange(count) % 1000).astype("<i8").tobytes())
    Description(info, "", {}, counts, dict.fromkeys(FILES, ""), {}).write(folder / "info.json")


@pytest.mark.slow
def test_more_than_a_million_images_are_opened_and_sampled_in_little_memory(tmp_path):
    sparse_imagenet(tmp_path / "huge")
    run = subprocess.run(
        [sys.executable, "-c", SAMPLE, tmp_path / "huge"],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    images, early, late = map(int, run.stdout.split())
    assert images == 1_280_000
    # The kernel's peak includes file pages and PyTorch itself, some 650 MB.
    assert late < 10**9
    # 200 batches of 256 images are 630 MB: none of it stays.
    assert late - early < 100 * 2**20


def test_preparing_holds_one_batch_of_imagenet_at_a_time(tmp_path):
    rows, folder = 1_000, tmp_path / "raw" / "batches"
    folder.mkdir(parents=True)
    batch = {"data": np.zeros((rows, 3 * 64 * 64), dtype=np.uint8), "labels": [1] * rows}
    for name in [*(f"train_data_batch_{n}" for n in range(1, 11)), "val_data"]:
        (folder / name).write_bytes(pickle.dumps(batch))
    spec = {
        "channels": 3,
        "size": [64, 64],
        "classes": 1,
        "mean": "auto",
        "std": "auto",
        "sources": [{"kind": "imagenet-batches", "path": "batches"}],
    }
    digits = {**spec, "sources": [{"kind": "digits"}], "channels": 1, "size": [8, 8], "classes": 10}
    prepare("digits", digits, tmp_path, tmp_path / "digits")  # imports before the measurement are not counted
    tracemalloc.start()
    prepare("made", spec, tmp_path / "raw", tmp_path / "out")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "out" / "train_images.npy").stat().st_size > 10 * rows * 12_288
    assert peak < 5 * rows * 12_288
