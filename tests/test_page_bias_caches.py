"""What the Bias page keeps: nothing of one visitor for all, and nothing that was measured again since."""

from dataclasses import replace
from pathlib import Path

import pytest
import written_findings
from app_page import fine
from bias_page import choose, measured, two_runs, visit
from factories import prepared

from maskdet.bias import store
from maskdet.bias.attention import attention_by, save_attention
from maskdet.bias.counterfactuals import save_counterfactuals
from maskdet.bias.store import ATTENTION, COUNTERFACTUALS, own_path
from maskdet.compare import own_faces
from maskdet.workspace import Workspace


@pytest.fixture(autouse=True)
def _alone(no_bundled_runs: None, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that ships, in a workspace of a few photos, which are not those of the written runs."""
    monkeypatch.setattr(store, "SHIPPED", tmp_path / "shipped")
    prepared(workspace, tmp_path / "data", {"with_mask": 20, "without_mask": 20})


def test_heat_by_an_uploaded_attribute_is_in_no_cache_of_all_visitors(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = two_runs(workspace)
    measured(workspace, runs)
    shared: list[set[str]] = []
    monkeypatch.setattr(
        "ui.bias_attention._table",
        lambda stamp, found, groups: shared.append(set(groups)) or attention_by(found, groups),
    )
    app = visit(workspace, monkeypatch, "Groups")
    text = "\n".join(["face_id,club", *(f"{face},annas" for face in own_faces(runs[0])["face_id"])])
    fine(app.file_uploader(key="bias_upload").set_value([("mine.csv", text.encode(), "text/csv")]).run())
    choose(app, "bias_view", "Attention")
    choose(app, "bias_heat_by_cnn-1", "club")
    assert set(app.dataframe[1].value["group_name"]) == {"all", "annas"}
    assert shared
    assert not any("annas" in groups for groups in shared)


def test_what_is_measured_again_is_shown_at_once(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = two_runs(workspace)
    measured(workspace, runs)
    app = visit(workspace, monkeypatch, "Attention")
    before = app.dataframe[1].value["share"].max()
    again = written_findings.attention(runs[0])
    save_attention(
        own_path(workspace, "abc", ATTENTION, "cnn-1"), replace(again, faces=again.faces.assign(lower_half_share=0.25))
    )
    assert before > 0.7
    assert fine(app.run()).dataframe[1].value["share"].max() == pytest.approx(0.25)
    choose(app, "bias_view", "Counterfactuals")
    assert app.dataframe[0].value["flipped"].max() > 0.4
    for run in runs:
        found = written_findings.counterfactuals(run)
        same = replace(found, faces=found.faces.assign(darken=found.faces["logit"]))
        save_counterfactuals(own_path(workspace, "abc", COUNTERFACTUALS, run.id), same)
    assert fine(app.run()).dataframe[0].value["flipped"].max() == 0
