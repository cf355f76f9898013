"""A first visit on a clean clone: nothing was scanned or trained, there is something to see, and a folder is read."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from browser.driver import PAGES, arrive, go_to, main, open_page, settle
from browser.server import Server
from browser.widgets import choose, metric, press
from maskdet.compare import SHORT_NAMES
from maskdet.facetable import load_faces
from maskdet.runs import list_runs
from maskdet.starter import sample_of


def test_home_says_what_this_is_and_shows_the_bundled_study(page: Page, study: Server) -> None:
    open_page(page, study, "Home")
    expect(page).to_have_title("MaskDet")
    expect(page.get_by_text("Data: synthetic sample set, until you scan a dataset of your own.")).to_be_visible()
    best = max(
        (run for run in list_runs(study.workspace) if run.pool == "main"), key=lambda run: run.metrics["macro_f1"]
    )
    expect(metric(page, f"Best macro F1: {SHORT_NAMES[best.model_name]}")).to_have_text(
        f"{best.metrics['macro_f1']:.3f}"
    )
    expect(main(page).get_by_text(f"{best.metrics['faces']:,} test faces")).to_be_visible()


def test_three_ways_lead_in(page: Page, study: Server, subtests: pytest.Subtests) -> None:
    open_page(page, study, "Home")
    for way, title in {"Browse data": "Datasets", "Upload a photo": "Explain", "See results": "Results"}.items():
        with subtests.test(way):
            main(page).get_by_role("link", name=way).click()
            arrive(page, title)
            assert page.url == f"{study.url}/{PAGES[title][0]}"
            go_to(page, "Home")


def test_a_clean_clone_draws_its_sample_set_and_scans_a_folder(
    page: Page, fresh: Server, drawn: Path, tmp_path: Path
) -> None:
    open_page(page, fresh, "Home")
    expect(metric(page, "Faces")).to_have_text("none yet")
    go_to(page, "Datasets")
    expect(main(page).get_by_text("Synthetic sample set.")).to_be_visible()
    assert sample_of(fresh.workspace).path("split.json").is_file()

    field = main(page).get_by_label("Folder", exact=True)
    field.fill(str(tmp_path / "nowhere"))
    press(page, "Scan")
    expect(main(page).get_by_role("alert").get_by_text(re.compile("nowhere"))).to_be_visible()
    field.fill(str(drawn / "sample" / "photos" / "sample-simulated"))
    main(page).get_by_role("button", name="Scan", exact=True).click()
    expect(page.get_by_role("radio", name="My datasets")).to_be_checked()  # once the scan has ended
    settle(page)
    expect(main(page).get_by_text("36 of 36 faces")).to_be_visible()
    assert list(load_faces(fresh.workspace).roots) == ["sample-simulated"]

    main(page).get_by_text("Add or forget a dataset").click()
    page.get_by_role("tab", name="Forget").click()
    choose(page, "Dataset to forget", "sample-simulated")
    main(page).get_by_text("Yes, forget sample-simulated").click()
    settle(page)
    press(page, "Forget")
    expect(page.get_by_text("Data: synthetic sample set, until you scan a dataset of your own.")).to_be_visible()
