"""Figures of the bias lab as cells."""

import pandas as pd

from maskdet.bias.cells import figure, figure_or_few, label_title, reasons_of
from maskdet.document import Figure


def test_a_figure_is_found_with_its_interval() -> None:
    row = {"share": 0.5, "share_low": 0.4, "share_high": 0.6, "low": 0.1, "high": 0.9}
    assert figure(row, "share") == Figure(0.5, 0.4, 0.6)
    assert figure(row, "share", "percent", ("low", "high"), 7).text == "50.0 % (10.0–90.0, n = 7)"
    assert figure({}, "share") == Figure(None)


def test_a_figure_of_too_few_faces_says_so() -> None:
    few = {"share": 0.125, "reason": "too few to say: 8 faces"}
    assert figure_or_few(few, "share", "percent") == "12.5 % (too few to say)"
    assert figure_or_few(few, "share", "percent", n=8) == "12.5 % (too few to say, n = 8)"
    assert figure_or_few(few, "other", "percent") == Figure(None, unit="percent")
    other = {"share": 0.5, "share_low": None, "reason": "no interval: no two faces differ"}
    assert figure_or_few(other, "share", "percent") == Figure(0.5, unit="percent")


def test_reasons_are_said_once() -> None:
    reasons = ["", "too few to say: 11 faces", None, "too few to say: 3 faces", "No face of a label is in b."]
    assert reasons_of(pd.DataFrame({"reason": reasons})) == [
        "Too few to say where no interval stands.", "No face of a label is in b.",
    ]  # fmt: skip
    assert reasons_of(pd.DataFrame({"reason": ["too few to say: 8 faces"] * 2})) == ["Too few to say: 8 faces."]
    assert reasons_of(pd.DataFrame({"a": [1]})) == []


def test_labels_for_people() -> None:
    assert (label_title("with_mask"), label_title("other")) == ("with mask", "other")
