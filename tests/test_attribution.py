"""One contract for every method in `maskdet.attribution.METHODS`, and what each of them computes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from factories import FakeModel

from maskdet.attribution import METHODS, AttributionOptions, Explainer, Heatmap
from maskdet.attribution.gradients import deconvolution, guided_backpropagation, smooth_grad
from maskdet.attribution.layered import with_activation_layers
from maskdet.attribution.occlusion import patch_corners
from maskdet.attribution.subject import Request, Subject
from maskdet.errors import MaskDetError
from maskdet.labels import CLASSES
from maskdet.models.cnn import Cnn, build_cnn
from maskdet.models.svm import Svm
from maskdet.runs import BUNDLED, open_run

QUICK = AttributionOptions(patch=50, stride=50, samples=2, channels=4)
SIDES = {"smoothgrad": 150, "guided-backpropagation": 150, "deconvolution": 150, "occlusion": 3}
NETWORK_METHODS = [name for name, method in METHODS.items() if method.needs_network]


@pytest.fixture(scope="module")
def model() -> Cnn:
    import keras

    keras.utils.set_random_seed(0)
    cnn = Cnn()
    cnn._use(build_cnn(0.5))
    return cnn


@pytest.fixture(scope="module")
def explainer(model: Cnn) -> Explainer:
    return Explainer(model, QUICK)


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 150, 150, 3)).astype(np.uint8)


@pytest.mark.parametrize("method", METHODS)
def test_maps_are_what_the_interface_says(method: str, explainer: Explainer, faces: np.ndarray) -> None:
    maps = {label: explainer.raw(method, faces, label) for label in CLASSES}
    side = SIDES.get(method, 10)
    for found in maps.values():
        assert (found.shape, found.dtype) == ((3, side, side), np.float32)
        assert np.isfinite(found).all()
        assert found.min() >= 0
    assert max(found.max() for found in maps.values()) > 0
    differ = not np.allclose(*maps.values(), rtol=1e-3, atol=0)
    assert differ == (method != "smoothgrad")  # which takes the size of a gradient, whatever its sign


@pytest.mark.parametrize("method", METHODS)
def test_a_face_has_the_same_map_again_alone_and_by_another_explainer(
    method: str, model: Cnn, explainer: Explainer, faces: np.ndarray
) -> None:
    together = explainer.raw(method, faces, "without_mask")
    alone = np.concatenate([explainer.raw(method, face[None], "without_mask") for face in faces])
    other = Explainer(model, QUICK).raw(method, faces, "without_mask")
    # Relative to the largest value: an untrained network's maps are small.
    assert np.abs(together - alone).max() <= 1e-5 * together.max()
    assert np.abs(together - other).max() <= 1e-5 * together.max()


@pytest.mark.parametrize("method", METHODS)
def test_a_heatmap_is_scaled_and_says_what_it_is_of(method: str, explainer: Explainer, faces: np.ndarray) -> None:
    raw = explainer.raw(method, faces, "without_mask")
    strongest = int(raw.max(axis=(1, 2)).argmax())
    heatmap = explainer.heatmap(method, faces[strongest], "without_mask")
    assert heatmap.has_evidence
    assert (heatmap.values.min() >= 0, heatmap.values.max()) == (True, 1.0)
    layer = "conv5_relu" if METHODS[method].uses_layer else None
    assert (heatmap.label, heatmap.method, heatmap.layer) == ("without_mask", method, layer)


@pytest.mark.parametrize("method", METHODS)
def test_no_face_has_no_map(method: str, explainer: Explainer, faces: np.ndarray) -> None:
    assert len(explainer.raw(method, faces[:0], "with_mask")) == 0


@pytest.mark.parametrize("method", METHODS)
def test_wrong_words_are_told(method: str, explainer: Explainer, faces: np.ndarray) -> None:
    with pytest.raises(MaskDetError, match=r"^A heatmap is of with_mask or without_mask, not of 'perhaps'\.$"):
        explainer.raw(method, faces, "perhaps")
    layer = "mixed7" if METHODS[method].uses_layer else "conv5_relu"
    expected = "The layer must be one of conv5_relu, .*, conv1_relu, not 'mixed7'" if layer == "mixed7" else "single"
    with pytest.raises(MaskDetError, match=expected):
        explainer.raw(method, faces, "with_mask", layer)


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.uses_layer])
def test_another_layer_can_be_chosen(method: str, explainer: Explainer, faces: np.ndarray) -> None:
    assert explainer.layers == ("conv5_relu", "conv4_relu", "conv3_relu", "conv2_relu", "conv1_relu")
    assert explainer.raw(method, faces[:1], "with_mask", "conv2_relu").shape == (1, 19, 19)
    assert explainer.heatmap(method, faces[0], "with_mask", "conv2_relu").layer == "conv2_relu"


@pytest.mark.parametrize("method", NETWORK_METHODS)
def test_a_model_without_network_is_told(method: str, faces: np.ndarray) -> None:
    with pytest.raises(MaskDetError, match="needs a convolutional network, which svm is not; occlusion explains any"):
        Explainer(Svm()).raw(method, faces, "with_mask")


def test_the_methods_of_a_model(explainer: Explainer, faces: np.ndarray) -> None:
    assert explainer.methods == (
        "grad-cam", "grad-cam++", "score-cam", "layer-cam", "smoothgrad", "guided-backpropagation", "deconvolution",
        "occlusion",
    )  # fmt: skip
    other = Explainer(FakeModel())
    assert (other.methods, other.layers, other.default_layer) == (("occlusion",), (), None)
    with pytest.raises(MaskDetError, match=r"must be one of grad-cam, .*, occlusion, not 'lime'"):
        explainer.raw("lime", faces, "with_mask")
    assert (explainer.uses_layer("score-cam"), explainer.uses_layer("occlusion")) == (True, False)


@pytest.mark.parametrize("method", ["score-cam", "smoothgrad", "occlusion"])
def test_slow_methods_tell_how_far_they_are(method: str, explainer: Explainer, faces: np.ndarray) -> None:
    told: list[float] = []
    explainer.raw(method, faces, "with_mask", progress=lambda done, total, text: told.append(done / total))
    assert len(told) >= 3
    assert told == sorted(told)
    assert (told[0] > 0, told[-1]) == (True, 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch": 150}, "patch must be below 150"),
        ({"stride": 0}, "not 30 and 0"),
        ({"stride": 20, "patch": 40}, "divide it and 150, not 40 and 20"),
        ({"patch": 40}, "not 40 and 15"),
        ({"samples": 0}, "at least 1, not 0 and 64"),
        ({"channels": 0}, "at least 1, not 32 and 0"),
        ({"noise": 0.0}, "noise must be above 0 and at most 1"),
        ({"noise": float("nan")}, "noise must be above 0 and at most 1"),
    ],
)
def test_options_out_of_range(change: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskDetError, match=message):
        AttributionOptions(**change)


# Against tf-keras-vis as it is, and by hand.


def theirs(kind: Any, network: Any, faces: np.ndarray, layer: str, score: Callable[[Any], Any]) -> np.ndarray:
    found = kind(network, clone=False)(
        score, faces.astype(np.float32), penultimate_layer=layer, seek_penultimate_conv_layer=False, expand_cam=False,
        normalize_cam=False,
    )  # fmt: skip
    return np.asarray(found)


@pytest.mark.parametrize(("label", "sign"), [("without_mask", 1.0), ("with_mask", -1.0)])
def test_class_activation_maps_equal_those_of_tf_keras_vis(
    explainer: Explainer, model: Cnn, faces: np.ndarray, label: str, sign: float
) -> None:
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
    from tf_keras_vis.layercam import Layercam

    for method, kind in (("grad-cam", Gradcam), ("grad-cam++", GradcamPlusPlus), ("layer-cam", Layercam)):
        expected = theirs(kind, model.network, faces, "conv5_relu", lambda output: sign * output[:, 0])
        ours = explainer.raw(method, faces, label)
        if method == "grad-cam++":  # it multiplies by the exponential of the score, which scales a face's map
            expected = expected / expected.max(axis=(1, 2), keepdims=True)
            ours = ours / ours.max(axis=(1, 2), keepdims=True)
        tolerance = 2e-3 if method == "grad-cam++" else 1e-5  # of which some weights are nearly 0 / 0
        assert np.abs(ours - expected).max() <= tolerance * ours.max(), method


def test_grad_cam_equals_tf_keras_vis_on_inception(faces: np.ndarray) -> None:
    """On the model that ships; a block such as mixed7 is no convolution."""
    from tf_keras_vis.gradcam import Gradcam

    (folder,) = BUNDLED.glob("inceptionv3-*")
    inception = open_run(folder).load_model()
    explainer = Explainer(inception)
    assert explainer.default_layer == "mixed7"
    assert explainer.layers == tuple(f"mixed{number}" for number in range(8, -1, -1))
    ours = explainer.raw("grad-cam", faces[:1], "with_mask")
    network: Any = inception.network  # type: ignore[attr-defined]
    expected = theirs(Gradcam, network, faces[:1], "mixed7", lambda output: -output[:, 0])
    assert ours.shape == (1, 7, 7)
    assert ours.max() > 0
    assert np.abs(ours - expected).max() <= 1e-5


def test_score_cam_weighs_channels_by_the_probability_of_the_label(model: Cnn, faces: np.ndarray) -> None:
    """Those of both labels add up to 1, so that the maps of both add up to the sum of all channels."""
    import keras

    maps = keras.Model(model.network.input, model.network.get_layer("conv5_relu").output)(faces[:1].astype(np.float32))
    explainer = Explainer(model, AttributionOptions(channels=1000))
    both = sum(explainer.raw("score-cam", faces[:1], label) for label in CLASSES)
    np.testing.assert_allclose(both, np.asarray(maps).sum(axis=-1), rtol=1e-4)


def tiny() -> Any:
    """score = relu(x1) + relu(x2) - relu(x3) - relu(x4), with the ReLU as a layer, as the CNN has them."""
    import keras

    inputs = keras.Input((1, 4, 1))
    hidden = keras.layers.Flatten()(keras.layers.ReLU(name="conv1_relu")(inputs))
    network = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(hidden))
    network.layers[-1].set_weights([np.array([[1.0], [1.0], [-1.0], [-1.0]])])
    return network


@pytest.mark.parametrize(
    ("method", "sign", "expected"),
    [
        # The ReLU is open for the first and the third pixel alone.
        (smooth_grad, 1.0, [1, 0, 1, 0]),
        (smooth_grad, -1.0, [1, 0, 1, 0]),
        (guided_backpropagation, 1.0, [1, 0, 0, 0]),
        (guided_backpropagation, -1.0, [0, 0, 1, 0]),
        (deconvolution, 1.0, [1, 1, 0, 0]),
        (deconvolution, -1.0, [0, 0, 1, 1]),
    ],
)
def test_gradients_by_hand(method: Callable[..., Any], sign: float, expected: list[int]) -> None:
    pixels = np.array([3.0, -2.0, 3.0, -2.0], np.float32).reshape(1, 1, 4, 1)
    subject = Subject(lambda faces: faces, tiny())
    request = Request(pixels, sign, "", AttributionOptions(noise=0.01, samples=3))  # type: ignore[arg-type]
    np.testing.assert_allclose(method(subject, request)[0, 0], expected, atol=1e-6)


def test_the_models_own_network_stays_as_it_is(explainer: Explainer, model: Cnn, faces: np.ndarray) -> None:
    """Guided backpropagation and deconvolution change activations, of a copy that computes the same."""
    import keras

    before = model.network(faces.astype(np.float32)).numpy()
    for method in ("guided-backpropagation", "deconvolution"):
        explainer.raw(method, faces, "with_mask")
    assert (model.network(faces.astype(np.float32)).numpy() == before).all()
    assert model.network.get_layer("dense").activation is keras.activations.relu
    copy = with_activation_layers(model.network)
    assert not any(isinstance(layer, keras.layers.ReLU) for layer in copy.layers)
    np.testing.assert_allclose(copy(faces.astype(np.float32)).numpy(), before, rtol=1e-5)


def test_occlusion_by_hand() -> None:
    """The fake model's logit falls by 0.8 where a grey patch of 30 by 30 hides a part of the lower half, 100 brighter.

    That is 100 levels on 900 of the half's 75 x 150 pixels, in tenths.
    """
    face = np.full((150, 150, 3), 127, np.uint8)
    face[75:] = 227
    explainer = Explainer(FakeModel())
    found = explainer.raw("occlusion", face[None], "without_mask")[0]
    # Of the patches of a cell's row, those from row 4 hide the lower half by half.
    expected = [0, 0, 0, 0, (0 + 0.4) / 2, (0.4 + 0.8) / 2, 0.8, 0.8, 0.8, 0.8]
    np.testing.assert_allclose(found, np.repeat(np.array(expected)[:, None], 10, axis=1), atol=1e-5)
    none = explainer.heatmap("occlusion", face, "with_mask")
    assert not none.has_evidence
    assert none.values.shape == (10, 10)


def test_occlusion_judges_all_copies_of_a_face_in_one_call() -> None:
    fake = FakeModel()
    Explainer(fake).raw("occlusion", np.zeros((2, 150, 150, 3), np.uint8), "with_mask")
    assert fake.batches == [82, 82]
    assert len(patch_corners(30, 15)) == 81
    assert patch_corners(75, 75) == [(0, 0), (0, 75), (75, 0), (75, 75)]


def test_occlusion_takes_a_quicker_way_to_the_logits() -> None:
    fake, calls = FakeModel(), []

    def quicker(faces: np.ndarray) -> np.ndarray:
        calls.append(len(faces))
        return faces.mean(axis=(1, 2, 3))

    Explainer(fake, QUICK, logits=quicker).raw("occlusion", np.zeros((1, 150, 150, 3), np.uint8), "with_mask")
    assert (calls, fake.batches) == ([10], [])


def test_a_single_place_is_no_evidence() -> None:
    assert not Heatmap(np.ones((1, 1), np.float32), "with_mask", "mixed10").has_evidence
    assert Heatmap(np.ones((2, 1), np.float32), "with_mask", "mixed10").has_evidence


def test_threads_share_an_explainer(model: Cnn, faces: np.ndarray) -> None:
    """As visitors of the app do, also while the first of them compiles."""
    from concurrent.futures import ThreadPoolExecutor

    shared, alone = Explainer(model, QUICK), Explainer(model, QUICK)
    work = [(method, label) for method in METHODS for label in CLASSES] * 2
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda each: shared.raw(each[0], faces[:1], each[1]), work))
    for each, maps in zip(work, found, strict=True):
        expected = alone.raw(each[0], faces[:1], each[1])
        assert np.abs(maps - expected).max() <= 1e-5 * expected.max(), each
