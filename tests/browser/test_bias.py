"""Bias of the bundled study: every view opens, with the figures that were measured."""

import re

import pytest
from playwright.sync_api import Page, expect

from browser.driver import assert_whole, main, open_page
from browser.server import Server
from browser.widgets import choose, figure, pick


@pytest.fixture
def bias(page: Page, study: Server) -> Page:
    """The page as it opens."""
    open_page(page, study, "Bias")
    return page


def test_the_answer_stands_above_the_views(bias: Page) -> None:
    expect(main(bias).get_by_text(re.compile(r"^The data\. .+"))).to_be_visible()
    expect(main(bias).get_by_text(re.compile(r"^InceptionV3(, by .+)?\. .+"))).to_be_visible()
    expect(figure(bias, "AUC of the label from measurements alone, by dataset and pooled")).to_be_visible()


def test_every_view_opens(bias: Page, subtests: pytest.Subtests) -> None:
    for view, chart in {
        "Cross-dataset": re.compile("trained on", re.IGNORECASE),
        "Groups": re.compile(" by group$"),
        "Skin tone and mask colour": re.compile("^Lightness of apparent skin over its hue"),
        "Counterfactuals": re.compile("^Share of verdicts flipped"),
        "Attention": re.compile("^Share of heat on the lower half of the face"),
    }.items():
        with subtests.test(view):
            pick(bias, view)
            expect(figure(bias, chart).first).to_be_visible()
            assert_whole(bias)
    for view in ("What to do", "Model card"):
        with subtests.test(view):
            pick(bias, view)
            expect(bias.get_by_role("radio", name=view, exact=True)).to_be_checked()
            assert_whole(bias)


def test_another_run_comes_into_focus(bias: Page) -> None:
    choose(bias, "In focus", "PCA + SVM")
    expect(main(bias).get_by_text(re.compile(r"^PCA \+ SVM(, by .+)?\. .+"))).to_be_visible()
    assert_whole(bias)
