"""Where data sets come from: local folders and archives, mirrors and official downloads, in order."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from condensery.data.alone import alone
from condensery.data.contents import Contents, Shape, check_unpacked, readable
from condensery.data.kinds import KINDS, Kind
from condensery.errors import CondenseryError

log = logging.getLogger(__name__)

READ_BYTES = 2**20
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".zip")


class _AbsentError(CondenseryError):
    """This source does not exist; the next one may."""


def open_first(
    name: str, sources: Sequence[Mapping[str, Any]], shape: Shape, raw_root: Path, scratch: Path
) -> tuple[dict[str, Any], Contents]:
    """Open the first source that exists.

    Args:
        name: name of the data set, for messages.
        sources: entries with a ``kind`` (a key of `condensery.data.kinds.KINDS`) and a ``path`` (local), a
            ``url`` (the folder of a mirror) or neither (the official addresses).
        shape: channels, height and width (pixels) of the prepared images.
        raw_root: the folder to which paths are relative, and into which files are downloaded.
        scratch: a folder for unpacked archives; the caller removes it.

    Returns:
        The source's entry and its contents.

    Raises:
        CondenseryError: a source is truncated or altered, or no source exists.
    """
    reasons = []
    for source in sources:
        if source["kind"] not in KINDS:
            raise CondenseryError(
                f"{name}: unknown source kind {source['kind']!r}; there are {', '.join(sorted(KINDS))}"
            )
        kind = KINDS[source["kind"]]()
        try:
            with readable(_path(source, raw_root)):
                path = _locate(source, kind, raw_root, scratch)
            log.info("%s: reading %s from %s", name, source["kind"], path)
            with readable(path):
                contents = kind.read(path, shape)
            packed = _whole_files(source, kind, raw_root)
            return dict(source), contents if packed is None else replace(contents, files=packed)
        except _AbsentError as reason:
            reasons.append(str(reason))
    raise CondenseryError(
        f"{name}: no source exists ({'; '.join(reasons)}); put a copy at one of these paths or add a "
        "source to config/datasets.yaml"
    )


def files_of(source: Mapping[str, Any], shape: Shape, raw_root: Path) -> Sequence[Path] | None:
    """Return the files of a source on this machine; nothing is fetched or unpacked.

    Args:
        source: one of the sources that `open_first` takes.
        shape: channels, height and width (pixels) of the prepared images.
        raw_root: the folder to which paths are relative.

    Returns:
        The files; for an archive, the archive itself. None if the source does not exist.

    Raises:
        CondenseryError: the source exists, but is damaged.
    """
    kind = KINDS[source["kind"]]()
    files = _whole_files(source, kind, raw_root)
    path = _path(source, raw_root)
    with readable(path):
        if files is not None:
            return files if all(file.is_file() for file in files) else None
        if not kind.built_in and (not path.exists() or _lacking(path, kind)):
            return None
        return kind.read(path, shape).files


def _whole_files(source: Mapping[str, Any], kind: Kind, raw_root: Path) -> Sequence[Path] | None:
    """Return the archive or the downloads of a source; None for a folder or a file that is read directly."""
    if kind.built_in:
        return None
    if "path" not in source:
        return [raw_root / kind.folder / file.name for file in kind.downloads]
    path = _path(source, raw_root)
    return [path] if path.name.lower().endswith(ARCHIVES) and not path.is_dir() else None


def _path(source: Mapping[str, Any], raw_root: Path) -> Path:
    return raw_root / Path(source.get("path", "")).expanduser()


def _locate(source: Mapping[str, Any], kind: Kind, raw_root: Path, scratch: Path) -> Path:
    """Return the folder (or the file) that the kind's reader takes, after its checksums were compared."""
    if kind.built_in:
        return raw_root
    if "path" in source:
        path = _path(source, raw_root)
        if not path.exists():
            raise _AbsentError(f"{path} does not exist")
        if path.is_file() and path.name.lower().endswith(ARCHIVES):
            _check_md5(path, {file.name: file.md5 for file in kind.downloads}.get(path.name))
            path = _unpack(path, kind, scratch)
    else:
        path = _download(source.get("url"), kind, raw_root, scratch)
    lacking = _lacking(path, kind)
    if lacking:
        raise _AbsentError(f"{path} lacks {lacking}{kind.layout and f', {kind.layout}'}")
    for name, md5 in kind.members:
        _check_md5(path / name, md5)
    return path


def _lacking(path: Path, kind: Kind) -> str | None:
    """Return the name of the first file of the kind that a folder lacks, or None."""
    there = {entry.name.lower() for entry in path.iterdir()} if kind.any_case and path.is_dir() else set()
    for name, _ in kind.members:
        if name not in there and not any((path / f"{name}{ending}").exists() for ending in kind.endings):
            return name
    return None


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _check_md5(path: Path, md5: str | None) -> None:
    if md5 is not None and _md5(path) != md5:
        raise CondenseryError(
            f"{path}: truncated or altered (its MD5 is not the published {md5}); replace it, "
            "or remove it to use the next source"
        )


def _download(url: str | None, kind: Kind, raw_root: Path, scratch: Path) -> Path:
    """Fetch the files of a kind; a file gets its final name only if it is complete and its MD5 matches.

    Several data sets may be made from the files of one kind: one process fetches them, the others wait.
    """
    if not kind.downloads:
        raise _AbsentError("it can only be read from a local path")
    folder = raw_root / kind.folder
    with alone(raw_root / Path(kind.folder or kind.downloads[0].name).parts[0]):
        for file in kind.downloads:
            target = folder / file.name
            if target.exists() and _md5(target) == file.md5:
                continue
            addresses = file.urls if url is None else (f"{url.rstrip('/')}/{file.name}",)
            fetched = _fetch(addresses, file.name, file.md5, scratch / "downloads")
            folder.mkdir(parents=True, exist_ok=True)
            shutil.move(fetched, target.with_name(target.name + ".new"))
            os.replace(target.with_name(target.name + ".new"), target)
    if kind.downloads[0].name.endswith(ARCHIVES):
        return _unpack(folder / kind.downloads[0].name, kind, scratch)
    return folder


def _fetch(addresses: Sequence[str], name: str, md5: str, folder: Path) -> Path:
    from torchvision.datasets.utils import download_url  # see `condensery.data.kinds`

    reasons = []
    for address in addresses:
        try:
            if address.startswith(
                "file:"
            ):  # torchvision's downloader needs a length, which file:// addresses do not have
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(url2pathname(urlsplit(address).path), folder / name)
                if _md5(folder / name) != md5:
                    raise ValueError(f"its MD5 is not the published {md5}")
            else:
                download_url(address, folder, name, md5)
            return folder / name
        except (OSError, RuntimeError, ValueError) as error:
            (folder / name).unlink(missing_ok=True)
            reasons.append(f"{address}: {error}".replace("\n", " "))
    raise _AbsentError("; ".join(reasons))


def _unpack(archive: Path, kind: Kind, scratch: Path) -> Path:
    """Unpack an archive into the scratch folder, and return the folder in it that holds the kind's files."""
    shutil.rmtree(scratch / "unpacked", ignore_errors=True)
    # The folder is named after the archive, so that messages about its files show their origin.
    target = scratch / "unpacked" / archive.name
    target.mkdir(parents=True)
    with readable(archive):
        if archive.name.lower().endswith(".zip"):
            _unpack_zip(archive, target)
        else:
            _unpack_tar(archive, target)
    folder = target
    while lacking := _lacking(folder, kind):
        inner = [entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("__")]
        if len(inner) != 1:
            raise CondenseryError(f"{archive}: lacks {lacking}; it is not an archive of this kind")
        folder = inner[0]
    return folder


def _unpack_zip(archive: Path, target: Path) -> None:
    """Unpack a .zip, whose links become files with the name that they point to."""
    with zipfile.ZipFile(archive) as bundle:
        entries = bundle.infolist()
        _check_room(archive, sum(entry.file_size for entry in entries), target)
        if any(entry.flag_bits & 1 for entry in entries):
            raise CondenseryError(f"{archive}: is encrypted; unpack it yourself")
        # An entry is never read beyond the size that it claims.
        bundle.extractall(target)


def _unpack_tar(archive: Path, target: Path) -> None:
    if not hasattr(tarfile, "data_filter"):
        raise CondenseryError(f"{archive}: unpack it yourself, or use Python 3.11.4 or newer")
    size = 0
    with tarfile.open(archive) as bundle:
        for member in bundle:
            # Each entry, even an empty one, has a header of 512 bytes and becomes a file.
            size += 512 + member.size
            _check_room(archive, size, target)
            # The filter refuses devices, and names and links that lead out of the folder.
            bundle.extract(member, target, filter="data")
        # The checksum of a compressed archive comes after its last file: read to the end.
        while rest := len(bundle.fileobj.read(READ_BYTES)) if bundle.fileobj else 0:
            size += rest
            _check_room(archive, size, target)


def _check_room(archive: Path, size: int, target: Path) -> None:
    check_unpacked(archive, size)
    free = shutil.disk_usage(target).free
    if size > free:
        raise CondenseryError(
            f"{archive}: unpacks to {size:,} bytes, but {target} has room for {free:,}; free some"
        )
