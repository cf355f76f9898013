"""The bias lab as one call, from the shell: each part measured once, kept, shown, reported and shipped."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from written_runs import predictions, write_run

from maskdet.balance import balance_faces
from maskdet.bias import analysis, measurements
from maskdet.bias.analysis import (
    LabOptions,
    affordable,
    analyse_data,
    analyse_run,
    data_findings,
    default_run,
    run_findings,
)
from maskdet.bias.shipping import ship_data, ship_run
from maskdet.bias.store import ATTENTION, ATTRIBUTES_FILE, COUNTERFACTUALS, NOT_MEASURABLE, SHORTCUTS
from maskdet.cli import main
from maskdet.errors import LaterVersionError, MaskDetError, WorkspaceError
from maskdet.facetable import load_faces
from maskdet.runs import Run, list_runs
from maskdet.workspace import Workspace

OPTIONS = LabOptions(sample=2)


def shell(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["bias", *arguments])
    return int(ended.value.code or 0)


def svm_of(workspace: Workspace) -> Run:
    return next(run for run in list_runs(workspace) if run.model_name == "svm" and not run.is_bundled)


@pytest.fixture(scope="module")
def analysed(studied: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A small study of which everything is measured; not to be changed."""
    workspace = Workspace(tmp_path_factory.mktemp("analysed") / "home")
    shutil.copytree(studied / "home", workspace.home)
    said: list[tuple[int, int, str]] = []
    analyse_data(workspace, OPTIONS, lambda *step: said.append(step))
    analyse_run(workspace, svm_of(workspace), OPTIONS)
    assert [done for done, _, _ in said] == sorted(done for done, _, _ in said)
    assert {total for _, total, _ in said} == {3000}
    assert said[-1] == (3000, 3000, "all is measured")
    return workspace


@pytest.fixture
def _nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "shortcuts.probe_shortcuts", "cross_dataset.cross_datasets", "counterfactuals.counterfactuals",
        "attention.attention",
    ):  # fmt: skip
        monkeypatch.setattr(f"maskdet.bias.{name}", lambda *_a, _n=name, **_k: pytest.fail(f"{_n} was called"))


def test_what_was_measured_is_found(analysed: Workspace) -> None:
    run = svm_of(analysed)
    data = data_findings(analysed, run.fingerprint)
    assert data.faces == 90
    assert data.shortcuts is not None
    assert {probe.scope for probe in data.shortcuts.probes} == {"pooled", "1", "2.2", "3.2"}
    assert [matrix.model for matrix in data.cross] == ["svm"]
    assert set(data.cross[0].rows["train"]) == {"all", "1", "2.2", "3.2"}
    assert data.not_measurable is not None
    assert data.not_measurable.loc[data.not_measurable["dataset"] == "all", "faces"].tolist() == [45, 45]
    found = run_findings(analysed, run)
    assert found.counterfactuals is not None
    assert found.attention is not None
    assert found.attention.method == "occlusion"
    assert found.groups["dataset"].groups["n"].sum() == len(found.predictions) == 8


@pytest.mark.usefixtures("_nothing_is_measured")
def test_nothing_is_measured_twice(analysed: Workspace) -> None:
    analyse_data(analysed, OPTIONS)
    analyse_run(analysed, svm_of(analysed), OPTIONS)


def test_other_options_or_a_wish_measure_again(analysed: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def measure(_workspace: Workspace, _run: Run, options: object, _progress: object) -> None:
        asked.append(options.sample)  # type: ignore[attr-defined]
        raise MaskDetError("measured")

    monkeypatch.setattr("maskdet.bias.attention.attention", measure)
    for options in (LabOptions(("attention",), sample=3), LabOptions(("attention",), sample=2, again=True)):
        with pytest.raises(MaskDetError, match="measured"):
            analyse_run(analysed, svm_of(analysed), options)
    assert asked == [3, 2]


def test_parts_that_are_asked_for(analysed: Workspace, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "home")
    shutil.copytree(analysed.home, workspace.home)
    shutil.rmtree(workspace.path("bias"))
    fingerprint = svm_of(workspace).fingerprint
    found = analyse_data(workspace, LabOptions(parts=("appearance",)))
    assert (found.shortcuts, found.cross) == (None, ())
    assert found.faces == 90
    assert [path.name for path in workspace.path("bias", fingerprint).iterdir()] == [NOT_MEASURABLE]


def test_a_run_of_other_faces_is_refused_first(analysed: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = write_run(analysed.home.parent / "elsewhere", "cnn-1", table=predictions())
    monkeypatch.setattr(analysis, "_appearance_of", lambda *_: pytest.fail("something was measured"))
    with pytest.raises(
        MaskDetError, match=r"^20 test faces of cnn-1 are not in this workspace, such as [ab]/0\d+\.png"
    ):
        analyse_run(analysed, foreign)


def test_the_best_run_of_the_split_in_force(analysed: Workspace) -> None:
    chosen = default_run(analysed)
    assert chosen is not None
    known = [run for run in list_runs(analysed) if run.fingerprint == chosen.fingerprint and run.pool == "main"]
    assert chosen.metrics["macro_f1"] == max(run.metrics["macro_f1"] for run in known)


def test_a_damaged_result_is_measured_anew(analysed: Workspace, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "home")
    shutil.copytree(analysed.home, workspace.home)
    run = svm_of(workspace)
    path = workspace.path("bias", run.fingerprint, run.id, ATTENTION)
    path.write_text("{}")
    with pytest.raises(WorkspaceError):
        run_findings(workspace, run)
    analyse_run(workspace, run, LabOptions(("attention",), sample=2))
    assert run_findings(workspace, run).attention is not None


def test_options() -> None:
    with pytest.raises(MaskDetError, match="There is no part 'weather' of the bias lab; there are: appearance, short"):
        LabOptions(parts=("weather",))
    with pytest.raises(MaskDetError, match="The sample must be at least 1 face, not 0"):
        LabOptions(sample=0)
    with pytest.raises(MaskDetError, match="vgg"):
        affordable("vgg")
    assert affordable("svm", "a.h5") == ("svm", {})
    assert affordable("inceptionv3", "a.h5")[1] == {"frozen": True, "cut": "mixed8", "weights": "a.h5"}


# --- shipping --------------------------------------------------------------------------------------------------------


def test_figures_ship_and_attributes_of_test_faces_alone(analysed: Workspace, tmp_path: Path) -> None:
    run = svm_of(analysed)
    ship_data(analysed, run.fingerprint, tmp_path)
    ship_run(analysed, run, tmp_path)
    folder = tmp_path / "bias" / run.fingerprint
    assert {path.name for path in folder.iterdir()} == {
        SHORTCUTS, "shortcuts.parquet", "cross-dataset-svm.json", NOT_MEASURABLE, ATTRIBUTES_FILE, run.id,
    }  # fmt: skip
    names = {path.name for path in (folder / run.id).iterdir()}
    (groups,) = (name for name in names if name.startswith("groups-"))
    assert names == {
        COUNTERFACTUALS, "counterfactuals.parquet", ATTENTION, "attention.parquet", "attention.npz", groups
    }  # fmt: skip
    test = run.predictions.loc[run.predictions["split"] == "test", "face_id"]
    assert set(pd.read_parquet(folder / ATTRIBUTES_FILE)["face_id"]) == set(test)
    ship_run(analysed, run, tmp_path)  # once more: the same faces, once
    assert sorted(pd.read_parquet(folder / ATTRIBUTES_FILE)["face_id"]) == sorted(test)


def test_what_ships_is_found_without_a_workspace(
    analysed: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = svm_of(analysed)
    ship_data(analysed, run.fingerprint, tmp_path / "study")
    ship_run(analysed, run, tmp_path / "study")
    monkeypatch.setattr("maskdet.bias.store.SHIPPED", tmp_path / "study/bias")
    monkeypatch.setattr("maskdet.bias.kept_groups.judge_all", lambda *_a, **_k: pytest.fail("groups were judged"))
    empty = Workspace(tmp_path / "empty")
    assert data_findings(empty, run.fingerprint).faces == 90
    found = run_findings(empty, run)
    assert found.counterfactuals is not None
    assert "brightness" in found.groups
    assert analyse_run(empty, run, LabOptions(sample=50)).attention is not None  # with the options it ships with
    with pytest.raises(MaskDetError, match="scan its datasets first to measure counterfactuals"):
        analyse_run(empty, run, LabOptions(parts=("counterfactuals",), again=True))
    assert not empty.home.exists()


# --- from the shell --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_nothing_is_measured")
def test_the_shell_prints_and_reports(analysed: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = svm_of(analysed)
    common = ["--home", str(analysed.home), "--sample", "2"]
    assert shell("data", run.id, *common, "--report", str(tmp_path / "out")) == 0
    said = capsys.readouterr().out
    assert "Macro F1 of svm, trained on a dataset and tested on another:" in said
    assert f"\n{run.id}\n" in said
    assert "By dataset:" in said
    assert "too few to say: 2 faces" in said
    assert (tmp_path / "out/report.html").read_text().startswith("<!DOCTYPE html>")
    assert {"shortcuts.csv", "cross-dataset-svm.csv", f"{run.id}-flips.csv"} <= {
        p.name for p in (tmp_path / "out").iterdir()
    }
    more = ["--report", str(tmp_path / "one.html"), "--ship", str(tmp_path / "study")]
    assert shell(run.id, *common, *more) == 0
    assert run.id in (tmp_path / "one.html").read_text()
    assert (tmp_path / "study/bias" / run.fingerprint / run.id / ATTENTION).is_file()


def test_errors_in_the_shell(analysed: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    for command, sentence in (
        (["nothing"], "There is no run 'nothing'"),
        (["data", "--part", "weather"], "There is no part 'weather' of the bias lab"),
        (["data", "--cross", "vgg"], "vgg"),
    ):
        assert shell(*command, "--home", str(analysed.home)) == 1
        assert sentence in capsys.readouterr().err


def test_two_runs_are_compared_and_attributes_are_taken(
    analysed: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = Workspace(tmp_path / "home")
    shutil.copytree(analysed.home, workspace.home)
    run = svm_of(workspace)
    own = [one for one in list_runs(workspace) if not one.is_bundled]
    other = next(one for one in own if one.model_name == "cnn" and one.pool == run.pool)
    faces = load_faces(workspace).table["face_id"]
    rows = [f"{face_id},{'a' if number % 2 else 'b'}" for number, face_id in enumerate(faces)]
    path = tmp_path / "cameras.csv"
    path.write_text("\n".join(["face_id,camera", "nobody,a", *rows]))
    common = ["--home", str(workspace.home), "--part", "groups", "--fewest", "2"]
    assert shell(run.id, other.id, *common, "--attributes", str(path)) == 0
    said = capsys.readouterr()
    assert "90 faces have camera." in said.err
    assert "Unknown, 1: nobody" in said.err
    assert "By camera:" in said.out
    assert f"From {run.id} to {other.id}" in said.out
    assert "The gap in the accuracy goes from" in said.out
    assert "camera" in run_findings(workspace, run).groups  # kept for the page and for trainings too
    ship_run(workspace, run, tmp_path / "study")
    shipped = pd.read_parquet(tmp_path / "study/bias" / run.fingerprint / ATTRIBUTES_FILE)
    assert "camera" not in shipped  # it is for whoever brought it to publish
    balanced = balance_faces(workspace, run.fingerprint, run.predictions.query("split == 'train'"), "camera", "equal")
    assert balanced.cells["counted"].to_numpy() == pytest.approx([len(balanced.faces) / 4] * 4)
    assert shell(run.id, *common, "--forget-attributes") == 0
    assert "camera" not in run_findings(workspace, run).groups
    assert shell(run.id, *common, "--attributes", str(tmp_path / "gone.csv")) == 1
    assert "gone.csv cannot be read" in capsys.readouterr().err


def test_a_larger_sample_serves_where_none_is_asked_for(analysed: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "_SAMPLE", 1)  # less than what was measured
    for name in ("counterfactuals.counterfactuals", "attention.attention"):
        monkeypatch.setattr(f"maskdet.bias.{name}", lambda *_a, _n=name, **_k: pytest.fail(f"{_n} was called"))
    analyse_run(analysed, svm_of(analysed), LabOptions())


def test_a_workspace_that_is_only_to_be_read(analysed: Workspace) -> None:
    """All is known: nothing is written, so that a report needs no room."""
    before = {path: path.stat().st_mtime_ns for path in analysed.path("bias").rglob("*")}
    analyse_data(analysed, OPTIONS)
    analyse_run(analysed, svm_of(analysed), OPTIONS)
    assert {path: path.stat().st_mtime_ns for path in analysed.path("bias").rglob("*")} == before


def test_a_report_on_fewer_measurements_does_not_hold_for_all(
    analysed: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faces of an earlier version's scan lack some, under the same fingerprint."""
    workspace = Workspace(tmp_path / "home")
    shutil.copytree(analysed.home, workspace.home)
    measure = measurements.measure_data
    monkeypatch.setattr(
        measurements, "measure_data", lambda *args: measure(*args).drop(columns="jpeg_quantisation", errors="ignore")
    )
    poor = analyse_data(workspace, LabOptions(("shortcuts",))).shortcuts
    monkeypatch.setattr(measurements, "measure_data", measure)
    whole = analyse_data(workspace, LabOptions(("shortcuts",))).shortcuts
    assert poor is not None
    assert whole is not None
    assert (poor.lacking, whole.lacking) == (("jpeg_quantisation",), ())


def test_parts_of_the_other_kind_are_refused(analysed: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell("data", "--part", "attention", "--home", str(analysed.home)) == 1
    assert "attention is a part of what is measured of a run: name it too." in capsys.readouterr().err
    assert shell(svm_of(analysed).id, "--part", "shortcuts", "--home", str(analysed.home)) == 1
    assert "shortcuts is a part of what is measured of the data: name it too." in capsys.readouterr().err


def test_a_result_of_a_later_version_stays(analysed: Workspace, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "home")
    shutil.copytree(analysed.home, workspace.home)
    run = svm_of(workspace)
    path = workspace.path("bias", run.fingerprint, run.id, ATTENTION)
    later = json.dumps(json.loads(path.read_text()) | {"format": 99})
    path.write_text(later)
    with pytest.raises(LaterVersionError, match="was written by a later version of MaskDet"):
        analyse_run(workspace, run, LabOptions(("attention",), sample=2))
    assert path.read_text() == later
    shortcuts = workspace.path("bias", run.fingerprint, SHORTCUTS)
    shortcuts.write_text(json.dumps(json.loads(shortcuts.read_text()) | {"format": 99}))
    with pytest.raises(LaterVersionError, match="was written by a later version of MaskDet"):
        data_findings(workspace, run.fingerprint)
