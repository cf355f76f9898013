"""Streamlit's widgets and Plotly's charts, found by the names that a visitor reads, and worked as a visitor does."""

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from playwright.sync_api import Download, FilePayload, Locator, Page, expect
from playwright.sync_api import TimeoutError as Late

from browser.driver import main, settle

Point = tuple[float, float]
_ATTEMPTS: Final = 4
_MILLISECONDS: Final = 20_000


def pick(page: Page, option: str, of: str = "View") -> None:
    """Choose one of the options that lie side by side."""
    page.get_by_role("radiogroup", name=of, exact=True).get_by_role("radio", name=option, exact=True).click()
    settle(page)


def choose(page: Page, label: str, option: str) -> None:
    """Choose from a list that opens; of several that may be chosen, one more."""
    box = main(page).get_by_role("combobox", name=label, exact=True)
    found = page.get_by_role("option", name=option, exact=True)
    for attempt in range(_ATTEMPTS):
        box.click()
        try:
            expect(page.get_by_role("option").first).to_be_visible(timeout=_MILLISECONDS)
            if found.count() == 0:  # of a long list, only what is in sight is there
                box.fill(option)
            found.click(timeout=_MILLISECONDS)
            break
        except (AssertionError, Late):  # a page that is drawn anew just then closes the list
            if attempt == _ATTEMPTS - 1:
                raise
            page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    settle(page)


def press(page: Page, button: str) -> None:
    """Press a button by its words."""
    main(page).get_by_role("button", name=button, exact=True).click()
    settle(page)


def turn(page: Page, switch: str, *, on: bool) -> None:
    """Turn a switch on or off."""
    found = main(page).get_by_role("switch", name=switch, exact=True)
    if found.is_checked() != on:
        found.locator("xpath=ancestor::label[1]").click()
        settle(page)
    expect(found).to_be_checked(checked=on)


def metric(page: Page, title: str) -> Locator:
    """The figure of a card, by the title above it."""
    card = (
        main(page)
        .get_by_test_id("stMetric")
        .filter(has=page.get_by_test_id("stMetricLabel").get_by_text(title, exact=True))
    )
    return card.get_by_test_id("stMetricValue")


def figure(page: Page, name: str | re.Pattern[str]) -> Locator:
    """A chart, by the words that say what it shows."""
    return main(page).get_by_role("figure", name=name)


def rows_of(table: Locator) -> list[dict[str, str]]:
    """The rows of a table that are in sight, each by the titles of its columns in small letters."""
    grid = table.locator("canvas table")
    grid.wait_for(state="attached")
    titles = [title.lower() for title in grid.locator("thead th").all_text_contents()]
    cells = [row.locator("td").all_text_contents() for row in grid.locator("tbody tr").all()]
    return [dict(zip(titles, texts, strict=True)) for texts in cells]


def table_with(page: Page, *titles: str) -> Locator:
    """The table that has columns of these titles."""
    found = main(page).get_by_test_id("stDataFrame")
    for title in titles:
        found = found.filter(has=page.locator("canvas th", has_text=re.compile(f"^{re.escape(title)}$", re.IGNORECASE)))
    return found.first


def draw(page: Page, points: Sequence[Point]) -> None:
    """Press the mouse at the first point, go to the others, and let go."""
    page.mouse.move(*points[0])
    page.mouse.down()
    for x, y in points[1:]:
        page.mouse.move(x, y, steps=6)
    page.mouse.up()


def circle(page: Page, panel: Locator) -> None:
    """Draw a line around all points of a chart's panel."""
    panel.scroll_into_view_if_needed()
    box = panel.bounding_box()
    assert box is not None
    left, top = box["x"] + 2, box["y"] + 2
    right, bottom = box["x"] + box["width"] - 2, box["y"] + box["height"] - 2
    draw(page, [(left, top), (right, top), (right, bottom), (left, bottom), (left, top + 4)])


def click_bar(page: Page, chart: Locator, number: int = 0) -> None:
    """Click a bar of a chart, of those that have a length."""
    chart.scroll_into_view_if_needed()
    bars = [box for one in chart.locator(".barlayer .point path").all() if (box := one.bounding_box())]
    tall = [box for box in bars if box["width"] > 3 and box["height"] > 3]
    box = tall[number]
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def drag_slider(page: Page, slider: Locator, share: float) -> None:
    """Drag a slider's handle with the mouse to a share of its track, from 0 at the left to 1."""
    track = slider.locator("xpath=ancestor::*[@role='group'][1]/*[1]")
    handle = slider.locator("xpath=ancestor::*[@data-rac][1]")
    handle.scroll_into_view_if_needed()
    of_track, of_handle = track.bounding_box(), handle.bounding_box()
    assert of_track is not None
    assert of_handle is not None
    y = of_handle["y"] + of_handle["height"] / 2
    draw(page, [(of_handle["x"] + of_handle["width"] / 2, y), (of_track["x"] + share * of_track["width"], y)])
    settle(page)


def download(page: Page, button: str, folder: Path) -> Path:
    """Save what a button offers; the saved file."""
    with page.expect_download() as waiting:
        main(page).get_by_role("button", name=button, exact=True).click()
    got: Download = waiting.value
    saved = folder / got.suggested_filename
    got.save_as(saved)
    return saved


def upload(page: Page, files: Sequence[FilePayload], label: str) -> None:
    """Give files to the field of a label; again, as a visitor would, where the field was made anew just then."""
    field = page.get_by_role("region", name=label)
    empty = field.inner_text()
    for _ in range(3):
        field.locator("input[type=file]").set_input_files(files)
        with suppress(AssertionError):
            expect(field).not_to_have_text(empty, use_inner_text=True, timeout=20_000)
            break
    else:
        raise AssertionError(f"the field takes no files: {label}")
    settle(page)
