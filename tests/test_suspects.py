"""Suspected label errors: planted ones are found, only out-of-sample probabilities count, several runs together."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from maskdet.crossval import write_out_of_sample
from maskdet.errors import MaskDetError
from maskdet.runs import Run, open_run
from maskdet.suspects import best_run, find_suspects, is_open, out_of_sample
from maskdet.workspace import write_json, write_table

FLIPPED = [3, 50, 77, 120, 181]
COUNT = 200


def drawn(seed: int = 0, count: int = COUNT, flipped: Sequence[int] = FLIPPED) -> pd.DataFrame:
    """Faces whose true label is known to the model almost surely; the given label of some is the other one."""
    rng = np.random.default_rng(seed)
    true = np.arange(count) % 2
    p = np.where(true == 1, rng.uniform(0.97, 0.999, count), rng.uniform(0.001, 0.03, count))
    given = true.copy()
    given[list(flipped)] = 1 - given[list(flipped)]
    return pd.DataFrame(
        {
            "face_id": [f"a/{number:04d}.jpg" for number in range(count)],
            "dataset": "a",
            "label": np.array(["with_mask", "without_mask"])[given],
            "group": np.arange(count),
            "logit": np.log(p / (1 - p)),
            "p_without_mask": p,
        }
    )


def written(
    folder: Path, name: str, predictions: pd.DataFrame, folds: pd.DataFrame | None = None, **record: Any
) -> Run:
    write_table(folder / name / "predictions.parquet", predictions)
    whole = {"format": 2, "id": name, "model": "svm", "created": "2026-01-01", "options": {},
             "data": {"fingerprint": "abc", "faces": {}}, "seconds": {}}  # fmt: skip
    write_json(folder / name / "run.json", whole | record)
    if folds is not None:
        write_table(folder / name / "out_of_sample.parquet", folds)
    return open_run(folder / name)


def by_heart(table: pd.DataFrame) -> pd.DataFrame:
    """What a model says of faces it was trained on: it has learned the labels by heart, wrong or not."""
    p = np.where(table["label"] == "without_mask", 0.9999, 0.0001)
    return table.assign(p_without_mask=p, logit=np.log(p / (1 - p)))


def ids(positions: Sequence[int]) -> list[str]:
    return [f"a/{position:04d}.jpg" for position in positions]


def test_planted_errors_are_found_by_cross_validation(tmp_path: Path) -> None:
    faces = drawn()
    splits = np.repeat(["train", "validation", "test"], [120, 40, 40])
    run = written(tmp_path, "svm-1", by_heart(faces).assign(split=splits), faces.assign(fold=np.arange(COUNT) % 5))
    found = find_suspects([run])
    said = "cross-validated models of options that were not noted; not this run's weights"
    assert found.sources == {"svm-1": said}
    assert found.predicted_by == f"svm-1: {said}"
    assert found.faces == COUNT
    table = found.table
    assert sorted(table["face_id"]) == ids(FLIPPED)
    assert list(table) == [
        "face_id", "dataset", "label", "suggested", "self_confidence", "p_without_mask", "split"
    ]  # fmt: skip
    assert table["self_confidence"].is_monotonic_increasing
    for row in table.itertuples():
        position = int(row.face_id[2:6])
        true = ["with_mask", "without_mask"][position % 2]
        assert (row.label, row.suggested) == (faces["label"][position], true)
        given = row.p_without_mask if row.label == "without_mask" else 1 - row.p_without_mask
        assert row.self_confidence == pytest.approx(given)
        assert row.split == splits[position]


def test_without_cross_validation_no_training_face_is_looked_at(tmp_path: Path) -> None:
    """A prediction on a training face would clear or accuse it wrongly: here it would accuse every one."""
    faces = drawn()
    splits = np.where(np.arange(COUNT) < 100, "train", np.where(np.arange(COUNT) < 150, "validation", "test"))
    accused = faces.assign(split=splits)
    trained = accused["split"] == "train"
    accused.loc[trained, "p_without_mask"] = np.where(accused.loc[trained, "label"] == "without_mask", 0.001, 0.999)
    run = written(tmp_path, "svm-1", accused)
    table, source = out_of_sample(run)
    assert source == "validation and test faces"
    assert table["face_id"].tolist() == ids(range(100, COUNT))
    assert set(table["split"]) == {"validation", "test"}
    found = find_suspects([run])
    assert sorted(found.table["face_id"]) == ids([120, 181])
    assert found.faces == 100
    assert found.counts.set_index(["split", "label"])["faces"].to_dict() == {
        ("test", "with_mask"): 26, ("test", "without_mask"): 24,
        ("validation", "with_mask"): 24, ("validation", "without_mask"): 26,
    }  # fmt: skip


def test_clean_labels_give_no_suspect(tmp_path: Path) -> None:
    run = written(tmp_path, "svm-1", drawn(flipped=[]).assign(split="test"))
    assert find_suspects([run]).table.empty


def test_several_runs_count_by_their_mean_on_the_faces_none_was_trained_on(tmp_path: Path) -> None:
    faces = drawn()
    first = faces.assign(split=np.where(np.arange(COUNT) < 40, "train", "test"))
    second = drawn(seed=1).assign(split=np.where(np.arange(COUNT) >= 160, "train", "test"))
    runs = [written(tmp_path, name, table) for name, table in (("svm-1", first), ("svm-2", second))]
    found = find_suspects(runs)
    assert found.faces == 120
    assert sorted(found.table["face_id"]) == ids([50, 77, 120])
    p = (first["p_without_mask"] + second["p_without_mask"]) / 2
    for row in found.table.itertuples():
        assert row.p_without_mask == pytest.approx(p[int(row.face_id[2:6])])
    assert find_suspects(runs[::-1]).table.equals(found.table)
    assert set(found.sources.values()) == {"validation and test faces"}


def test_the_label_is_that_of_the_newest_run(tmp_path: Path) -> None:
    """A face that was relabelled since the first run is no suspect of the second."""
    old = drawn().assign(split="test")
    new = drawn(flipped=FLIPPED[1:]).assign(split="validation")
    runs = [written(tmp_path, "svm-1", old), written(tmp_path, "svm-2", new, created="2026-02-01")]
    found = find_suspects(runs).table
    assert sorted(found["face_id"]) == ids(FLIPPED[1:])
    assert set(found["split"]) == {"validation"}


def test_too_little_to_look_at_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(MaskDetError, match="at least one run"):
        find_suspects([])
    faces = drawn()
    one_label = faces[faces["label"] == "with_mask"].assign(split="test")
    with pytest.raises(MaskDetError, match="svm-1 was not trained on, only 0 without_mask"):
        find_suspects([written(tmp_path, "svm-1", one_label)])
    first, second = (
        written(tmp_path, name, faces.assign(split=np.where((np.arange(COUNT) < 110) == is_first, "train", "test")))
        for name, is_first in (("svm-2", True), ("svm-3", False))
    )
    with pytest.raises(MaskDetError, match="no chosen run was trained on, only 0 with_mask and 0 without_mask"):
        find_suspects([first, second])


def test_the_run_to_begin_with(tmp_path: Path) -> None:
    with pytest.raises(MaskDetError, match="train svm"):
        best_run([])
    faces = drawn().assign(split="test")
    elsewhere = faces.assign(face_id="b/" + faces["face_id"])
    good = written(tmp_path, "svm-good", faces)
    crossed = written(tmp_path, "svm-crossed", faces, folds=faces)
    away = written(tmp_path, "svm-away", elsewhere, folds=elsewhere)
    assert best_run([good, crossed, away], ids([0])).id == "svm-crossed"
    assert best_run([good, away], ids([0])).id == "svm-good"


def test_validation_faces_choose_the_run_not_test_faces(tmp_path: Path) -> None:
    """The worse on validation faces is the better on test faces: 5 of 100 are wrong here and none there."""
    faces = drawn(flipped=[3, 5, 7, 9, 11])
    halves = np.where(np.arange(COUNT) < 100, "validation", "test")
    worse = written(tmp_path, "svm-worse", faces.assign(split=halves), created="2026-02-01")
    better = written(tmp_path, "svm-better", faces.assign(split=halves[::-1]))
    assert better.validation_macro_f1 == 1
    # Of the first 100, half are called each; 5 of those without mask are labelled with: F1 of 100 / 105 and 90 / 95.
    assert worse.validation_macro_f1 == pytest.approx((90 / 95 + 100 / 105) / 2)
    assert best_run([worse, better]).id == "svm-better"
    unknown = written(tmp_path, "svm-unknown", faces.assign(split="test"), created="2026-03-01")
    assert unknown.validation_macro_f1 is None
    assert best_run([unknown, worse]).id == "svm-worse"
    newer = written(tmp_path, "svm-newer", faces.assign(split="test"), created="2026-03-02")
    assert best_run([unknown, newer]).id == "svm-newer"


def test_whose_predictions_these_are(tmp_path: Path) -> None:
    """The run was trained with other options than the models that were cross-validated, which a reader must know."""
    faces = drawn()
    run = written(
        tmp_path,
        "svm-1",
        by_heart(faces).assign(split="train"),
        options={"cut": "mixed8", "frozen": False, "epochs": 3},
    )
    noted = {"model": "svm", "options": {"cut": "mixed8", "frozen": True, "epochs": 5}, "seed": 0, "fingerprint": "abc"}
    write_out_of_sample(run.folder, faces, noted)
    table, source = out_of_sample(run)
    assert source == "cross-validated models with frozen features; epochs 5, not 3; not this run's weights"
    assert table["p_without_mask"].tolist() == faces["p_without_mask"].tolist()
    write_out_of_sample(run.folder, faces, noted | {"options": run.record["options"], "fingerprint": "other"})
    assert out_of_sample(run)[1] == "cross-validated models with data other, not abc; not this run's weights"
    write_out_of_sample(run.folder, faces, noted | {"options": run.record["options"], "model": "cnn"})
    assert out_of_sample(run)[1] == "cross-validated models with model cnn, not svm; not this run's weights"
    write_out_of_sample(run.folder, faces, noted | {"options": run.record["options"]})
    assert out_of_sample(run)[1] == "cross-validated models of the same options; not this run's weights"
    for odd in ({"model": "svm"}, {"model": "svm", "options": {"weights": 3}}, []):
        write_json(run.folder / "out_of_sample.json", odd)
        with pytest.raises(MaskDetError, match=r"out_of_sample\.json"):
            out_of_sample(run)


def test_a_runs_own_probabilities_are_calibrated(tmp_path: Path) -> None:
    """As `predict` shows them: a logit of 2 at a temperature of 2 is e / (1 + e)."""
    faces = drawn().assign(split="test", logit=lambda table: np.where(table["p_without_mask"] > 0.5, 2.0, -2.0))
    run = written(tmp_path, "svm-1", faces)
    write_json(run.folder / "reliability.json", {"temperature": 2.0}, version=1)
    table, source = out_of_sample(run)
    assert source == "validation and test faces"
    p = np.e / (1 + np.e)
    assert table["p_without_mask"].tolist() == pytest.approx(np.where(faces["logit"] > 0, p, 1 - p))


@pytest.mark.parametrize("name", ["predictions.parquet", "out_of_sample.parquet"])
def test_a_face_without_a_number_is_a_sentence(tmp_path: Path, name: str) -> None:
    """Such faces counted as judged with mask, and made suspects of others."""
    faces = drawn().assign(split="test")
    odd = faces.assign(logit=faces["logit"].where(faces.index != 7), p_without_mask=faces["p_without_mask"])
    run = written(tmp_path, "svm-1", faces)
    write_table(run.folder / name, odd)
    with pytest.raises(MaskDetError, match=rf"{name} .*logit is no number for 1 of 200 faces"):
        find_suspects([open_run(run.folder)])


def test_a_face_someone_decided_on_is_not_open(tmp_path: Path) -> None:
    table = find_suspects([written(tmp_path, "svm-1", drawn().assign(split="test"))]).table
    assert is_open(table, {}).all()
    decided: dict[str, Any] = dict(zip(ids(FLIPPED), ["confirm", "drop", "with_mask", "keep"], strict=False))
    assert table.loc[is_open(table, decided | {"b/1.jpg": "drop"}), "face_id"].tolist() == ids(FLIPPED[4:])
