"""The study's Grad-CAM analysis: which faces, what is measured of them, and what is kept."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from factories import use_small_networks

from maskdet.attribution import Explainer
from maskdet.attribution.analysis import (
    GRADCAM_FILE,
    AnalysisOptions,
    GradCamAnalysis,
    analyse,
    analyse_run,
    choose_faces,
    load_analysis,
    read_analysis,
    save_analysis,
)
from maskdet.catalog import DATA_DIR
from maskdet.cli import main
from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.images import ArrayImages
from maskdet.labels import WITH_MASK, WITHOUT_MASK
from maskdet.runs import Run, list_runs
from maskdet.workspace import Workspace


def run_of(*rows: tuple[str, str, float]) -> Run:
    """A run whose test faces are given as id, label and logit; each in a group of its own."""
    run = Run(Path("nowhere"), {"id": "r", "model": "cnn"})
    table = pd.DataFrame(rows, columns=["face_id", "label", "logit"])
    run.__dict__["predictions"] = table.assign(
        dataset="a", group=np.arange(len(table)), split="test", p_without_mask=1 / (1 + np.exp(-table["logit"]))
    )
    return run


FOUR = run_of(("a", WITH_MASK, -3.0), ("b", WITH_MASK, 1.0), ("c", WITHOUT_MASK, 5.0), ("d", WITHOUT_MASK, -0.5))


class Painted(Explainer):
    """An explainer whose maps are given by the first pixel of a face, which names them."""

    def __init__(self, maps: dict[int, Any]) -> None:
        self._maps = {name: np.array(each, np.float32) for name, each in maps.items()}

    default_layer = "conv5_relu"  # type: ignore[assignment]

    def raw(self, method: str, faces: Any, *_: Any) -> Any:
        assert method == "grad-cam"
        return np.stack([self._maps[int(face[0, 0, 0])] for face in faces])

    def on_face(self, raw: Any, layer: Any) -> Any:
        return raw


def painted_faces(count: int) -> ArrayImages:
    faces = np.zeros((count, 150, 150, 3), np.uint8)
    faces[:, 0, 0, 0] = np.arange(count)
    return ArrayImages(faces)


def four_faces(options: AnalysisOptions) -> GradCamAnalysis:
    maps = {0: [[1, 0], [0, 0]], 1: [[0, 0], [0, 4]], 2: [[2, 2], [1, 1]], 3: [[0, 0], [0, 0]]}
    return analyse("r", Painted(maps), choose_faces(FOUR, options), painted_faces(4), options)


def test_each_cell_holds_its_faces() -> None:
    found = four_faces(AnalysisOptions())
    counts = {(cell.label, cell.outcome): (cell.faces, cell.of, cell.no_evidence) for cell in found.cells}
    assert counts == {
        (WITH_MASK, "all"): (2, 2, 0), (WITH_MASK, "right"): (1, 1, 0), (WITH_MASK, "wrong"): (1, 1, 0),
        (WITHOUT_MASK, "all"): (2, 2, 1), (WITHOUT_MASK, "right"): (1, 1, 0), (WITHOUT_MASK, "wrong"): (1, 1, 1),
    }  # fmt: skip


def test_figures_by_hand() -> None:
    found = four_faces(AnalysisOptions())
    both = found.cell(WITH_MASK)
    assert both.mean_map.tolist() == [[0.5, 0], [0, 0.5]]  # each scaled to its own largest value
    assert (both.lower_half_share, both.heat) == (0.5, (0.25 + 1) / 2)
    assert both.lower_half_interval is None  # two groups are too few
    unmasked = found.cell(WITHOUT_MASK)
    assert unmasked.mean_map.tolist() == [[1, 1], [0.5, 0.5]]  # the face without evidence does not count
    assert unmasked.lower_half_share == pytest.approx(1 / 3)
    assert unmasked.heat == pytest.approx((1.5 + 0) / 2)  # here it does
    nothing = found.cell(WITHOUT_MASK, "wrong")
    assert (nothing.lower_half_share, nothing.mean_map.tolist()) == (None, [[0, 0], [0, 0]])


def test_extremes_are_those_of_the_logit() -> None:
    found = four_faces(AnalysisOptions(extremes=2))
    assert [(face.face_id, face.logit) for face in found.lowest] == [("a", -3.0), ("d", -0.5)]
    assert [(face.face_id, face.label) for face in found.highest] == [("c", WITHOUT_MASK), ("b", WITH_MASK)]
    assert found.highest[0].heatmap.values.tolist() == [[1, 1], [0.5, 0.5]]
    assert (found.highest[0].heatmap.label, found.highest[0].heatmap.layer) == (WITHOUT_MASK, "conv5_relu")
    assert not found.lowest[1].heatmap.has_evidence


def test_the_table_names_every_figure() -> None:
    table = four_faces(AnalysisOptions()).table().set_index(["label", "outcome"])
    assert len(table) == 6
    row = table.loc[(WITHOUT_MASK, "all")]
    assert (row["faces"], row["of"], row["no_evidence"]) == (2, 2, 0.5)
    assert {"lower_half_share_low", "no_evidence_high", "heat_low"} <= set(table.columns)


def many(count: int) -> Run:
    """Faces with mask, a quarter wrong, then as many without, all right."""
    rows = [(f"m{n:03d}", WITH_MASK, 1.0 if n % 4 == 0 else -1.0 - n) for n in range(count)]
    return run_of(*rows, *((f"u{n:03d}", WITHOUT_MASK, 1.0 + n) for n in range(count)))


def test_the_sample_is_of_a_stated_size_and_seeded() -> None:
    options = AnalysisOptions(sample=10, extremes=0)
    chosen = choose_faces(many(100), options)
    assert chosen[chosen["sampled"]].groupby("label").size().to_dict() == {WITH_MASK: 10, WITHOUT_MASK: 10}
    assert int(chosen["missed"].sum()) == 10
    assert set(chosen.loc[chosen["missed"], "wrong"]) == {True}
    masked = chosen[chosen["label"] == WITH_MASK]
    assert (set(masked["of_label"]), set(masked["of_wrong"])) == ({100}, {25})
    again = choose_faces(many(100), options)
    other = choose_faces(many(100), AnalysisOptions(sample=10, extremes=0, seed=1))
    assert list(again["face_id"]) == list(chosen["face_id"])
    assert list(other["face_id"]) != list(chosen["face_id"])


def test_intervals_where_there_are_enough_groups() -> None:
    run, options = many(40), AnalysisOptions(extremes=1)
    chosen = choose_faces(run, options)
    maps = {n: [[1, 0], [1 + n % 3, 0]] for n in range(len(chosen))}
    found = analyse("r", Painted(maps), chosen, painted_faces(len(chosen)), options)
    cell = found.cell(WITHOUT_MASK)
    low, high = cell.lower_half_interval or (np.nan, np.nan)
    assert low < (cell.lower_half_share or 0) < high
    assert cell.heat_interval is not None
    assert cell.no_evidence_interval is not None
    assert cell.no_evidence_interval[0] == 0
    assert found.cell(WITH_MASK, "wrong").lower_half_interval is None  # ten faces


def test_of_fewer_than_30_faces_there_is_no_interval_and_it_is_said(tmp_path: Path) -> None:
    """By the rule of every mean over faces; an analysis that was kept with such intervals is read without them."""
    chosen = choose_faces(many(40), AnalysisOptions(extremes=1))
    maps = {n: [[1, 0], [1 + n % 3, 0]] for n in range(len(chosen))}
    found = analyse("r", Painted(maps), chosen, painted_faces(len(chosen)), AnalysisOptions(extremes=1))
    rows = found.table().set_index(["label", "outcome"])
    assert rows.loc[(WITH_MASK, "wrong"), "reason"] == "too few to say: 10 faces"
    assert rows.loc[(WITH_MASK, "all"), ["reason", "evident"]].tolist() == ["", 40]
    kept = [replace(cell, lower_half_interval=(0.1, 0.2), heat_interval=(0.1, 0.2)) for cell in found.cells]
    save_analysis(tmp_path / GRADCAM_FILE, replace(found, cells=tuple(kept)))
    read = read_analysis(tmp_path / GRADCAM_FILE)
    assert read.cell(WITH_MASK, "wrong").lower_half_interval is None
    assert read.cell(WITH_MASK, "wrong").heat_interval is None
    assert read.cell(WITH_MASK).lower_half_interval == (0.1, 0.2)


def test_what_is_kept_is_read_back_without_a_photo(tmp_path: Path) -> None:
    found = four_faces(AnalysisOptions(extremes=1))
    assert load_analysis(Run(tmp_path, {})) is None
    save_analysis(tmp_path / GRADCAM_FILE, found)
    read = load_analysis(Run(tmp_path, {}))
    assert read is not None
    assert (read.run, read.layer, read.options) == ("r", "conv5_relu", found.options)
    pd.testing.assert_frame_equal(read.table(), found.table(), rtol=1e-3)
    for ours, theirs in zip(read.cells, found.cells, strict=True):
        np.testing.assert_allclose(ours.mean_map, theirs.mean_map, rtol=1e-3)
    assert read.highest[0].face_id == "c"
    assert read.highest[0].heatmap.values.tolist() == [[1, 1], [0.5, 0.5]]


def test_a_map_of_no_rows_is_told(tmp_path: Path) -> None:
    stored = json.loads(next(DATA_DIR.glob(f"study/inceptionv3-*/{GRADCAM_FILE}")).read_text())
    stored["cells"][0]["mean_map"] = 0.5
    (tmp_path / GRADCAM_FILE).write_text(json.dumps(stored))
    with pytest.raises(WorkspaceError, match="a map without rows and columns"):
        read_analysis(tmp_path / GRADCAM_FILE)


def test_a_number_that_no_map_holds_is_told(tmp_path: Path) -> None:
    stored = json.loads(next(DATA_DIR.glob(f"study/inceptionv3-*/{GRADCAM_FILE}")).read_text())
    stored["cells"][0]["mean_map"] = [[10**400]]
    (tmp_path / GRADCAM_FILE).write_text(json.dumps(stored))
    with pytest.raises(WorkspaceError, match="cannot be read"):
        read_analysis(tmp_path / GRADCAM_FILE)


@pytest.mark.parametrize("text", ["{", "{}", '{"cells": 3}', "[]"])
def test_a_damaged_analysis_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / GRADCAM_FILE).write_text(text)
    with pytest.raises(WorkspaceError, match=r"cannot be read|no Grad-CAM analysis"):
        read_analysis(tmp_path / GRADCAM_FILE)


def test_an_analysis_of_a_class_that_is_not_there() -> None:
    options = AnalysisOptions(extremes=9)
    chosen = choose_faces(run_of(("a", WITH_MASK, -1.0)), options)
    found = analyse("r", Painted({0: [[1, 0], [0, 1]]}), chosen, painted_faces(1), options)
    empty = found.cell(WITHOUT_MASK)
    assert (empty.faces, empty.of, empty.heat, empty.no_evidence_interval) == (0, 0, None, None)
    assert [face.face_id for face in found.highest] == ["a"]
    with pytest.raises(MaskDetError, match="no face in its validation split"):
        choose_faces(run_of(("a", WITH_MASK, -1.0)), AnalysisOptions(split="validation"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "perhaps"}, "with_mask or without_mask, not of 'perhaps'"),
        ({"split": "all"}, "split must be one of train, validation, test, not 'all'"),
        ({"sample": 0}, "sample must be at least 1"),
        ({"extremes": -1}, "extremes at least 0"),
    ],
)
def test_options_out_of_range(change: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskDetError, match=message):
        AnalysisOptions(**change)


@pytest.fixture
def small(studied: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The workspace of a study, whose networks are small."""
    use_small_networks(monkeypatch)
    return Workspace(studied / "home")


def runs_of(workspace: Workspace) -> dict[str, Run]:
    return {run.model_name: run for run in list_runs(workspace) if not run.is_bundled and run.pool == "main"}


@pytest.mark.parametrize("model", ["cnn", "cnn-transfer", "inceptionv3"])
def test_every_network_can_be_analysed(model: str, small: Workspace) -> None:
    run = runs_of(small)[model]
    told: list[float] = []
    found = analyse_run(small, run, progress=lambda done, total, text: told.append(done / total))
    tests = run.predictions[run.predictions["split"] == "test"]
    assert sum(found.cell(label).faces for label in (WITH_MASK, WITHOUT_MASK)) == len(tests)
    assert found.lowest[0].logit == tests["logit"].min()
    assert told[-1] == 1


def test_the_svm_cannot(small: Workspace) -> None:
    with pytest.raises(MaskDetError, match="Grad-CAM needs a convolutional network, which svm is not"):
        analyse_run(small, runs_of(small)["svm"])


def test_the_shell_prints_and_writes(small: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = runs_of(small)["cnn"]
    out = tmp_path / "out.json"
    with pytest.raises(SystemExit) as end:
        main(["gradcam", run.id, "--home", str(small.home), "--out", str(out), "--sample", "3"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert printed.count("lowest logit") == printed.count("highest logit") > 0
    assert "lower_half_share" in printed
    assert read_analysis(out).options.sample == 3
    assert json.loads(out.read_text())["run"] == run.id
    assert not (run.folder / GRADCAM_FILE).exists()


@pytest.mark.parametrize("run", [run for run in list_runs(Workspace(Path("nowhere"))) if run.model_name != "svm"])
def test_the_networks_that_ship_are_analysed(run: Run) -> None:
    found = load_analysis(run)
    assert found is not None
    assert found.run == run.id
    tests = run.predictions[run.predictions["split"] == "test"].set_index("face_id")
    assert sum(found.cell(label).of for label in (WITH_MASK, WITHOUT_MASK)) == len(tests)
    assert len(found.lowest) == len(found.highest) == 6
    assert found.lowest[0].logit == pytest.approx(tests["logit"].min(), rel=1e-3)
    assert found.highest[0].logit == pytest.approx(tests["logit"].max(), rel=1e-3)
    assert found.highest[0].label == tests.loc[found.highest[0].face_id, "label"]
