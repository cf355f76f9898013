"""Wrong faces and disagreements: verdicts by hand, their order, shares and intervals."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from maskdet.errors import MaskDetError
from maskdet.mistakes import disagreements, error_rates, judged_faces, wrong_faces
from maskdet.models.base import probability
from maskdet.runs import Run, open_run
from maskdet.workspace import write_json, write_table

LN3 = math.log(3)  # the logit of 0.75
LN9 = math.log(9)  # the logit of 0.9


def written(
    folder: Path, name: str, logits: Mapping[str, float], created: str = "2026-01-01T00:00:00Z", **columns: list
) -> Run:
    """A run with a logit for each face. Of each id, the first letter is the dataset, the second the label, m or w."""
    table = pd.DataFrame({"face_id": list(logits), "logit": list(logits.values())})
    table["dataset"] = table["face_id"].str[0]
    table["label"] = table["face_id"].str[1].map({"m": "with_mask", "w": "without_mask"})
    table["group"] = np.arange(len(table))
    table["split"] = "test"
    table["p_without_mask"] = probability(table["logit"])
    table = table.assign(**columns)
    write_table(folder / name / "predictions.parquet", table)
    record = {"format": 2, "id": name, "model": name[:3], "created": created, "options": {}, "seconds": {}}
    record["data"] = {"fingerprint": "0123456789abcdef", "faces": {}}
    write_json(folder / name / "run.json", record)
    return open_run(folder / name)


@pytest.fixture
def one(tmp_path: Path) -> Run:
    splits = ["test", "test", "test", "test", "train", "validation"]
    logits = {"am1": -LN3, "am2": LN3, "aw1": -LN9, "bw1": 1.0, "am3": 9.0, "am4": 9.0}
    return written(tmp_path, "cnn-1", logits, split=splits)


@pytest.fixture
def other(tmp_path: Path) -> Run:
    logits = {"bw1": 2.0, "aw1": LN9, "am2": 0.0, "am1": -1.0, "cm1": 5.0}
    return written(tmp_path, "svm-1", logits, created="2026-02-01T00:00:00Z")


def test_verdicts(one: Run) -> None:
    table = judged_faces(one)
    assert table["face_id"].tolist() == ["am1", "am2", "aw1", "bw1"]
    assert table["wrong"].tolist() == [False, True, True, False]
    assert table["confidence"].tolist() == pytest.approx([0.75, 0.75, 0.9, 1 / (1 + math.exp(-1))])
    assert judged_faces(one, "train")["face_id"].tolist() == ["am3"]


def test_probabilities_are_calibrated_as_those_of_a_photo(one: Run, other: Run) -> None:
    """At a temperature of 2, a logit of ln 9 becomes ln 3: 0.75 instead of 0.9. Verdicts stay."""
    before = judged_faces(one)
    write_json(one.folder / "reliability.json", {"temperature": 2.0}, version=1)
    table = judged_faces(one).set_index("face_id")
    assert table["wrong"].tolist() == before["wrong"].tolist()
    assert table.loc["aw1", ["p_without_mask", "confidence"]].tolist() == pytest.approx([0.25, 0.75])
    assert wrong_faces([one]).set_index("face_id").loc["aw1", "p_without_mask"] == pytest.approx(0.25)
    common, _ = disagreements([one, other])
    assert common.set_index("face_id").loc["aw1", ["cnn-1", "svm-1"]].tolist() == pytest.approx([0.25, 0.9])
    write_json(one.folder / "reliability.json", {"temperature": 0}, version=1)
    with pytest.raises(MaskDetError, match="temperature is out of its range"):
        judged_faces(one)


def test_wrong_faces_come_with_the_most_confident_first(one: Run, other: Run) -> None:
    table = wrong_faces([one, other])
    assert list(table) == ["run", "model", "face_id", "dataset", "label", "p_without_mask", "confidence"]
    assert table[["run", "model", "face_id", "label"]].to_numpy().tolist() == [
        ["svm-1", "svm", "cm1", "with_mask"],
        ["cnn-1", "cnn", "aw1", "without_mask"],
        ["cnn-1", "cnn", "am2", "with_mask"],
    ]  # a logit of 0 is no evidence against a mask: am2 of svm-1 is right
    assert table["confidence"].tolist()[1:] == pytest.approx([0.9, 0.75])
    assert table["p_without_mask"].tolist()[1:] == pytest.approx([0.1, 0.75])
    assert wrong_faces([one], "validation")["face_id"].tolist() == ["am4"]


def test_equally_confident_faces_come_by_id(tmp_path: Path) -> None:
    run = written(tmp_path, "cnn-1", {"am9": 1.0, "bw1": -1.0, "am1": 1.0})
    assert wrong_faces([run, run])["face_id"].tolist() == ["am1", "am1", "am9", "am9", "bw1", "bw1"]


def test_no_runs() -> None:
    assert wrong_faces([]).empty
    assert list(wrong_faces([])) == ["run", "model", "face_id", "dataset", "label", "p_without_mask", "confidence"]
    common, found = disagreements([])
    assert common.empty
    assert found.empty


def test_error_rates(one: Run, other: Run) -> None:
    rates = error_rates([one, other])
    assert rates[["run", "faces", "wrong", "share"]].to_numpy().tolist() == [["cnn-1", 4, 2, 0.5], ["svm-1", 5, 1, 0.2]]
    assert rates[["low", "high"]].isna().all(axis=None)  # four and five groups are too few for a bootstrap
    only = error_rates([one, other], ["a"], ["with_mask"])
    assert only[["faces", "wrong", "share"]].to_numpy().tolist() == [[2, 1, 0.5], [2, 0, 0.0]]
    nothing = error_rates([one], ["c"])
    assert nothing[["faces", "wrong"]].to_numpy().tolist() == [[0, 0]]
    assert nothing[["share", "low", "high"]].isna().all(axis=None)


def test_disagreements(one: Run, other: Run) -> None:
    common, found = disagreements([one, other])
    assert common["face_id"].tolist() == ["am1", "am2", "aw1", "bw1"]  # cm1 is no test face of the first
    assert common["right"].tolist() == [2, 1, 1, 2]
    assert list(found) == ["face_id", "dataset", "label", "cnn-1", "svm-1", "right", "spread"]
    assert found["face_id"].tolist() == ["aw1", "am2"]
    assert found["spread"].tolist() == pytest.approx([0.8, 0.25])
    assert found[["cnn-1", "svm-1"]].to_numpy().tolist() == pytest.approx(np.array([[0.1, 0.9], [0.75, 0.5]]))
    assert disagreements([one, other], labels=["with_mask"])[1]["face_id"].tolist() == ["am2"]
    assert disagreements([one, other], datasets=["b"])[0]["face_id"].tolist() == ["bw1"]
    assert disagreements([one])[1].empty


def test_three_runs_and_how_many_are_right(one: Run, other: Run, tmp_path: Path) -> None:
    third = written(tmp_path, "inc-1", {"am1": 4.0, "am2": -1.0, "aw1": 3.0, "bw1": 3.0})
    _, found = disagreements([one, other, third])
    assert found.set_index("face_id")["right"].to_dict() == {"am1": 2, "am2": 2, "aw1": 2}


def test_runs_that_share_no_test_face(one: Run, tmp_path: Path) -> None:
    apart = written(tmp_path, "svm-2", {"zm1": 1.0, "zw1": 1.0})
    common, found = disagreements([one, apart])
    assert common.empty
    assert found.empty


def test_a_face_that_was_relabelled_has_the_label_of_the_newest_run(one: Run, other: Run, tmp_path: Path) -> None:
    logits = {"am1": -1.0, "am2": -1.0, "aw1": -1.0, "bw1": 1.0}
    labels = ["with_mask", "with_mask", "with_mask", "without_mask"]
    newest = written(tmp_path, "cnn-2", logits, created="2026-03-01T00:00:00Z", label=labels)
    _, found = disagreements([one, newest, other])
    assert found.set_index("face_id")["label"].to_dict() == {"aw1": "with_mask", "am2": "with_mask"}
    assert found.set_index("face_id").loc["aw1", "right"] == 2
