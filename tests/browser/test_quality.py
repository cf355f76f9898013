"""Quality: a threshold moved with the mouse and the keyboard, applied, kept, and undone."""

from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from browser.driver import assert_whole, main, open_page, settle
from browser.server import Server
from browser.widgets import drag_slider, figure, metric, pick, press, rows_of, table_with, turn
from maskdet.facetable import load_faces
from maskdet.quality import FilterOptions, apply_filters, load_filtered
from maskdet.split import load_split
from maskdet.starter import sample_of

STUDY = FilterOptions()


def removed(server: Server, options: FilterOptions) -> int:
    """How many of the sample's faces the core removes."""
    filtered = apply_filters(load_faces(sample_of(server.workspace)), options)
    return len(filtered.table) - len(filtered.kept)


@pytest.fixture
def quality(page: Page, workshop: Server) -> Page:
    """The page on a workspace that may be changed."""
    open_page(page, workshop, "Quality")
    return page


def test_the_study_s_thresholds_remove_what_the_core_says(quality: Page, workshop: Server) -> None:
    expect(metric(quality, "Kept")).to_have_text(str(143 - removed(workshop, STUDY)))
    expect(metric(quality, "Removed")).to_have_text(str(removed(workshop, STUDY)))
    expect(quality.get_by_role("button", name="As in the study")).to_be_disabled()
    counted = rows_of(table_with(quality, "dataset", "removed"))
    assert sum(int(row["removed"]) for row in counted) == removed(workshop, STUDY)


def test_the_keyboard_moves_a_threshold(quality: Page, workshop: Server) -> None:
    slider = quality.get_by_role("slider", name="Hash distance")
    slider.focus()
    for _ in range(6):
        quality.keyboard.press("ArrowRight")
    expect(slider).to_have_value("10")
    expect(metric(quality, "Removed")).to_have_text(str(removed(workshop, replace(STUDY, hash_distance=10))))
    expect(main(quality).get_by_text("1 setting differs from the set in force: hash distance 4 → 10")).to_be_visible()
    assert removed(workshop, replace(STUDY, hash_distance=10)) != removed(workshop, STUDY)
    press(quality, "As in the study")
    expect(metric(quality, "Removed")).to_have_text(str(removed(workshop, STUDY)))


def test_the_mouse_moves_a_threshold(quality: Page, workshop: Server) -> None:
    slider = quality.get_by_role("slider", name="Square-root size")
    drag_slider(quality, slider, 0.0)
    expect(slider).to_have_value("0")
    without = removed(workshop, replace(STUDY, small_size=0.0))
    assert without < removed(workshop, STUDY)
    expect(metric(quality, "Removed")).to_have_text(str(without))


def test_what_is_applied_holds_after_a_reload_and_can_be_undone(quality: Page, workshop: Server) -> None:
    sample = sample_of(workshop.workspace)
    before = load_split(sample, load_faces(sample)).fingerprint
    expect(main(quality).get_by_text(f"In force: 131 faces, fingerprint {before}")).to_be_visible()
    turn(quality, "Duplicates", on=False)
    kept = 143 - removed(workshop, replace(STUDY, duplicates=False))
    expect(main(quality).get_by_text("1 setting differs from the set in force: duplicates on → off")).to_be_visible()
    press(quality, "Apply and split")
    expect(main(quality).get_by_text(f"In force: {kept} faces")).to_be_visible()
    after = load_split(sample, load_faces(sample)).fingerprint
    assert after != before
    assert not load_filtered(sample, load_faces(sample)).options.duplicates

    try:
        quality.reload()  # a new visit: its controls begin as in the study, and the set in force is what was applied
        settle(quality)
        expect(
            main(quality).get_by_text("1 setting differs from the set in force: duplicates off → on")
        ).to_be_visible()
        pick(quality, "Split in force")
        expect(main(quality).get_by_text(f"In force: {kept} faces, split 60/20/20, seed 0")).to_be_visible()
        expect(main(quality).get_by_text(after).first).to_be_visible()
    finally:
        press(quality, "Apply and split")
    expect(main(quality).get_by_text(f"In force: 131 faces, fingerprint {before}")).to_be_visible()
    press(quality, "Undo")
    expect(main(quality).get_by_text("1 setting differs from the set in force: duplicates off → on")).to_be_visible()
    assert load_split(sample, load_faces(sample)).fingerprint == after
    press(quality, "Apply and split")
    assert load_split(sample, load_faces(sample)).fingerprint == before


def test_every_view_opens(quality: Page, subtests: pytest.Subtests) -> None:
    for view, says in {
        "At the threshold": "Joined: one is removed",
        "Duplicate clusters": "Faces in a cluster are joined by a chain of near hashes.",
        "Leaks": "A validation or test face that resembles a training face measures memory, not skill.",
        "By hand": "Export (CSV)",
    }.items():
        with subtests.test(view):
            pick(quality, view)
            expect(main(quality).get_by_text(says).first).to_be_visible()
            if view == "Leaks":
                expect(figure(quality, "Share of validation and test faces that leak, by distance")).to_be_visible()
            assert_whole(quality)
