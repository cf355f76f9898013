"""Models trained without a dataset or a fold: what they saw, and what is said of the faces they did not see."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from factories import use_small_networks

import maskdet.crossval
from maskdet.crossval import (
    OUT_OF_SAMPLE_FILE,
    cross_validate,
    leave_one_dataset_out,
    out_of_sample_record,
    write_out_of_sample,
)
from maskdet.errors import MaskDetError
from maskdet.facetable import load_faces
from maskdet.models import FitData
from maskdet.models.svm import Svm
from maskdet.split import load_split
from maskdet.training_data import Plan, TrainingData, predictions_table, training_data
from maskdet.workspace import Workspace, read_json, read_table

SMALL = {"components": 4, "C": [1.0], "kernel": ["linear"], "folds": 2, "jobs": 1}


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[FitData]:
    """What each SVM was fitted on."""
    seen: list[FitData] = []
    fit = Svm.fit

    def noting(self: Svm, data: FitData, **more: Any) -> Any:
        seen.append(data)
        return fit(self, data, **more)

    monkeypatch.setattr(Svm, "fit", noting)
    return seen


@pytest.fixture
def _nothing_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only who is dealt where is tested."""

    def predict(*arguments: Any, **_more: Any) -> Any:
        judged = arguments[4]
        return predictions_table(judged, np.where(judged["label"] == "without_mask", 1.0, -1.0))

    monkeypatch.setattr(maskdet.crossval, "fit_and_predict", predict)


def looked_at(data: FitData) -> set[str]:
    return {*data.train.face_ids, *data.validation.face_ids}


# --- a dataset at a time ---------------------------------------------------------------------------------------------


def test_each_dataset_is_judged_by_a_model_without_it(sources: Workspace, fits: list[FitData]) -> None:
    calls: list[tuple[int, int, str]] = []
    found = leave_one_dataset_out(sources, "svm", SMALL, seed=3, progress=lambda *call: calls.append(call))
    split = load_split(sources, load_faces(sources))
    assert {name: found[name] for name in ("model", "seed", "fingerprint")} == {
        "model": "svm", "seed": 3, "fingerprint": split.fingerprint
    }  # fmt: skip
    assert found["options"]["components"] == 4
    assert found["options"]["gamma"]  # those that were not given are named too
    # ``only`` has one label: no macro F1 is defined on it. It is trained on (6 of its 10 faces), and sim never is.
    assert [(row["dataset"], row["train_faces"], row["faces"]) for row in found["rows"]] == [
        ("a", 18 + 6, 30), ("b", 18 + 6, 30), ("sim", 36 + 6, 30)
    ]  # fmt: skip
    for row, data in zip(found["rows"], fits, strict=True):
        seen = {face_id.split("/")[0] for face_id in looked_at(data)}
        assert seen == {"a", "b", "only"} - {row["dataset"]}
        assert not looked_at(data) & set(split.table.loc[split.table["split"] == "test", "face_id"])
    done, totals, _ = zip(*calls, strict=True)
    assert list(done) == sorted(done)
    assert (done[-1], {*totals}) == (3000, {3000})
    row = found["rows"][0]
    assert set(row) == {"dataset", "faces", "groups", "macro_f1", "low", "high", "confusion", "train_faces", "reason"}
    assert row["groups"] == 30
    assert np.array(row["confusion"]).sum() == 30
    # Drawn faces are told apart without an error, and then there is no spread that could make an interval.
    assert row["macro_f1"] == 1
    assert "None of 30 faces in 30 groups is misjudged" in row["reason"]


def test_networks_watch_nothing_then(sources: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A left-out dataset that chose the epoch would no longer be unseen."""
    from maskdet.models.inception import InceptionV3

    use_small_networks(monkeypatch)
    seen: list[FitData] = []
    fit = InceptionV3.fit

    def noting(self: InceptionV3, data: FitData, **more: Any) -> Any:
        seen.append(data)
        return fit(self, data, **more)

    monkeypatch.setattr(InceptionV3, "fit", noting)
    options = {"weights": "none", "frozen": True, "batch_size": 16, "precision": "float32"}
    assert len(leave_one_dataset_out(sources, "inceptionv3", options)["rows"]) == 3
    assert [data.watched for data in seen] == [None] * 3


@pytest.mark.usefixtures("_nothing_is_fitted")
def test_limits_hold(sources: Workspace) -> None:
    rows = leave_one_dataset_out(sources, "svm", SMALL, limit=12)["rows"]
    assert all(10 <= row["train_faces"] <= 14 for row in rows)
    assert [row["faces"] for row in rows] == [30] * 3


# --- a fold at a time ------------------------------------------------------------------------------------------------


@pytest.fixture
def _in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two and two faces of a label are related."""

    def grouped(workspace: Workspace, plan: Plan) -> TrainingData:
        data = training_data(workspace, plan)
        parts = {
            name: part.assign(group=part["label"].astype("category").cat.codes + 2 * (np.arange(len(part)) // 4)
                              + 1000 * number)
            for number, (name, part) in enumerate(data.parts.items())
        }  # fmt: skip
        return replace(data, parts=parts)

    monkeypatch.setattr(maskdet.crossval, "training_data", grouped)


@pytest.mark.usefixtures("_in_groups")
def test_every_face_is_predicted_once_by_a_model_that_saw_none_of_its_group(
    sources: Workspace, fits: list[FitData]
) -> None:
    calls: list[tuple[int, int, str]] = []
    table = cross_validate(sources, "svm", SMALL, folds=3, seed=1, progress=lambda *call: calls.append(call))
    columns = ["face_id", "dataset", "label", "group", "split", "logit", "p_without_mask", "fold"]
    assert sorted(table) == sorted(columns)
    split = load_split(sources, load_faces(sources))
    main = split.table[split.table["pool"] == "main"]
    assert table["face_id"].tolist() == main["face_id"].tolist()  # once each, in the order of the split
    assert table["split"].tolist() == main["split"].tolist()
    assert table["group"].nunique() < len(table)
    assert sorted(table["fold"].unique()) == [0, 1, 2]
    assert len(fits) == 3
    for fold, data in enumerate(fits):
        judged = table[table["fold"] == fold]
        seen = {*data.train.groups, *data.validation.groups}
        assert seen
        assert not seen & set(judged["group"])
        assert not looked_at(data) & set(judged["face_id"])
        assert not set(data.train.face_ids) & set(data.validation.face_ids)
        assert len(looked_at(data)) + len(judged) == len(table)
    assert ((table["logit"] > 0) == (table["label"] == "without_mask")).mean() > 0.9
    np.testing.assert_allclose(table["p_without_mask"], 1 / (1 + np.exp(-table["logit"])))
    done, totals, _ = zip(*calls, strict=True)
    assert list(done) == sorted(done)
    assert (done[-1], {*totals}) == (3000, {3000})


@pytest.mark.usefixtures("_nothing_is_fitted")
def test_folds_follow_from_the_seed(sources: Workspace) -> None:
    first, again, other = (cross_validate(sources, "svm", SMALL, folds=3, seed=seed) for seed in (1, 1, 2))
    assert first["fold"].tolist() == again["fold"].tolist() != other["fold"].tolist()


@pytest.mark.parametrize("folds", [1, 2])
def test_three_folds_are_the_fewest(sources: Workspace, folds: int, fits: list[FitData]) -> None:
    """One is judged and one validates: of two folds, none would be left to train on."""
    with pytest.raises(MaskDetError, match=f"Cross-validation needs at least 3 folds, not {folds}"):
        cross_validate(sources, "svm", SMALL, folds=folds)
    assert fits == []


def test_too_few_faces_for_the_folds_is_a_sentence(sources: Workspace, fits: list[FitData]) -> None:
    """The main pool has thirty faces without mask, none related to another."""
    sentence = "Cross-validation in 31 folds needs faces without mask in as many groups of related faces, not 30"
    with pytest.raises(MaskDetError, match=sentence):
        cross_validate(sources, "svm", SMALL, folds=31)
    assert fits == []


# --- which models predicted ------------------------------------------------------------------------------------------


def test_predictions_lie_beside_what_is_noted_of_their_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noted = out_of_sample_record("svm", SMALL, seed=3, fingerprint="abc", limit=90)
    assert {name: noted[name] for name in ("model", "seed", "fingerprint", "folds", "limit")} == {
        "model": "svm", "seed": 3, "fingerprint": "abc", "folds": 5, "limit": 90
    }  # fmt: skip
    assert {"gamma", *SMALL} <= noted["options"].keys()  # those that were not named too
    faces = pd.DataFrame({"face_id": ["a"], "logit": [1.0]})
    write_out_of_sample(tmp_path, faces, noted)
    assert read_table(tmp_path / OUT_OF_SAMPLE_FILE).equals(faces)
    assert read_json(tmp_path / "out_of_sample.json", version=1) == json.loads(json.dumps(noted))

    def killed(*_arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(maskdet.crossval, "write_table", killed)
    with pytest.raises(KeyboardInterrupt):
        write_out_of_sample(tmp_path, faces, noted | {"seed": 4})
    assert not (tmp_path / OUT_OF_SAMPLE_FILE).exists()  # never predictions beside the record of others
