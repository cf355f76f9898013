"""The grid search of the SVM on the workers of a Dask cluster of this machine."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from distributed import Client, LocalCluster
from factories import fit_data, prepared
from quick_trainings import without_times

import maskdet.cluster
from maskdet.cli import main
from maskdet.cluster import dask_workers
from maskdet.errors import MaskDetError
from maskdet.models.checkpoint import History
from maskdet.models.svm import Svm, SvmOptions
from maskdet.runs import Run, find_run
from maskdet.workspace import Workspace

OPTIONS = SvmOptions(components=6, C=(1.0, 10.0), gamma=("scale", 0.01), folds=3)
DATA = fit_data(60, 20)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense"])
def test_a_scheduler_that_does_not_answer(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maskdet.cluster, "_TIMEOUT", 1)
    with pytest.raises(MaskDetError, match=f"No Dask scheduler answers at {address}") as found, dask_workers(address):
        pass
    assert "\n" not in str(found.value)


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a scheduler with two workers, processes of their own."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def test_a_grid_search_on_dask_gives_the_serial_result(scheduler: str) -> None:
    def fit(address: str | None) -> tuple[History, np.ndarray, list[tuple[int, int, str]]]:
        told: list[tuple[int, int, str]] = []
        model = Svm(OPTIONS)
        with dask_workers(address):
            history = model.fit(DATA, seed=4, progress=lambda *state: told.append(state))
        return without_times(history), model.predict_logit(DATA.validation.images), told

    (history, logits, told), (expected, expected_logits, _) = fit(scheduler), fit(None)
    assert history == expected
    np.testing.assert_array_equal(logits, expected_logits)
    points = [text for _, _, text in told if text.startswith("grid point")]
    assert len(points) == len(history) == 6
    assert points[-1] == "grid point 6 of 6: linear, C 10"
    assert [done for done, _, text in told if text in points] == [1, 2, 3, 4, 5, 6]


def test_the_work_is_done_by_the_workers(scheduler: str) -> None:
    with Client(scheduler) as client:

        def steps() -> int:
            return sum(client.run(lambda dask_worker: len(dask_worker.state.log)).values())

        before = steps()
        with dask_workers(scheduler):
            Svm(OPTIONS).fit(DATA, seed=4)
        assert steps() > before


def test_the_shell_trains_on_a_scheduler(scheduler: str, workspace: Workspace, tmp_path: Path,
                                         capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    prepared(workspace, tmp_path / "data", {"with_mask": 20, "without_mask": 20})
    small = [f"--set={name}" for name in ("components=4", "C=[1, 10]", 'kernel=["linear"]', "folds=2")]

    def train(*more: str) -> Run:
        with pytest.raises(SystemExit) as left:
            main(["train", "svm", *small, *more, "--home", str(workspace.home)])
        printed = capsys.readouterr()
        assert left.value.code == 0, printed.err
        return find_run(workspace, printed.out.splitlines()[-1])

    there, here = train("--scheduler", scheduler), train()
    assert there.id != here.id
    assert there.predictions.equals(here.predictions)
    assert there.history.drop(columns="seconds").equals(here.history.drop(columns="seconds"))


def test_the_scheduler_is_for_the_svm(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["train", "cnn", "--scheduler", "tcp://127.0.0.1:9", "--home", str(workspace.home)])
    assert left.value.code == 1
    assert "--scheduler is for svm" in capsys.readouterr().err


def test_a_scheduler_without_workers(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_come(client: Client, n_workers: int, timeout: float) -> None:
        raise TimeoutError(f"Only 0/{n_workers} workers arrived after {timeout}")

    monkeypatch.setattr(Client, "wait_for_workers", none_come)
    with pytest.raises(MaskDetError, match=f"{scheduler} has no workers: run `dask worker"), dask_workers(scheduler):
        pass


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MaskDetError, match="pip install distributed"), dask_workers("tcp://127.0.0.1:9"):
        pass
