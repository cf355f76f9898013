"""Augmentation: the changes are seen on faces, the plan sets what is shown, and the sizes add up."""

import re

import pytest
from playwright.sync_api import Page, expect

from browser.driver import go_to, main, open_page
from browser.server import Server
from browser.widgets import figure, press, rows_of, table_with, turn

COPIES = ("Flip", "Rotate", "Brightness", "Crop", "Noise")


@pytest.fixture
def gallery(page: Page, study: Server) -> Page:
    """The page of the sample set, which has a split."""
    open_page(page, study, "Augmentation")
    return page


def source_of(page: Page, name: str) -> str:
    """Address of a picture, which is made of its pixels."""
    address = main(page).get_by_role("img", name=name, exact=True).first.get_attribute("src")
    assert address
    return address


def test_a_face_is_shown_with_each_change_and_leafs(gallery: Page) -> None:
    pictures = [source_of(gallery, name) for name in ("Original", *COPIES)]
    assert len(set(pictures)) == len(pictures)
    expect(main(gallery).get_by_text("Variant of epoch 6", exact=True)).to_be_visible()
    expect(main(gallery).get_by_text(re.compile("^Face 1 of "))).to_be_visible()
    press(gallery, "Next face")
    expect(main(gallery).get_by_text(re.compile("^Face 2 of "))).to_be_visible()
    assert source_of(gallery, "Original") != pictures[0]


def test_the_study_s_plan_makes_five_copies_of_each_face(gallery: Page) -> None:
    main(gallery).get_by_role("radio", name="Study plan").locator("xpath=ancestor::label[1]").click()
    expect(main(gallery).get_by_text("Variant of epoch 1", exact=True)).to_have_count(0)
    expect(figure(gallery, re.compile("")).first).to_be_visible()
    total = rows_of(table_with(gallery, "training faces", "total an epoch"))[-1]
    assert int(total["total an epoch"]) == 6 * int(total["training faces"])


def test_a_change_that_is_off_says_so_there_and_on_the_training_page(gallery: Page) -> None:
    turn(gallery, "Rotate", on=False)
    expect(main(gallery).get_by_text("Rotate (off)", exact=True)).to_be_visible()
    go_to(gallery, "Training")
    expect(main(gallery).get_by_text("On the fly: flip, brightness ±30 %, crop keeping 80 %")).to_be_visible()
