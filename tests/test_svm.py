"""PCA and SVM: the grid, what is chosen of it, the logit's scale, going on, and how it is stored."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED

import numpy as np
import pytest
import sklearn.model_selection
from factories import Cut, CutAfter, as_labelled, fit_data, labelled

from maskdet.errors import MaskDetError
from maskdet.models import FitData
from maskdet.models.base import probability
from maskdet.models.checkpoint import FolderCheckpoint
from maskdet.models.svm import MODEL_FILE, Svm, SvmOptions, _fit_scale

DATA = fit_data(24, 10)
VALIDATION, TEST = DATA.validation, labelled(13, seed=3)


def options(**changed: Any) -> SvmOptions:
    return SvmOptions(**{"components": 4, "C": (1.0, 10.0), "gamma": ("scale", 0.001), "folds": 3, "jobs": 1} | changed)


@pytest.fixture(scope="module")
def fitted() -> tuple[Svm, list[dict[str, Any]]]:
    model = Svm(options())
    return model, model.fit(DATA, seed=5)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The machines that were cross-validated."""
    machines: list[Any] = []
    plain = sklearn.model_selection.cross_val_score

    def score(machine: Any, *arguments: Any, **more: Any) -> Any:
        machines.append(machine)
        return plain(machine, *arguments, **more)

    monkeypatch.setattr(sklearn.model_selection, "cross_val_score", score)
    return machines


# --- grid ------------------------------------------------------------------------------------------------------------


def test_an_entry_a_grid_point(fitted: tuple[Svm, list[dict[str, Any]]]) -> None:
    """rbf with two C and two gammas, linear with two C and no gamma, which is 0."""
    model, history = fitted
    features = model.pipeline[0].transform(DATA.train.images.take(np.arange(24)).reshape(24, -1) / 255)
    scale = 1 / (4 * features.var())
    grid = [(entry["kernel"], entry["C"], entry["gamma"]) for entry in history]
    assert grid == [
        ("rbf", 1, pytest.approx(scale, rel=1e-3)), ("rbf", 1, 0.001),
        ("rbf", 10, pytest.approx(scale, rel=1e-3)), ("rbf", 10, 0.001),
        ("linear", 1, 0), ("linear", 10, 0),
    ]  # fmt: skip
    for entry in history:
        assert set(entry) == {"kernel", "C", "gamma", "f1_macro", "f1_macro_std", "explained_variance", "seconds"}
        assert 0 <= entry["f1_macro"] <= 1
        assert 0 < entry["explained_variance"] <= 1


def test_one_kernel_alone(scored: list[Any]) -> None:
    """The linear kernel is scaled as gamma "scale" scales the other, by way of C."""
    model = Svm(options(kernel=("linear",)))
    history = model.fit(DATA, seed=0)
    assert [(entry["kernel"], entry["C"], entry["gamma"]) for entry in history] == [("linear", 1, 0), ("linear", 10, 0)]
    features = model.pipeline[0].transform(DATA.train.images.take(np.arange(24)).reshape(24, -1) / 255)
    scale = 1 / (4 * features.var())
    assert [machine.kernel for machine in scored] == ["linear", "linear"]
    assert [machine.C for machine in scored] == pytest.approx([scale, 10 * scale], rel=1e-3)


def test_the_best_grid_point_is_chosen() -> None:
    """At a gamma this large every face is an island: those not seen all get one label."""
    model = Svm(options(kernel=("rbf",), C=(1.0,), gamma=(1e6, "scale")))
    bad, good = model.fit(DATA, seed=0)
    assert bad["f1_macro"] < 0.4 < 0.9 < good["f1_macro"]
    machine = model.pipeline[-1]
    assert (machine.kernel, machine.gamma) == ("rbf", good["gamma"])
    assert len(model.pipeline[0].components_) == 4


def test_folds_follow_from_the_seed_and_part_no_group(scored: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    groups = np.repeat(np.arange(12), 2)
    data = FitData(as_labelled(np.tile([0, 0, 1, 1], 6), groups), VALIDATION)
    dealt = [Svm(options())._folds(data.train, seed) for seed in (0, 0, 1)]
    for folds in dealt:
        for rest, held in folds:
            assert not set(groups[rest]) & set(groups[held])
    assert all((a[1] == b[1]).all() for a, b in zip(dealt[0], dealt[1], strict=True))
    assert any(set(a[1]) != set(b[1]) for a, b in zip(dealt[0], dealt[2], strict=True))


def test_faces_that_weigh_next_to_nothing_neither_teach_nor_choose() -> None:
    """Eight faces of 24 whose labels are wrong: in the fit, and in the macro F1 of the folds."""
    wrong = np.arange(24) < 8
    labels = np.where(wrong, 1 - DATA.train.labels, DATA.train.labels)
    scores, shares = {}, {}
    for name, weights in (("alike", None), ("weighed", np.where(wrong, 1e-3, 1.5))):
        model = Svm(options(kernel=("linear",)))
        history = model.fit(FitData(replace(DATA.train, labels=labels, weights=weights), VALIDATION), seed=5)
        scores[name] = max(float(entry["f1_macro"]) for entry in history)
        shares[name] = ((model.predict_logit(TEST.images) > 0) == TEST.labels).mean()
    assert scores["weighed"] > 0.99 > 0.8 > scores["alike"]
    assert shares["weighed"] == 1


def test_equal_weights_are_as_none(fitted: tuple[Svm, list[dict[str, Any]]]) -> None:
    model = Svm(options())
    history = model.fit(FitData(replace(DATA.train, weights=np.ones(24)), VALIDATION), seed=5)
    assert [entry["f1_macro"] for entry in history] == pytest.approx([entry["f1_macro"] for entry in fitted[1]])
    np.testing.assert_allclose(model.predict_logit(TEST.images), fitted[0].predict_logit(TEST.images), rtol=1e-4)


def test_no_more_components_than_there_are_faces() -> None:
    model = Svm(options(components=100, C=(1.0,), gamma=("scale",), folds=2))
    model.fit(FitData(labelled(10, seed=6), VALIDATION), seed=0)
    assert len(model.pipeline[0].components_) == 10


def test_faces_for_all_folds_are_needed() -> None:
    few = as_labelled(np.r_[np.zeros(20, np.int64), np.ones(5, np.int64)], np.arange(25))
    with pytest.raises(MaskDetError, match="6-fold cross-validation needs 6 training faces of each label, not 5"):
        Svm(options(folds=6)).fit(FitData(few, VALIDATION), seed=0)


def test_more_than_one_group_of_each_label_is_needed() -> None:
    """Twelve faces of one photo cannot be parted, so in one fold nothing of their label is left to learn from."""
    one_photo = as_labelled(np.repeat([0, 1], 12), np.r_[np.arange(12), np.full(12, 99)])
    with pytest.raises(MaskDetError, match="faces of a label come from too few different photos to cross-validate"):
        Svm(options()).fit(FitData(one_photo, VALIDATION), seed=0)


# --- logits ----------------------------------------------------------------------------------------------------------


def test_logits_are_decisions_scaled(fitted: tuple[Svm, list[dict[str, Any]]]) -> None:
    model, _ = fitted
    pixels = TEST.images.take(np.arange(13)).reshape(13, -1) / 255
    logits = model.predict_logit(TEST.images)
    np.testing.assert_allclose(logits, model.pipeline.decision_function(pixels) * model.logit_scale, rtol=1e-4)
    assert model.logit_scale > 0
    assert ((logits > 0) == (model.pipeline.predict(pixels) == 1)).all()


def test_logit_scale_is_the_likeliest() -> None:
    """Decisions drawn so that the log-odds of label 1 are 3 times the decision."""
    rng = np.random.default_rng(0)
    decisions = rng.normal(size=4000)
    labels = (rng.random(4000) < probability(3 * decisions)).astype(np.int64)
    assert _fit_scale(decisions, labels) == pytest.approx(3, rel=0.1)


# --- going on --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "rest"), [(2, 4), (6, 0)])
def test_grid_points_that_are_done_are_not_computed_again(
    count: int, rest: int, scored: list[Any], tmp_path: Path
) -> None:
    with pytest.raises(Cut):
        Svm(options()).fit(DATA, seed=5, checkpoint=CutAfter(tmp_path, count))
    assert len(scored) == count
    scored.clear()
    history = Svm(options()).fit(DATA, seed=5, checkpoint=FolderCheckpoint(tmp_path))
    assert len(scored) == rest
    assert len(history) == 6


# --- stored ----------------------------------------------------------------------------------------------------------


def test_half_precision_is_read_as_the_whole(fitted: tuple[Svm, list[dict[str, Any]]], tmp_path: Path) -> None:
    model, _ = fitted
    model.save(tmp_path, half=True)
    again = Svm(options())
    again.load(tmp_path)
    assert again.pipeline[0].components_.dtype == again.pipeline[0].mean_.dtype == np.float32
    np.testing.assert_allclose(again.pipeline[0].components_, model.pipeline[0].components_, atol=1e-4)
    assert model.pipeline[0].components_.dtype == np.float32  # what is fitted stays as it was


def test_files_of_versions_before_are_still_read(fitted: tuple[Svm, list[dict[str, Any]]], tmp_path: Path) -> None:
    from skops.io import dump

    model, _ = fitted
    old = {"pipeline": model.pipeline, "logit_scale": model.logit_scale}
    dump(old, tmp_path / MODEL_FILE, compression=ZIP_DEFLATED)
    again = Svm(options())
    again.load(tmp_path)
    np.testing.assert_allclose(again.predict_logit(TEST.images), model.predict_logit(TEST.images), rtol=1e-5)


# --- estimate --------------------------------------------------------------------------------------------------------


def test_estimate_counts_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The six points of the grid, in three folds on one process, and the chosen one: 19 machines."""
    clock = iter(np.arange(0, 100, 0.5))
    monkeypatch.setattr("maskdet.models.svm.time.perf_counter", lambda: float(next(clock)))
    # Twice the same 24 faces: a reduction and a machine took half a second each, and no growth is seen.
    assert Svm(options()).estimate_seconds(DATA, seed=0) == pytest.approx(0.5 + 0.5 * 19)


def test_estimate_of_faces_one_label_of_which_is_rare() -> None:
    """Of a thousand faces only three have the other label: a sample of 400 may hold none of them."""
    labels = np.r_[np.zeros(1000, np.int64), np.ones(3, np.int64)]
    data = FitData(as_labelled(labels, np.arange(1003)), VALIDATION)
    for seed in range(5):
        chosen = np.random.default_rng(seed).permutation(1003)[:400]
        if not labels[chosen].any():
            break
    assert not labels[chosen].any()
    assert Svm(options(C=(1.0,))).estimate_seconds(data, seed=seed) > 0


def test_estimate_of_faces_that_cannot_be_fitted_to() -> None:
    data = FitData(as_labelled(np.zeros(20, np.int64), np.arange(20)), VALIDATION)
    with pytest.raises(MaskDetError, match="3-fold cross-validation needs 3 training faces of each label, not 0"):
        Svm(options()).estimate_seconds(data, seed=0)
