"""What a run's own folder says in a card: reliability, balance, training, figures of sources left out."""

from pathlib import Path

import pytest
from bundled import BUNDLED_IDS
from written_runs import predictions, write_run

from maskdet.card_sections import (
    grad_cam_blocks,
    left_out_figures,
    metrics_blocks,
    reliability_blocks,
    training_blocks,
    use_blocks,
)
from maskdet.document import Document, Section, to_markdown
from maskdet.runs import BUNDLED, Run, open_run
from maskdet.workspace import write_json

INCEPTION = BUNDLED_IDS["inceptionv3"]


def text(*blocks: object) -> str:
    return to_markdown(Document("t", "s", "l", (Section("k", "K", blocks),)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def inception() -> Run:
    return open_run(BUNDLED / INCEPTION)


def test_how_often_it_is_not_sure_as_docs_reliability_has_it(inception: Run) -> None:
    said = text(*reliability_blocks(inception))
    assert "| Said to be not sure | 3,303 | 0.5 % (0.3–0.9) |" in said  # 18 of them; there by bootstrap
    assert "| Wrong, of all verdicts | 3,303 | 0.7 % (0.4–1.1) |" in said
    assert "| Wrong, of the sure ones | 3,285 | 0.5 % (0.3–0.9) |" in said
    assert "probability of no mask between 0.19 and 0.60" in said
    assert "34 of 3,305 validation faces (1.0 %)" in said


def test_a_temperature_that_is_fitted_twice_says_so(inception: Run) -> None:
    (svm,) = BUNDLED.glob("svm-2*")
    said = text(*reliability_blocks(open_run(svm)))
    assert "1.00, fitted to the validation faces to which its logit is scaled already" in said
    assert "fitted to the validation faces to which" not in text(*reliability_blocks(inception))


def test_sources_left_out_of_training(inception: Run) -> None:
    found = {(row["dataset"], row["faces"]): row for row in left_out_figures(inception)}
    assert set(found) == {("1", 113), ("1", 568), ("2.1", 11568), ("2.2", 980), ("3.1", 40), ("3.2", 3932)}
    assert found["3.2", 3932]["figure"].text == "0.828 (0.788–0.866)"
    assert "trained without it" in found["3.2", 3932]["how"]
    assert "frozen features" in found["3.2", 3932]["reason"]  # in what that model differs
    assert "watched" in found["1", 113]["how"]


def test_the_grad_cam_analysis_is_shown_where_there_is_one(inception: Run, tmp_path: Path) -> None:
    said = text(*grad_cam_blocks(inception))
    assert "| with mask | all | 498 | 11.7 % (9.7–13.9) | 2 |" in said  # of 500 looked at, 2 maps have no heat
    assert "| with mask | wrong | 9 | 55.7 % (too few to say) | 0 |" in said  # 494 right ones and 2 without heat
    assert "right and wrong ones don't add up to all" in said
    assert grad_cam_blocks(write_run(tmp_path, "cnn-1")) == ()


def test_training_faces_that_were_balanced(tmp_path: Path) -> None:
    balance = {
        "attribute": "skin_tone", "target": "independent", "cap": 10.0, "notes": ["Two faces are at the cap."],
        "cells": [{"group": "dark", "label": "with_mask", "faces": 5, "weight": 2.0, "counted": 10.0},
                  {"group": "", "label": "without_mask", "faces": 1200, "weight": 1.0, "counted": 1200.0}],
    }  # fmt: skip
    said = text(*training_blocks(write_run(tmp_path, "cnn-1", balance=balance)))
    assert "balanced by skin_tone (target: independent; a face counts at most 10 times). Two faces" in said
    assert "| dark | with mask | 5 | 10.0 |" in said
    assert "| not known | without mask | 1,200 | 1,200.0 |" in said
    assert "were not balanced" in text(*training_blocks(write_run(tmp_path, "cnn-2")))


def test_how_it_was_trained(tmp_path: Path) -> None:
    said = text(*training_blocks(write_run(tmp_path, "cnn-1", options={"epochs": 3, "augmentation": {"noise": 8.0}})))
    assert "| Epochs trained | 3, of which number 2 is kept |" in said
    assert "| augmentation.noise | 8 |" in said
    assert "| Time to fit | 1 min 40 s |" in said  # 100 s
    assert "| Grid points searched | 3 |" in text(*training_blocks(write_run(tmp_path, "svm-1", "svm")))


def test_figures_that_are_not_defined_say_why(tmp_path: Path) -> None:
    table = predictions(60)
    said = text(*metrics_blocks(write_run(tmp_path, "cnn-1", table=table[table["label"] == "with_mask"])))
    assert "No face that was judged is without mask." in said
    assert "| Macro F1 | — |" in said


def test_metrics_of_an_older_run_lack_what_was_not_measured_then(tmp_path: Path) -> None:
    run = write_run(tmp_path, "cnn-1")
    metrics = {name: value for name, value in run.metrics.items() if name not in ("calibration", "ece", "brier")}
    write_json(run.folder / "metrics.json", metrics)
    said = text(*metrics_blocks(open_run(run.folder)))
    assert "Not measured: calibration." in said
    assert "Brier" not in said


def test_incorrectly_worn_masks_are_spoken_of(tmp_path: Path) -> None:
    run = write_run(tmp_path, "cnn-1", data={"filter": {"incorrect_mask": "drop"}})
    assert "were left out: what it says of them is not known" in text(*use_blocks(run))
    other = write_run(tmp_path, "cnn-2", data={"filter": {"incorrect_mask": "without_mask"}})
    assert "count as without mask" in text(*use_blocks(other))
