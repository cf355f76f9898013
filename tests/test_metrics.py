"""The study's metrics by hand and against scikit-learn, and intervals that respect groups."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from maskdet.metrics import LEVEL, confusion_matrix, evaluate_predictions, resampled_confusions, scores

# Of 50 faces with a mask 40 are recognised, of 30 without 24.
ACTUAL = np.repeat([0, 0, 1, 1], [40, 10, 6, 24])
PREDICTED = np.repeat([0, 1, 0, 1], [40, 10, 6, 24])


def table(actual: np.ndarray, predicted: np.ndarray, group: np.ndarray, dataset: Any = "a") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "label": np.array(["with_mask", "without_mask"])[actual],
            "logit": np.where(predicted == 1, 0.3, -0.3),
            "group": group,
            "dataset": dataset,
        }
    )


def test_confusion_matrix_by_hand() -> None:
    matrix = confusion_matrix([0, 0, 0, 1, 1, 0], [0, 0, 1, 1, 0, 1])
    assert matrix.tolist() == [[2, 2], [1, 1]]  # rows actual, columns predicted
    assert confusion_matrix([], []).tolist() == [[0, 0], [0, 0]]
    assert confusion_matrix(ACTUAL, PREDICTED).tolist() == [[40, 10], [6, 24]]


def test_scores_by_hand() -> None:
    measured = scores(np.array([[40, 10], [6, 24]]))
    np.testing.assert_allclose(measured["precision"], [40 / 46, 24 / 34])
    np.testing.assert_allclose(measured["recall"], [40 / 50, 24 / 30])
    np.testing.assert_allclose(measured["f1"], [80 / 96, 48 / 64])  # 2 TP / (2 TP + FP + FN)
    assert measured["macro_f1"] == pytest.approx((80 / 96 + 48 / 64) / 2)
    assert measured["accuracy"] == pytest.approx(64 / 80)


def test_f1_is_the_studys_formula() -> None:
    """The study (4.4): F1 = 2 x precision x recall / (precision + recall), macro F1 the mean over both labels."""
    measured = scores(np.array([[37, 5], [11, 90]]))
    precision, recall = measured["precision"], measured["recall"]
    np.testing.assert_allclose(measured["f1"], 2 * precision * recall / (precision + recall))
    assert measured["macro_f1"] == pytest.approx(measured["f1"].mean())


@pytest.mark.parametrize("seed", range(8))
def test_scores_equal_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    actual = rng.integers(0, 2, 60)
    predicted = np.where(rng.random(60) < rng.random(), actual, rng.integers(0, 2, 60))
    matrix = confusion_matrix(actual, predicted)
    assert matrix.tolist() == sk.confusion_matrix(actual, predicted, labels=[0, 1]).tolist()
    measured = scores(matrix)
    precision, recall, f1, _ = sk.precision_recall_fscore_support(actual, predicted, labels=[0, 1], zero_division=0)
    np.testing.assert_allclose(measured["precision"], precision)
    np.testing.assert_allclose(measured["recall"], recall)
    np.testing.assert_allclose(measured["f1"], f1)
    assert measured["macro_f1"] == pytest.approx(sk.f1_score(actual, predicted, average="macro"))
    assert measured["accuracy"] == pytest.approx(sk.accuracy_score(actual, predicted))


@pytest.mark.parametrize(
    ("matrix", "precision", "recall", "f1"),
    [
        ([[5, 0], [0, 0]], [1, 0], [1, 0], [1, 0]),  # neither there nor predicted
        ([[5, 0], [3, 0]], [5 / 8, 0], [1, 0], [10 / 13, 0]),  # never predicted
        ([[0, 4], [0, 0]], [0, 0], [0, 0], [0, 0]),
        ([[0, 0], [0, 0]], [0, 0], [0, 0], [0, 0]),
    ],
)
def test_nothing_of_nothing_is_0(
    matrix: list[list[int]], precision: list[float], recall: list[float], f1: list[float]
) -> None:
    with np.errstate(all="raise"):
        measured = scores(np.array(matrix))
    np.testing.assert_allclose(measured["precision"], precision)
    np.testing.assert_allclose(measured["recall"], recall)
    np.testing.assert_allclose(measured["f1"], f1)


def test_scores_of_many_matrices_at_once() -> None:
    matrices = np.random.default_rng(0).integers(0, 9, (7, 3, 2, 2))
    together = scores(matrices)
    assert together["f1"].shape == (7, 3, 2)
    assert together["macro_f1"].shape == together["accuracy"].shape == (7, 3)
    alone = scores(matrices[4, 1])
    for name, values in alone.items():
        np.testing.assert_allclose(together[name][4, 1], values)


def test_resampling_draws_whole_groups() -> None:
    """Three groups of 1, 10 and 100 faces, each in a cell of its own: every sample is a sum of three draws."""
    actual, predicted = np.repeat([0, 0, 1], [1, 10, 100]), np.repeat([0, 1, 1], [1, 10, 100])
    drawn = resampled_confusions(actual, predicted, np.repeat(["x", "y", "z"], [1, 10, 100]), seed=1, resamples=400)
    assert drawn.shape == (400, 2, 2)
    times = drawn / np.array([[1, 10], [1, 100]])
    assert (times == times.round()).all()
    assert (times.sum(axis=(1, 2)) == 3).all()
    assert (drawn[:, 1, 0] == 0).all()
    np.testing.assert_allclose(times.mean(axis=0), [[1, 1], [0, 1]], atol=0.15)


def test_evaluation_by_hand() -> None:
    dataset = np.repeat(["a", "b"], [50, 30])  # dataset a has masks only, b none
    measured = evaluate_predictions(table(ACTUAL, PREDICTED, np.arange(80) // 2, dataset))
    assert measured["faces"] == 80
    assert measured["groups"] == 40
    assert measured["confusion"] == [[40, 10], [6, 24]]
    assert measured["labels"]["with_mask"] == pytest.approx(
        {"faces": 50, "precision": 40 / 46, "recall": 0.8, "f1": 80 / 96}
    )
    assert measured["labels"]["without_mask"] == pytest.approx(
        {"faces": 30, "precision": 24 / 34, "recall": 0.8, "f1": 0.75}
    )
    assert measured["macro_f1"] == pytest.approx((80 / 96 + 0.75) / 2)
    assert measured["accuracy"] == 0.8
    assert measured["level"] == LEVEL == 0.95
    assert set(measured["intervals"]) == {"macro_f1", "accuracy", "f1 with_mask", "f1 without_mask"}
    assert measured["datasets"] == {
        "a": {"faces": 50, "accuracy": 0.8, "macro_f1": None},  # a label is missing: macro F1 would say nothing
        "b": {"faces": 30, "accuracy": 0.8, "macro_f1": None},
    }


def test_evaluation_of_a_dataset_with_both_labels() -> None:
    measured = evaluate_predictions(table(ACTUAL, PREDICTED, np.arange(80), "a"))
    assert measured["datasets"] == {
        "a": {"faces": 80, "accuracy": measured["accuracy"], "macro_f1": measured["macro_f1"]}
    }


def test_a_logit_of_0_is_with_mask() -> None:
    predictions = table(np.array([0, 1]), np.array([0, 1]), np.arange(2))
    predictions["logit"] = 0.0
    assert evaluate_predictions(predictions)["confusion"] == [[1, 0], [1, 0]]


def test_intervals_contain_the_estimate_and_narrow_with_more_faces() -> None:
    def width(times: int) -> float:
        actual, predicted = np.tile(ACTUAL, times), np.tile(PREDICTED, times)
        measured = evaluate_predictions(table(actual, predicted, np.arange(len(actual))))
        values = {name: measured[name] for name in ("macro_f1", "accuracy")}
        values |= {f"f1 {label}": entry["f1"] for label, entry in measured["labels"].items()}
        for name, (low, high) in measured["intervals"].items():
            assert 0 <= low < values[name] < high <= 1
        low, high = measured["intervals"]["accuracy"]
        return high - low

    few, many = width(1), width(16)
    # The normal approximation: 2 x 1.96 x sqrt(0.8 x 0.2 / n).
    assert few == pytest.approx(2 * 1.96 * np.sqrt(0.16 / 80), rel=0.15)
    assert many == pytest.approx(few / 4, rel=0.15)


def test_intervals_are_wider_where_faces_of_a_group_are_copies() -> None:
    """80 independent faces, or the same number as 20 groups of 4 copies: as if there were 20 faces only."""
    order = np.random.default_rng(1).permutation(80)
    actual, predicted = np.repeat(ACTUAL[order][:20], 4), np.repeat(PREDICTED[order][:20], 4)
    widths = {}
    for name, group in (("independent", np.arange(80)), ("copies", np.arange(80) // 4)):
        low, high = evaluate_predictions(table(actual, predicted, group))["intervals"]["accuracy"]
        widths[name] = high - low
    assert widths["copies"] == pytest.approx(2 * widths["independent"], rel=0.2)


def test_intervals_are_the_same_each_time_whatever_groups_are_called() -> None:
    first = evaluate_predictions(table(ACTUAL, PREDICTED, np.arange(80) // 3))
    assert evaluate_predictions(table(ACTUAL, PREDICTED, np.arange(80) // 3)) == first
    assert evaluate_predictions(table(ACTUAL, PREDICTED, 1000 + 5 * (np.arange(80) // 3))) == first


def test_a_perfect_model_has_an_interval_of_no_width() -> None:
    measured = evaluate_predictions(table(ACTUAL, ACTUAL, np.arange(80)))
    assert measured["macro_f1"] == 1
    assert measured["intervals"]["macro_f1"] == [1.0, 1.0]
