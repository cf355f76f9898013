"""Metrics by group that were computed before: taken for what they are of, and for nothing else."""

from pathlib import Path

import pandas as pd
import pytest
from written_runs import predictions, write_run

from maskdet.bias import kept_groups
from maskdet.bias.judged import GroupOptions
from maskdet.bias.kept_groups import keep_reports, reports_by_group
from maskdet.compare import own_faces
from maskdet.errors import WorkspaceError
from maskdet.runs import Run
from maskdet.workspace import Workspace


@pytest.fixture
def run(workspace: Workspace) -> Run:
    return write_run(workspace, "svm-1", "svm", table=predictions(600, wrong=[0, 1, 2]))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many attributes were judged, call by call."""
    calls: list[int] = []
    judge = kept_groups.judge_all

    def judge_all(faces: pd.DataFrame, attributes: pd.DataFrame, *rest: object, **more: object) -> object:
        calls.append(len(attributes.columns) - 1)
        return judge(faces, attributes, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(kept_groups, "judge_all", judge_all)
    return calls


def test_what_was_kept_is_read(workspace: Workspace, run: Run, counted: list[int]) -> None:
    faces = own_faces(run)
    attributes = faces[["face_id", "dataset"]]
    first = reports_by_group(workspace, run, faces, attributes)
    assert not workspace.path("bias").exists()  # nothing was asked to be kept
    path = keep_reports(workspace, run, faces, attributes)
    assert path.parent == workspace.path("bias/abc/svm-1")
    assert counted == [1, 1]
    again = reports_by_group(workspace, run, faces.sample(frac=1, random_state=0), attributes)
    assert counted == [1, 1]
    assert list(again) == ["dataset"]
    pd.testing.assert_frame_equal(again["dataset"].gaps, first["dataset"].gaps, check_dtype=False)
    pd.testing.assert_frame_equal(again["dataset"].groups, first["dataset"].groups, check_dtype=False)


def test_other_faces_attributes_or_options_are_judged_anew(workspace: Workspace, run: Run, counted: list[int]) -> None:
    faces = own_faces(run)
    attributes = faces[["face_id", "dataset"]]
    kept = keep_reports(workspace, run, faces, attributes)
    reports_by_group(workspace, run, faces.iloc[1:], attributes)
    reports_by_group(workspace, run, faces.assign(logit=-faces["logit"]), attributes)
    reports_by_group(workspace, run, faces, attributes.assign(camera=["a", "b"] * (len(faces) // 2)))
    reports_by_group(workspace, run, faces, attributes, GroupOptions(fewest=10))
    assert counted == [1, 1, 1, 2, 1]
    newer = keep_reports(workspace, run, faces, attributes.assign(camera=["a", "b"] * (len(faces) // 2)))
    assert [path.name for path in kept.parent.iterdir()] == [newer.name]  # in place of the one before


def test_one_kept_before_that_cannot_be_deleted_is_told(
    workspace: Workspace, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = own_faces(run)
    kept = keep_reports(workspace, run, faces, faces[["face_id", "dataset"]])
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path == kept:
            raise PermissionError(13, "Permission denied", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(WorkspaceError, match=r"groups-\w+\.json cannot be deleted \(Permission denied\)\.$"):
        keep_reports(workspace, run, faces, faces[["face_id", "dataset"]], GroupOptions(fewest=10))


def test_a_damaged_file_is_as_none(workspace: Workspace, run: Run, counted: list[int]) -> None:
    faces = own_faces(run)
    path = keep_reports(workspace, run, faces, faces[["face_id", "dataset"]])
    path.write_text("[{}]")
    assert list(reports_by_group(workspace, run, faces, faces[["face_id", "dataset"]])) == ["dataset"]
    assert counted == [1, 1]
