"""InceptionV3: where its weights come from, that each finds its layer, and the binary layer on frozen features."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from factories import draw_faces, fit_data, labelled, small_inception

from maskdet.errors import MaskDetError
from maskdet.images import FaceImages
from maskdet.models import inception as module
from maskdet.models.inception import InceptionOptions, InceptionV3, build_inception
from maskdet.models.linear import fit_logistic

FACES = draw_faces([0, 1, 1], seed=7)
SHAPE = (150, 150, 3)


@pytest.fixture(scope="module")
def uncut() -> Any:
    """Keras's InceptionV3 with random weights, whose batch statistics are no ones and zeros either."""
    keras.utils.set_random_seed(3)
    network = keras.applications.InceptionV3(include_top=False, weights=None, input_shape=SHAPE)
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            beta, mean, variance = layer.get_weights()
            layer.set_weights([rng.normal(0, 0.1, beta.shape), rng.normal(0, 0.1, mean.shape),
                               rng.uniform(0.5, 1.5, variance.shape)])  # fmt: skip
    return network


@pytest.fixture(scope="module")
def weights(uncut: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "random.weights.h5"
    uncut.save_weights(path)
    return path


def options(**changed: Any) -> InceptionOptions:
    return InceptionOptions(**{"weights": "none", "precision": "float32", "epochs": 1} | changed)


def maps(network: Any, layer: str, images: np.ndarray) -> np.ndarray:
    return np.asarray(keras.Model(network.inputs, network.get_layer(layer).output)(images, training=False))


# --- weights ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network() -> Any:
    """A network that ends at mixed7, for weights to be put in; building one takes seconds."""
    return build_inception("mixed7", 0.3)


def initialised(weights: object, network: Any) -> Any:
    InceptionV3(options(weights=str(weights), cut="mixed7", dropout=0.3)).initialise(network)
    return network


def test_a_cut_network_has_the_same_weights_in_the_same_layers(uncut: Any, weights: Path, network: Any) -> None:
    """The maps of the block where it ends are those of the uncut network, so every layer below is right."""
    expected = maps(uncut, "mixed7", FACES.astype(np.float32) / 127.5 - 1)
    found = maps(initialised(weights, network), "mixed7", FACES.astype(np.float32))
    assert expected.std() > 1e-3
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.std())


def test_published_weights_go_into_a_cut_network(shared_data: Path, uncut: Any, network: Any) -> None:
    path = shared_data.parent / "weights/inception_v3_notop.weights.h5"
    if not path.is_file():
        pytest.skip(f"no ImageNet weights: {path} is not there")
    random = uncut.get_weights()
    try:
        uncut.load_weights(path)
        expected = maps(uncut, "mixed7", FACES.astype(np.float32) / 127.5 - 1)
    finally:
        uncut.set_weights(random)
    found = maps(initialised(path, network), "mixed7", FACES.astype(np.float32))
    assert expected.std() > 0.05
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("place", ["/nowhere/weights.h5", "~/nowhere.h5"])
def test_a_path_that_is_not_there(place: str) -> None:
    sentence = f"There are no weights at {place}: give the path of a .weights.h5 file, imagenet or none"
    with pytest.raises(MaskDetError, match=sentence):
        InceptionV3(options(weights=place)).initialise(None)


def test_a_path_is_looked_up_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "build_inception", small_inception)
    monkeypatch.setattr(InceptionV3, "_frozen", lambda *_: pytest.fail("work started"))
    with pytest.raises(MaskDetError, match="There are no weights at nowhere"):
        InceptionV3(options(weights="nowhere")).fit(fit_data(4, 4), seed=0)


@pytest.mark.parametrize("content", [b"", b"no weights at all" * 99])
def test_a_file_that_is_no_weights_file(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.applications, "InceptionV3", lambda **_: small_inception("mixed5", 0))
    path = tmp_path / "wrong.weights.h5"
    path.write_bytes(content)
    assert_no_weights(path)


def test_a_weights_file_of_another_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    path = tmp_path / "other.weights.h5"
    other.save_weights(path)
    monkeypatch.setattr(keras.applications, "InceptionV3", lambda **_: small_inception("mixed5", 0))
    assert_no_weights(path)


def test_imagenet_without_a_way_to_the_internet(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_arguments: Any) -> None:
        raise Exception("URL fetch failure on https://...: None -- [Errno -2] Name or service not known\nmore")  # noqa: TRY002

    monkeypatch.setattr(keras.applications, "InceptionV3", fail)
    said = refused("imagenet")
    assert said.startswith("InceptionV3's weights cannot be had (")
    assert "give the path of a file of weights without the top with --weights PATH, or --weights none" in said
    assert "URL fetch failure" in said
    assert "more" not in said


def assert_no_weights(path: Path) -> None:
    """A file at hand is named as what is wrong, and not the way to the internet."""
    said = refused(path)
    assert said.startswith(f"{path} is no file of InceptionV3's weights (")
    assert "give one without the top with --weights PATH, or imagenet or none in its place." in said
    assert "internet" not in said


def refused(weights: object) -> str:
    """What is said of weights, which is one sentence with what to do."""
    network = small_inception("mixed5", 0)
    with pytest.raises(MaskDetError) as caught:
        InceptionV3(options(weights=str(weights))).initialise(network)
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    return said


def test_none_begins_at_random() -> None:
    network = small_inception("mixed5", 0)
    before = [value.copy() for value in network.get_weights()]
    InceptionV3(options()).initialise(network)
    for one, other in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


# --- the network -----------------------------------------------------------------------------------------------------


def test_network_takes_0_to_255(network: Any) -> None:
    scaled = maps(network, "to_minus_one_to_one", np.array([0, 127.5, 255], np.float32)[:, None, None, None]
                  * np.ones((1, *SHAPE), np.float32))  # fmt: skip
    np.testing.assert_allclose(scaled[:, 0, 0, 0], [-1, 0, 1], atol=1e-6)
    assert network.input_shape == (None, *SHAPE)
    assert [layer.name for layer in network.layers[-3:]] == ["mean_of_maps", "dropout", "logit"]
    assert network.get_layer("dropout").rate == 0.3
    assert network.get_layer("mean_of_maps").output.shape == (None, 768)
    assert all(not hasattr(layer, "layers") for layer in network.layers)  # flat, for heatmaps


@pytest.mark.parametrize(("cut", "layer"), [("mixed5", "mixed5"), ("mixed7", "mixed7"), ("mixed10", "mixed7")])
def test_heatmaps_show_maps_of_7_by_7_or_more(cut: str, layer: str) -> None:
    assert InceptionV3(options(cut=cut)).gradcam_layer == layer


def test_batch_statistics_never_change_and_all_weights_are_tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "build_inception", small_inception)
    begun: dict[str, np.ndarray] = {}

    def note(_self: Any, network: Any) -> None:
        begun.update(zip([v.path for v in network.weights], [v.copy() for v in network.get_weights()], strict=True))

    monkeypatch.setattr(InceptionV3, "initialise", note)
    model = InceptionV3(options(augmentation={"plan": "none"}, batch_size=4))
    history = model.fit(fit_data(8, 4), seed=1)
    assert [entry["phase"] for entry in history] == [1, 2]
    ended = dict(zip([v.path for v in model.network.weights], model.network.get_weights(), strict=True))
    unchanged = {name for name in begun if np.array_equal(begun[name], ended[name])}
    assert unchanged == {name for name in begun if "moving" in name}
    assert len(unchanged) == 6


# --- frozen ----------------------------------------------------------------------------------------------------------


def test_frozen_is_a_logistic_regression_on_the_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """The features are computed here, the fit is scikit-learn's."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    monkeypatch.setattr(module, "build_inception", small_inception)
    data = fit_data(24, 10, watched=6)
    model = InceptionV3(options(frozen=True, dropout=0.5, batch_size=8))
    calls: list[tuple[int, int, str]] = []
    history = model.fit(data, seed=1, progress=lambda *call: calls.append(call))
    keras.utils.set_random_seed(1)
    frozen = model.build()

    def features(images: FaceImages) -> np.ndarray:
        return maps(frozen, "mean_of_maps", images.take(np.arange(len(images))))

    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    regression.fit(features(data.train.images), data.train.labels)
    assert data.watched
    for part in (data.train, data.validation, data.watched):
        expected = regression.decision_function(features(part.images))
        np.testing.assert_allclose(model.predict_logit(part.images), expected, rtol=1e-3, atol=1e-3)
    assert calls[-1][:2] == (40, 40)
    (entry,) = history
    assert (entry["epoch"], entry["phase"], entry["kept"]) == (1, 1, 1)
    for name, part in (("val_", data.validation), ("watched_", data.watched), ("", data.train)):
        right = ((model.predict_logit(part.images) > 0) == (part.labels == 1)).mean()
        assert entry[f"{name}accuracy"] == right
    assert entry["val_loss"] < 0.7


def test_faces_are_judged_by_features_that_are_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "build_inception", small_inception)
    data, others = fit_data(24, 10), labelled(12, 9)
    model = InceptionV3(options(frozen=True, batch_size=8))
    model.fit(data, seed=1)
    expected = model.predict_logit(others.images)
    np.testing.assert_allclose(model.predict_faces(others), expected, rtol=1e-4, atol=1e-4)
    monkeypatch.setattr(module, "_features_of", lambda _: lambda _: pytest.fail("computed again"))
    np.testing.assert_allclose(model.predict_faces(others), expected, rtol=1e-4, atol=1e-4)
    # Other weights have other features.
    model.save(tmp_path)
    model.load(tmp_path)
    assert model._features == {}
    np.testing.assert_allclose(model.predict_faces(others), expected, rtol=1e-4, atol=1e-4)


def test_fit_logistic() -> None:
    """Kernel and bias apply to the features as they are, though these are standardised for the fit."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    features = (rng.normal(size=(60, 3)) * [1, 100, 0.01] + [5, -300, 0]).astype(np.float32)
    labels = (rng.random(60) < 0.5 + 0.4 * np.sign(features[:, 0] - 5)).astype(np.int64)
    kernel, bias = fit_logistic(features, labels)
    deviations, means = features.std(axis=0), features.mean(axis=0)
    plain = LogisticRegression().fit((features - means) / deviations, labels)
    np.testing.assert_allclose(kernel * deviations, plain.coef_[0], rtol=1e-3, atol=1e-3)
    assert bias + kernel @ means == pytest.approx(plain.intercept_[0], abs=1e-3)


def test_a_row_of_weight_two_is_two_rows() -> None:
    rng = np.random.default_rng(3)
    features, labels = rng.normal(size=(40, 3)).astype(np.float32), rng.integers(0, 2, 40)
    twice = np.repeat(np.arange(40), np.where(np.arange(40) < 10, 2, 1))
    kernel, bias = fit_logistic(features, labels, np.where(np.arange(40) < 10, 2.0, 1.0))
    expected, expected_bias = fit_logistic(features[twice], labels[twice])
    np.testing.assert_allclose([*kernel, bias], [*expected, expected_bias], rtol=1e-3, atol=1e-4)
    assert np.abs(kernel - fit_logistic(features, labels)[0]).max() > 0.01


def test_a_feature_that_never_varies_is_no_division_by_zero() -> None:
    features = np.array([[0, 1], [1, 1], [0.2, 1], [0.9, 1]], np.float32)
    kernel, bias = fit_logistic(features, np.array([0, 1, 0, 1]))
    assert np.isfinite([*kernel, bias]).all()
    assert kernel[1] == 0
