"""One contract for every model in `maskdet.models.MODELS`, and what is each model's own."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import as_labelled, draw_faces, labelled, mean_network

from maskdet.augment import METHODS, AugmentOptions, augment, random_variant
from maskdet.errors import MaskDetError, RunError
from maskdet.images import ArrayImages
from maskdet.models import MODELS, Model, create_model
from maskdet.models import cnn as cnn_module
from maskdet.models.base import History, LabelledImages, probability
from maskdet.models.cnn import WEIGHTS_FILE, Cnn, CnnOptions, _training_data, build_cnn
from maskdet.models.svm import MODEL_FILE, Svm, SvmOptions, _fit_scale
from maskdet.progress import silent

#: Enough for each model to learn faces that are dark or bright below; seconds.
SMALL: dict[str, dict[str, Any]] = {
    "cnn": {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3, "augmentation": {"plan": "none"}},
    "svm": {"components": 4, "C": [1.0, 10.0], "gamma": ["scale", 0.001], "folds": 3, "jobs": 1},
}
WEIGHTS = {"cnn": WEIGHTS_FILE, "svm": MODEL_FILE}
#: An option out of range, and what is said of it.
BAD: dict[str, list[tuple[dict[str, Any], str]]] = {
    "cnn": [
        ({"epochs": 0}, "epochs and batch_size must be at least 1, not 0 and 64"),
        ({"batch_size": 0}, "epochs and batch_size must be at least 1, not 15 and 0"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0, not 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0, not nan"),
        ({"learning_rate": float("inf")}, "learning_rate must be above 0, not inf"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, not 1.0"),
        ({"augmentation": {"plan": "twice"}}, "plan must be one of none, on-the-fly, study, not 'twice'"),
        ({"augment": True}, "cannot be made with these options: .*augment"),
        ({"augmentation": {"noise": -1}}, "noise must be 0 to 128, not -1"),
        ({"augmentation": {"blur": 1}}, "cannot be made with these options: .*blur"),
    ],
    "svm": [
        ({"components": 0}, "components must be at least 1, not 0"),
        ({"folds": 1}, "folds must be at least 2, not 1"),
        ({"C": []}, "C and gamma need at least one value each"),
        ({"gamma": []}, "C and gamma need at least one value each"),
        ({"C": [1.0, 0.0]}, "C and gamma need .* above 0"),
        ({"C": [float("nan")]}, "C and gamma need .* above 0"),
        ({"gamma": [-0.1]}, "C and gamma need .* above 0"),
        ({"gamma": ["auto"]}, "C and gamma need .* above 0"),
        ({"jobs": 0}, "jobs must be at least 1, or -1 for one a core, not 0"),
    ],
}
TRAIN, VALIDATION, TEST = labelled(48, seed=1), labelled(16, seed=2), labelled(21, seed=3)
NONE = AugmentOptions(plan="none")


@dataclass
class Fitted:
    model: Model
    history: History
    logits: np.ndarray
    progress: list[tuple[int, int, str]] = field(default_factory=list)


def fit(name: str, seed: int = 5) -> Fitted:
    model, calls = create_model(name, SMALL[name]), []
    history = model.fit(TRAIN, VALIDATION, seed=seed, progress=lambda *call: calls.append(call))
    return Fitted(model, history, model.predict_logit(TEST.images), calls)


@pytest.fixture(scope="module", params=list(MODELS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def fitted(name: str) -> Fitted:
    return fit(name)


# --- the contract ----------------------------------------------------------------------------------------------------


def test_the_contract_covers_every_model() -> None:
    assert set(MODELS) == set(SMALL) == set(BAD) == set(WEIGHTS)


def test_names_and_options(name: str) -> None:
    model = create_model(name)
    assert isinstance(model, MODELS[name])
    assert model.name == name
    assert model.title
    options = model.options_type()()
    assert create_model(name, options.as_dict()).options == options  # type: ignore[attr-defined]
    small = model.options_type()(**SMALL[name])
    assert create_model(name, SMALL[name]).options == small != options  # type: ignore[attr-defined]


def test_learns_what_can_be_told_apart(fitted: Fitted) -> None:
    assert ((fitted.logits > 0) == (TEST.labels == 1)).all()


def test_history_is_plain_numbers(fitted: Fitted) -> None:
    assert fitted.history
    assert all(type(value) in (int, float) for entry in fitted.history for value in entry.values())
    assert len({tuple(entry) for entry in fitted.history}) == 1  # the same columns throughout


def test_progress_goes_on_and_ends(fitted: Fitted) -> None:
    done, totals, texts = zip(*fitted.progress, strict=True)
    assert len(set(totals)) == 1
    assert list(done) == sorted(done)
    assert done[-1] == totals[-1]
    assert all(texts)


def test_progress_may_cancel(name: str) -> None:
    def cancel(done: int, total: int, text: str) -> None:
        raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        create_model(name, SMALL[name]).fit(TRAIN, VALIDATION, seed=0, progress=cancel)


def test_logits_come_in_the_order_of_the_images(fitted: Fitted) -> None:
    order = np.random.default_rng(0).permutation(len(TEST))
    calls: list[tuple[int, int, str]] = []
    logits = fitted.model.predict_logit(ArrayImages(TEST.images.take(order)), lambda *call: calls.append(call))
    assert logits.shape == (21,)
    assert logits.dtype == np.float64
    np.testing.assert_allclose(logits, fitted.logits[order], rtol=1e-5, atol=1e-5)
    assert calls[-1][:2] == (21, 21)
    assert fitted.model.predict_logit(ArrayImages(TEST.images.take([]))).shape == (0,)


def test_save_and_load(fitted: Fitted, name: str, tmp_path: Path) -> None:
    fitted.model.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [WEIGHTS[name]]
    again = create_model(name, SMALL[name])
    again.load(tmp_path)
    np.testing.assert_allclose(again.predict_logit(TEST.images), fitted.logits, rtol=1e-5, atol=1e-5)


def test_same_seed_same_logits(fitted: Fitted, name: str) -> None:
    again = fit(name)
    np.testing.assert_allclose(again.logits, fitted.logits, rtol=1e-5, atol=1e-5)
    assert len(again.history) == len(fitted.history)
    for first, second in zip(fitted.history, again.history, strict=True):
        assert second == pytest.approx(first, rel=1e-4, abs=1e-6)


def test_prediction_before_fitting(name: str) -> None:
    with pytest.raises(ValueError, match="fit or load the model before predicting"):
        create_model(name).predict_logit(TEST.images)


def test_missing_weights(name: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=f"weights in {tmp_path} cannot be read"):
        create_model(name).load(tmp_path)


@pytest.mark.parametrize("damage", ["empty", "garbled", "cut"])
def test_damaged_weights(fitted: Fitted, name: str, tmp_path: Path, damage: str) -> None:
    fitted.model.save(tmp_path)
    path = tmp_path / WEIGHTS[name]
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "garbled": b"not weights" * 99, "cut": content[: len(content) // 2]}[damage])
    with pytest.raises(RunError, match=f"weights in {tmp_path} cannot be read"):
        create_model(name, SMALL[name]).load(tmp_path)


@pytest.mark.parametrize(("model", "options", "message"), [(m, o, t) for m, bad in BAD.items() for o, t in bad])
def test_options_are_checked(model: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskDetError, match=message):
        create_model(model, options)


def test_unknown_option(name: str) -> None:
    with pytest.raises(MaskDetError, match=f"Model {name} cannot be made with these options: .*depth"):
        create_model(name, {"depth": 3})


def test_unknown_model() -> None:
    with pytest.raises(MaskDetError, match=r"There is no model 'vgg'; choose one of cnn, svm."):
        create_model("vgg")


# --- faces and logits ------------------------------------------------------------------------------------------------


def test_labelled_images_are_checked() -> None:
    images, three, ids = ArrayImages(draw_faces([0, 1, 0])), np.arange(3), ("a/1", "a/2", "a/3")
    with pytest.raises(ValueError, match="3 images have 2 labels"):
        LabelledImages(images, np.array([0, 1]), three, ids, ids)
    with pytest.raises(ValueError, match="3 images have 4 groups"):
        LabelledImages(images, three, np.arange(4), ids, ids)
    with pytest.raises(ValueError, match="3 images have 1 face_ids"):
        LabelledImages(images, three, three, ids[:1], ids)
    with pytest.raises(ValueError, match="3 images have 0 datasets"):
        LabelledImages(images, three, three, ids, ())


@pytest.mark.parametrize(("present", "missing"), [(0, "without_mask"), (1, "with_mask")])
def test_one_class_is_refused(present: int, missing: str) -> None:
    faces = as_labelled(np.array([present] * 2), np.arange(2))
    with pytest.raises(MaskDetError, match=f"The validation split has no face {missing}; a model needs both labels"):
        faces.require_both_classes("validation")


def test_both_classes_are_fine() -> None:
    assert len(VALIDATION) == 16
    VALIDATION.require_both_classes("validation")  # raises nothing


def test_probability() -> None:
    np.testing.assert_allclose(probability([0.0, 1.0, -1.0, np.log(3)]), [0.5, 0.731058579, 0.268941421, 0.75])
    assert probability([-2000.0, 2000.0]).tolist() == [0, 1]


# --- PCA and SVM -----------------------------------------------------------------------------------------------------


def test_svm_logits_are_its_decisions_scaled() -> None:
    svm = fit("svm")
    assert isinstance(svm.model, Svm)
    decisions = svm.model.pipeline.decision_function(TEST.images.take(np.arange(21)).reshape(21, -1) / 255)
    np.testing.assert_allclose(svm.logits, decisions * svm.model.logit_scale, rtol=1e-4)
    assert svm.model.logit_scale > 0
    said = svm.model.pipeline.predict(TEST.images.take(np.arange(21)).reshape(21, -1) / 255)
    assert ((svm.logits > 0) == (said == 1)).all()


def test_svm_has_an_entry_a_grid_point() -> None:
    history = fit("svm").history
    assert [entry["C"] for entry in history] == [1, 1, 10, 10]
    assert [entry["gamma"] == 0.001 for entry in history] == [False, True] * 2
    for entry in history:
        assert set(entry) == {"C", "gamma", "f1_macro", "f1_macro_std", "explained_variance"}
        assert 0.5 < entry["f1_macro"] <= 1
        assert 0 < entry["explained_variance"] <= 1


def test_svm_chooses_the_best_grid_point() -> None:
    """At a gamma this large every face is an island: those not seen all get one label."""
    model = Svm(SvmOptions(components=4, C=(1.0,), gamma=(1e6, "scale"), folds=3, jobs=1))
    bad, good = model.fit(TRAIN, VALIDATION, seed=0, progress=silent)
    assert bad["f1_macro"] < 0.4 < 0.9 < good["f1_macro"]
    machine = model.pipeline[-1]
    assert machine.gamma == good["gamma"]
    assert len(model.pipeline[0].components_) == 4


def test_svm_keeps_no_more_components_than_there_are_faces() -> None:
    model = Svm(SvmOptions(components=100, C=(1.0,), gamma=("scale",), folds=2, jobs=1))
    few = labelled(10, seed=6)
    model.fit(few, VALIDATION, seed=0, progress=silent)
    assert len(model.pipeline[0].components_) == 10


def test_svm_needs_faces_for_its_folds() -> None:
    five = np.r_[np.zeros(20, np.int64), np.ones(5, np.int64)]
    few = as_labelled(five, np.arange(25))
    with pytest.raises(MaskDetError, match="6-fold cross-validation needs 6 training faces of each label, not 5"):
        Svm(SvmOptions(folds=6)).fit(few, VALIDATION, seed=0, progress=silent)


def test_svm_needs_more_than_one_group_of_each_label() -> None:
    """Twelve faces of one photo cannot be parted, so in one fold nothing of their label is left to learn from."""
    labels = np.repeat([0, 1], 12)
    one_photo = as_labelled(labels, np.r_[np.arange(12), np.full(12, 99)])
    with pytest.raises(MaskDetError, match="faces of a label come from too few different photos to cross-validate"):
        Svm(SvmOptions(folds=3, jobs=1)).fit(one_photo, VALIDATION, seed=0, progress=silent)


def test_svm_logit_scale_is_the_likeliest() -> None:
    """Decisions drawn so that the log-odds of label 1 are 3 times the decision."""
    rng = np.random.default_rng(0)
    decisions = rng.normal(size=4000)
    labels = (rng.random(4000) < probability(3 * decisions)).astype(np.int64)
    assert _fit_scale(decisions, labels) == pytest.approx(3, rel=0.1)


# --- CNN -------------------------------------------------------------------------------------------------------------


def test_cnn_weights_are_no_larger_than_its_parameters(tmp_path: Path) -> None:
    """Adam's moments would triple the file."""
    model = Cnn()
    model._use(build_cnn(0.5))
    model.network.compile("adam", "mse")
    model.network.optimizer.build(model.network.trainable_variables)
    model.save(tmp_path)
    size = (tmp_path / WEIGHTS_FILE).stat().st_size / (4 * model.network.count_params())
    assert 1 <= size < 1.1


def test_cnn_takes_0_to_255_and_gives_one_logit() -> None:
    network = build_cnn(0.5)
    assert network.input_shape == (None, 150, 150, 3)
    assert network.output_shape == (None, 1)
    assert network.get_layer(Cnn.gradcam_layer).output.shape == (None, 10, 10, 96)
    assert network.get_layer("to_unit_range").scale == pytest.approx(1 / 255)
    assert network.layers[-1].activation.__name__ == "linear"


@pytest.fixture
def tiny_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of one dense layer: what is tested is what happens around it."""
    monkeypatch.setattr(cnn_module, "build_cnn", mean_network)


def fit_with_losses(losses: list[float], monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[Cnn, list[Any]]:
    """Fit with validation losses as told; also the weights after each epoch."""
    seen: list[Any] = []

    def validate(self: Cnn, validation: LabelledImages) -> dict[str, float]:
        seen.append(self.network.get_weights())
        return {"val_loss": losses[len(seen) - 1], "val_accuracy": 0.5}

    monkeypatch.setattr(Cnn, "_validate", validate)
    model = Cnn(CnnOptions(epochs=len(losses), batch_size=24, learning_rate=0.1, augmentation=NONE, **options))
    model.fit(TRAIN, VALIDATION, seed=0, progress=silent)
    return model, seen


def same(first: Any, second: Any) -> bool:
    return all((a == b).all() for a, b in zip(first, second, strict=True))


@pytest.mark.usefixtures("tiny_network")
def test_cnn_keeps_the_best_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = fit_with_losses([0.9, 0.2, 0.5], monkeypatch)
    assert same(model.network.get_weights(), seen[1])
    assert not same(seen[1], seen[2])


@pytest.mark.usefixtures("tiny_network")
def test_cnn_keeps_the_last_epoch_if_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = fit_with_losses([0.9, 0.2, 0.5], monkeypatch, keep_best=False)
    assert same(model.network.get_weights(), seen[2])


@pytest.mark.usefixtures("tiny_network")
def test_cnn_history_has_an_entry_an_epoch() -> None:
    model = Cnn(CnnOptions(epochs=2, batch_size=48, augmentation=NONE))
    calls: list[tuple[int, int, str]] = []
    history = model.fit(TRAIN, VALIDATION, seed=0, progress=lambda *call: calls.append(call))
    assert [set(entry) for entry in history] == [{"epoch", "loss", "accuracy", "val_loss", "val_accuracy"}] * 2
    assert [entry["epoch"] for entry in history] == [1, 2]
    logits = model.predict_logit(VALIDATION.images)
    best = min(history, key=lambda entry: entry["val_loss"])
    expected = -np.log(np.where(VALIDATION.labels == 1, probability(logits), probability(-logits))).mean()
    assert best["val_loss"] == pytest.approx(expected, rel=1e-4)
    assert best["val_accuracy"] == ((logits > 0) == (VALIDATION.labels == 1)).mean()
    assert calls[-1][2].startswith("epoch 2 of 2: loss ")


@pytest.mark.usefixtures("tiny_network")
def test_cnn_that_diverges_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MaskDetError, match="loss is no number any more in epoch 2; lower the learning rate"):
        fit_with_losses([0.9, float("nan"), 0.5], monkeypatch)


def epoch_of(options: CnnOptions, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    data = list(_training_data(TRAIN, options, seed, epoch).as_numpy_iterator())
    assert [len(images) for images, _ in data] == [20, 20, 8]
    return np.concatenate([images for images, _ in data]), np.concatenate([labels for _, labels in data])


def test_cnn_epochs_are_repeatable_and_differ() -> None:
    options = CnnOptions(batch_size=20)
    images, labels = epoch_of(options, 3, 0)
    again, labels_again = epoch_of(options, 3, 0)
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(labels, labels_again)
    assert labels.shape == (48, 1)
    assert labels.sum() == 24
    for seed, epoch in ((3, 1), (4, 0)):
        other, _ = epoch_of(options, seed, epoch)
        assert (images != other).any(axis=(1, 2, 3)).all()


def sorted_faces(images: np.ndarray) -> list[bytes]:
    return sorted(image.tobytes() for image in images)


@pytest.mark.parametrize(
    "augmentation", [NONE, AugmentOptions(probability=0), AugmentOptions(plan="study", not_augmented=("2.1", "a"))]
)
def test_cnn_without_augmentation_sees_each_face_once_in_another_order(augmentation: AugmentOptions) -> None:
    images, labels = epoch_of(CnnOptions(batch_size=20, augmentation=augmentation), 3, 0)
    stock = TRAIN.images.take(np.arange(48))
    assert sorted_faces(images) == sorted_faces(stock)
    assert (images != stock).any()
    bright = images[:, 75:].mean(axis=(1, 2, 3)) > images[:, :75].mean(axis=(1, 2, 3))
    assert (bright == (labels[:, 0] == 1)).all()  # labels moved with their faces


def test_cnn_augmentation_leaves_the_stock_alone() -> None:
    before = TRAIN.images.take(np.arange(48))
    images, _ = epoch_of(CnnOptions(batch_size=20, augmentation=AugmentOptions(probability=1)), 3, 0)
    np.testing.assert_array_equal(TRAIN.images.take(np.arange(48)), before)
    assert not set(sorted_faces(images)) & set(sorted_faces(before))


def drawn(data: LabelledImages, options: CnnOptions, seed: int, epoch: int) -> tuple[list[bytes], np.ndarray, int]:
    """Images and labels of an epoch, and in how many batches they came."""
    batches = list(_training_data(data, options, seed, epoch).as_numpy_iterator())
    images = np.concatenate([images for images, _ in batches])
    return [image.tobytes() for image in images], np.concatenate([labels for _, labels in batches])[:, 0], len(batches)


@pytest.mark.parametrize("batch_size", [7, 64])
def test_cnn_sees_the_very_copies_of_the_preview(batch_size: int) -> None:
    """What the Augmentation page calls is what training yields, whatever the batch and the order of the faces."""
    options = AugmentOptions(methods=("flip", "rotate", "noise"))
    few = labelled(10, seed=4)
    previewed = {
        random_variant(image, seed=9, face_id=face_id, epoch=2, options=options).tobytes()
        for image, face_id in zip(few.images.take(np.arange(10)), few.face_ids, strict=True)
    }
    images, _, _ = drawn(few, CnnOptions(batch_size=batch_size, augmentation=options), 9, 2)
    assert set(images) == previewed
    assert len(images) == 10

    order = np.random.default_rng(1).permutation(10)
    shuffled = LabelledImages(
        ArrayImages(few.images.take(order)), few.labels[order], few.groups[order],
        tuple(few.face_ids[i] for i in order), few.datasets,
    )  # fmt: skip
    assert set(drawn(shuffled, CnnOptions(batch_size=batch_size, augmentation=options), 9, 2)[0]) == previewed


def test_cnn_study_plan_shows_each_face_and_its_copies_but_leaves_2_1_alone() -> None:
    four = labelled(4, seed=4)
    data = LabelledImages(four.images, four.labels, four.groups, four.face_ids, ("2.2", "2.1", "3.1", "2.1"))
    augmentation = AugmentOptions(plan="study")
    options = CnnOptions(batch_size=8, augmentation=augmentation)
    expected: dict[bytes, int] = {}
    for i, image in enumerate(four.images.take(np.arange(4))):
        expected[image.tobytes()] = int(four.labels[i])
        for method in METHODS if i in (0, 2) else ():
            copy = augment(image, method, seed=3, face_id=four.face_ids[i], options=augmentation)
            expected[copy.tobytes()] = int(four.labels[i])
    assert len(expected) == 14  # 2 faces x (1 + 5), and 2 alone

    first, labels, count = drawn(data, options, 3, 0)
    assert dict(zip(first, labels.astype(int).tolist(), strict=True)) == expected
    assert (len(first), count) == (14, 2)
    second, _, _ = drawn(data, options, 3, 1)
    assert set(second) == set(first)  # the copies are the same in every epoch,
    assert second != first  # in another order


@pytest.mark.usefixtures("tiny_network")
def test_cnn_study_plan_goes_through_all_copies_each_epoch() -> None:
    calls: list[tuple[int, int, str]] = []
    model = Cnn(CnnOptions(epochs=2, batch_size=48, augmentation=AugmentOptions(plan="study")))
    model.fit(TRAIN, VALIDATION, seed=0, progress=lambda *call: calls.append(call))
    assert calls[-1][:2] == (12, 12)  # 48 faces x 6 copies / 48 a batch x 2 epochs
