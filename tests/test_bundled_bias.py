"""What ships of the bias lab: whole, of the bundled runs' test faces alone, and what the documents tell."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.bias_tables import bundled_runs, document_rows
from maskdet.bias import kept_groups
from maskdet.bias.attributes import ATTRIBUTES, load_attributes
from maskdet.bias.findings import data_findings, run_findings
from maskdet.bias.store import ATTRIBUTES_FILE, SHIPPED
from maskdet.catalog import DATA_DIR
from maskdet.compare import own_faces
from maskdet.runs import Run, open_run
from maskdet.workspace import Workspace

RUNS = [open_run(path.parent) for path in sorted((DATA_DIR / "study").glob("*/run.json"))]
MAIN = [run for run in RUNS if run.pool == "main"]
FINGERPRINT = MAIN[0].fingerprint
PROJECT = Path(__file__).resolve().parents[1]
DOCUMENT = (PROJECT / "docs/bias.md").read_text(encoding="utf-8")
each = pytest.mark.parametrize("run", RUNS, ids=lambda run: run.id)


@each
def test_everything_is_known_of_every_run_without_photos(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_groups, "judge_all", lambda *_a, **_k: pytest.fail("groups were judged anew"))
    found = run_findings(Workspace(tmp_path / "nothing"), run)
    assert found.counterfactuals is not None
    assert found.attention is not None
    assert {"dataset", "size"} & set(found.groups)
    assert set(found.counterfactuals.faces["face_id"]) <= set(found.predictions["face_id"])


def test_everything_is_known_of_the_data_without_photos(tmp_path: Path) -> None:
    found = data_findings(Workspace(tmp_path / "nothing"), FINGERPRINT)
    assert found.shortcuts is not None
    assert found.shortcuts.lacking == ()
    assert {matrix.model for matrix in found.cross} == {"svm", "inceptionv3"}
    assert found.not_measurable is not None


def test_attributes_ship_of_test_faces_alone() -> None:
    attributes = load_attributes(SHIPPED / FINGERPRINT / ATTRIBUTES_FILE)
    assert list(attributes) == ["face_id", *ATTRIBUTES]
    assert set(attributes["face_id"]) == {face_id for run in RUNS for face_id in own_faces(run)["face_id"]}


def test_no_folder_of_the_machine_that_measured_is_named() -> None:
    for path in SHIPPED.rglob("*.json"):
        assert not re.search(r'": "(/|[A-Z]:)', json.dumps(json.loads(path.read_text(encoding="utf-8")))), path


def test_the_document_has_the_tables_of_what_ships(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "nothing")
    found = [run_findings(workspace, run) for run in bundled_runs()]
    tables = document_rows(data_findings(workspace, FINGERPRINT), found)
    told = DOCUMENT.splitlines()
    assert [row for rows in tables.values() for row in rows if row not in told] == []
    assert min(len(rows) for rows in tables.values()) >= len(MAIN)


def test_what_is_told_of_the_other_sample_of_drawn_masks(tmp_path: Path) -> None:
    """docs/whatif.md names the lab's shares of skin-coloured masks beside its own, and on what faces they are alike."""
    from maskdet.bias.counterfactuals import flips

    everywhere, alike = {}, {}
    for run in MAIN:
        found = run_findings(Workspace(tmp_path / "nothing"), run).counterfactuals
        assert found is not None
        bare = found.faces[found.faces["label"] == "without_mask"]
        assert len(bare) == 1423
        assert (bare["dataset"] == "2.1").mean() == pytest.approx(5 / 6, abs=0.01)
        datasets = found.faces.set_index("face_id")["dataset"]
        parts = flips(found, datasets.isin(["2.2", "3.2"]).map({True: "alike", False: "other"}))
        shares = parts[(parts["transformation"] == "mask-skin")].set_index("group_name")["flipped"]
        everywhere[run.model_name], alike[run.model_name] = (f"{100 * shares[name]:.1f}" for name in ("all", "alike"))
    text = " ".join((PROJECT / "docs/whatif.md").read_text(encoding="utf-8").split())
    for shares in (everywhere, alike):
        first, second, third, last = (shares[name] for name in ("inceptionv3", "cnn", "cnn-transfer", "svm"))
        assert f"{first}, {second}, {third} and {last} %" in text
