"""Predictions that hold no numbers: each command that counts them says so in one sentence, and names the file."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from written_runs import predictions, write_run

from maskdet.cli import main
from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.evaluations import Evaluation, load_evaluation, save_evaluation
from maskdet.integrity import inspect
from maskdet.run_records import read_predictions
from maskdet.runs import open_run
from maskdet.training_data import predictions_table
from maskdet.workspace import Workspace, write_table


def spoilt(workspace: Workspace, value: float = np.nan) -> str:
    """A run whose logit of one test face, of sixty in all, is no number."""
    run = write_run(workspace, "svm-1", "svm", table=predictions(wrong=[1]))
    table = run.predictions.copy()
    table.loc[table.index[table["split"] == "test"][0], "logit"] = value
    write_table(run.folder / "predictions.parquet", table)
    return run.id


@pytest.mark.parametrize("command", ["compare", "errors", "suspects", "evaluate"])
def test_every_command_says_which_file_is_damaged(
    command: str, sources: Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    """`errors` counted the face as judged with mask, `suspects` accused others for it, `compare` had a traceback."""
    run = spoilt(sources)
    with pytest.raises(SystemExit) as ended:
        main([command, run, "--home", str(sources.home)])
    out, err = capfd.readouterr()
    assert ended.value.code == 1
    assert out == ""
    path = sources.path("runs", run, "predictions.parquet")
    assert err.splitlines()[-1].startswith(f"Error: {path} ")
    assert "logit is no number for 1 of 60 faces" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_alone_are_predictions(value: float, workspace: Workspace) -> None:
    run = workspace.path("runs", spoilt(workspace, value))
    with pytest.raises(WorkspaceError, match="logit is no number for 1 of 60 faces"):
        open_run(run).predictions  # noqa: B018
    assert open_run(run).validation_macro_f1 is None
    table = predictions()
    path = workspace.path("other.parquet")
    write_table(path, table.assign(logit="2"))
    with pytest.raises(WorkspaceError, match="logit holds no numbers"):
        read_predictions(path)
    write_table(path, table.assign(p_without_mask=table["p_without_mask"].where(table.index > 2)))
    with pytest.raises(WorkspaceError, match="p_without_mask is no number for 3 of 60 faces"):
        read_predictions(path)
    write_table(path, table.drop(columns=["logit", "p_without_mask"]))  # of a table without, the reader says what lacks
    assert len(read_predictions(path, ["face_id"])) == 60


def test_an_evaluation_and_what_looks_for_damage(workspace: Workspace) -> None:
    run = open_run(workspace.path("runs", spoilt(workspace)))
    assert "logit is no number for 1 of 60 faces" in str(inspect(workspace))
    table = predictions().assign(logit=np.nan)
    save_evaluation(workspace, run, "new", Evaluation({}, table, "new", same_data=False, left_out=0, seconds=1.0))
    with pytest.raises(WorkspaceError, match=r"svm-1-new\.parquet .*logit is no number for 60 of 60 faces"):
        load_evaluation(workspace, run, "new")


def test_a_model_that_diverged_is_not_judged() -> None:
    part = pd.DataFrame({name: ["a", "b"] for name in ("face_id", "dataset", "label", "group", "split")})
    with pytest.raises(MaskDetError, match="gives 1 of 2 faces no number"):
        predictions_table(part, np.array([1.0, np.nan]))


def test_the_folder_of_a_run_is_named(workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError, match=str(Path("runs", "svm-1", "predictions.parquet"))):
        open_run(workspace.path("runs", spoilt(workspace))).predictions  # noqa: B018
