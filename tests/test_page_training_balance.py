"""The Training page's form for balancing: what it says, what it previews, and the command that it gives."""

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest
from training_page import choose, fine, press, visit

from maskdet.balance import balance_groups
from maskdet.workspace import Workspace
from ui.training_balance import preview
from ui.training_jobs import _details


def balance_by(app: AppTest, attribute: str) -> AppTest:
    return fine(app.selectbox(key="training_balance").set_value(attribute).run())


def test_balancing_is_previewed_and_goes_into_the_command_and_back(
    sample: Workspace, launched: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = choose(visit(sample, monkeypatch), "svm")
    assert app.selectbox(key="training_balance").value is None
    app = balance_by(app, "brightness")
    assert not app.warning
    captions = "\n".join(str(caption.value) for caption in app.caption)
    assert "The label no longer depends on the group; each group and each label counts as much as before." in captions
    assert "Mean luma of the face" in captions
    table = app.dataframe[0].value
    counts = table[["with mask", "without mask"]].to_numpy()
    assert len(table) == 4
    assert counts.sum() == 59
    press(app, "training_start")
    assert launched[0][5:] == ["--balance=brightness"]
    app = fine(app.segmented_control(key="training_balance_target").set_value("equal").run())
    press(app, "training_start")
    assert launched[1][5:] == ["--balance=brightness", "--balance-target=equal"]
    app = press(app, "training_defaults")
    press(app, "training_start")
    assert launched[2][5:] == []


def test_what_is_not_measured_cannot_be_balanced_by(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = balance_by(choose(visit(sample, monkeypatch), "svm"), "skin_tone")
    assert "Apparent skin tone is known of no training face: measure it with" in app.warning[0].value
    assert app.button(key="training_start").disabled
    app = balance_by(app, "brightness")
    assert not app.button(key="training_start").disabled


def test_the_preview_has_a_row_a_group() -> None:
    """dark 6 with mask and 2 without, bright 4 and 8: see `tests.test_balance`."""
    labels = ["with_mask"] * 6 + ["without_mask"] * 2 + ["with_mask"] * 4 + ["without_mask"] * 8 + ["with_mask"]
    groups = ["dark"] * 8 + ["bright"] * 12 + [""]
    part = pd.DataFrame({"face_id": [str(number) for number in range(21)], "label": labels})
    found = balance_groups(part, pd.Series(groups, part["face_id"]), "brightness", "independent")
    assert preview(found).to_dict("records") == [
        {"Brightness": "bright", "with mask": 4, "with mask, balanced": 6,
         "without mask": 8, "without mask, balanced": 6, "share": "67 %",
         "share, balanced": "50 %"},
        {"Brightness": "dark", "with mask": 6, "with mask, balanced": 4, "without mask": 2,
         "without mask, balanced": 4, "share": "25 %", "share, balanced": "50 %"},
        {"Brightness": "not known", "with mask": 1, "with mask, balanced": 1, "without mask": 0,
         "without mask, balanced": 0, "share": "0 %", "share, balanced": "0 %"},
    ]  # fmt: skip


def test_a_card_says_by_what_a_training_is_balanced() -> None:
    command = ["train", "svm", "--data=f", "--seed", "0", "--balance=skin_tone", "--balance-target=equal"]
    assert _details(command) == r"data f, seed 0, balanced by apparent skin tone, target equal"
