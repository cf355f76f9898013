"""Explain, many photos at once: a row for each, also for broken files and hostile names; a CSV and a report."""

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from browser.driver import main, open_page
from browser.photos import BROKEN, HOSTILE, broken, thirty
from browser.server import Server
from browser.test_explain import DROP
from browser.widgets import choose, download, metric, press, rows_of, table_with, upload
from maskdet.starter import sample_of

COUNTED = ("With mask", "Without mask", "Not sure", "Not like the training data", "Too small")


@pytest.fixture
def judged(page: Page, study: Server) -> Page:
    """The page with thirty photos and two files that are none, judged by the bundled CNN."""
    open_page(page, study, "Explain")
    choose(page, "Model", "CNN · bundled")
    upload(page, [*thirty(sample_of(study.workspace)), *broken()], DROP)
    expect(main(page).get_by_role("heading", name=re.compile(r"^\d+ faces in 30 photos"))).to_be_visible()
    return page


def test_thirty_photos_are_counted_listed_and_taken_along(judged: Page, tmp_path: Path) -> None:
    counts = {title: int(metric(judged, title).inner_text()) for title in COUNTED}
    faces = int(main(judged).get_by_role("heading", name=re.compile("faces in 30 photos")).inner_text().split()[0])
    assert sum(counts.values()) == faces >= 30
    expect(metric(judged, "Not readable")).to_have_text("2")

    rows = rows_of(table_with(judged, "Photo", "Verdict", "Remark"))
    assert rows
    assert rows[0]["photo"] == HOSTILE[0]  # as text

    saved = download(judged, "All faces as CSV", tmp_path)
    with saved.open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == faces + 2
    names = {row["file"] for row in table}
    assert len(names) == 32
    assert f"'{HOSTILE[1]}" in names  # no formula
    said = [row["verdict"] for row in table]
    assert said.count("with_mask") == counts["With mask"]
    assert said.count("without_mask") == counts["Without mask"]
    remarks = {row["file"]: row["status"] for row in table}
    assert all(len(remarks[name].split()) > 2 for name in BROKEN)


def test_a_hostile_name_stays_text_and_a_broken_file_says_why(judged: Page) -> None:
    expect(judged.locator('img[src="x"]')).to_have_count(0)
    assert judged.evaluate("window.hacked") is None
    look = main(judged).get_by_role("combobox", name="Look at", exact=True)
    expect(look).to_have_value(f"1. {HOSTILE[0]}")
    expect(main(judged).get_by_text(f"{HOSTILE[0]} · ")).to_be_visible()
    choose(judged, "Look at", f"31. {BROKEN[0]}")
    expect(main(judged).get_by_text(re.compile(f"^{re.escape(BROKEN[0])}: .+ .+\\.$"))).to_be_visible()
    expect(main(judged).get_by_text("Not readable", exact=True)).to_be_visible()


def test_the_report_holds_every_photo_and_runs_nothing(judged: Page, tmp_path: Path) -> None:
    press(judged, "Make a report")
    saved = download(judged, "Save the report", tmp_path)
    assert saved.name == "report.html"
    report = judged.context.browser.new_page()  # not watched as the app is: it must ask for nothing at all
    asked: list[str] = []
    report.on("request", lambda request: asked.append(request.url))
    report.goto(saved.as_uri())
    expect(report.locator(".scene img")).to_have_count(30)
    expect(report.get_by_text(HOSTILE[0]).first).to_be_visible()
    expect(report.get_by_text(BROKEN[0]).first).to_be_visible()
    assert report.evaluate("window.hacked") is None
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    report.close()
