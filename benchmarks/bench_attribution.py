"""What a heatmap takes, on the models that ship: one face at a time, as a person looks at it, and 32 at once.

Grad-CAM is compared with tf-keras-vis, with the same layer and without enlarging the map: its object is made anew for
each face, as its documentation does, on the same network. Faces are drawn at random; no method cares what they show.
The quickest of several passes counts, after one that compiles. What is compared takes turns. Goals: Grad-CAM at least
8 times as fast as tf-keras-vis, with maps that differ by at most 1e-5. The other methods run in tf-keras-vis where it
has them, on a network whose layers are compiled (see `maskdet.attribution.layered`); for what that saves, LayerCAM is
compared with tf-keras-vis as it is. Occlusion judges 82 copies of a face. The last row of a model is what the curves of
deletion and insertion of a heatmap take, with those of 20 random maps, in the quickest runtime.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.framework import Row, duration, fresh
from maskdet.attribution import METHODS, Explainer
from maskdet.attribution.faithfulness import deletion_insertion
from maskdet.photos import RgbImage
from maskdet.quiet import import_tensorflow
from maskdet.runs import BUNDLED, Run, open_run
from maskdet.runtime import open_runtime

_GOAL = 8.0
_CLOSE = 1e-5
_BATCH = 32
_REPEATS = 5
_LABEL = "with_mask"


def run(quick: bool) -> list[Row]:
    """The rows of the table; quick: the CNN alone."""
    rows = []
    for name in ("cnn",) if quick else ("inceptionv3", "cnn"):
        rows += fresh(grad_cam_rows, name) + fresh(method_rows, name)
    return rows if quick else rows + fresh(method_rows, "svm")


def bundled(name: str) -> Run:
    """The run of a model that ships, on the main pool."""
    runs = [open_run(path.parent) for path in sorted(BUNDLED.glob("*/run.json"))]
    return next(run for run in runs if run.model_name == name and run.pool == "main")


def grad_cam_rows(name: str) -> list[Row]:
    """Grad-CAM against tf-keras-vis: time of a face, and the largest difference."""
    import_tensorflow()
    from tf_keras_vis.gradcam import Gradcam

    explainer, faces = _explainer(name), _faces()
    seconds = _alternate(
        {
            "ours": lambda: explainer.raw("grad-cam", faces[:1], _LABEL),
            "theirs": lambda: _theirs(Gradcam, explainer, faces[:1]),
        }
    )
    ratio = seconds["theirs"] / seconds["ours"]
    difference = np.abs(explainer.raw("grad-cam", faces, _LABEL) - _theirs(Gradcam, explainer, faces)).max()
    return [
        Row(f"{name}: Grad-CAM, a face", duration(seconds["ours"]), f"tf-keras-vis: {duration(seconds['theirs'])}",
            ratio, f"at least {_GOAL:.0f} times as fast", ratio >= _GOAL),
        Row(f"{name}: Grad-CAM, largest difference from tf-keras-vis", f"{difference:.1g}", "", None,
            f"at most {_CLOSE:g}", bool(difference <= _CLOSE)),
    ]  # fmt: skip


def method_rows(name: str) -> list[Row]:
    """All methods: a face, and each of 32; then the curves of one heatmap."""
    import_tensorflow()
    explainer, faces = _explainer(name), _faces()
    rows = []
    for method in explainer.methods:
        one = _quickest(partial(explainer.raw, method, faces[:1], _LABEL))
        begin = time.perf_counter()
        explainer.raw(method, faces, _LABEL)
        each = (time.perf_counter() - begin) / len(faces)
        baseline, ratio = "", None
        if method == "layer-cam":
            from tf_keras_vis.layercam import Layercam

            plain = _quickest(lambda: _theirs(Layercam, explainer, faces[:1]))
            baseline, ratio = f"tf-keras-vis as it is: {duration(plain)}", plain / one
        rows.append(
            Row(f"{name}: {METHODS[method].title}, a face", f"{duration(one)}; of {_BATCH}, {duration(each)} each",
                baseline, ratio)
        )  # fmt: skip
    runtime, face = open_runtime(bundled(name)), faces[0]
    heatmaps = (explainer.heatmap("occlusion", face, label) for label in (_LABEL, "without_mask"))
    heatmap = next(each for each in heatmaps if each.has_evidence)
    curves = _quickest(lambda: deletion_insertion(lambda many: runtime(many)[0], face, heatmap), 2)
    return [*rows, Row(f"{name}: deletion and insertion, a heatmap", duration(curves))]


def _explainer(name: str) -> Explainer:
    return Explainer(bundled(name).load_model())


def _faces() -> RgbImage:
    return np.random.default_rng(0).integers(0, 256, (_BATCH, 150, 150, 3)).astype(np.uint8)


def _theirs(kind: Any, explainer: Explainer, faces: RgbImage) -> Any:
    network: Any = explainer.model.network  # type: ignore[attr-defined]  # networks have one
    return np.asarray(
        kind(network, clone=False)(
            lambda output: -output[:, 0], faces.astype(np.float32), penultimate_layer=explainer.default_layer,
            seek_penultimate_conv_layer=False, expand_cam=False, normalize_cam=False,
        )
    )  # fmt: skip


def _alternate(functions: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """The quickest of several calls of each, taking turns."""
    for function in functions.values():
        function()
    seconds = dict.fromkeys(functions, np.inf)
    for _ in range(2 * _REPEATS):
        for name, function in functions.items():
            begin = time.perf_counter()
            function()
            seconds[name] = min(seconds[name], time.perf_counter() - begin)
    return seconds


def _quickest(function: Callable[[], Any], repeats: int = _REPEATS) -> float:
    function()
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)
