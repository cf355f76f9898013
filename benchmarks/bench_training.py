"""What training takes: a step of each network, in both precisions and with its data beside it; a run; the SVM's grid.

A network is trained by the loop that `python -m maskdet train` runs, on the faces of the real split (drawn ones where
there are no real data, or with --quick), at the default batch size, all layers; InceptionV3 without ImageNet's weights,
which change no time. A constant batch is trained on again and again; augmented faces come through the pipeline of an
epoch, by the default plan. What is compared takes turns in blocks of about two seconds, in one process, and the
quickest block of each counts. Before each augmented block more steps than the pipeline prepares ahead run untimed, so
that none lives on what was made during another. Goal: a step with augmented faces takes at most 1.15 times a step on
the constant batch, and the precision that "auto" takes at most 1.05 times the quicker one. A run is extrapolated to the
default epochs and the faces of the split, with the judging of the validation faces after each epoch; a first phase with
frozen layers counts as if all were trained. The stem of the CNN, its first convolution, has a stride of four; a stride
of two is shown for what it would cost. The SVM is fitted to the faces of the split, one grid point a kernel.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
from joblib.externals.loky import get_reusable_executor

from benchmarks.bench_augment import store_faces
from benchmarks.framework import Row, SkipError, duration, fresh, shared_data
from maskdet.catalog import load_catalog
from maskdet.facetable import scan
from maskdet.models import FitData, LabelledImages, create_model
from maskdet.quality import apply_filters, save_filtered
from maskdet.split import save_split, split_faces
from maskdet.training_data import Plan, training_data
from maskdet.workspace import Workspace

_NETWORKS: dict[str, dict[str, Any]] = {
    "cnn": {},
    "cnn-transfer": {},
    "inceptionv3 to mixed8": {"weights": "none", "cut": "mixed8"},
    "inceptionv3": {"weights": "none"},
}
_STARVES = 1.15
_SLOWER = 1.05
_UNTIMED = 6
_BLOCK_SECONDS = 2.0
_FEWEST_STEPS = 2
_REPEATS = 6
_SHARDS_OF_DRAWN_FACES = 40

Step = Callable[[], None]


def run(quick: bool) -> list[Row]:
    """The rows of the table; quick: 800 drawn faces, the CNN and the SVM alone, few and short blocks."""
    with TemporaryDirectory() as folder:
        home = Path(folder) / "workspace"
        if not quick:
            _split(home)
        rows = []
        for title, options in _NETWORKS.items():
            if title == "cnn" or not quick:
                rows += fresh(network_rows, title, options, home, quick)
        rows += fresh(stem_rows, home, quick)
        return rows + fresh(svm_rows, home, quick)


def network_rows(title: str, options: dict[str, Any], home: Path, quick: bool) -> list[Row]:
    """A step in both precisions, a step with augmented faces, and a run."""
    from maskdet.models.precision import best_precision

    name = title.split()[0]
    data, chosen = fit_data(home), best_precision()
    sessions = {kind: _session(name, options | {"precision": kind}, data) for kind in ("float32", "bfloat16")}
    session = sessions[chosen][0]
    constants = {kind: _constant(*pair) for kind, pair in sessions.items()}
    seconds = _alternate({**constants, "augmented": _augmented(*sessions[chosen])}, quick)
    full, half, fed = seconds["float32"], seconds["bfloat16"], seconds["augmented"]
    batch = session.options.batch_size
    settled = seconds[chosen] <= _SLOWER * min(full, half)
    return [
        Row(f"{title}, a step of {batch} images: {chosen} is taken", f"bfloat16: {_pace(half, batch)}",
            f"float32: {_pace(full, batch)}", full / half, "takes the quicker one", settled),
        Row(f"{title}, a step with augmented faces", f"{_pace(fed, batch)}, {fed / seconds[chosen]:.2f} times",
            f"constant batch: {_pace(seconds[chosen], batch)}", seconds[chosen] / fed,
            f"at most {_STARVES} times", fed <= _STARVES * seconds[chosen]),
        _run_row(title, session, fed, quick),
    ]  # fmt: skip


def stem_rows(home: Path, quick: bool) -> list[Row]:
    """What a stem of the CNN with a stride of two instead of four would cost."""
    from maskdet.models import cnn

    data, block = fit_data(home), cnn.block

    def finer(x: Any, number: int, filters: int, kernel: int, strides: int = 1) -> Any:
        return block(x, number, filters, kernel, 2 if strides == 4 else strides)

    ours = _session("cnn", {}, data)
    with patch.object(cnn, "block", finer):
        other = _session("cnn", {}, data)
    seconds = _alternate({"four": _constant(*ours), "two": _constant(*other)}, quick)
    batch = ours[0].options.batch_size
    return [
        Row("cnn, a step by the stride of its stem", f"four: {_pace(seconds['four'], batch)}",
            f"two: {_pace(seconds['two'], batch)}", seconds["two"] / seconds["four"])
    ]  # fmt: skip


def svm_rows(home: Path, quick: bool) -> list[Row]:
    """A grid point of each kernel: five folds of cross-validation."""
    data = fit_data(home)
    begin = time.perf_counter()
    history = create_model("svm", {"C": [10.0], "gamma": ["scale"]}).fit(data, seed=0)
    whole = time.perf_counter() - begin
    get_reusable_executor().shutdown()  # this process could not end while joblib's wait for work
    points = [float(entry["seconds"]) for entry in history]
    faces = f"{len(data.train):,} faces"
    rows = [
        Row(f"svm, a grid point ({entry['kernel']}), {faces}", duration(seconds))
        for entry, seconds in zip(history, points, strict=True)
    ]
    return [*rows, Row(f"svm, all but the grid points, {faces}", duration(whole - sum(points)))]


def fit_data(home: Path) -> FitData:
    """The faces of a workspace's split; where it has none, drawn faces in files as a scan writes them."""
    if (home / "faces.parquet").is_file():
        return training_data(Workspace(home), Plan("cnn", watched=())).fit
    home.mkdir(exist_ok=True)
    drawn, _ = store_faces(home, _SHARDS_OF_DRAWN_FACES)
    numbers = np.arange(len(drawn))
    ids = tuple(f"drawn/{number}" for number in numbers)
    faces = LabelledImages(drawn, numbers % 2, numbers, ids, ("drawn",) * len(drawn))
    return FitData(faces, faces)


def _session(name: str, options: dict[str, Any], data: FitData) -> tuple[Any, Any]:
    """A fit that has begun, and its training step of the phase that trains all layers."""
    from maskdet.models.session import Session
    from maskdet.progress import silent

    model: Any = create_model(name, options)
    if model.needs_base:
        model.use_base(None)
    session = Session(model, data, 0, silent)
    step, _ = session.begin(model.phases()[-1])
    return session, step


def _constant(session: Any, step: Any) -> Step:
    """Trains on one batch again and again."""
    import tensorflow as tf

    batch = [tf.identity(part) for part in next(iter(session.batches(0)))]
    return lambda: _take(step, batch)


def _augmented(session: Any, step: Any) -> Step:
    """Trains on the batches of one epoch after the other."""

    def forever() -> Iterator[Any]:
        epoch = 0
        while True:
            # A smaller last batch would flatter the pipeline.
            yield from (batch for batch in session.batches(epoch) if len(batch[1]) == session.options.batch_size)
            epoch += 1

    stream = forever()
    return lambda: _take(step, next(stream))


def _take(step: Any, batch: Any) -> None:
    for value in step(*batch):  # as the loop does, which waits for a step's figures before it takes the next batch
        float(value)


def _alternate(steps: dict[str, Step], quick: bool) -> dict[str, float]:
    """Seconds of a step of each kind: those of the quickest block, the kinds taking turns."""
    counts = {}
    for name, step in steps.items():
        step()  # traced and compiled now
        begin = time.perf_counter()
        step()
        counts[name] = max(_FEWEST_STEPS, round((0.2 if quick else _BLOCK_SECONDS) / (time.perf_counter() - begin)))
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    slow = min(counts.values()) == _FEWEST_STEPS
    for _ in range(2 if quick else _REPEATS // 2 if slow else _REPEATS):
        for name, step in steps.items():
            for _ in range(_UNTIMED if name == "augmented" else 1):
                step()
            begin = time.perf_counter()
            for _ in range(counts[name]):
                step()
            seconds[name].append((time.perf_counter() - begin) / counts[name])
    return {name: min(each) for name, each in seconds.items()}


def _run_row(title: str, session: Any, step: float, quick: bool) -> Row:
    """Minutes of a run at the model's default options."""
    faces = session.data.validation
    few = faces.images.take(np.arange(min(len(faces), 2 * session.options.batch_size)))
    session.logits(few)
    times = []
    for _ in range(2 if quick else _REPEATS):
        begin = time.perf_counter()
        session.logits(few)
        times.append(time.perf_counter() - begin)
    judging = min(times) / len(few) * len(faces)
    seconds = session.epochs * (session.steps * step + judging)
    what = f"{title}, a run of {session.epochs} epochs of {len(session.data.train):,} faces"
    return Row(what, f"{seconds / 60:.0f} minutes, {judging / (session.steps * step + judging):.0%} of them judging")


def _pace(seconds: float, batch: int) -> str:
    return f"{duration(seconds)} ({batch / seconds:,.0f} images/s)"


def _split(home: Path) -> None:
    """Scan, filter and split the real data into a workspace, where there are any."""
    try:
        photos = shared_data()
    except SkipError:
        return
    workspace = Workspace(home)
    faces = scan(workspace, photos)
    filtered = apply_filters(faces)
    save_filtered(workspace, filtered)
    save_split(workspace, split_faces(faces, filtered, load_catalog()))
