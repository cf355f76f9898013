"""The study's metrics by hand and against scikit-learn, and intervals that respect groups."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from maskdet.bootstrap import LEVEL
from maskdet.errors import MaskDetError
from maskdet.metrics import (
    at_threshold,
    confusion_matrix,
    evaluate_predictions,
    macro_f1_difference,
    resampled_confusions,
    scores,
)

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
    assert matrix.dtype == np.int64
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
    assert measured["macro_precision"] == pytest.approx((40 / 46 + 24 / 34) / 2)
    assert measured["macro_recall"] == pytest.approx(0.8)
    assert set(measured["intervals"]) == {
        "macro_f1", "macro_precision", "macro_recall", "accuracy", "roc_auc", "ece", "brier",
        *(f"{name} {label}" for name in ("precision", "recall", "f1") for label in ("with_mask", "without_mask")),
    }  # fmt: skip
    assert measured["reasons"] == {}
    assert measured["cautions"] == []
    first, second = measured["datasets"]["a"], measured["datasets"]["b"]
    assert (first["faces"], first["groups"], first["accuracy"]) == (50, 25, 0.8)
    assert (second["faces"], second["groups"], second["accuracy"]) == (30, 15, 0.8)
    assert first["macro_f1"] is second["macro_f1"] is None  # a label is missing: macro F1 would say nothing
    assert first["reason"] == "No face that was judged is without mask."
    assert second["reason"] == "No face that was judged is with mask."
    low, high = first["intervals"]["accuracy"]
    assert low < 0.8 < high
    assert first["intervals"]["macro_f1"] is None


def test_evaluation_of_a_dataset_with_both_labels() -> None:
    measured = evaluate_predictions(table(ACTUAL, PREDICTED, np.arange(80), "a"))
    dataset = measured["datasets"]["a"]
    for name in ("faces", "groups", "confusion", "accuracy", "macro_f1"):
        assert dataset[name] == measured[name]
    for name in ("accuracy", "macro_f1"):
        assert dataset["intervals"][name] == measured["intervals"][name]
    assert dataset["reason"] == ""


def test_a_logit_of_0_is_with_mask() -> None:
    predictions = table(np.array([0, 1]), np.array([0, 1]), np.arange(2))
    predictions["logit"] = 0.0
    assert evaluate_predictions(predictions)["confusion"] == [[1, 0], [1, 0]]


def test_intervals_contain_the_estimate_and_narrow_with_more_faces() -> None:
    def width(times: int) -> float:
        actual, predicted = np.tile(ACTUAL, times), np.tile(PREDICTED, times)
        measured = evaluate_predictions(table(actual, predicted, np.arange(len(actual))))
        values = dict(measured)
        for label, entry in measured["labels"].items():
            values |= {f"{name} {label}": entry[name] for name in ("precision", "recall", "f1")}
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


def test_the_shares_of_a_perfect_model_have_exact_intervals() -> None:
    measured = evaluate_predictions(table(ACTUAL, ACTUAL, np.arange(80)))
    assert measured["macro_f1"] == 1
    shares = {"accuracy": 80, "recall with_mask": 50, "recall without_mask": 30}
    shares |= {"precision with_mask": 50, "precision without_mask": 30}
    assert set(measured["intervals"]) == set(shares)  # of the others, each would have no width
    for name, faces in shares.items():  # P(all of n are right) = p ** n
        assert measured["intervals"][name] == pytest.approx([0.025 ** (1 / faces), 1.0])
    assert measured["cautions"] == [
        # 1 - 0.025 ** (1 / 80), where the rule of three, 3 / 80, is one-sided.
        "None of 80 faces in 80 groups is misjudged, so resampling shows no spread; up to 4.5 % may still be."
    ]
    assert measured["datasets"]["a"]["intervals"] == {"accuracy": measured["intervals"]["accuracy"], "macro_f1": None}


def test_a_model_that_is_always_wrong_has_an_interval_too_and_pairs_count_once() -> None:
    measured = evaluate_predictions(table(ACTUAL, 1 - ACTUAL, np.arange(80) // 2))
    assert measured["accuracy"] == 0
    assert measured["intervals"]["accuracy"] == pytest.approx([0.0, 1 - 0.025 ** (1 / 40)])


def test_an_interval_that_rounding_alone_makes_is_none() -> None:
    """50 faces of one probability: each resample has the same error but for the order in which it is summed up."""
    measured = evaluate_predictions(judged([0] * 50, [-3.0] * 50))
    assert measured["ece"] == pytest.approx(1 / (1 + np.exp(3)))
    assert not {"ece", "brier"} & measured["intervals"].keys()


def judged(actual: list[int], logit: list[float]) -> pd.DataFrame:
    """Predictions of faces that are each in a group of its own."""
    faces = table(np.array(actual, dtype=int), np.zeros(len(actual), dtype=int), np.arange(len(actual)))
    return faces.assign(logit=logit, face_id=[f"a/{number}" for number in range(len(actual))])


def test_roc_auc_by_hand() -> None:
    """Of the four pairs of a face without and one with mask, three have the higher logit where there is no mask."""
    assert evaluate_predictions(judged([0, 0, 1, 1], [-2, 1, 0.5, 3]))["roc_auc"] == 3 / 4
    assert evaluate_predictions(judged([0, 0, 1, 1], [-2, 0.5, 0.5, 3]))["roc_auc"] == 3.5 / 4  # a tie counts half
    assert evaluate_predictions(judged([0, 0, 1, 1], [3, 2, 1, 0]))["roc_auc"] == 0
    assert evaluate_predictions(judged([0, 0, 1, 1], [7, 7, 7, 7]))["roc_auc"] == 0.5


@pytest.mark.parametrize("seed", range(4))
def test_roc_auc_and_brier_equal_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    actual = rng.integers(0, 2, 200)
    logit = np.round(rng.normal(actual, 2), 1)  # with ties
    measured = evaluate_predictions(judged(actual.tolist(), logit.tolist()))
    assert measured["roc_auc"] == pytest.approx(sk.roc_auc_score(actual, logit))
    assert measured["brier"] == pytest.approx(sk.brier_score_loss(actual, 1 / (1 + np.exp(-logit))))
    low, high = measured["intervals"]["roc_auc"]
    # Hanley and McNeil's (1982) standard error, for an area of this size: about 0.035.
    assert high - low == pytest.approx(2 * 1.96 * 0.035, rel=0.2)


def test_calibration_error_and_brier_by_hand() -> None:
    """Two bins of four: 0.02 said and 1/4 found, 0.98 said and all found; gaps of 0.23 and 0.02, weighted by half."""
    logit = float(np.log(0.98 / 0.02))
    measured = evaluate_predictions(judged([0, 0, 0, 1, 1, 1, 1, 1], [-logit] * 4 + [logit] * 4))
    assert measured["ece"] == pytest.approx((0.23 + 0.02) / 2)
    assert measured["brier"] == pytest.approx((7 * 0.02**2 + 0.98**2) / 8)
    assert [entry["faces"] for entry in measured["calibration"]] == [4, 4]


def test_no_face_at_all() -> None:
    measured = evaluate_predictions(judged([], []))
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured
    assert measured["faces"] == measured["groups"] == 0
    assert measured["macro_f1"] is measured["roc_auc"] is measured["ece"] is measured["accuracy"] is None
    assert measured["reasons"]["macro_f1"] == "No face was judged."
    assert measured["intervals"] == measured["datasets"] == {}


@pytest.mark.parametrize(("label", "other"), [(0, "without mask"), (1, "with mask")])
def test_one_label_only(label: int, other: str) -> None:
    measured = evaluate_predictions(judged([label] * 30, list(np.linspace(-3, 3, 30))))
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured
    assert measured["accuracy"] == 0.5
    assert measured["intervals"]["accuracy"][0] < 0.5 < measured["intervals"]["accuracy"][1]
    assert measured["macro_f1"] is measured["roc_auc"] is None
    assert measured["reasons"]["roc_auc"] == measured["reasons"]["macro_f1"] == f"No face that was judged is {other}."
    assert measured["labels"][("with_mask", "without_mask")[label]]["recall"] == 0.5
    assert measured["labels"][("with_mask", "without_mask")[1 - label]]["recall"] is None


@pytest.mark.parametrize("logit", [0.0, 800.0, -800.0])
@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_identical_logits_and_few_faces_are_no_error(count: int, logit: float) -> None:
    with np.errstate(divide="raise", invalid="raise"):
        measured = evaluate_predictions(judged([number % 2 for number in range(count)], [logit] * count))
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured
    assert measured["roc_auc"] == (0.5 if count > 1 else None)
    if 1 < count < 10:
        assert "too few for an interval" in measured["cautions"][0]
        assert measured["intervals"] == {}
        assert measured["datasets"]["a"]["intervals"] == {"accuracy": None, "macro_f1": None}
        assert "too few" in measured["datasets"]["a"]["reason"]


def test_a_label_in_few_groups_is_said() -> None:
    measured = evaluate_predictions(judged([0] * 98 + [1] * 2, [-1.0] * 97 + [1.0] * 3))
    assert measured["cautions"] == ["Faces without mask are in 2 groups only: too few for an interval."]


def test_the_threshold_moves_the_confusion_matrix() -> None:
    faces = judged([0, 0, 0, 1, 1, 1], [-2.0, 0.0, 0.5, 0.4, 2.0, 3.0])
    assert at_threshold(faces)["confusion"] == evaluate_predictions(faces)["confusion"] == [[2, 1], [0, 3]]
    assert at_threshold(faces, 0.61)["confusion"] == [[2, 1], [1, 2]]  # a logit of 0.4 is 0.599, of 0.5 is 0.622
    assert at_threshold(faces, 0.7)["confusion"] == [[3, 0], [1, 2]]
    assert at_threshold(faces, 0.999)["confusion"] == [[3, 0], [3, 0]]
    assert at_threshold(faces, 0.7)["macro_f1"] == pytest.approx((6 / 7 + 4 / 5) / 2)
    for wrong in (0, 1, -0.1, float("nan")):
        with pytest.raises(MaskDetError, match="above 0 and below 1"):
            at_threshold(faces, wrong)


@pytest.mark.parametrize(
    ("faces", "has_interval"),
    [
        (table(ACTUAL, PREDICTED, np.arange(80) // 2), True),
        (table(ACTUAL, ACTUAL, np.arange(80)), False),  # none is misjudged
        (table(np.repeat([0, 1], [98, 2]), np.repeat([0, 1], [97, 3]), np.arange(100)), False),  # 2 without mask only
    ],
)
def test_a_half_is_the_models_own_threshold(faces: pd.DataFrame, has_interval: bool) -> None:
    found, whole = at_threshold(faces, 0.5), evaluate_predictions(faces)
    assert found == {
        **{name: whole[name] for name in ("faces", "confusion", "macro_f1")},
        "interval": found["interval"],
    }
    assert found["interval"] == whole["intervals"].get("macro_f1")
    assert (found["interval"] is not None) == has_interval


def test_two_identical_models_do_not_differ() -> None:
    faces = judged(ACTUAL.tolist(), np.where(PREDICTED == 1, 1.0, -1.0).tolist())
    difference = macro_f1_difference(faces, faces)
    assert (difference.faces, difference.groups) == (80, 80)
    assert difference.first == difference.second == pytest.approx((80 / 96 + 48 / 64) / 2)
    assert difference.difference == 0
    assert difference.low is difference.high is None
    assert difference.reason == "Resampling shows no spread of the difference: no interval."
    assert not difference.differs


def test_a_paired_difference_is_narrower_than_two_intervals() -> None:
    """A second model that puts 8 of the 16 errors right is better for certain, though their intervals overlap."""
    wrong = np.flatnonzero(ACTUAL != PREDICTED)
    better = PREDICTED.copy()
    better[wrong[::2]] = ACTUAL[wrong[::2]]
    tables = [judged(ACTUAL.tolist(), np.where(said == 1, 1.0, -1.0).tolist()) for said in (PREDICTED, better)]
    one, other = (evaluate_predictions(faces) for faces in tables)
    assert one["intervals"]["macro_f1"][1] > other["intervals"]["macro_f1"][0]
    difference = macro_f1_difference(*tables)
    assert difference.difference == pytest.approx(other["macro_f1"] - one["macro_f1"])
    assert difference.low > 0
    assert difference.differs
    back = macro_f1_difference(tables[1], tables[0])
    assert (back.low, back.high) == (-difference.high, -difference.low)


def test_a_difference_is_of_common_faces_with_one_label_and_whole_groups() -> None:
    first = judged([0, 1] * 20, [-1.0, 1.0] * 20)
    second = first.iloc[::-1].iloc[:30].reset_index(drop=True)  # another order, ten faces fewer
    second.loc[0, "label"] = "with_mask"  # relabelled since
    second["group"] = np.arange(30) // 2
    difference = macro_f1_difference(first, second)
    assert (difference.faces, difference.groups) == (29, 15)
    assert macro_f1_difference(first, second[:0]).reason == "They share no test face."
    assert "one label only" in macro_f1_difference(first, second[second["label"] == "with_mask"]).reason
    few = macro_f1_difference(first[:6], first[:6])
    assert few.reason == "Only 6 groups of related faces: too few for an interval."
    assert few.difference == 0
    assert few.low is few.high is None


def test_figures_without_a_spread_are_named() -> None:
    """No face with a mask is misjudged: its recall is 1 in every resample, and so is the other label's precision.

    Both are shares with exact intervals. That every face without a mask has the higher logit is no share of faces.
    """
    measured = evaluate_predictions(judged([0] * 30 + [1] * 30, [-1.0] * 30 + [-0.5] * 5 + [1.0] * 25))
    assert measured["cautions"] == ["Resampling shows no spread of ROC-AUC: no interval."]
    assert measured["intervals"]["recall with_mask"] == pytest.approx([0.025 ** (1 / 30), 1.0])
    assert measured["intervals"]["precision without_mask"] == pytest.approx([0.025 ** (1 / 25), 1.0])
    few = evaluate_predictions(judged([0] * 30 + [1] * 30, [-1.0] * 51 + [1.0] * 9))  # 9 said to be without mask
    assert few["cautions"] == ["Resampling shows no spread of precision without mask: no interval."]
    assert at_threshold(judged([0, 1], [-1.0, -1.0]))["interval"] is None
