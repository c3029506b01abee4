"""Which archives this Python unpacks."""

from __future__ import annotations

import tarfile

import pytest

reads_tar = pytest.mark.skipif(
    not hasattr(tarfile, "data_filter"), reason="Python before 3.11.4 has no safe way to unpack a tar"
)
"""Skips a test that unpacks a tar where that is refused."""
