"""Trained on one dataset, tested on another: who is fitted on what and judged by which faces."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from factories import resplit, use_small_networks
from written_runs import predictions, write_run

import maskdet.bias.cross_dataset as module
from maskdet.bias.cross_dataset import COLUMNS, cross_datasets, load_cross, row_of_run, save_cross
from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.facetable import load_faces
from maskdet.models import FitData
from maskdet.models import inception as inception_module
from maskdet.models.svm import Svm
from maskdet.split import Split, SplitOptions, load_split
from maskdet.training_data import predictions_table
from maskdet.workspace import Workspace

SMALL = {"components": 4, "C": [1.0], "kernel": ["linear"], "folds": 2, "jobs": 1}


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[FitData, pd.DataFrame]]:
    """What each model is fitted on and what it judges; nothing is fitted, and every verdict is right."""
    seen: list[tuple[FitData, pd.DataFrame]] = []

    def predict(*arguments: Any, **_more: Any) -> pd.DataFrame:
        _, _, _, fit, faces, _ = arguments
        seen.append((fit, faces))
        return predictions_table(faces, np.where(faces["label"] == "without_mask", 1.0, -1.0))

    monkeypatch.setattr(module, "fit_and_predict", predict)
    return seen


def split_of(workspace: Workspace) -> Split:
    return load_split(workspace, load_faces(workspace))


def cells(rows: pd.DataFrame, column: str) -> dict[tuple[str, str], Any]:
    return dict(zip(zip(rows["train"], rows["test"], strict=True), rows[column], strict=True))


def test_every_pair_and_the_pool(sources: Workspace) -> None:
    calls: list[tuple[int, int, str]] = []
    found = cross_datasets(sources, "svm", SMALL, seed=3, progress=lambda *call: calls.append(call))
    split = split_of(sources)
    assert (found.model, found.seed, found.fingerprint) == ("svm", 3, split.fingerprint)
    assert found.options["components"] == 4
    assert found.options["gamma"]  # those that were not given are named too
    assert list(found.rows) == COLUMNS
    faces = cells(found.rows, "faces")
    # ``only`` has one label: it is trained on in the pool, and counts in the pooled score alone.
    assert faces == {
        ("all", "a"): 6, ("all", "b"): 6, ("all", "sim"): 30, ("all", "pooled"): 6 + 6 + 2,
        ("a", "a"): 6, ("a", "b"): 30, ("a", "sim"): 30,
        ("b", "a"): 30, ("b", "b"): 6, ("b", "sim"): 30,
        ("sim", "a"): 30, ("sim", "b"): 30, ("sim", "sim"): 6,
    }  # fmt: skip
    assert cells(found.rows, "train_faces")["all", "a"] == 18 + 18 + 6
    assert {cells(found.rows, "train_faces")[name, "a"] for name in ("a", "b", "sim")} == {18}
    # Drawn faces are told apart without an error, and then there is no spread that could make an interval.
    row = found.rows[(found.rows["train"] == "a") & (found.rows["test"] == "b")].iloc[0]
    assert (row["macro_f1"], row["groups"]) == (1, 30)
    assert np.isnan(row["low"])
    assert "None of 30 faces in 30 groups is misjudged" in row["reason"]
    done, totals, _ = zip(*calls, strict=True)
    assert list(done) == sorted(done)
    assert (done[-1], {*totals}) == (4000, {4000})


def test_no_judged_face_was_looked_at(sources: Workspace, judged: list[tuple[FitData, pd.DataFrame]]) -> None:
    """Nor is a face of a group that was."""
    path = sources.path("split.parquet")
    table = pd.read_parquet(path)
    mine = table[(table["dataset"] == "a") & (table["split"] == "train")].index[0]
    other = table[(table["dataset"] == "b") & (table["split"] == "train")].index[:3]
    table.loc[other, "group"] = table.loc[mine, "group"]  # as if three faces of b were near-duplicates of one of a
    table.to_parquet(path)
    found = cross_datasets(sources, "svm", SMALL)
    group = table.set_index("face_id")["group"]
    test = set(table.loc[table["split"] == "test", "face_id"])
    for fit, faces in judged:
        looked_at = [*fit.train.face_ids, *fit.validation.face_ids]
        assert not set(group[looked_at]) & set(faces["group"])
        assert not set(looked_at) & test
    assert cells(found.rows, "faces")["a", "b"] == 27
    assert cells(found.rows, "faces")["b", "a"] == 29


def test_each_is_trained_on_its_own_faces_alone(sources: Workspace, judged: list[tuple[FitData, pd.DataFrame]]) -> None:
    cross_datasets(sources, "svm", SMALL)
    trained = [{*fit.train.datasets, *fit.validation.datasets} for fit, _ in judged]
    assert trained == [{"a", "b", "only"}, {"a"}, {"b"}, {"sim"}]
    assert all(fit.watched is None for fit, _ in judged)


def test_a_limit_is_of_each_source(sources: Workspace, judged: list[tuple[FitData, pd.DataFrame]]) -> None:
    found = cross_datasets(sources, "svm", SMALL, limit=8)
    assert [len(fit.train) for fit, _ in judged[1:]] == [8, 8, 8]
    # What a limit leaves of the training faces was not looked at, but a dataset that was trained on is judged by tests.
    assert cells(found.rows, "faces")["a", "a"] == 6
    assert cells(found.rows, "faces")["a", "b"] == 30


def test_faces_dealt_one_by_one(sources: Workspace, judged: list[tuple[FitData, pd.DataFrame]]) -> None:
    """A split that groups nothing does: each face is a group of its own."""
    resplit(sources, load_faces(sources), SplitOptions(grouped=False))
    assert cells(cross_datasets(sources, "svm", SMALL).rows, "faces")["a", "b"] == 30


def test_a_dataset_that_is_too_small_says_so(sources: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = Svm.fit

    def fails(self: Svm, data: FitData, **more: Any) -> Any:
        if set(data.train.datasets) == {"b"}:
            raise MaskDetError("The training faces are too few.")
        return fit(self, data, **more)

    monkeypatch.setattr(Svm, "fit", fails)
    rows = cross_datasets(sources, "svm", SMALL).rows
    refused = rows[rows["train"] == "b"]
    assert refused["test"].tolist() == ["a", "b", "sim"]
    assert refused["macro_f1"].isna().all()
    assert set(refused["reason"]) == {"Not trained: The training faces are too few."}
    assert cells(rows, "macro_f1")["a", "b"] == 1


def test_a_pool_that_cannot_be_trained_on_is_an_error(sources: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_arguments: Any, **_more: Any) -> Any:
        raise MaskDetError("The disk is full.")

    monkeypatch.setattr(Svm, "fit", fails)
    with pytest.raises(MaskDetError, match="The disk is full"):
        cross_datasets(sources, "svm", SMALL)


def test_a_model_that_begins_with_another_run(sources: Workspace) -> None:
    with pytest.raises(MaskDetError, match="cnn-transfer begins with a run on the pre-training pool"):
        cross_datasets(sources, "cnn-transfer")


def test_frozen_features_are_computed_once(sources: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_networks(monkeypatch)
    computed: list[int] = []
    features_of = inception_module._features_of

    def counting(network: Any) -> Any:
        forward = features_of(network)

        def run(batch: Any) -> Any:
            computed.append(len(batch))
            return forward(batch)

        return run

    monkeypatch.setattr(inception_module, "_features_of", counting)
    options = {"weights": "none", "frozen": True, "batch_size": 16, "precision": "float32"}
    found = cross_datasets(sources, "inceptionv3", options)
    assert sum(computed) == 30 + 30 + 30 + 10
    assert found.rows["macro_f1"].notna().all()


# --- runs ------------------------------------------------------------------------------------------------------------


def test_a_finished_run_is_a_row(workspace: Workspace) -> None:
    # 120 faces, 40 test faces: 20 of a and 20 of b, two of which, both of a, are judged wrong.
    table = predictions(120, wrong=(0, 1))
    run = write_run(workspace, "one", table=table)
    rows = row_of_run(run)
    assert list(rows) == COLUMNS
    assert rows["train"].tolist() == ["one"] * 3
    assert dict(zip(rows["test"], rows["faces"], strict=True)) == {"a": 20, "b": 20, "pooled": 40}
    assert rows["train_faces"].tolist() == [40] * 3
    test = table[table["split"] == "test"]
    wrong = dict(zip(rows["test"], rows["macro_f1"], strict=True))
    assert wrong["b"] == 1
    assert (test["dataset"] == "a").sum() == 20
    assert 0.85 < wrong["a"] < 0.95 < wrong["pooled"] + 0.01


def test_what_a_run_left_out_is_not_pooled(workspace: Workspace) -> None:
    run = write_run(workspace, "one", table=predictions(120), data={"datasets": ["a"], "left_out": ["b"]})
    rows = row_of_run(run)
    assert dict(zip(rows["test"], rows["faces"], strict=True)) == {"a": 20, "b": 20, "pooled": 20}


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_a_matrix_comes_back_as_it_was(
    sources: Workspace, judged: list[tuple[FitData, pd.DataFrame]], tmp_path: Path
) -> None:
    found = cross_datasets(sources, "svm", SMALL)
    save_cross(tmp_path / "cross.json", found)
    again = load_cross(tmp_path / "cross.json")
    assert (again.model, again.seed, again.fingerprint) == (found.model, found.seed, found.fingerprint)
    assert again.options["components"] == 4
    pd.testing.assert_frame_equal(again.rows, found.rows, check_dtype=False)
    assert judged


@pytest.mark.parametrize(
    "content",
    [
        "{", "{}", "[]", '{"rows": 3}', '{"rows": [{"train": "a", "macro_f1": "x"}]}',
        '{"rows": [], "model": "svm", "options": {}, "seed": 1e999, "fingerprint": ""}',
    ],
)  # fmt: skip
def test_a_damaged_matrix(tmp_path: Path, content: str) -> None:
    (tmp_path / "cross.json").write_text(content)
    with pytest.raises(WorkspaceError, match=r"cross\.json"):
        load_cross(tmp_path / "cross.json")
