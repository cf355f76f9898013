"""Verdicts of the bundled runs: the first one in a new process, one face, and 100 faces, against TensorFlow.

First verdict: a new process imports what it needs, opens a run with what is known of its reliability, and judges one
face. The baseline is a new process that imports TensorFlow and runs the same network once on the same face, built and
with its weights loaded without counting the time of it. Goal: at most 1.5 times the baseline.

One face and 100 faces: the runtime against a compiled TensorFlow function of the same network, in one process and in
turn; the largest difference of their logits on these faces, which are drawn and noise, is to be at most 1e-3. Judging
100 faces, with their features' distance to the training faces, is to reach at least 85 % of the batch throughput of the
engine alone on a ready array. The quickest call of each counts: other programs only ever make one slower.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.framework import Row, duration, fresh

_GOAL_FIRST, _GOAL_THROUGHPUT, _GOAL_LOGITS = 1.5, 0.85, 1e-3
_FACES = 100


def run(quick: bool) -> list[Row]:
    """The rows of the table; quick: each is measured once or twice."""
    from maskdet.runs import BUNDLED

    rows = []
    for path in sorted(BUNDLED.glob("*/run.json")):
        rows += [first_row(path.parent, 1 if quick else 3), *fresh(warm_rows, path.parent, 2 if quick else 15)]
    return rows


def first_row(folder: Path, repeats: int) -> Row:
    """The first verdict of a run against TensorFlow's import and a forward pass."""
    bare, judged = [], []
    for _ in range(repeats):
        bare.append(fresh(seconds_of_tensorflow, folder))
        judged.append(fresh(seconds_to_first_verdict, folder))
    ratio = min(judged) / min(bare)
    return Row(
        f"{_short(folder)}: first verdict", duration(min(judged)), f"TensorFlow: {duration(min(bare))}", 1 / ratio,
        f"at most {_GOAL_FIRST} times", ratio <= _GOAL_FIRST,
    )  # fmt: skip


def seconds_of_tensorflow(folder: Path) -> float:
    """Seconds of the import and of the first forward pass of a run's network, or of a tiny one if it has none."""
    begin = time.perf_counter()
    import tensorflow as tf

    seconds = time.perf_counter() - begin
    from maskdet.runs import open_run

    model = open_run(folder).load_model()
    network = getattr(model, "network", None) or tf.keras.Sequential([tf.keras.layers.Dense(1)])
    face = _faces(1)
    begin = time.perf_counter()
    network(face if model.needs_tensorflow else face.reshape(1, -1), training=False)
    return seconds + time.perf_counter() - begin


def seconds_to_first_verdict(folder: Path) -> float:
    """Seconds until a new process has judged one face."""
    face = _faces(1)
    begin = time.perf_counter()
    from maskdet.predict import open_judge
    from maskdet.runs import open_run

    open_judge(open_run(folder))(face)
    return time.perf_counter() - begin


def warm_rows(folder: Path, repeats: int) -> list[Row]:
    """One face, 100 faces, and the judging of 100 faces."""
    import numpy as np

    from maskdet.predict import open_judge
    from maskdet.runs import open_run

    opened = open_run(folder)
    judge, faces, name = open_judge(opened), _faces(_FACES), _short(folder)
    raw = _engine(judge.runtime)
    rows = []
    if judge.runtime.engine == "onnxruntime":
        compiled = _compiled(opened)
        difference = float(np.abs(judge.runtime(faces)[0] - compiled(faces)[:, 0]).max())
        for count in (1, _FACES):
            few = faces[:count]
            slow, quick = in_turn(repeats, lambda few=few: compiled(few), lambda few=few: judge.runtime(few))
            what = f"{name}: {count} face{'s' * (count > 1)}, logits within {difference:.0e}"
            goal = {"goal": "logits within 1e-3", "met": difference <= _GOAL_LOGITS}
            rows.append(Row(what, duration(quick), f"compiled TensorFlow: {duration(slow)}", slow / quick, **goal))
    alone, judged = in_turn(repeats, lambda: raw(faces), lambda: judge(faces))
    rows.append(
        Row(
            f"{name}: judging {_FACES} faces",
            f"{duration(judged)} ({_FACES / judged:,.0f} faces/s)",
            f"{judge.runtime.engine} alone: {duration(alone)}",
            alone / judged,
            f"at least {_GOAL_THROUGHPUT} of the throughput",
            alone / judged >= _GOAL_THROUGHPUT,
        )
    )
    return rows


def in_turn(repeats: int, *calls: Callable[[], Any]) -> list[float]:
    """Seconds of the quickest of each call, in turn, after one call each that does not count."""
    for call in calls:
        call()
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for call, measured in zip(calls, seconds, strict=True):
            begin = time.perf_counter()
            call()
            measured.append(time.perf_counter() - begin)
    return [min(measured) for measured in seconds]


def _engine(runtime: Any) -> Callable[[Any], Any]:
    """What a runtime rests on, without anything around it."""
    session = getattr(runtime, "_session", None)
    if session is not None:
        return lambda faces: session.run(None, {"faces": faces})
    pipeline = runtime._model.pipeline
    return lambda faces: pipeline.decision_function(faces.reshape(len(faces), -1).astype("float32") / 255)


def _compiled(opened: Any) -> Callable[[Any], Any]:
    import numpy as np

    from maskdet.models.session import compiled_forward

    forward = compiled_forward(opened.load_model().network)
    return lambda faces: np.asarray(forward(faces))


def _faces(count: int) -> Any:
    """Drawn faces and noise, in turn."""
    import numpy as np

    from benchmarks.nonfaces import drawn_faces, noise

    faces = np.concatenate([drawn_faces((count + 1) // 2), noise(count // 2)])
    return np.ascontiguousarray(faces)


def _short(folder: Path) -> str:
    return folder.name.rpartition("-")[0].rpartition("-")[0] + " " + folder.name.rpartition("-")[2]
