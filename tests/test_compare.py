"""Runs beside each other; figures are worked out by hand from written predictions."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from written_runs import predictions, write_run

from maskdet import runs as runs_module
from maskdet.compare import (
    LEFT_OUT,
    POOLED,
    RETRAINED,
    TRAINED_ON,
    WATCHED,
    JudgedRun,
    best_run,
    common_faces,
    default_runs,
    left_out_rows,
    marks,
    other_sources,
    own_faces,
    ranking,
    running_times,
    same_faces,
    short_labels,
    table_3,
    trial_mark,
)
from maskdet.differences import options_table
from maskdet.errors import WorkspaceError
from maskdet.published import STUDY, STUDY_TEST_FACES
from maskdet.runs import Run
from maskdet.workspace import write_json, write_table


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(runs_module, "BUNDLED", tmp_path / "bundled")
    return tmp_path / "bundled"


def judged(run: Run, label: str = "A", **more: Any) -> JudgedRun:
    return JudgedRun(run, label, run.metrics, own_faces(run), more.pop("fingerprint", run.fingerprint), **more)


def test_the_studys_figures_agree_with_each_other() -> None:
    assert sum(STUDY_TEST_FACES.values()) == 4102
    for study in STUDY.values():
        mean = (study.with_mask.f1 + study.without_mask.f1) / 2
        assert study.macro_f1 == pytest.approx(mean, abs=0.008)  # Table 3 has two decimals
        for row in (study.with_mask, study.without_mask):
            f1 = 2 * row.precision * row.recall / (row.precision + row.recall)
            assert row.f1 == pytest.approx(f1, abs=0.0101)
        assert 1 - study.errors / 4110 == pytest.approx(study.macro_f1, abs=0.005)
    assert STUDY["cnn"].relative_time / STUDY["inceptionv3"].relative_time == pytest.approx(1.5, abs=0.05)
    assert STUDY["cnn-transfer"].relative_time / STUDY["inceptionv3"].relative_time == pytest.approx(2.6, abs=0.05)


def test_labels_are_short_and_differ(tmp_path: Path) -> None:
    made = [
        write_run(tmp_path, "cnn-1", created="2026-01-02T03:04:05Z"),
        write_run(tmp_path, "cnn-2", created="2026-01-02T09:30:00Z"),
        write_run(tmp_path, "cnn-3", data={"pool": "pre-training"}),
        write_run(tmp_path, "svm-1", "svm", created="2026-01-02T03:04:05Z"),
        write_run(tmp_path, "svm-2", "svm", created="2026-01-02T03:04:55Z"),
        write_run(tmp_path, "x-1", "another"),
    ]
    assert short_labels(made) == {
        "cnn-1": "CNN 02 Jan 03:04", "cnn-2": "CNN 02 Jan 09:30", "cnn-3": "CNN base", "svm-1": "PCA + SVM svm-1",
        "svm-2": "PCA + SVM svm-2", "x-1": "another",
    }  # fmt: skip
    assert short_labels(made[3:4]) == {"svm-1": "PCA + SVM"}


def test_the_first_choice_is_by_model_and_date_not_by_score(tmp_path: Path, bundled: Path) -> None:
    worst, best = predictions(wrong=range(8)), predictions()
    made = [
        write_run(bundled, "cnn-b", created="2026-01-01T00:00:00Z", table=worst),
        write_run(tmp_path, "cnn-new", created="2026-05-01T00:00:00Z", table=best),
        write_run(tmp_path, "svm-old", "svm", created="2026-01-01T00:00:00Z", table=best),
        write_run(tmp_path, "svm-new", "svm", created="2026-02-01T00:00:00Z", table=worst),
        write_run(tmp_path, "svm-try", "svm", created="2026-03-01T00:00:00Z", limit=30),
        write_run(tmp_path, "base", created="2026-06-01T00:00:00Z", data={"pool": "pre-training"}),
    ]
    assert [run.id for run in default_runs(made)] == ["cnn-b", "svm-new"]
    assert default_runs([]) == []


def test_marks(tmp_path: Path) -> None:
    assert marks(write_run(tmp_path, "plain")) == []
    synthetic = write_run(tmp_path, "synthetic", table=predictions(datasets=("sample-web",)), limit=1234)
    assert [text.split()[0:3] for text in marks(synthetic)] == [
        ["Trained", "and", "judged"],
        ["A", "quick", "try,"],
    ]
    assert marks(synthetic)[1] == trial_mark(synthetic) == "A quick try, limited to 1,234 training faces."
    assert "pre-training pool" in marks(write_run(tmp_path, "base", data={"pool": "pre-training"}))[0]


def test_a_balanced_run_says_so_and_is_not_the_first_choice(tmp_path: Path, bundled: Path) -> None:
    plain = write_run(tmp_path, "plain", "svm", created="2026-01-01T00:00:00Z")
    run = write_run(tmp_path, "fair", "svm", created="2026-02-01T00:00:00Z")
    fair = Run(run.folder, run.record | {"balance": {"attribute": "skin_tone", "target": "equal"}})
    assert marks(fair) == ["Its training faces were balanced by skin tone (equal)."]
    assert short_labels([plain, fair]) == {"plain": "PCA + SVM", "fair": "PCA + SVM by skin tone"}
    assert default_runs([plain, fair]) == [plain]
    table = options_table({"plain": plain, "fair": fair})
    assert table.loc[table["option"] == "balance", ["plain", "fair"]].to_numpy().tolist() == [
        ["none", "skin_tone, equal"]
    ]  # fmt: skip


def test_own_faces_are_the_test_faces_of_two_labels(tmp_path: Path) -> None:
    table = predictions()
    table.loc[2, "label"] = "incorrect_mask"  # a test face
    run = write_run(tmp_path, "r", table=table)
    assert own_faces(run)["face_id"].tolist() == table["face_id"][5::3].tolist()
    write_table(run.folder / "predictions.parquet", table.drop(columns="logit"))
    with pytest.raises(WorkspaceError, match="damaged"):
        own_faces(Run(run.folder, run.record))


def test_the_best_run_is_so_on_validation_faces(tmp_path: Path) -> None:
    """The first is the best on test faces, which choose nothing; the last two judge all validation faces right."""
    spoilt = predictions()
    spoilt.loc[spoilt.index[spoilt["split"] == "validation"][:3], "logit"] *= -1
    runs = [
        write_run(tmp_path, "cnn-test", table=spoilt, created="2026-01-03T00:00:00Z"),
        write_run(tmp_path, "cnn-newer", table=predictions(wrong=[0, 1]), created="2026-01-02T00:00:00Z"),
        write_run(tmp_path, "cnn-older", table=predictions(wrong=[0]), created="2026-01-01T00:00:00Z"),
    ]
    assert runs[0].metrics["macro_f1"] == 1
    best = best_run(runs, "abc")
    assert best is not None
    assert best.id == "cnn-newer"
    assert best_run(runs, "other") is None


def test_common_faces_have_one_label_in_all() -> None:
    first, second = predictions(30), predictions(30, first=12)
    second.loc[0, "label"] = "without_mask" if second.loc[0, "label"] == "with_mask" else "with_mask"
    tables = common_faces([first, second])
    assert [len(table) for table in tables] == [17, 17]  # 12 to 29, less the relabelled one
    assert same_faces(tables)
    assert not same_faces([first, second])
    assert common_faces([]) == []
    assert same_faces([])


def test_table_3_by_hand(tmp_path: Path) -> None:
    """Of 10 test faces with a mask one is misjudged, of 10 without two."""
    table = predictions(wrong=[0, 1, 3])
    assert own_faces(write_run(tmp_path, "x", table=table))["label"].tolist()[:4] == ["with_mask", "without_mask"] * 2
    run = write_run(tmp_path, "cnn-1", table=table)
    rows = table_3([judged(run, "Name", fingerprint="other")]).set_index("label")
    assert rows["faces"].to_dict() == {"with_mask": 10, "without_mask": 10, "macro": 20}
    assert rows.loc["with_mask", "precision"] == pytest.approx(9 / 11)
    assert rows.loc["with_mask", "recall"] == pytest.approx(9 / 10)
    assert rows.loc["without_mask", "f1"] == pytest.approx(16 / 19)
    assert rows.loc["macro", "f1"] == pytest.approx((18 / 21 + 16 / 19) / 2)
    assert rows.loc["macro", "accuracy"] == pytest.approx(17 / 20)
    assert rows.loc["macro", "groups"] == 20
    assert pd.isna(rows.loc["with_mask", "accuracy"])
    for label in rows.index:
        for name in ("precision", "recall", "f1"):
            assert rows.loc[label, f"{name}_low"] <= rows.loc[label, name] <= rows.loc[label, f"{name}_high"]
    assert rows.loc["without_mask", "study_precision"] == 0.97
    assert rows.loc["macro", "study_f1"] == 0.981
    assert rows.loc["macro", "study_accuracy"] == pytest.approx(1 - 76 / 4110)
    assert pd.isna(rows.loc["macro", "study_recall"])
    assert (rows["trained_on"] == "abc").all()
    assert (rows["judged_on"] == "other").all()


def test_the_ranking_orders_and_keeps_what_has_no_figure(tmp_path: Path) -> None:
    good = judged(write_run(tmp_path, "svm-1", "svm"), "Good")
    bad = judged(write_run(tmp_path, "cnn-1", table=predictions(wrong=[0, 1, 2, 3])), "Bad")
    one_label = predictions()
    one_label = one_label[(one_label["split"] != "test") | (one_label["label"] == "with_mask")]
    none = judged(write_run(tmp_path, "x", "x", table=one_label), "None")
    table = ranking([none, bad, good])
    assert table["run"].tolist() == ["Good", "Bad", "None"]
    assert table["macro_f1"].tolist()[:2] == [1.0, pytest.approx(0.8)]
    assert pd.isna(table["macro_f1"][2])
    assert table["study"].tolist()[:2] == [0.927, 0.981]
    assert pd.isna(table["study"][2])
    assert table["faces"].tolist() == [20, 20, 10]
    assert ranking([]).empty


def test_running_times_count_the_base(tmp_path: Path) -> None:
    base = write_run(tmp_path, "cnn-base", data={"pool": "pre-training"}, seconds={"fit": 50.0})
    transfer = write_run(tmp_path, "transfer", "cnn-transfer", base="cnn-base", seconds={"fit": 350.0})
    svm = write_run(tmp_path, "svm", "svm")
    times = running_times([judged(transfer, "T"), judged(svm, "S")], [base, transfer, svm]).set_index("run")
    assert times.loc["T", ["fit_seconds", "base_seconds", "total_seconds"]].tolist() == [350, 50, 400]
    assert times.loc["S", "total_seconds"] == 100
    assert times["relative"].tolist() == [4, 1]
    assert times["study_relative"].tolist() == [8.7, 1]
    assert times.loc["S", "predict_ms"] == pytest.approx(1)  # a thousandth of a second a face, see `write_run`
    assert times.loc["S", "predicted"] == 60
    assert pd.isna(times.loc["T", "predict_ms"])
    assert pd.isna(running_times([judged(transfer, "T")], [transfer]).loc[0, "base_seconds"])


def test_times_of_different_machines_are_no_multiples_of_each_other(tmp_path: Path) -> None:
    svm = write_run(tmp_path, "svm", "svm")
    other = write_run(tmp_path, "cnn", environment={"cores": 64, "processor": "b"})
    assert running_times([judged(svm), judged(other, "B")], [])["relative"].isna().all()


def test_other_sources_beside_the_pooled_figure(tmp_path: Path) -> None:
    run = write_run(tmp_path, "cnn-1", table=predictions(180), data={"left_out": ["b"]})
    row = {"dataset": "a", "faces": 90, "macro_f1": 0.7, "low": 0.6, "high": 0.8, "train_faces": 30}
    unknown = {"dataset": "b", "faces": 9, "macro_f1": None, "low": None, "high": None, "train_faces": 99}
    entries = [{"model": "cnn", "options": {}, "rows": [row, unknown]}, {"model": "svm", "options": {}, "rows": [row]}]
    write_json(run.folder / "left_out.json", entries)
    write_json(run.folder / "metrics.json", run.metrics | {"watched": {"sim": run.metrics}})
    table = other_sources([judged(Run(run.folder, run.record))])
    assert list(zip(table["dataset"], table["how"], table["faces"], strict=True)) == [
        (POOLED, TRAINED_ON, 60), ("a", TRAINED_ON, 30), ("b", LEFT_OUT, 30), ("sim", WATCHED, 60),
        ("a", RETRAINED, 90), ("b", RETRAINED, 9),
    ]  # fmt: skip
    assert table["macro_f1"].tolist()[:5] == [1, 1, 1, 1, 0.7]
    assert table.loc[4, ["low", "high"]].tolist() == [0.6, 0.8]
    assert pd.isna(table.loc[5, "macro_f1"])
    assert table["reason"].tolist()[4:] == ["", ""]


def test_left_out_figures_of_other_options_say_so(tmp_path: Path) -> None:
    options = {"epochs": 15, "augmentation": {"rotation": 30.0}}
    run = write_run(tmp_path, "cnn-1", options=options)
    row = {"dataset": "a", "faces": 90, "macro_f1": 0.7, "low": None, "high": None, "reason": "No spread."}
    entry = {"model": "cnn", "options": {"epochs": 4, "augmentation": {"rotation": 30}}, "rows": [row]}
    write_json(run.folder / "left_out.json", [entry, {**entry, "options": {}, "fingerprint": "other"}])
    assert [row["reason"] for row in left_out_rows(run)] == [
        "No spread. Trained anew with epochs 4, not 15.",
        "No spread. Trained anew with data other, not abc.",
    ]


@pytest.mark.parametrize("content", ["{", '{"a": 1}', "[1]", '[{"model": "cnn", "rows": [{"dataset": "a"}]}]', "7"])
def test_damaged_figures_of_left_out_datasets_are_a_sentence(content: str, tmp_path: Path) -> None:
    run = write_run(tmp_path, "cnn-1")
    assert left_out_rows(run) == []
    (run.folder / "left_out.json").write_text(content)
    with pytest.raises(WorkspaceError, match=r"left_out\.json"):
        left_out_rows(run)
