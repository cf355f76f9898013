"""Training: one is launched, watched, left, found again, stopped, resumed, and seen in the results."""

import re
from typing import Final

import pytest
from playwright.sync_api import Locator, Page, expect

from browser.driver import PATIENCE, go_to, main, open_page, settle
from browser.server import Server
from browser.widgets import figure, press, rows_of, table_with
from maskdet.facetable import load_faces
from maskdet.runs import list_runs
from maskdet.split import load_split
from maskdet.starter import sample_of

EPOCHS: Final = 40
#: Milliseconds for a whole training on a busy machine; alone it takes some seconds.
TO_TRAIN: Final = 4 * PATIENCE
pytestmark = pytest.mark.timeout(3000)


@pytest.fixture
def training(page: Page, workshop: Server) -> Page:
    """The page on a workspace that may be changed."""
    open_page(page, workshop, "Training")
    return page


def choose_model(page: Page, title: str) -> None:
    main(page).get_by_role("radio", name=title).locator("xpath=ancestor::label[1]").click()
    settle(page)


def newest(page: Page) -> Locator:
    """The card of the newest training."""
    return main(page).locator('[class*="st-key-training_"]').filter(has=page.get_by_text(re.compile("launched ")))


def start(page: Page) -> None:
    """While a training is at work the page changes each second: it is never done, so nothing waits for that."""
    main(page).get_by_role("button", name="Start training").click()
    expect(page.get_by_text("The training has started")).to_be_visible()


def test_an_svm_is_trained_and_its_results_are_opened(training: Page, workshop: Server) -> None:
    choose_model(training, "PCA + SVM")
    start(training)
    card = newest(training).first
    expect(card.get_by_text("PCA + SVM")).to_be_visible()
    expect(card.get_by_text(re.compile(r"\bfinished$"))).to_be_visible(timeout=TO_TRAIN)
    link = card.get_by_role("link", name=re.compile("^Results of svm-"))
    run = link.inner_text().split()[-1]
    sample = sample_of(workshop.workspace)
    trained = next(one for one in list_runs(sample) if one.id == run)
    assert trained.fingerprint == load_split(sample, load_faces(sample)).fingerprint
    expect(card.get_by_text(f"Macro F1 {trained.metrics['macro_f1']:.3f}")).to_be_visible()
    link.click()
    expect(training.get_by_role("heading", name="Results", level=1)).to_be_visible()
    settle(training)
    expect(main(training).get_by_text("Trained and judged on the synthetic sample set")).to_be_visible()
    models = {row["model"] for row in rows_of(table_with(training, "Model", "Label", "F1"))}
    assert len([name for name in models if name.startswith("PCA + SVM")]) == 2  # the bundled one, and this


def test_a_training_goes_on_alone_is_stopped_resumed_and_seen(training: Page, workshop: Server) -> None:
    choose_model(training, "CNN (AlexNet-like)")
    epochs = main(training).get_by_role("spinbutton", name="Epochs")
    epochs.fill(str(EPOCHS))
    epochs.press("Enter")
    settle(training)
    expect(main(training).get_by_text(f"Different from the defaults: Epochs {EPOCHS}.")).to_be_visible()
    start(training)
    card = newest(training).first
    expect(card.get_by_text("CNN (AlexNet-like)")).to_be_visible()
    expect(card.get_by_text(re.compile(r"\brunning$"))).to_be_visible()
    expect(card.get_by_role("figure", name=re.compile(" by epoch$")).first).to_be_visible()  # its first epoch is done

    go_to(training, "Home")
    go_to(training, "Training", live=True)
    expect(card.get_by_text(re.compile(r"\brunning$"))).to_be_visible()
    training.reload()
    expect(card.get_by_text(re.compile(r"\brunning$"))).to_be_visible()
    expect(card.get_by_text(re.compile(f"epoch .*of {EPOCHS}"))).to_be_visible()

    card.get_by_role("button", name="Stop").click()
    expect(card.get_by_text(re.compile(r"\bstopped$"))).to_be_visible()
    unfinished = [path.name for path in sample_of(workshop.workspace).path("runs").iterdir()]
    card.get_by_role("button", name="Resume").click()
    expect(card.get_by_text("CNN (AlexNet-like), resumed")).to_be_visible()
    expect(card.get_by_text(re.compile(r"\bfinished$"))).to_be_visible(timeout=TO_TRAIN)
    link = card.get_by_role("link", name=re.compile("^Results of cnn-"))
    run = link.inner_text().split()[-1]
    assert any(run in name for name in unfinished)  # the same run, gone on with
    link.click()
    expect(training.get_by_role("heading", name="Results", level=1)).to_be_visible()
    settle(training)
    training.get_by_role("radio", name="Learning").click()
    settle(training)
    curve = figure(training, re.compile("^Loss of CNN .* by epoch$"))
    expect(curve.first).to_be_visible()


def test_a_trial_says_how_long_it_would_take_and_keeps_nothing(training: Page, workshop: Server) -> None:
    choose_model(training, "PCA + SVM")
    runs = len(list_runs(sample_of(workshop.workspace)))
    main(training).get_by_role("button", name="Try first").click()
    card = newest(training).first
    expect(card.get_by_text("PCA + SVM, trial")).to_be_visible()
    expect(card.get_by_text(re.compile(r"\bfinished$"))).to_be_visible(timeout=TO_TRAIN)
    expect(card.get_by_text(re.compile(r"^About \d.* to train svm"))).to_be_visible()
    assert len(list_runs(sample_of(workshop.workspace))) == runs


def test_what_cannot_be_trained_says_why_before_it_is_started(training: Page) -> None:
    epochs = main(training).get_by_role("spinbutton", name="Epochs")
    epochs.fill("0")
    epochs.press("Enter")
    settle(training)
    expect(main(training).get_by_role("alert").get_by_text(re.compile("epochs", re.IGNORECASE)).first).to_be_visible()
    expect(main(training).get_by_role("button", name="Start training")).to_be_disabled()
    press(training, "Back to the defaults")
    expect(main(training).get_by_role("button", name="Start training")).to_be_enabled()
