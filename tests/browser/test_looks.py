"""Every page in three widths and two themes: nothing hangs over the edge, and the first result is not far down."""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Final

import pytest
from playwright.sync_api import Locator, Page

from browser.driver import PAGES, assert_whole, main, open_page, settle
from browser.server import Server
from browser.widgets import metric

#: Width and height of a desk, a small laptop and a phone, in px, with the windowfuls within which the result begins.
WINDOWS: Final = {1440: (900, 1.25), 1024: (768, 1.75), 390: (844, 2.5)}
#: What a visitor comes to each page for.
RESULTS: Final[dict[str, Callable[[Page], Locator]]] = {
    "Home": lambda page: page.get_by_role("link", name="Upload a photo"),
    "Datasets": lambda page: main(page).get_by_test_id("stDataFrame"),
    "Quality": lambda page: metric(page, "Removed"),
    "Augmentation": lambda page: main(page).get_by_role("img", name="Original", exact=True),
    "Training": lambda page: main(page).get_by_role("radio", name="CNN (AlexNet-like)"),
    "Results": lambda page: main(page).get_by_role("heading", name=re.compile("macro F1")),
    "Bias": lambda page: main(page).get_by_text(re.compile(r"^The data\. ")),
    "Explain": lambda page: page.get_by_role("region", name="Drop photos here, as many as you like"),
}
_OVERHANG: Final = """() => [document.scrollingElement, document.querySelector('[data-testid="stMain"]')]
  .map(one => one.scrollWidth - one.clientWidth)"""
#: Colours of the words beside and above charts; those that lie on a colour of the chart's own are left out.
_CHART_WORDS: Final = """() => [...new Set([...document.querySelectorAll(
  '.main-svg :is(.xtick, .ytick, .xtitle, .ytitle, .legendtext) text, .main-svg :is(.xtitle, .ytitle, .legendtext)')]
  .map(one => getComputedStyle(one).fill).filter(fill => fill.startsWith('rgb')))]"""


@pytest.mark.parametrize("title", list(PAGES))
def test_a_page_fits_every_window_and_is_legible_in_the_dark(
    page: Page, study: Server, title: str, subtests: pytest.Subtests
) -> None:
    open_page(page, study, title)
    for width, (height, windowfuls) in WINDOWS.items():
        with subtests.test(f"{width} px wide"):
            page.set_viewport_size({"width": width, "height": height})
            settle(page)
            assert page.evaluate(_OVERHANG) == [0, 0], "something is wider than the window"
            box = RESULTS[title](page).first.bounding_box()
            assert box is not None
            top = box["y"] + main(page).evaluate("one => one.scrollTop")
            assert top < windowfuls * height, "one scrolls far to the first result"
    for scheme, least, most in (("light", 0.9, 1.0), ("dark", 0.0, 0.05)):
        with subtests.test(scheme):
            page.emulate_media(color_scheme=scheme)
            settle(page)
            ground = luminance(page, "stApp", "backgroundColor")
            assert least <= ground <= most
            words = page.get_by_role("heading", level=1).evaluate("one => getComputedStyle(one).color")
            assert contrast(relative_luminance(words), ground) >= 7  # WCAG 2.2, contrast (enhanced)
            for fill in page.evaluate(_CHART_WORDS):
                assert contrast(relative_luminance(fill), ground) >= 3, "words of a chart"
    with subtests.test("headings"):
        levels = main(page).locator("h1, h2, h3, h4, h5, h6").evaluate_all("all => all.map(one => +one.tagName[1])")
        assert levels[0] == 1
        assert max(b - a for a, b in pairwise([*levels, 0])) <= 1, "a level of headings is left out"
    assert_whole(page)


def luminance(page: Page, part: str, colour: str) -> float:
    """Relative luminance of a colour of a part of the page."""
    return relative_luminance(page.get_by_test_id(part).evaluate(f"one => getComputedStyle(one).{colour}"))


def relative_luminance(colour: str) -> float:
    """From 0 for black to 1 for white, of a colour as CSS writes it: ``rgb(17, 24, 28)`` (WCAG 2.2)."""
    channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: float, other: float) -> float:
    """Contrast of two luminances, 1 to 21 (WCAG 2.2)."""
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)
