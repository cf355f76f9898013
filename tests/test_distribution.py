"""Several devices, and several processes, train as one does: with real processes, two on this machine as a cluster."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from factories import Cut, cut_after, fit_data, prepared
from quick_trainings import without_times

from maskdet import train as training
from maskdet.augment import AugmentOptions
from maskdet.cli import main
from maskdet.errors import MaskDetError
from maskdet.models import cnn, distribution
from maskdet.models.checkpoint import FolderCheckpoint, History, ReadCheckpoint
from maskdet.models.cnn import Cnn, CnnOptions
from maskdet.models.distribution import CLUSTER_VARIABLE, Place, is_chief, place
from maskdet.models.feeding import steps_per_epoch
from maskdet.runs import find_run, list_runs, unfinished_runs
from maskdet.workspace import Workspace

TESTS = Path(__file__).parent
LIMIT = 200  # seconds
#: A cluster adds up gradients and batch statistics part by part, so its last digits differ from one device's.
CLOSE = 1e-4
DATA = fit_data(15, 9, 6)

Weights = list[np.ndarray]


def options(**changed: Any) -> CnnOptions:
    """15 faces in batches of 6, 6 and 3: the last one is smaller, and its parts for two replicas differ."""
    plain = {"epochs": 2, "batch_size": 6, "learning_rate": 1e-2, "precision": "float32", "dropout": 0.0}
    return CnnOptions(**plain | changed)


def fit(name: str, folder: Path, seed: int = 3, checkpoint: Any = None, **changed: Any) -> None:
    """Train and write what came of it: weights, history and progress, or the error."""
    told: list[str] = []
    model = Cnn(options(**changed))
    try:
        history = model.fit(DATA, seed=seed, progress=lambda *state: told.append(state[2]), checkpoint=checkpoint)
    except MaskDetError as error:
        (folder / f"{name}.json").write_text(json.dumps(str(error)))
        return
    np.savez(folder / f"{name}.npz", *model.network.get_weights())
    (folder / f"{name}.json").write_text(json.dumps([history, told]))


def work(folder: Path) -> None:
    """What a worker of the cluster trains, or the one process that has two devices."""
    cnn.convolutions = tiny_convolutions
    here = place()
    mine = folder / str(here.index)
    mine.mkdir(parents=True, exist_ok=True)
    fit("plain", mine)
    dropping = {"dropout": 0.5, "batch_size": 7}  # a last batch of one face
    fit("dropped", mine, **dropping)
    kept = folder / "checkpoint"
    kept.mkdir(exist_ok=True)
    try:
        fit("cut", mine, **dropping, checkpoint=(cut_after(1) if here.is_chief else CutReader)(kept))
    except Cut:
        fit("resumed", mine, **dropping, checkpoint=(FolderCheckpoint if here.is_chief else ReadCheckpoint)(kept))
    if here.workers > 1:
        fit("unlike", mine, seed=here.index)
        home = folder / "home"
        (unfinished,) = unfinished_runs(Workspace(home))
        shell(mine / "resume", "resume", unfinished.id, "--home", str(home))
        shell(mine / "train", "train", "cnn", "--epochs", "1", "--set", "batch_size=8", "--home", str(home))


class CutReader(ReadCheckpoint):
    """Cuts the fit of another worker where `CutAfter` cuts the chief's."""

    def save(self, history: History, arrays: Any) -> None:
        raise Cut


def work_on_two_devices(folder: Path) -> None:
    """As `work`, with the processor as two logical devices of one process."""
    import tensorflow as tf

    from maskdet.models import session

    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    session.current_strategy = lambda: strategy
    work(folder)


def shell(log: Path, *arguments: str) -> None:
    """Run a command of the shell and write its exit status, what it says and what it prints."""
    said, printed = StringIO(), StringIO()
    with redirect_stderr(said), redirect_stdout(printed), pytest.raises(SystemExit) as left:
        main(arguments)
    log.with_suffix(".json").write_text(json.dumps([left.value.code, said.getvalue(), printed.getvalue()]))


def tiny_convolutions() -> tuple[Any, Any]:
    """In the place of `maskdet.models.cnn.convolutions`: one, and its batch normalisation."""
    import keras

    inputs = keras.Input((150, 150, 3))
    return inputs, cnn.block(keras.layers.AveragePooling2D(10)(keras.layers.Rescaling(1 / 255)(inputs)), 1, 4, 3)


def cluster_of(count: int) -> list[dict[str, str]]:
    """The environment of each worker of a new cluster on this machine."""
    with ExitStack() as held:  # all at once, so that no two are the same
        sockets = [held.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        workers = [f"localhost:{one.getsockname()[1]}" for one in sockets]
    return [
        {CLUSTER_VARIABLE: json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})}
        for index in range(count)
    ]


def run_all(calls: Sequence[str], environments: Sequence[dict[str, str]]) -> list[subprocess.CompletedProcess[str]]:
    """Run calls of functions of this module at the same time, each in a process of its own."""
    common = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]), "TF_CPP_MIN_LOG_LEVEL": "3"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", f"from pathlib import Path\nimport test_distribution\ntest_distribution.{call}"],
            env=common | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for call, environment in zip(calls, environments, strict=True)
    ]  # fmt: skip
    try:
        outputs = [process.communicate(timeout=LIMIT) for process in running]
    finally:
        for process in running:
            process.kill()
    return [
        subprocess.CompletedProcess(process.args, process.returncode, *output)
        for process, output in zip(running, outputs, strict=True)
    ]


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what two workers trained together (``two``), and one process on two devices (``mirrored``)."""
    root = tmp_path_factory.mktemp("worked")
    begin_training(Workspace(root / "two/home"), root / "data")
    for done in run_all([f"work(Path({str(root / 'two')!r}))"] * 2, cluster_of(2)):
        assert done.returncode == 0, done.stderr[-3000:]
    (done,) = run_all([f"work_on_two_devices(Path({str(root / 'mirrored')!r}))"], [{}])
    assert done.returncode == 0, done.stderr[-3000:]
    return root


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what this one process trains, on one device."""
    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cnn, "convolutions", tiny_convolutions)
        fit("plain", folder)
    return folder


def begin_training(workspace: Workspace, photos: Path) -> None:
    """Cut a training after its first epoch."""
    prepared(workspace, photos, {"with_mask": 15, "without_mask": 15})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cnn, "convolutions", tiny_convolutions)
        patch.setattr(training, "FolderCheckpoint", cut_after(1))
        with pytest.raises(Cut):
            training.train(workspace, "cnn", {"epochs": 2, "batch_size": 8, "precision": "float32"})


def weights(folder: Path, name: str) -> Weights:
    with np.load(folder / f"{name}.npz") as stored:
        return [stored[key] for key in stored.files]


def record(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text())


def assert_same(one: Weights, other: Weights) -> None:
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def assert_close(one: Weights, other: Weights) -> None:
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("name", ["plain", "dropped", "resumed"])
def test_workers_end_with_the_same_weights_and_history(worked: Path, name: str) -> None:
    assert_same(weights(worked / "two/0", name), weights(worked / "two/1", name))
    (history, told), (other_history, other_told) = record(worked / "two/0", name), record(worked / "two/1", name)
    assert without_times(history) == without_times(other_history)
    assert told == other_told
    assert [entry["epoch"] for entry in history] == [1, 2]
    assert {"val_loss", "watched_macro_f1"} <= history[0].keys()


def test_a_cluster_learns_what_one_process_learns(worked: Path, alone: Path) -> None:
    """Batch normalisation included: its statistics are those of the whole batch, not of a worker's part."""
    assert_close(weights(worked / "two/0", "plain"), weights(alone, "plain"))
    (history, told), (expected, _) = record(worked / "two/0", "plain"), record(alone, "plain")
    for entry, other in zip(without_times(history), without_times(expected), strict=True):
        assert entry == pytest.approx(other, abs=CLOSE)
    assert told[0] == "waiting for the other workers"
    assert told[1].startswith("epoch 1 of 2, batch 1 of 3, loss")


@pytest.mark.parametrize("name", ["plain", "dropped", "resumed"])
def test_two_devices_of_one_process_learn_what_two_workers_learn(worked: Path, name: str) -> None:
    assert_close(weights(worked / "mirrored/0", name), weights(worked / "two/0", name))


def test_a_training_resumed_by_a_cluster_ends_as_if_never_cut(worked: Path) -> None:
    assert_same(weights(worked / "two/0", "resumed"), weights(worked / "two/0", "dropped"))
    history, told = record(worked / "two/1", "resumed")
    assert "going on after epoch 1 of 2" in told
    assert without_times(history) == without_times(record(worked / "two/1", "dropped")[0])


def test_a_batch_of_fewer_faces_than_replicas_is_left_out(worked: Path) -> None:
    _, told = record(worked / "two/0", "dropped")
    assert [text.partition(", loss")[0] for text in told if "batch" in text] == [
        f"epoch {epoch} of 2, batch {batch} of 2" for epoch in (1, 2) for batch in (1, 2)
    ]


def test_workers_of_unlike_trainings_refuse_to_go_on(worked: Path) -> None:
    for index in (0, 1):
        assert "were not given the same training" in record(worked / f"two/{index}", "unlike")


@pytest.mark.parametrize(("faces", "batch_size", "steps"), [(15, 7, 2), (16, 7, 3), (15, 6, 3), (2, 64, 1)])
def test_steps_of_two_replicas(faces: int, batch_size: int, steps: int) -> None:
    train = fit_data(faces, 2).train
    assert steps_per_epoch(train, AugmentOptions(), batch_size, 2) == steps


def test_more_replicas_than_faces_of_a_batch() -> None:
    with pytest.raises(MaskDetError, match="4 devices that train together need batches of at least 4 images, not 3"):
        steps_per_epoch(fit_data(8, 2).train, AugmentOptions(), 3, 4)


@pytest.mark.parametrize(("name", "epochs"), [("resume", 2), ("train", 1)])
def test_only_the_chief_writes_a_run(worked: Path, name: str, epochs: int) -> None:
    (status, said, printed), (other_status, other_said, other_printed) = (
        record(worked / f"two/{index}", name) for index in (0, 1)
    )
    assert (status, other_status) == (0, 0), said + other_said
    workspace = Workspace(worked / "two/home")
    run = find_run(workspace, printed.splitlines()[-1])
    assert list(run.history["epoch"]) == list(range(1, epochs + 1))
    assert other_printed == ""
    assert "this worker's part is done; the chief writes the run" in other_said
    assert len([run for run in list_runs(workspace) if not run.is_bundled]) == 2
    assert unfinished_runs(workspace) == []


def test_each_replica_drops_other_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of two workers, with two GPUs, has the replicas 2 and 3 of 4."""
    import tensorflow as tf

    states = [tf.Variable([7, 9], dtype=tf.uint32) for _ in range(2)]
    generator = SimpleNamespace(state=SimpleNamespace(value=states))
    network = SimpleNamespace(layers=[SimpleNamespace(), SimpleNamespace(seed_generator=generator)])
    strategy = SimpleNamespace(num_replicas_in_sync=4, experimental_local_results=tuple)
    monkeypatch.setattr(distribution, "place", lambda: Place(1, ("a:1", "b:1")))
    distribution.draw_apart(network, strategy)
    assert [state.numpy().tolist() for state in states] == [[9, 9], [10, 9]]


def test_a_worker_that_is_gone_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    monkeypatch.setattr(distribution, "place", lambda: Place(0, ("a:1", "b:1")))
    with pytest.raises(MaskDetError, match="Another worker of the cluster is gone"), distribution.cluster_failures():
        raise tf.errors.UnavailableError(None, None, "Socket closed")
    monkeypatch.setattr(distribution, "place", Place)
    with pytest.raises(tf.errors.UnavailableError), distribution.cluster_failures():
        raise tf.errors.UnavailableError(None, None, "Socket closed")


def test_the_svm_is_not_for_the_workers_of_a_cluster(workspace: Workspace, tmp_path: Path) -> None:
    prepared(workspace, tmp_path / "data", {"with_mask": 15, "without_mask": 15})
    with pytest.raises(MaskDetError, match="svm with these options is not trained by several workers"):
        training.assist(workspace, "svm", None, lambda *state: None)
    with pytest.raises(MaskDetError, match="inceptionv3 with these options is not trained by several workers"):
        training.assist(workspace, "inceptionv3", {"frozen": True, "weights": "none"}, lambda *state: None)


def test_a_worker_cannot_make_the_base_of_a_transfer(workspace: Workspace, tmp_path: Path) -> None:
    prepared(workspace, tmp_path / "data", {"with_mask": 15, "without_mask": 15})
    with pytest.raises(MaskDetError, match="name one with --base"):
        training.assist(workspace, "cnn-transfer", None, lambda *state: None)


def describe(cluster: Any, role: str = "worker", index: Any = 0) -> str:
    return json.dumps({"cluster": cluster, "task": {"type": role, "index": index}})


WORKERS = ["a:1", "b:2", "c:3"]


@pytest.mark.parametrize(
    ("text", "index", "workers"),
    [
        (None, 0, 1),
        ("", 0, 1),
        ("{}", 0, 1),
        ('{"task": {"type": "worker", "index": 2}}', 0, 1),
        (describe({"worker": WORKERS}), 0, 3),
        (describe({"worker": WORKERS}, index=2), 2, 3),
        (describe({"chief": ["z:9"], "worker": WORKERS}, "chief"), 0, 4),
        (describe({"chief": ["z:9"], "worker": WORKERS}), 1, 4),
    ],
)
def test_place(text: str | None, index: int, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CLUSTER_VARIABLE, raising=False)
    if text is not None:
        monkeypatch.setenv(CLUSTER_VARIABLE, text)
    here = place()
    assert (here.index, here.workers) == (index, workers)
    assert is_chief() is (index == 0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("worker 0", "Expecting value"),
        ("[1]", "'list' object has no attribute 'get'"),
        ('{"cluster": {"worker": ["a:1"]}}', "'task'"),
        (describe(["a:1"]), "unhashable|list|known"),
        (describe({"worker": WORKERS, "ps": ["d:4"]}), "only chief and worker are known, not 'ps'"),
        (describe({"worker": "a:1"}), "addresses must be a list of host:port, not 'a:1'"),
        (describe({"worker": ["a", "b:1"]}), "addresses must be a list of host:port"),
        (describe({"chief": ["a:1", "b:1"], "worker": ["c:1"]}), "one chief only"),
        (describe({"worker": WORKERS}, index=3), "no task 'worker' with the index 3"),
        (describe({"worker": WORKERS}, index=-1), "no task 'worker' with the index -1"),
        (describe({"worker": WORKERS}, index="1"), "no task 'worker' with the index '1'"),
        (describe({"worker": WORKERS}, "chief"), "no task 'chief' with the index 0"),
    ],
)
def test_a_malformed_cluster_is_one_sentence(text: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CLUSTER_VARIABLE, text)
    with pytest.raises(MaskDetError, match=f"TF_CONFIG describes no cluster .*({reason}).*it should be like") as found:
        place()
    assert "\n" not in str(found.value)


@pytest.fixture
def listening() -> Iterator[Callable[[], int]]:
    """Opens a port that answers, as a worker that is there does."""
    with ExitStack() as held:
        yield lambda: held.enter_context(socket.create_server(("localhost", 0))).getsockname()[1]


def free_port() -> int:
    with closing(socket.create_server(("localhost", 0))) as one:
        return int(one.getsockname()[1])


def test_a_worker_waits_for_the_others(listening: Callable[[], int]) -> None:
    here = Place(1, (f"localhost:{listening()}", f"localhost:{free_port()}", f"localhost:{listening()}"))
    distribution._await_workers(here, minutes=0.1)
    with pytest.raises(MaskDetError, match="No worker of the cluster answers at localhost:1 after 0 minutes"):
        distribution._await_workers(Place(0, (f"localhost:{free_port()}", "localhost:1")), minutes=0)


def test_a_port_in_use(listening: Callable[[], int]) -> None:
    port = listening()
    with pytest.raises(MaskDetError, match=f"cannot listen at port {port}"):
        distribution._await_workers(Place(0, (f"localhost:{port}", "localhost:1")), minutes=0)
