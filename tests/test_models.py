"""One contract for every model in `maskdet.models.MODELS`, and what all of them share."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import Cut, CutAfter, as_labelled, draw_faces, fit_data, labelled, use_small_networks

from maskdet.errors import MaskDetError, RunError
from maskdet.images import ArrayImages
from maskdet.models import MODELS, LabelledImages, Model, create_model
from maskdet.models.base import probability
from maskdet.models.checkpoint import FolderCheckpoint, History
from maskdet.models.onnx_graph import GRAPH_FILE, WEIGHTS_FILE
from maskdet.models.svm import MODEL_FILE

_NETWORK: dict[str, Any] = {
    "epochs": 2, "batch_size": 8, "learning_rate": 1e-2, "precision": "float32", "dropout": 0.2,
    "augmentation": {"plan": "on-the-fly", "methods": ["flip", "noise"]},
}  # fmt: skip
_INCEPTION: dict[str, Any] = {**_NETWORK, "weights": "none", "cut": "mixed5", "fine_tuning_rate": 1e-3}
#: What the contract is tested with: a model, and options with which it learns dark from bright within seconds.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "inceptionv3": ("inceptionv3", _INCEPTION),
    "inceptionv3, frozen": ("inceptionv3", _INCEPTION | {"frozen": True}),
    "cnn": ("cnn", _NETWORK | {"epochs": 5}),
    "cnn-transfer": ("cnn-transfer", _NETWORK | {"epochs": 5}),
    "svm": ("svm", {"components": 4, "C": [1.0, 10.0], "gamma": ["scale", 0.001], "folds": 3, "jobs": 1}),
}
#: Entries of the history after which a fit is cut; a frozen network is fitted in one go and keeps no checkpoint.
CUTS = [("inceptionv3", 1), ("inceptionv3", 2), ("cnn", 5), ("cnn-transfer", 2), ("svm", 2)]
#: How far a resumed fit, or one of the same seed, may be off on one machine.
SAME = 1e-5
#: How far logits may move, of their standard deviation, where weights lose half of their bits.
HALF = 0.01
WEIGHTS = {name: MODEL_FILE if name == "svm" else WEIGHTS_FILE for name in MODELS}
_NETWORK_BAD: list[tuple[dict[str, Any], str]] = [
    ({"epochs": 0}, "epochs and batch_size must be at least 1, not 0 and"),
    ({"batch_size": 0}, r"epochs and batch_size must be at least 1, not \d+ and 0"),
    ({"learning_rate": 0.0}, r"learning_rate must be above 0, not 0.0"),
    ({"learning_rate": float("nan")}, "learning_rate must be above 0, not nan"),
    ({"learning_rate": float("inf")}, "learning_rate must be above 0, not inf"),
    ({"dropout": 1.0}, r"dropout must be at least 0 and below 1, not 1\.0"),
    ({"schedule": "step"}, "schedule must be one of constant, cosine, not 'step'"),
    ({"patience": 0}, "patience must be at least 1 epoch, or none, not 0"),
    ({"precision": "float16"}, "precision must be one of auto, float32, bfloat16, not 'float16'"),
    ({"augmentation": {"plan": "twice"}}, "plan must be one of none, on-the-fly, study, not 'twice'"),
    ({"augment": True}, "cannot be made with these options: .*augment"),
    ({"augmentation": {"noise": -1}}, "noise must be 0 to 128, not -1"),
    ({"augmentation": {"blur": 1}}, "cannot be made with these options: .*blur"),
    ({"epochs": 2.5}, r"epochs must be a whole number, not 2\.5"),
    ({"epochs": "three"}, "epochs must be a whole number, not 'three'"),
    ({"learning_rate": "high"}, "learning_rate must be a number, not 'high'"),
    ({"keep_best": "no"}, "keep_best must be true or false, not 'no'"),
    ({"patience": 1.5}, r"patience must be a whole number or null, not 1\.5"),
    ({"augmentation": "none"}, "augmentation must be a set of options, not 'none'"),
]
_FROZEN_BAD: list[tuple[dict[str, Any], str]] = [
    ({"frozen_epochs": -1}, "frozen_epochs must be at least 0, not -1"),
    ({"frozen_epochs": True}, "frozen_epochs must be a whole number, not True"),
]
#: Options out of range, and what is said of them.
BAD: dict[str, list[tuple[dict[str, Any], str]]] = {
    "inceptionv3": [
        *_NETWORK_BAD,
        *_FROZEN_BAD,
        ({"cut": "mixed1"}, "cut must be one of mixed5, .*, mixed10, not 'mixed1'"),
        ({"fine_tuning_rate": 0.0}, r"fine_tuning_rate must be above 0, not 0\.0"),
        ({"weights": ""}, 'weights must be "imagenet", "none", or a path'),
        ({"weights": 3}, "weights must be a text, not 3"),
        ({"frozen": 1}, "frozen must be true or false, not 1"),
    ],
    "cnn": _NETWORK_BAD,
    "cnn-transfer": [*_NETWORK_BAD, *_FROZEN_BAD],
    "svm": [
        ({"components": 0}, "components must be at least 1, not 0"),
        ({"components": 2.5}, r"components must be a whole number, not 2\.5"),
        ({"folds": 1}, "folds must be at least 2, not 1"),
        ({"kernel": "rbf"}, "kernel must be a list of values, not 'rbf'"),
        ({"kernel": []}, "kernel needs at least one of rbf, linear"),
        ({"kernel": ["poly"]}, "kernel needs at least one of rbf, linear, not .*poly"),
        ({"C": 1.0}, r"C must be a list of values, not 1\.0"),
        ({"C": []}, "C and gamma need at least one value each"),
        ({"gamma": []}, "C and gamma need at least one value each"),
        ({"C": [1.0, 0.0]}, "C and gamma need .* above 0"),
        ({"C": [float("nan")]}, "C and gamma need .* above 0"),
        ({"gamma": [-0.1]}, "C and gamma need .* above 0"),
        ({"gamma": ["auto"]}, "C and gamma need .* above 0"),
        ({"jobs": 0}, "jobs must be at least 1, or -1 for one a core, not 0"),
    ],
}
DATA, TEST = fit_data(32, 12), labelled(21, seed=3)
VALIDATION = DATA.validation


@dataclass
class Fitted:
    model: Model
    history: History
    logits: np.ndarray
    progress: list[tuple[int, int, str]]


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        use_small_networks(patch)
        yield


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that a transfer begins with."""
    import keras

    folder = tmp_path_factory.mktemp("base")
    keras.utils.set_random_seed(0)
    model = create_model("cnn")
    model._use(model.build())
    model.save(folder)
    return folder


@pytest.fixture(scope="module", params=list(CASES))
def case(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make(case: str, base: Path) -> Model:
    name, options = CASES[case]
    model = create_model(name, options)
    if model.needs_base:
        model.use_base(base)
    return model


@pytest.fixture(scope="module")
def fitted_by_case(base: Path) -> dict[str, Fitted]:
    return {}


def fit(case: str, base: Path) -> Fitted:
    model, calls = make(case, base), []
    history = model.fit(DATA, seed=5, progress=lambda *call: calls.append(call))
    return Fitted(model, history, model.predict_logit(TEST.images), calls)


@pytest.fixture(scope="module")
def fitted(case: str, base: Path, fitted_by_case: dict[str, Fitted]) -> Fitted:
    """Each case is fitted once for all tests."""
    if case not in fitted_by_case:
        fitted_by_case[case] = fit(case, base)
    return fitted_by_case[case]


def without_seconds(history: History) -> list[dict[str, Any]]:
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in history]


def assert_same(history: History, other: History) -> None:
    assert len(history) == len(other)
    for first, second in zip(without_seconds(history), without_seconds(other), strict=True):
        kernel = first.pop("kernel", None)
        assert kernel == second.pop("kernel", None)
        assert second == pytest.approx(first, rel=SAME, abs=SAME)


# --- the contract ----------------------------------------------------------------------------------------------------


def test_the_contract_covers_every_model() -> None:
    assert set(MODELS) == {name for name, _ in CASES.values()} == set(BAD)
    assert {case for case, _ in CUTS} == set(CASES) - {"inceptionv3, frozen"}


@pytest.mark.parametrize("name", MODELS)
def test_names(name: str) -> None:
    model = create_model(name)
    assert isinstance(model, MODELS[name])
    assert (model.name, bool(model.title)) == (name, True)
    assert model.options == model.options_type()()


def test_options_survive_json(case: str) -> None:
    name, small = CASES[case]
    options = create_model(name, small).options
    assert options != create_model(name).options
    stored = json.loads(json.dumps(options.as_dict(), allow_nan=False))
    assert create_model(name, stored).options == options
    assert create_model(name, create_model(name).options.as_dict()).options == create_model(name).options


def test_learns_what_can_be_told_apart(fitted: Fitted) -> None:
    assert ((fitted.logits > 0) == (TEST.labels == 1)).mean() > 0.8


def test_history_is_plain_values(fitted: Fitted) -> None:
    assert fitted.history
    assert json.loads(json.dumps(fitted.history, allow_nan=False)) == fitted.history
    assert len({tuple(entry) for entry in fitted.history}) == 1  # the same columns throughout
    assert all(float(entry["seconds"]) > 0 for entry in fitted.history)
    if fitted.model.needs_tensorflow:
        assert [entry["epoch"] for entry in fitted.history] == [*range(1, len(fitted.history) + 1)]
        assert sum(int(entry["kept"]) for entry in fitted.history) == 1


def test_progress_goes_on_and_ends(fitted: Fitted) -> None:
    done, totals, texts = zip(*fitted.progress, strict=True)
    assert len(set(totals)) == 1
    assert list(done) == sorted(done)
    assert done[-1] == totals[-1]
    assert all(texts)


def test_progress_may_cancel(case: str, base: Path) -> None:
    def cancel(done: int, total: int, text: str) -> None:
        raise Cut("enough")

    model = make(case, base)
    with pytest.raises(Cut, match="enough"):
        model.fit(DATA, seed=0, progress=cancel)
    with pytest.raises(ValueError, match="fit or load the model before predicting"):
        model.predict_logit(TEST.images)


def test_logits_come_in_the_order_of_the_images(fitted: Fitted) -> None:
    order = np.random.default_rng(0).permutation(len(TEST))
    calls: list[tuple[int, int, str]] = []
    logits = fitted.model.predict_logit(ArrayImages(TEST.images.take(order)), lambda *call: calls.append(call))
    assert (logits.shape, logits.dtype) == ((21,), np.float64)
    np.testing.assert_allclose(logits, fitted.logits[order], rtol=SAME, atol=SAME)
    assert calls[-1][:2] == (21, 21)
    assert fitted.model.predict_logit(ArrayImages(TEST.images.take([]))).shape == (0,)


def test_save_and_load(fitted: Fitted, case: str, tmp_path: Path) -> None:
    """Without the base: weights are all that prediction needs."""
    name, options = CASES[case]
    sizes = {}
    for half, tolerance in ((False, SAME), (True, HALF * fitted.logits.std())):
        folder = tmp_path / str(half)
        folder.mkdir()
        fitted.model.save(folder, half=half)
        beside = {GRAPH_FILE} if MODELS[name].needs_tensorflow else set()
        assert {path.name for path in folder.iterdir()} == {WEIGHTS[name]} | beside
        sizes[half] = (folder / WEIGHTS[name]).stat().st_size
        again = create_model(name, options)
        again.load(folder)
        np.testing.assert_allclose(again.predict_logit(TEST.images), fitted.logits, rtol=SAME, atol=tolerance)
    assert 0.4 < sizes[True] / sizes[False] < 0.7  # what is no weight takes its room as before
    np.testing.assert_array_equal(fitted.model.predict_logit(TEST.images), fitted.logits)


def test_features_come_with_the_logits(fitted: Fitted) -> None:
    logits, features = fitted.model.predict_features(TEST.images)
    np.testing.assert_allclose(logits, fitted.logits, rtol=SAME, atol=SAME)
    assert features.shape[0] == len(TEST)
    assert features.dtype == np.float32
    assert (features.std(axis=0) > 0).any()


def test_same_seed_same_result(fitted: Fitted, case: str, base: Path) -> None:
    again = fit(case, base)
    np.testing.assert_allclose(again.logits, fitted.logits, rtol=SAME, atol=SAME)
    assert_same(fitted.history, again.history)


@pytest.mark.parametrize(("case", "count"), CUTS, scope="function")
def test_a_fit_that_was_cut_goes_on_as_if_it_was_not(
    case: str, count: int, base: Path, fitted_by_case: dict[str, Fitted], tmp_path: Path
) -> None:
    whole = fitted_by_case.get(case) or fit(case, base)
    with pytest.raises(Cut):
        make(case, base).fit(DATA, seed=5, checkpoint=CutAfter(tmp_path, count))
    assert len(json.loads((tmp_path / "history.json").read_text())) == count
    model, calls = make(case, base), []
    history = model.fit(DATA, seed=5, progress=lambda *call: calls.append(call), checkpoint=FolderCheckpoint(tmp_path))
    np.testing.assert_allclose(model.predict_logit(TEST.images), whole.logits, rtol=SAME, atol=SAME)
    assert_same(whole.history, history)
    done, totals, _ = zip(*calls, strict=True)
    assert list(done) == sorted(done)
    assert done[0] >= count
    assert done[-1] == totals[-1] == whole.progress[-1][1]


def test_estimate_leaves_the_model_as_it_was(case: str, base: Path) -> None:
    fresh, calls = make(case, base), []
    seconds = fresh.estimate_seconds(DATA, seed=5, progress=lambda *call: calls.append(call))
    assert 0 < seconds < 600
    assert [done for done, _, _ in calls] == sorted(done for done, _, _ in calls)
    with pytest.raises(ValueError, match="fit or load the model before predicting"):
        fresh.predict_logit(TEST.images)


def test_missing_weights(case: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=rf"{tmp_path}/\S+ cannot be read \(.+\): bring it back from a copy"):
        create_model(*CASES[case]).load(tmp_path)


@pytest.mark.parametrize("damage", ["empty", "garbled", "cut"])
@pytest.mark.parametrize("case", ["cnn", "svm"], scope="function")
def test_damaged_weights(case: str, damage: str, base: Path, fitted_by_case: dict[str, Fitted], tmp_path: Path) -> None:
    """Networks share how they are read."""
    (fitted_by_case.get(case) or fit(case, base)).model.save(tmp_path)
    path = tmp_path / WEIGHTS[CASES[case][0]]
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "garbled": b"not weights" * 99, "cut": content[: len(content) // 2]}[damage])
    with pytest.raises(RunError, match=rf"{path} cannot be read \(.+\): bring it back from a copy"):
        create_model(*CASES[case]).load(tmp_path)


def test_a_transfer_without_a_base_says_how_to_make_one() -> None:
    with pytest.raises(MaskDetError, match="begins with a pre-training run: `python -m maskdet train cnn --pool pre-"):
        create_model("cnn-transfer", CASES["cnn-transfer"][1]).fit(DATA, seed=0)


@pytest.mark.parametrize("name", [name for name, kind in MODELS.items() if not kind.needs_base])
def test_only_a_transfer_has_a_base(name: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=f"{name} begins with no other run"):
        create_model(name).use_base(tmp_path)


@pytest.mark.parametrize(("model", "options", "message"), [(m, o, t) for m, bad in BAD.items() for o, t in bad])
def test_options_are_checked(model: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskDetError, match=message):
        create_model(model, options)


@pytest.mark.parametrize("name", MODELS)
def test_unknown_option(name: str) -> None:
    with pytest.raises(MaskDetError, match=f"Model {name} cannot be made with these options: .*depth"):
        create_model(name, {"depth": 3})


def test_unknown_model() -> None:
    with pytest.raises(
        MaskDetError, match=r"There is no model 'vgg'; choose one of inceptionv3, cnn, cnn-transfer, svm."
    ):
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
    with pytest.raises(ValueError, match="3 images have 2 weights"):
        LabelledImages(images, three, three, ids, ids, np.ones(2))
    with pytest.raises(ValueError, match="weights must be above 0"):
        LabelledImages(images, three, three, ids, ids, np.array([1.0, 0.0, 2.0]))


@pytest.mark.parametrize(("present", "missing"), [(0, "without_mask"), (1, "with_mask")])
def test_one_class_is_refused(present: int, missing: str) -> None:
    faces = as_labelled(np.array([present] * 2), np.arange(2))
    with pytest.raises(MaskDetError, match=f"The validation split has no face {missing}; a model needs both labels"):
        faces.require_both_classes("validation")


def test_both_classes_are_fine() -> None:
    assert len(VALIDATION) == 12
    VALIDATION.require_both_classes("validation")  # raises nothing


def test_probability() -> None:
    np.testing.assert_allclose(probability([0.0, 1.0, -1.0, np.log(3)]), [0.5, 0.731058579, 0.268941421, 0.75])
    assert probability([-2000.0, 2000.0]).tolist() == [0, 1]
