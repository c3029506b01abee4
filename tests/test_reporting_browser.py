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
from tests.test_reporting import PUBLISHED, row
from tests.test_reporting_figures import LABELS, synthetic
from tests.test_reporting_tables import rows

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

HEADLESS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-quic", "--disable-component-update", "--disable-sync"),
)

# Writes the width of every image into the title of the page once everything is loaded.
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
    # A broken page is detected.
    broken = html.replace("data:image/png", "file:///gone.png").replace(
        "</body>", "<script>gone()</script></body>"
    )
    widths, messages = _browsed(broken, tmp_path / "broken.html")
    assert widths == [0]
    assert len(messages) == 1
    assert "gone is not defined" in messages[0]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is not installed")
def test_a_printed_page_has_every_column(tmp_path: Path) -> None:
    recipes = [f"dsa_{name}" for name in ("color", "crop", "cutout", "flip", "scale", "rotate")]
    methods = ["dsa", *(name.replace("_", "-") for name in recipes), *(f"of-my-own-{n}" for n in range(8))]
    wide = [row(protocol="smoke", method=name, accuracy=20.25 + n) for n, name in enumerate(methods)]
    tables.build("dsa_ablation", pd.DataFrame(wide), PUBLISHED, LABELS).write(tmp_path / "dsa_ablation")
    page.build([tmp_path / "dsa_ablation.csv"], [], LABELS, tmp_path / "report.html")
    options = [f"--user-data-dir={tmp_path / 'profile'}", f"--print-to-pdf={tmp_path / 'report.pdf'}"]
    command = [str(CHROMIUM), *HEADLESS, *options, (tmp_path / "report.html").as_uri()]
    subprocess.run(command, capture_output=True, timeout=600, check=True)
    text = subprocess.run(
        ["pdftotext", tmp_path / "report.pdf", "-"], capture_output=True, text=True, check=True
    )
    for number in range(len(methods)):
        # Once in the paper's layout, once among all cells.
        assert text.stdout.count(f"{20.25 + number:.1f}") >= 2


def _browsed(html: str, path: Path) -> tuple[list[int], list[str]]:
    """Return the width of every image as a browser loaded it, and what it wrote to the console."""
    path.write_text(html.replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    options = ("--dump-dom", f"--user-data-dir={path.with_suffix('.profile')}")
    timed = ("--enable-logging=stderr", "--virtual-time-budget=10000")
    command = [str(CHROMIUM), *HEADLESS, *options, *timed, path.as_uri()]
    seen = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    title = re.search(r"<title>(.*)</title>", seen.stdout)
    assert title
    return json.loads(title[1]), [line for line in seen.stderr.splitlines() if "CONSOLE" in line]
