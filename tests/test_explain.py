import numpy as np
import pytest

from maskdet.errors import MaskDetError
from maskdet.explain import GradCam, Heatmap, overlay
from maskdet.models.cnn import Cnn, build_cnn
from maskdet.models.svm import Svm


@pytest.fixture(scope="module")
def model() -> Cnn:
    import keras

    keras.utils.set_random_seed(0)
    cnn = Cnn()
    cnn._use(build_cnn(0.5))
    return cnn


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 150, 150, 3)).astype(np.uint8)


@pytest.mark.parametrize(("label", "sign"), [("without_mask", 1.0), ("with_mask", -1.0)])
def test_grad_cam_equals_tf_keras_vis(model: Cnn, faces: np.ndarray, label: str, sign: float) -> None:
    from tf_keras_vis.gradcam import Gradcam

    theirs = Gradcam(model.network, clone=False)(
        lambda output: sign * output[:, 0], faces.astype(np.float32), penultimate_layer=model.gradcam_layer,
        seek_penultimate_conv_layer=False, expand_cam=False, normalize_cam=False,
    )  # fmt: skip
    ours = GradCam(model).raw(faces, label)
    assert ours.shape == (3, 10, 10)
    assert ours.max() > 0
    # Relative to the largest value: an untrained network's maps are small.
    assert np.abs(ours - np.asarray(theirs)).max() <= 1e-5 * ours.max()


def test_a_heatmap_is_scaled_to_its_largest_value(model: Cnn, faces: np.ndarray) -> None:
    grad_cam = GradCam(model)
    strongest = int(grad_cam.raw(faces, "without_mask").max(axis=(1, 2)).argmax())
    heatmap = grad_cam(faces[strongest], "without_mask")
    assert heatmap.has_evidence
    assert (heatmap.values.min() >= 0, heatmap.values.max()) == (True, 1.0)
    assert (heatmap.label, heatmap.layer) == ("without_mask", "conv5_relu")


def test_no_evidence_is_said_not_drawn() -> None:
    empty = Heatmap(np.zeros((10, 10), np.float32), "with_mask", "conv5_relu")
    assert not empty.has_evidence
    photo = np.full((30, 40, 3), 77, np.uint8)
    assert (overlay(photo, empty) == photo).all()


def test_overlay_keeps_the_size_and_leaves_cold_places_clear() -> None:
    values = np.zeros((10, 10), np.float32)
    values[:, :3] = 1
    photo = np.full((60, 80, 3), 100, np.uint8)
    hot = overlay(photo, Heatmap(values, "with_mask", "x"), opacity=1.0)
    assert (hot.shape, hot.dtype) == ((60, 80, 3), np.uint8)
    assert (hot[:, 48:] == 100).all()
    assert np.abs(hot[30, 4].astype(int) - [252, 255, 164]).max() <= 2
    assert (overlay(photo, Heatmap(values, "with_mask", "x"), opacity=0.0) == photo).all()


def test_only_networks_and_known_labels_are_explained(model: Cnn, faces: np.ndarray) -> None:
    with pytest.raises(MaskDetError, match="svm has no convolutional layer"):
        GradCam(Svm())
    with pytest.raises(MaskDetError, match="'perhaps'"):
        GradCam(model)(faces[0], "perhaps")
