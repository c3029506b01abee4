"""The report page in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from condensery.reporting import images_figure, page, tables
from tests.test_reporting import PUBLISHED
from tests.test_reporting_figures import LABELS, synthetic
from tests.test_reporting_tables import rows

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

# What a browser makes of the page, written into its title after everything is loaded.
PROBE = """<script>addEventListener("load", () => {
document.title = JSON.stringify([...document.images].map(i => i.complete && i.naturalWidth)); })</script>"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_browser_shows_every_image_and_has_nothing_to_say(tmp_path: Path) -> None:
    table, figure = tmp_path / "table1", tmp_path / "figure2"
    tables.build("table1", pd.DataFrame(rows()).assign(protocol="smoke"), PUBLISHED, LABELS).write(table)
    images_figure.build("figure2", [synthetic()], LABELS).write(figure)
    page.build([table.with_suffix(".csv")], [figure.with_suffix(".png")], LABELS, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    with Image.open(figure.with_suffix(".png")) as image:
        assert _browsed(html, tmp_path / "whole.html") == ([image.width], [])
    # A page that is not as it should be is noticed.
    broken = html.replace("data:image/png", "file:///gone.png").replace(
        "</body>", "<script>gone()</script></body>"
    )
    widths, messages = _browsed(broken, tmp_path / "broken.html")
    assert widths == [0]
    assert len(messages) == 1
    assert "gone is not defined" in messages[0]


def _browsed(html: str, path: Path) -> tuple[list[int], list[str]]:
    """Return the width of every image as a browser loaded it, and what it wrote to the console."""
    path.write_text(html.replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--dump-dom")
    quiet = ("--disable-background-networking", f"--user-data-dir={path.with_suffix('.profile')}")
    timed = ("--enable-logging=stderr", "--virtual-time-budget=10000")
    command = [str(CHROMIUM), *options, *quiet, *timed, path.as_uri()]
    seen = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    (title,) = re.findall(r"<title>(.*)</title>", seen.stdout)
    return json.loads(title), [line for line in seen.stderr.splitlines() if "CONSOLE" in line]
