"""Official formats: files of known images, valid or damaged, and what the readers return."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import logging
import pickle
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import numpy as np
import pytest
import torch
import yaml
from scipy.io import savemat
from torchvision import datasets as published

from condensery.data import kinds, load, prepare, sources
from condensery.errors import CondenseryError
from tests.archives import reads_tar

LIMIT = 600
"""Seconds after which a thread that does not go on fails its test."""

RNG = np.random.default_rng(0)
GRAY = {s: RNG.integers(0, 256, (n, 1, 28, 28), dtype=np.uint8) for s, n in (("train", 30), ("test", 12))}
RGB = {s: RNG.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8) for s, n in (("train", 30), ("test", 12))}
LABELS = {s: RNG.integers(0, 10, n) for s, n in (("train", 30), ("test", 12))}


def entry(*sources, channels=1, size=(28, 28), classes=10, **more):
    spec = {"channels": channels, "size": list(size), "classes": classes, "mean": "auto", "std": "auto"}
    return {**spec, "sources": list(sources), **more}


def prepared(spec, root, name="made"):
    prepare(name, spec, root, root / "out")
    return load(root / "out")


def holds(data, images, labels=LABELS):
    for split in ("train", "test"):
        found = getattr(data, split)
        assert np.array_equal(np.asarray(found.images), images[split])
        assert np.array_equal(found.labels, labels[split])


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_idx(folder, compress=True):
    folder.mkdir(parents=True)
    for split, stem in (("train", "train"), ("test", "t10k")):
        count = len(LABELS[split])
        images = np.array([0x803, count, 28, 28], ">u4").tobytes() + GRAY[split].tobytes()
        labels = np.array([0x801, count], ">u4").tobytes() + LABELS[split].astype(np.uint8).tobytes()
        for name, data in ((f"{stem}-images-idx3-ubyte", images), (f"{stem}-labels-idx1-ubyte", labels)):
            if compress:
                (folder / f"{name}.gz").write_bytes(gzip.compress(data))
            else:
                (folder / name).write_bytes(data)


def write_cifar(folder):
    """CIFAR-10's files: five training batches of 6 images, a test batch, the names."""
    folder.mkdir(parents=True)
    rows = {split: images.reshape(len(images), -1) for split, images in RGB.items()}
    for n in range(5):
        part = slice(6 * n, 6 * n + 6)
        batch = {"data": rows["train"][part], "labels": LABELS["train"][part].tolist()}
        (folder / f"data_batch_{n + 1}").write_bytes(pickle.dumps(batch, protocol=2))
    batch = {"data": rows["test"], "labels": LABELS["test"].tolist()}
    (folder / "test_batch").write_bytes(pickle.dumps(batch, protocol=2))
    meta = {"label_names": list("abcdefghij")}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    """A mirror of idx files, and a kind `mnist` that has their checksums."""
    write_idx(tmp_path / "mirror")
    files = sorted((tmp_path / "mirror").iterdir(), reverse=True)

    class Small(published.MNIST):
        resources = [(f.name, md5(f)) for f in files]  # noqa: RUF012
        mirrors = [(tmp_path / "nowhere").as_uri() + "/", (tmp_path / "mirror").as_uri() + "/"]  # noqa: RUF012

    monkeypatch.setitem(kinds.KINDS, "mnist", lambda: kinds._idx(Small))
    return tmp_path


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """CIFAR-10's archive, and a kind `cifar10` that has the checksums of its files."""
    folder = tmp_path / "cifar-10-batches-py"
    write_cifar(folder)
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz") as bundle:
        bundle.add(folder, folder.name)

    class Small(published.CIFAR10):
        url = (tmp_path / "cifar-10-python.tar.gz").as_uri()
        tgz_md5 = md5(tmp_path / "cifar-10-python.tar.gz")
        train_list = [[n, md5(folder / n)] for n, _ in published.CIFAR10.train_list]  # noqa: RUF012
        test_list = [["test_batch", md5(folder / "test_batch")]]  # noqa: RUF012
        meta = {**published.CIFAR10.meta, "md5": md5(folder / "batches.meta")}  # noqa: RUF012

    monkeypatch.setitem(kinds.KINDS, "cifar10", lambda: kinds._cifar(Small, "labels"))
    return tmp_path


@pytest.mark.parametrize("compress", [True, False])
def test_idx_files_of_any_origin(tmp_path, compress):
    write_idx(tmp_path / "any", compress)
    holds(prepared(entry({"kind": "idx", "path": "any"}), tmp_path), GRAY)


def test_official_files_come_from_a_mirror_or_the_official_address_and_are_kept(mnist):
    mirror = {"kind": "mnist", "url": (mnist / "mirror").as_uri()}
    for number, source in enumerate((mirror, {"kind": "mnist"})):
        root = mnist / str(number)
        holds(prepared(entry(source), root), GRAY)
        kept = root / "Small" / "raw"
        assert sorted(f.name for f in kept.iterdir()) == sorted(f.name for f in (mnist / "mirror").iterdir())


@reads_tar
def test_two_data_sets_of_one_download_fetch_it_once(cifar, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    fetch, fetching, go_on, fetched = sources._fetch, Event(), Event(), []

    def slow(addresses, name, *more):
        fetched.append(name)
        fetching.set()
        assert go_on.wait(LIMIT)
        return fetch(addresses, name, *more)

    monkeypatch.setattr(sources, "_fetch", slow)
    spec = entry({"kind": "cifar10"}, channels=3, size=(32, 32))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(prepare, "one", spec, cifar / "raw", cifar / "one")
        assert fetching.wait(LIMIT)
        second = pool.submit(prepare, "other", spec, cifar / "raw", cifar / "other")
        while "waiting" not in caplog.text and len(fetched) < 2 and not second.done():
            time.sleep(0.01)
        go_on.set()
        first.result(LIMIT)
        second.result(LIMIT)
    assert fetched == ["cifar-10-python.tar.gz"]
    for name in ("one", "other"):
        holds(load(cifar / name), RGB)
    assert [path.name for path in (cifar / "raw").iterdir()] == fetched


def test_a_mirror_over_http(mnist):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *given):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=mnist / "mirror")) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        source = {"kind": "mnist", "url": f"http://127.0.0.1:{server.server_port}"}
        holds(prepared(entry(source), mnist / "http"), GRAY)
        server.shutdown()


def test_sources_are_tried_in_order_and_only_absence_moves_on(mnist):
    local = {"kind": "idx", "path": "mirror"}
    absent = [{"kind": "mnist", "path": "no/such"}, {"kind": "mnist", "url": (mnist / "gone").as_uri()}]
    holds(prepared(entry(*absent, local, {"kind": "mnist"}), mnist), GRAY)
    assert '"kind": "idx"' in (mnist / "out" / "info.json").read_text()

    damaged = mnist / "mirror" / "t10k-labels-idx1-ubyte.gz"
    damaged.write_bytes(gzip.compress(b"another"))
    spec = entry({"kind": "mnist", "path": "mirror"}, local)
    with pytest.raises(CondenseryError, match=r"t10k-labels-idx1-ubyte.gz: truncated or altered"):
        prepare("made", spec, mnist, mnist / "other")
    assert not (mnist / "other").exists()


def test_a_mirror_with_other_bytes_is_not_used(mnist):
    (mnist / "mirror" / "train-labels-idx1-ubyte.gz").write_bytes(b"not it")
    spec = entry({"kind": "mnist", "url": (mnist / "mirror").as_uri()})
    with pytest.raises(CondenseryError, match="no source exists") as caught:
        prepare("made", spec, mnist / "raw", mnist / "out")
    assert "\n" not in str(caught.value)
    assert not (mnist / "out").exists()
    assert not (mnist / "raw/Small/raw/train-labels-idx1-ubyte.gz").exists()


@pytest.mark.parametrize("keep", [0.5, 0.99])
@pytest.mark.parametrize("compress", [True, False])
def test_truncated_idx_files_are_refused(tmp_path, keep, compress):
    write_idx(tmp_path / "any", compress)
    victim = next((tmp_path / "any").glob("train-images*"))
    victim.write_bytes(victim.read_bytes()[: int(victim.stat().st_size * keep)])
    with pytest.raises(CondenseryError, match=f"{victim.name}: truncated or altered"):
        prepare("made", entry({"kind": "idx", "path": "any"}), tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_content_checksum_refuses_one_altered_pixel_or_label_and_no_other_order(tmp_path):
    write_idx(tmp_path / "any", compress=False)
    source = {"kind": "idx", "path": "any"}
    prepared(entry(source), tmp_path)
    content = yaml.safe_load((tmp_path / "out" / "info.json").read_text())["content"]
    for name, position in (("train-images-idx3-ubyte", 5_000), ("t10k-labels-idx1-ubyte", 12)):
        path = tmp_path / "any" / name
        whole = path.read_bytes()
        path.write_bytes(whole[:position] + bytes([(whole[position] + 1) % 9]) + whole[position + 1 :])
        for spec in (entry(source, content=content), entry({**source, "content": content})):
            with pytest.raises(CondenseryError, match="not the published ones"):
                prepare("made", spec, tmp_path, tmp_path / "checked")
            assert not (tmp_path / "checked").exists()
        path.write_bytes(whole)

    images, labels = (
        np.frombuffer((tmp_path / "any" / f"t10k-{n}-ubyte").read_bytes(), np.uint8)
        for n in ("images-idx3", "labels-idx1")
    )
    (tmp_path / "any/t10k-images-idx3-ubyte").write_bytes(
        images[:16].tobytes() + images[16:].reshape(12, -1)[::-1].tobytes()
    )
    (tmp_path / "any/t10k-labels-idx1-ubyte").write_bytes(labels[:8].tobytes() + labels[8:][::-1].tobytes())
    prepare("made", entry(source, content=content), tmp_path, tmp_path / "reordered")
    assert np.array_equal(load(tmp_path / "reordered").test.images, GRAY["test"][::-1])


@pytest.mark.parametrize(
    "source",
    [
        {"kind": "cifar10", "path": "cifar-10-batches-py"},
        pytest.param({"kind": "cifar10", "path": "cifar-10-python.tar.gz"}, marks=reads_tar),
        pytest.param({"kind": "cifar10"}, marks=reads_tar),
    ],
)
def test_cifar_from_its_folder_its_archive_or_its_address(cifar, source):
    root = cifar if "path" in source else cifar / "fresh"
    data = prepared(entry(source, channels=3, size=(32, 32)), root)
    holds(data, RGB)
    assert data.info.classes == tuple("abcdefghij")


@pytest.mark.parametrize("file", ["data_batch_3", "cifar-10-python.tar.gz"])
def test_damaged_cifar_is_refused(cifar, file):
    folder = "cifar-10-batches-py" if file.startswith("data") else ""
    victim = cifar / folder / file
    victim.write_bytes(victim.read_bytes()[:-7])
    spec = entry({"kind": "cifar10", "path": folder or file}, channels=3, size=(32, 32))
    with pytest.raises(CondenseryError, match="truncated or altered"):
        prepare("made", spec, cifar, cifar / "out")
    assert not (cifar / "out").exists()


def test_a_pickle_cannot_run_code(tmp_path, monkeypatch):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "proof"), "w"))

    write_cifar(tmp_path / "c")
    (tmp_path / "c" / "data_batch_2").write_bytes(pickle.dumps({"data": Evil()}, protocol=2))
    unchecked = kinds.Kind(kinds.KINDS["cifar10"]().read)
    monkeypatch.setitem(kinds.KINDS, "cifar10", lambda: unchecked)
    spec = entry({"kind": "cifar10", "path": "c"}, channels=3, size=(32, 32))
    with pytest.raises(CondenseryError, match=r"data_batch_2: .*asks for"):
        prepare("made", spec, tmp_path, tmp_path / "out")
    assert not (tmp_path / "proof").exists()


def test_cifar100_has_fine_labels(tmp_path, monkeypatch):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for split in ("train", "test"):
        fine = LABELS[split] * 9
        batch = {
            "data": RGB[split].reshape(len(fine), -1),
            "fine_labels": fine.tolist(),
            "coarse_labels": [0] * len(fine),
        }
        (folder / split).write_bytes(pickle.dumps(batch, protocol=2))
    names = [f"class {c}" for c in range(100)]
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": names}, protocol=2))
    unchecked = kinds.Kind(kinds.KINDS["cifar100"]().read)
    monkeypatch.setitem(kinds.KINDS, "cifar100", lambda: unchecked)
    data = prepared(
        entry({"kind": "cifar100", "path": folder.name}, channels=3, size=(32, 32), classes=100), tmp_path
    )
    holds(data, RGB, {split: labels * 9 for split, labels in LABELS.items()})
    assert data.info.classes == tuple(names)


def test_svhn_calls_zero_ten(tmp_path, monkeypatch):
    for split in ("train", "test"):
        labels = np.where(LABELS[split] == 0, 10, LABELS[split]).reshape(-1, 1)
        savemat(tmp_path / f"{split}_32x32.mat", {"X": RGB[split].transpose(2, 3, 1, 0), "y": labels})
    spec = entry({"kind": "svhn", "path": "."}, channels=3, size=(32, 32))
    with pytest.raises(CondenseryError, match=r"train_32x32.mat: truncated or altered \(its MD5"):
        prepare("made", spec, tmp_path, tmp_path / "out")
    unchecked = kinds.Kind(kinds.KINDS["svhn"]().read)
    monkeypatch.setitem(kinds.KINDS, "svhn", lambda: unchecked)
    holds(prepared(spec, tmp_path), RGB)


def test_usps_is_what_torchvision_makes_of_it(tmp_path, monkeypatch):
    milli = {
        s: RNG.integers(-1000, 1001, (n, 16, 16)).astype(np.int16) for s, n in (("train", 30), ("test", 12))
    }
    for split, name in (("train", "usps.bz2"), ("test", "usps.t.bz2")):
        lines = [
            f"{label + 1} " + " ".join(f"{i}:{v / 1000}" for i, v in enumerate(row.reshape(-1), 1)) + " "
            for row, label in zip(milli[split], LABELS[split], strict=True)
        ]
        (tmp_path / name).write_bytes(bz2.compress("\n".join(lines).encode()))
    splits = {s: ["", f, md5(tmp_path / f)] for s, f in (("train", "usps.bz2"), ("test", "usps.t.bz2"))}
    monkeypatch.setattr(published.USPS, "split_list", splits)
    checked = kinds._files(published.USPS, "usps", kinds.KINDS["usps"]().read)
    monkeypatch.setitem(kinds.KINDS, "usps", lambda: checked)
    wanted = {s: published.USPS(str(tmp_path), train=s == "train").data[:, None] for s in ("train", "test")}
    holds(prepared(entry({"kind": "usps", "path": "."}, size=(16, 16)), tmp_path), wanted)

    arrays = {f"x_{s}_milli": milli[s] for s in milli} | {f"y_{s}": LABELS[s].astype(np.uint8) for s in milli}
    np.savez(tmp_path / "usps.npz", **arrays)
    prepare(
        "made", entry({"kind": "usps-npz", "path": "usps.npz"}, size=(16, 16)), tmp_path, tmp_path / "npz"
    )
    holds(load(tmp_path / "npz"), wanted)


def test_tensors_of_tinyimagenet(tmp_path):
    values = {"classes": list("abcdefghij")}
    for split, name in (("train", "train"), ("test", "val")):
        values |= {
            f"images_{name}": torch.from_numpy(RGB[split]),
            f"labels_{name}": torch.from_numpy(LABELS[split]),
        }
    torch.save(values, tmp_path / "tinyimagenet.pt")
    spec = entry({"kind": "tensors", "path": "tinyimagenet.pt"}, channels=3, size=(32, 32))
    data = prepared(spec, tmp_path)
    holds(data, RGB)
    assert data.info.classes == tuple("abcdefghij")
    (tmp_path / "tinyimagenet.pt").write_bytes((tmp_path / "tinyimagenet.pt").read_bytes()[:20_000])
    with pytest.raises(CondenseryError, match=r"tinyimagenet.pt: truncated or altered"):
        prepare("made", spec, tmp_path, tmp_path / "other")


def test_digits_are_split_evenly_by_class_and_scaled_to_bytes(tmp_path):
    from sklearn.datasets import load_digits

    data = prepared(entry({"kind": "digits"}, size=(8, 8)), tmp_path, "digits")
    images, labels = load_digits(return_X_y=True)
    assert len(data.train) + len(data.test) == len(labels) == 1797
    for c in range(10):
        whole, tested = (labels == c).sum(), len(data.test.indices_of(c))
        assert tested == whole // 5
    both = np.concatenate([np.asarray(data.train.images), np.asarray(data.test.images)]).reshape(-1, 64)
    assert np.abs(np.sort(both, axis=0) - np.sort(images, axis=0) * 255 / 16).max() <= 0.5
    train = np.asarray(data.train.images) / 255
    assert data.info.mean == pytest.approx([train.mean()], abs=6e-5)
    assert data.info.std == pytest.approx([train.std()], abs=6e-5)
