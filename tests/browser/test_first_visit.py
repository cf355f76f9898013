"""A first visit on a clean clone: nothing was scanned, nothing was trained, and there is something to see at once."""

import pytest
from playwright.sync_api import Page, expect

from browser.driver import PAGES, go_to, main, open_page, settle
from browser.server import Server


def test_home_says_what_this_is_and_shows_the_bundled_study(page: Page, study: Server) -> None:
    open_page(page, study, "Home")
    expect(page).to_have_title("MaskDet")
    expect(page.get_by_text("Data: synthetic sample set, until you scan a dataset of your own.")).to_be_visible()
    expect(main(page).get_by_text("Best macro F1: InceptionV3")).to_be_visible()
    expect(main(page).get_by_text("0.994", exact=True)).to_be_visible()


@pytest.mark.parametrize("title", [name for name in PAGES if name != "Home"])
def test_every_page_is_reached_by_the_navigation(page: Page, study: Server, title: str) -> None:
    open_page(page, study, "Home")
    go_to(page, title)
    assert page.url == f"{study.url}/{PAGES[title][0]}"


def test_a_clean_clone_draws_its_sample_set(page: Page, fresh: Server) -> None:
    open_page(page, fresh, "Home")
    expect(main(page).get_by_text("none yet", exact=True)).to_be_visible()
    go_to(page, "Datasets")
    settle(page)
    expect(main(page).get_by_text("Synthetic sample set.")).to_be_visible()
    assert fresh.workspace.path("sample", "split.json").is_file()
