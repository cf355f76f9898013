"""How a visitor works the app: open a page, wait until it is done, and use its widgets by the names they show."""

from typing import Final

from playwright.sync_api import Locator, Page, expect

from browser.server import Server

#: Pages by their title in the navigation, with their address and their heading.
PAGES: Final = {
    "Home": ("", "MaskDet"),
    "Datasets": ("datasets", "Datasets"),
    "Quality": ("quality", "Quality"),
    "Augmentation": ("augmentation", "Augmentation"),
    "Training": ("training", "Training"),
    "Results": ("results", "Results"),
    "Bias": ("bias", "Bias"),
    "Explain": ("explain", "Explain a photo"),
}
#: Milliseconds: generous, since a busy machine is slow, and only a failure waits for all of it.
PATIENCE: Final = 240_000
#: Milliseconds without any work after which a page is done: widgets hold their value back for up to 200.
_QUIET: Final = 400
_SETTLED: Final = f"""() => {{
  const app = document.querySelector('[data-testid="stApp"]');
  const busy = !app
    || app.dataset.testConnectionState !== "CONNECTED"
    || app.dataset.testScriptState !== "notRunning"
    || document.querySelector(
      '[data-stale="true"], [data-testid="stSpinner"], [data-testid="stStatusWidget"], [data-testid="stSkeleton"]');
  const now = performance.now();
  if (busy) window.quietSince = undefined;
  else window.quietSince ??= now;
  return !busy && now - window.quietSince >= {_QUIET};
}}"""


def settle(page: Page) -> None:
    """Wait until the server is done with the page and the page has drawn it."""
    page.evaluate("window.quietSince = undefined")
    page.wait_for_function(_SETTLED, timeout=PATIENCE)


def open_page(page: Page, server: Server, title: str) -> None:
    """Open a page by its address."""
    page.goto(f"{server.url}/{PAGES[title][0]}")
    arrive(page, title)


def go_to(page: Page, title: str, *, live: bool = False) -> None:
    """Go to a page by the navigation at the side; one that is ``live`` changes each second, and is never done."""
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=title, exact=True).click()
    arrive(page, title, live=live)


def main(page: Page) -> Locator:
    """The part of the page beside the navigation."""
    return page.get_by_test_id("stMain")


def assert_whole(page: Page) -> None:
    """The page shows no exception and no error of MaskDet's own.

    Raises
    ------
    AssertionError
        If it does.
    """
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_text("Something is wrong in MaskDet itself")).to_have_count(0)


def arrive(page: Page, title: str, *, live: bool = False) -> None:
    """Wait until a page is there and done, and see that nothing is wrong with it."""
    heading = page.get_by_role("heading", name=PAGES[title][1], level=1, exact=True)
    expect(heading).to_be_visible(timeout=PATIENCE)
    if not live:
        settle(page)
    assert_whole(page)
