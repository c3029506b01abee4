"""Preparation of a data set: from its source into memory-mapped arrays, resumable, complete or absent."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from condensery.data import origin, whitening
from condensery.data.alone import alone
from condensery.data.arrays import DataInfo
from condensery.data.contents import Contents, Shape
from condensery.data.partial import Journal, sync, write_split
from condensery.data.sources import files_of, open_first
from condensery.data.storage import (
    FILES,
    LAYOUT,
    SPLITS,
    Description,
    content_checksum,
    file_sha256,
    load,
    rows_in_file,
)
from condensery.errors import CondenseryError

log = logging.getLogger(__name__)

FOLDERS_READ = 3
"""Version of the reading of image folders: if it changes, prepared image folders are prepared again."""


def prepare(name: str, spec: Mapping[str, Any], raw_root: Path, out_dir: Path) -> None:
    """Prepare a data set from the first of its sources that exists.

    A complete folder of the same entry is kept if it has the published content, or if the files of its source
    have not changed or no longer exist. Unfinished work is in ``out_dir/.partial``: a run that was killed, or
    ran out of disk or memory, is resumed from there unless a file of the source has changed; any other
    failure removes it. If two processes prepare the same folder, one waits for the other. Images are
    streamed, so that memory does not grow with the data set.

    Args:
        name: the name of the data set.
        spec: its entry of config/datasets.yaml, which describes the keys.
        raw_root: the folder to which source paths are relative, and into which files are downloaded.
        out_dir: the prepared folder; `condensery.data.storage` describes its layout.

    Raises:
        CondenseryError: no source exists, or a source is truncated or altered, or changes while it is read.
    """
    with alone(out_dir):
        _prepare(name, spec, raw_root, out_dir)


def state_of_folder(spec: Mapping[str, Any], raw_root: Path, out_dir: Path) -> str:
    """Return a text that changes when the image folder of an entry changes, so that it is prepared again.

    While the prepared folder corresponds to the images, the text stays that of its preparation, even if the
    files have been copied or deleted since. It is empty for entries with published content and for sources of
    another kind.

    Args:
        spec: the entry of the data set in datasets.yaml.
        raw_root: the folder of the sources.
        out_dir: the prepared folder.
    """
    folders = [each for each in spec["sources"] if each["kind"] == "image-folder" and "content" not in each]
    if not folders or spec.get("content"):
        return ""
    try:
        found = Description.read(out_dir)
    except CondenseryError:
        found = None
    for source in folders:
        try:
            files = files_of(source, Shape(spec["channels"], *spec["size"]), raw_root)
            if files is None:
                continue
            listed = origin.listing(files, raw_root)
            if found is None or not found.origin or found.source != _source_text(source):
                return listed
            return found.origin["listing"] if origin.same(found.origin, files, raw_root) else listed
        except CondenseryError as error:
            return str(error)
    return found.origin.get("listing", "") if found and found.source["kind"] == "image-folder" else ""


def _prepare(name: str, spec: Mapping[str, Any], raw_root: Path, out_dir: Path) -> None:
    identity = _identity(name, spec)
    if _complete(out_dir, identity, spec, raw_root):
        log.info("%s: already prepared in %s", name, out_dir)
        return
    existed = out_dir.exists()
    partial = out_dir / ".partial"
    partial.mkdir(parents=True, exist_ok=True)
    try:
        _make(name, spec, identity, raw_root, out_dir, partial)
    except OSError as error:
        raise CondenseryError(
            f"{out_dir}: {name} cannot be prepared ({error}); check the disk and run this again, which goes "
            "on with what was prepared"
        ) from error
    except MemoryError:
        raise
    except Exception:
        shutil.rmtree(partial, ignore_errors=True)
        if not existed:
            shutil.rmtree(out_dir, ignore_errors=True)
        raise
    shutil.rmtree(partial)


def _identity(name: str, spec: Mapping[str, Any]) -> str:
    """Return the parts of an entry that determine the prepared bytes; its sources do not belong to them."""
    known = {key: spec.get(key) for key in ("channels", "size", "classes", "mean", "std")}
    if "zca" in spec:
        known["zca"] = spec["zca"]
    if any(source["kind"] == "image-folder" for source in spec["sources"]):
        known["folders"] = FOLDERS_READ
    return hashlib.sha256(json.dumps([LAYOUT, name, known], sort_keys=True).encode()).hexdigest()


def _complete(out_dir: Path, identity: str, spec: Mapping[str, Any], raw_root: Path) -> bool:
    if not (out_dir / "info.json").exists():
        return False
    try:
        load(out_dir)
        found = Description.read(out_dir)
    except CondenseryError as error:
        log.warning("preparing again: %s", error)
        return False
    if found.identity != identity:
        return False
    if spec.get("content"):
        return found.content == spec["content"]
    return _of_same_files(found, spec, raw_root)


def _of_same_files(found: Description, spec: Mapping[str, Any], raw_root: Path) -> bool:
    """Say whether a folder was prepared from the present files of a source, if these can be compared."""
    name = found.info.name
    source = next((each for each in spec["sources"] if _source_text(each) == found.source), None)
    if source is None:
        log.warning("%s: preparing again: its entry no longer lists the source that it was made from", name)
        return False
    files = files_of(source, Shape(spec["channels"], *spec["size"]), raw_root)
    if files is None:
        log.info("%s: its source is not there any more to compare it with", name)
        return True
    if not found.origin or origin.same(found.origin, files, raw_root):
        return True
    log.warning("%s: preparing again: the files of its source are not those that it was made from", name)
    return False


def _make(
    name: str, spec: Mapping[str, Any], identity: str, raw_root: Path, out_dir: Path, partial: Path
) -> None:
    shape = Shape(spec["channels"], *spec["size"])
    source, contents = open_first(name, spec["sources"], shape, raw_root, partial)
    classes = _classes(name, spec["classes"], contents)
    positions = _positions(classes, contents)
    parts = [len(contents.parts(split)) for split in SPLITS]
    listed = origin.listing(contents.files, raw_root)
    address = hashlib.sha256(json.dumps([identity, source, listed, parts]).encode()).hexdigest()
    journal = Journal(partial / "progress.json", address)
    for split in SPLITS:
        write_split(split, contents, shape, positions, journal, partial)
    counts = {split: journal.done(split)[1] for split in SPLITS}
    for split in SPLITS:
        if not counts[split]:
            raise CondenseryError(f"{contents.path}: holds no {split} images; add some or change the source")
    if source["kind"] == "image-folder":
        _check_folder(name, classes, shape, partial)
    content = {
        split: content_checksum(
            rows_in_file(partial / f"{split}_images.npy", shape, np.uint8),
            np.load(partial / f"{split}_labels.npy"),
        )
        for split in SPLITS
    }
    for split, wanted in (source.get("content") or spec.get("content") or {}).items():
        if content[split] != wanted:
            raise CondenseryError(
                f"{name}: the {split} images of {contents.path} are not the published ones "
                f"(content checksum {content[split]}, not {wanted}); replace the files or change the source"
            )
    mean, std = _statistics(spec, shape.channels, rows_in_file(partial / "train_images.npy", shape, np.uint8))
    written = FILES
    zca = None
    if "zca" in spec:
        train = rows_in_file(partial / "train_images.npy", shape, np.uint8)
        (partial / whitening.FILE).write_bytes(whitening.fitted(train, mean, std, **spec["zca"]))
        digest = whitening.definition(content["train"], mean, std, **spec["zca"])
        zca = whitening.Zca(digest, out_dir / whitening.FILE)
        written += (whitening.FILE,)
    info = DataInfo(name, shape.channels, shape.height, shape.width, classes, mean, std, zca)
    sums = {file: file_sha256(partial / file) for file in written}
    files = {"listing": listed, "content": origin.content(contents.files, raw_root)}
    if origin.listing(contents.files, raw_root) != listed:
        raise CondenseryError(
            f"{contents.path}: its files changed while they were read; prepare {name} again"
        )
    described = Description(info, identity, _source_text(source), counts, sums, content, files)
    described.write(partial / "info.json")
    (out_dir / "info.json").unlink(missing_ok=True)
    for file in (*written, "info.json"):
        sync(partial / file)
        os.replace(partial / file, out_dir / file)
    log.info("%s: %d training and %d test images from %s", name, *counts.values(), _source_text(source))


def _source_text(source: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(source[key]) for key in ("kind", "path", "url") if key in source}


def _classes(name: str, wanted: int | list[str], contents: Contents) -> tuple[str, ...]:
    """Determine the class names: those of the entry, or those of the source if the entry only counts them."""
    there = contents.classes
    named = wanted if isinstance(wanted, list) else there
    count = wanted if isinstance(wanted, int) else len(wanted)
    if there is not None and len(there) != count:
        raise CondenseryError(
            f"{name}: its source has {len(there)} classes ({_some(there)}), config/datasets.yaml has "
            f"{count}; correct one of them"
        )
    if named is None:
        named = [str(c) for c in range(count)]
    # NFC, as the names of the source: a text editor may write an accent as a separate code point.
    named = [unicodedata.normalize("NFC", str(c)) for c in named]
    listed, found = set(named), set(there or named)
    if listed != found:
        raise CondenseryError(
            f"{name}: config/datasets.yaml lists the classes {_some(sorted(listed - found))}, which its "
            f"source does not have; it has {_some(sorted(found - listed))}: list these, or give their number "
            "alone"
        )
    return tuple(named)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


def _positions(classes: tuple[str, ...], contents: Contents) -> np.ndarray:
    """Return the prepared label of each class of the source, int64: its index among the listed names."""
    there = classes if contents.classes is None else contents.classes
    return np.array([classes.index(name) for name in there], dtype=np.int64)


def _check_folder(name: str, classes: Sequence[str], shape: Shape, partial: Path) -> None:
    """Refuse classes without training images, and constant images; log the classes without test images."""
    for split in SPLITS:
        seen = np.bincount(np.load(partial / f"{split}_labels.npy"), minlength=len(classes))
        empty = _some([classes[c] for c in np.flatnonzero(seen == 0).tolist()])
        if empty and split == "train":
            raise CondenseryError(f"{name}: no training images of {empty}; add some, or remove the class")
        if empty:
            log.warning("%s: no test images of %s", name, empty)
    ranges = [(r.min(), r.max()) for r in rows_in_file(partial / "train_images.npy", shape, np.uint8)]
    if min(low for low, _ in ranges) == max(high for _, high in ranges):
        raise CondenseryError(
            f"{name}: every pixel of every training image is {ranges[0][0]}; check how the images were saved"
        )


def _statistics(
    spec: Mapping[str, Any], channels: int, train: Iterable[np.ndarray]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and population standard deviation per channel, in units of [0, 1]; computed if `auto`."""
    stated = {key: spec.get(key, "auto") for key in ("mean", "std")}
    if "auto" in stated.values():
        counts = np.zeros((channels, 256), dtype=np.int64)
        for images in train:
            for channel, row in enumerate(counts):
                row += np.bincount(images[:, channel].reshape(-1), minlength=256)
        share, values = counts / counts.sum(axis=1, keepdims=True), np.arange(256) / 255
        mean = share @ values
        computed = {"mean": mean, "std": np.sqrt(np.maximum(share @ values**2 - mean**2, 0))}
        stated |= {
            key: [round(float(v), 4) for v in computed[key]]
            for key, value in stated.items()
            if value == "auto"
        }
    # A constant channel is centered and not scaled.
    return tuple(map(float, stated["mean"])), tuple(float(v) or 1.0 for v in stated["std"])
