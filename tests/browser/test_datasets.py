"""Datasets: what is loaded, filtered, circled and clicked in charts, and looked at one by one."""

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from browser.driver import main, open_page, settle
from browser.server import Server
from browser.widgets import choose, circle, click_bar, download, figure, pick, press, rows_of, table_with
from maskdet.catalog import load_catalog
from maskdet.explore import dataset_table
from maskdet.facetable import load_faces
from maskdet.starter import sample_of


@pytest.fixture
def explorer(page: Page, study: Server) -> Page:
    """The page, with the sample set's 139 faces that wear their mask rightly or none."""
    open_page(page, study, "Datasets")
    expect(main(page).get_by_text("139 of 139 faces")).to_be_visible()
    return page


def test_the_table_counts_what_is_loaded(explorer: Page, study: Server) -> None:
    expected = dataset_table(load_faces(sample_of(study.workspace)), load_catalog(), "drop")
    shown = rows_of(table_with(explorer, "Dataset", "Licence"))
    assert [row["dataset"] for row in shown] == [*expected["dataset"], "% of total"]
    faces = [int(row["faces"].replace(",", "")) for row in shown[:-1]]
    assert faces == expected["faces"].tolist()


def test_filters_narrow_what_is_on_show(explorer: Page) -> None:
    choose(explorer, "Dataset", "sample-simulated")
    expect(main(explorer).get_by_text("36 of 139 faces")).to_be_visible()
    choose(explorer, "Label", "With mask")
    expect(main(explorer).get_by_text("18 of 139 faces")).to_be_visible()
    expect(main(explorer).get_by_role("img", name="sample-simulated · with mask")).to_have_count(18)
    press(explorer, "Reset")
    expect(main(explorer).get_by_text("139 of 139 faces")).to_be_visible()


def test_a_circle_around_points_selects_their_faces(explorer: Page, tmp_path: Path) -> None:
    chart = figure(explorer, "Size and shape of 139 faces in 3 datasets")
    circle(explorer, chart.locator(".nsewdrag").nth(1))  # the panel of sample-simulated
    selected = main(explorer).get_by_text(re.compile(r"^\d+ faces selected in Size and shape, of 139 that match$"))
    expect(selected).to_be_visible()
    settle(explorer)
    count = int(selected.inner_text().split()[0])
    assert 30 <= count <= 36
    shown = main(explorer).get_by_role("img", name=re.compile("^sample-.* · "))
    assert {name.split(" · ")[0] for name in shown.evaluate_all("all => all.map(one => one.alt)")} == {
        "sample-simulated"
    }
    saved = download(explorer, f"Export {count} faces (CSV)", tmp_path)
    with saved.open(newline="") as file:
        exported = list(csv.DictReader(file))
    assert len(exported) == count
    assert {row["dataset"] for row in exported} == {"sample-simulated"}
    press(explorer, "Clear selection")
    expect(main(explorer).get_by_text("139 of 139 faces")).to_be_visible()


def test_a_click_on_a_bar_selects_its_faces(explorer: Page) -> None:
    pick(explorer, "Class balance", of="Chart")
    click_bar(explorer, figure(explorer, re.compile("^Class balance of 139 faces")))
    selected = main(explorer).get_by_text(re.compile(r"^\d+ faces selected in Class balance, of 139 that match$"))
    expect(selected).to_be_visible()
    settle(explorer)
    shown = main(explorer).get_by_role("img", name=re.compile("^sample-.* · "))
    assert len(set(shown.evaluate_all("all => all.map(one => one.alt)"))) == 1  # one dataset, one label


def test_every_chart_opens(explorer: Page, subtests: pytest.Subtests) -> None:
    for title in ("Distributions", "Colour", "Faces per photo", "File formats"):
        with subtests.test(title):
            pick(explorer, title, of="Chart")
            chart = figure(explorer, re.compile(f"^{title} of 139 faces"))
            expect(chart.locator(".barlayer .point").first).to_be_attached()


def test_a_face_opens_large_and_the_arrow_keys_leaf(explorer: Page) -> None:
    main(explorer).get_by_role("button", name="Open: sample-group · with mask").first.click()
    dialog = explorer.get_by_role("dialog", name="Face")
    expect(dialog.get_by_text("1 of 139", exact=True)).to_be_visible()
    expect(dialog.get_by_role("img", name="The photo, with a box around each face")).to_be_visible()
    expect(dialog.get_by_text("Perceptual").or_(dialog.get_by_text("pHash")).first).to_be_visible()
    settle(explorer)
    explorer.keyboard.press("ArrowRight")
    expect(dialog.get_by_text("2 of 139", exact=True)).to_be_visible()
    settle(explorer)
    explorer.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
