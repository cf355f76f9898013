"""Explain, one photo: a verdict one can read, where the model looked by several methods, and what would change it."""

import re

import pytest
from playwright.sync_api import Page, expect

from browser.driver import PATIENCE, assert_whole, main, open_page, settle
from browser.photos import portrait
from browser.server import Server
from browser.widgets import choose, pick, press, upload

DROP = "Drop photos here, as many as you like"
SCALE = re.compile(r"^probability of no mask (0\.\d+|1\.000), not sure between 0\.\d+ and 0\.\d+$")


@pytest.fixture
def explain(page: Page, study: Server) -> Page:
    """The page before anything is dropped."""
    open_page(page, study, "Explain")
    expect(main(page).get_by_text("Drop a photo, or try a sample")).to_be_visible()
    return page


def heatmap(label: str) -> re.Pattern[str]:
    """Words of a heatmap of the photo's one face."""
    return re.compile(f"^Heatmap of face 1: where the model found evidence for {label}$")


def test_a_photo_that_is_dropped_gets_a_verdict(explain: Page) -> None:
    upload(explain, [portrait()], DROP)
    expect(main(explain).locator(".chip").get_by_text("Without mask", exact=True)).to_be_visible()
    expect(main(explain).get_by_role("img", name=SCALE)).to_be_visible()
    expect(main(explain).get_by_text("portrait.jpg · 512×512 px")).to_be_visible()
    expect(main(explain).get_by_text("A verdict is a guess from a picture, not a fact about a person.")).to_be_visible()


def test_a_mask_drawn_on_the_same_face_turns_the_verdict(explain: Page) -> None:
    press(explain, "Portrait, mask drawn on")
    expect(main(explain).locator(".chip").get_by_text("With mask", exact=True)).to_be_visible()


def test_heatmaps_switch_by_method_and_by_label(explain: Page) -> None:
    press(explain, "Portrait")
    shown = main(explain).get_by_role("img", name=heatmap("without mask"))
    expect(shown.first).to_be_visible(timeout=2 * PATIENCE)  # TensorFlow is loaded for it, on a thread of its own
    settle(explain)
    expect(main(explain).get_by_text(re.compile("^Grad-CAM, layer "))).to_be_visible()
    choose(explain, "Methods", "LayerCAM")
    expect(main(explain).get_by_text(re.compile("^LayerCAM, layer "))).to_be_visible()
    own = [one.get_attribute("src") for one in shown.all()]
    assert len(set(own)) >= 2  # the methods draw different maps
    pick(explain, "With mask", of="Evidence for")
    other = main(explain).get_by_role("img", name=heatmap("with mask"))
    none = main(explain).get_by_text("No evidence found for “with mask”.")
    expect(other.or_(none).first).to_be_visible()


def test_what_would_change_the_verdict_and_the_nearest_faces(explain: Page) -> None:
    press(explain, "Portrait")
    expect(main(explain).locator(".chip").get_by_text("Without mask", exact=True)).to_be_visible()
    explain.get_by_role("tab", name="What would change it?").click()
    expect(main(explain).get_by_role("img", name="A blue mask, drawn on the face")).to_be_visible()
    expect(main(explain).get_by_text(re.compile(r"^The model changes its choice for \d of \d masks\."))).to_be_visible()
    expect(main(explain).get_by_role("figure", name=re.compile("^Probability of no mask by "))).to_have_count(6)
    settle(explain)
    explain.get_by_role("tab", name="Nearest training faces").click()
    settle(explain)
    expect(main(explain).get_by_role("tabpanel").filter(visible=True)).not_to_be_empty()


def test_all_faces_of_a_group_are_judged_and_each_can_be_looked_at(explain: Page) -> None:
    choose(explain, "Model", "CNN · bundled")
    press(explain, "Drawn group")
    for number in range(1, 8):
        expect(main(explain).get_by_text(f"Face {number}", exact=True)).to_be_visible()
    main(explain).get_by_role("button", name="Look closer").nth(2).click()
    expect(main(explain).get_by_role("combobox", name="Look closer at")).to_have_value(re.compile("^Face 3: "))


def test_every_view_opens(explain: Page, subtests: pytest.Subtests) -> None:
    for view, says in {
        "Video": "Drop a video: you get how many faces with and without mask are in sight over time.",
        "How the models look": "All faces",
    }.items():
        with subtests.test(view):
            pick(explain, view)
            expect(main(explain).get_by_text(says).first).to_be_visible()
            assert_whole(explain)
