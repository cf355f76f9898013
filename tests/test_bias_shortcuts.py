"""The shortcut probe: a planted bias is found and named, nothing is found where nothing is, and too few say nothing."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import blotches
from factories import scanned_and_split
from sklearn.metrics import roc_auc_score

from benchmarks.check_shortcuts import draw_measurements, probe
from maskdet.bias import probing
from maskdet.bias.measurements import FAMILIES, measure_data
from maskdet.bias.probing import Auc, ProbeData, aucs_of, deal, importance_of
from maskdet.bias.shortcut_sentences import verdict_sentence
from maskdet.bias.shortcuts import (
    Probe,
    ProbeOptions,
    ShortcutReport,
    load_shortcuts,
    probe_shortcuts,
    save_shortcuts,
)
from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.facetable import load_faces
from maskdet.split import load_split
from maskdet.workspace import Workspace

QUICK = ProbeOptions(repeats=1, folds=3)


@pytest.fixture(scope="module", autouse=True)
def _fewer_trees() -> Iterator[None]:
    """A third of the trees, in a third of the time, which is what most of a small probe takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probing, "_CLASSIFIER", probing._CLASSIFIER | {"max_iter": 20, "learning_rate": 0.3})
        yield


def faces_of(dataset: str, planted: str, count: int, seed: int, pool: str = "main") -> tuple[pd.DataFrame, Any]:
    """A drawn dataset as `benchmarks.check_shortcuts` draws it; no two share a face or a group."""
    table, measured = draw_measurements(planted, count, seed, shift=1.5)
    table = table.assign(dataset=dataset, pool=pool, group=table["group"] + 10_000 * seed)
    for rows in (table, measured):
        rows["face_id"] = dataset + "/" + rows["face_id"].str.removeprefix("drawn/")
    return table, measured


def joined(*parts: tuple[pd.DataFrame, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    tables, measured = zip(*parts, strict=True)
    return pd.concat(tables, ignore_index=True), pd.concat(measured, ignore_index=True)


def probe_of(report: ShortcutReport, scope: str, target: str = "label", stage: str = "photo") -> Probe:
    [found] = [p for p in report.probes if (p.scope, p.target, p.stage) == (scope, target, stage)]
    return found


@pytest.fixture(scope="module")
def report() -> ShortcutReport:
    """Dataset a with size tied to the label, b with nothing, ``sim`` of the pre-training pool, and a few faces of c."""
    table, measured = joined(
        faces_of("a", "size", 400, 1), faces_of("b", "nothing", 300, 6), faces_of("sim", "brightness", 400, 3,
        "pre-training"), faces_of("c", "nothing", 20, 4),
    )  # fmt: skip
    few = ProbeOptions(repeats=2, folds=3, carriers=5)
    return probe_shortcuts(table, measured, few, fingerprint="5df5")


# --- what is found ---------------------------------------------------------------------------------------------------


def test_size_is_found_and_named(report: ShortcutReport) -> None:
    found = probe_of(report, "a")
    assert found.verdict in ("weak", "strong")
    assert found.faces == 400
    assert found.auc is not None
    assert found.low is not None
    assert 0.5 < found.low < found.auc
    assert found.sentence.startswith("Size alone predicts the label of dataset a with AUC 0.")
    assert "n = 400): a model can score without seeing masks." in found.sentence
    assert [name for name, values in found.families.items() if values["found"]] == ["size"]
    first = max(found.importance, key=lambda name: found.importance[name]["mean"])
    assert first in ("width", "height", "sqrt_size", "bytes")
    assert found.importance[first]["sd"] > 0


def test_brightness_is_found_and_may_be_the_masks(report: ShortcutReport) -> None:
    found = probe_of(report, "sim")
    assert found.families["light"]["found"]
    assert not found.families["size"]["found"]
    assert "may be the masks themselves" in found.sentence
    assert "Size and aspect ratio, which no mask changes, reach 0." in found.sentence


def test_nothing_is_found_where_nothing_is(report: ShortcutReport) -> None:
    found = probe_of(report, "b")
    assert found.verdict == "none"
    assert found.sentence.startswith("No shortcut was found: all measurements together tell the label of dataset b")
    assert not any(values["found"] for values in found.families.values())


def test_near_duplicates_are_not_parted() -> None:
    """Face by face, their measurements would tell each other's label."""
    table, measured = draw_measurements("nothing", 300, 3)
    again = measured.assign(face_id=measured["face_id"] + "-copy")
    twice = pd.concat([table, table.assign(face_id=again["face_id"])], ignore_index=True)
    both = pd.concat([measured, again], ignore_index=True)
    assert probe_of(probe_shortcuts(twice, both, QUICK), "drawn").verdict == "none"
    parted = probe_shortcuts(twice.assign(group=np.arange(len(twice))), both, QUICK)
    assert probe_of(parted, "drawn").verdict != "none"


def test_sources_are_told_apart(report: ShortcutReport) -> None:
    """The three datasets are drawn alike but for the size of a; c has too few faces to be one of them."""
    found = probe_of(report, "pooled", "dataset")
    assert found.faces == 700
    assert found.reason == "At least 30 groups of related faces are needed, and c has 13."
    other, measured = joined(faces_of("a", "nothing", 200, 1), faces_of("b", "nothing", 200, 2))
    measured.loc[:199, "jpeg_quantisation"] = 3
    told = probe_of(probe_shortcuts(other, measured, QUICK), "pooled", "dataset")
    assert told.verdict == "strong"
    assert told.sentence.startswith("Encoding alone tells which dataset a face is of with AUC 1.00 (")


def test_too_few_to_say(report: ShortcutReport) -> None:
    found = probe_of(report, "c")
    assert (found.verdict, found.auc, found.families, found.importance) == ("too few to say", None, {}, {})
    assert found.faces == 20
    assert found.sentence.startswith("Too few faces to say whether measurements tell the label of dataset c: at least")
    assert "with mask has" in found.reason


def test_a_wide_interval_is_too_few_to_say() -> None:
    """A strong shortcut is not ruled out where the interval reaches it; here, any AUC above chance is called one."""
    table, measured = draw_measurements("nothing", 110, 7)
    found = probe_of(
        probe_shortcuts(table, measured, ProbeOptions(repeats=1, folds=3, material=0.5, strong=0.5)), "drawn"
    )
    assert found.verdict == "too few to say"
    assert found.high is not None
    assert found.high >= 0.5
    assert "too few faces to say" in found.sentence.lower()


def test_pooled_is_the_main_pool(report: ShortcutReport) -> None:
    assert probe_of(report, "pooled").faces == 400 + 300 + 20
    assert {p.scope for p in report.probes} == {"pooled", "a", "b", "c", "sim"}
    scores = report.scores.set_index("face_id")["p_without_mask"]
    assert len(scores) == 1120
    assert scores.notna().all()  # sim's are of its own probe
    assert scores.between(0, 1).all()


def test_carriers_are_the_surest_that_are_right(report: ShortcutReport) -> None:
    carriers = report.carriers
    assert carriers["label"].value_counts().to_dict() == {"with_mask": 5, "without_mask": 5}
    assert "sim" not in set(carriers["dataset"])
    pooled = report.scores[~report.scores["face_id"].str.startswith("sim")]
    without = carriers[carriers["label"] == "without_mask"]["p_without_mask"]
    expected = pooled.loc[pooled["label"] == "without_mask", "p_without_mask"].nlargest(5)
    assert without.tolist() == expected.tolist()
    assert carriers.loc[carriers["label"] == "with_mask", "p_without_mask"].is_monotonic_increasing


def test_no_face_carries_what_was_not_found() -> None:
    table, measured = draw_measurements("nothing", 300, 6)
    assert probe_shortcuts(table, measured, QUICK).carriers.empty


def test_a_family_that_does_not_vary_tells_nothing() -> None:
    table, measured = draw_measurements("size", 200, 1, shift=1.5)
    measured = measured.assign(aspect_ratio=1.0)
    shape = probe_of(probe_shortcuts(table, measured, QUICK), "drawn").families["shape"]
    assert shape == {"auc": 0.5, "low": None, "high": None, "found": False}


def test_measurements_of_an_older_table_do() -> None:
    table, measured = draw_measurements("size", 200, 1, shift=1.5)
    found = probe_of(probe_shortcuts(table, measured.drop(columns="jpeg_quantisation"), QUICK), "drawn")
    assert "jpeg_quantisation" not in found.importance
    assert set(found.families) == set(FAMILIES)


def test_drawn_photos_from_disk(workspace: Workspace, tmp_path: Path) -> None:
    """Faces with a mask are larger, and both labels look alike."""
    rng = np.random.default_rng(0)
    for number in range(80):
        label = ("with_mask", "without_mask")[number % 2]
        side = int(rng.integers(90, 150)) if label == "with_mask" else int(rng.integers(30, 95))
        folder = tmp_path / "data/drawn" / label
        folder.mkdir(parents=True, exist_ok=True)
        photo = blotches(number, (200, 200)).resize((side, side))
        photo.save(folder / f"{number}.jpg", quality=int(rng.integers(60, 95)))
    faces = scanned_and_split(workspace, tmp_path / "data")
    split = load_split(workspace, load_faces(workspace))
    found = probe_shortcuts(split.table, measure_data(workspace, faces, split), QUICK, fingerprint=split.fingerprint)
    photo = probe_of(found, "drawn")
    assert photo.verdict == "strong"
    assert photo.families["size"]["found"]
    assert photo.families["size"]["auc"] > 0.9
    assert not photo.families["colour"]["found"]
    assert "jpeg_quantisation" in photo.importance
    assert probe_of(found, "drawn", stage="normalised").sentence.startswith("At 150x150 pixels, ")


# --- the classifier --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data() -> ProbeData:
    rng = np.random.default_rng(0)
    target = np.arange(300) % 3
    features = pd.DataFrame(
        {"tied": target + rng.normal(0, 0.8, 300), "noise": rng.normal(size=300),
         "format": np.where(target == 2, "PNG", "JPEG"), "same": 1.0}
    )  # fmt: skip
    groups = np.arange(300) // 2
    return ProbeData(features, target, groups, deal(target, groups, 5, 0), 0)


def test_folds_part_no_group(data: ProbeData) -> None:
    assert sorted(np.concatenate([held_out for _, held_out in data.folds])) == list(range(300))
    for rest, held_out in data.folds:
        assert not set(data.groups[rest]) & set(data.groups[held_out])


def test_auc_is_scikit_learns(data: ProbeData) -> None:
    fitted = data.fitted(["tied", "noise"])
    found = aucs_of(data, {"whole": fitted.scores, "nothing": np.zeros((300, 3))})
    assert found["whole"].value == pytest.approx(roc_auc_score(data.target, fitted.scores, multi_class="ovr"))
    assert found["nothing"] == Auc(0.5, None, None, None)
    low, high, corrected = found["whole"].low, found["whole"].high, found["whole"].low_of_many
    assert low is not None
    assert high is not None
    assert corrected is not None
    assert corrected < low < found["whole"].value < high


def test_a_category_is_no_number(data: ProbeData) -> None:
    """JPEG and PNG tell the third class, and a column that does not vary is passed over."""
    fitted = data.fitted(["format", "same"])
    assert fitted.names == ["format"]
    assert roc_auc_score(data.target == 2, fitted.scores[:, 2]) == 1


def test_importance_is_the_drop_of_the_auc(data: ProbeData) -> None:
    found = importance_of(data, data.fitted(["tied", "noise", "same"]), repeats=3)
    assert set(found) == {"tied", "noise"}
    assert found["tied"]["mean"] > 0.2 > 0.05 > abs(found["noise"]["mean"])


def test_the_same_seed_gives_the_same_scores(data: ProbeData) -> None:
    np.testing.assert_array_equal(data.fitted(["tied"]).scores, data.fitted(["tied"]).scores)


# --- sentences -------------------------------------------------------------------------------------------------------


def said(verdict: str, stage: str = "photo", target: str = "label", **found: float) -> str:
    families = {
        name: {"auc": found.get(name, 0.55), "low": 0.5, "high": 0.6, "found": name in found} for name in FAMILIES
    }
    return verdict_sentence(target, "2.2", stage, 1006, verdict, Auc(0.9, 0.88, 0.92, 0.87), families)


def test_the_strongest_kind_is_named() -> None:
    assert said("strong", size=0.87, light=0.7) == (
        "Size alone predicts the label of dataset 2.2 with AUC 0.87 (0.50 to 0.60, n = 1,006): a model can score "
        "without seeing masks. All measurements together reach 0.90."
    )
    assert said("strong", shape=0.9) == (
        "Aspect ratio alone predicts the label of dataset 2.2 with AUC 0.90 (0.50 to 0.60, n = 1,006): a model can "
        "score without seeing masks."
    )


def test_masks_change_what_is_left_of_the_size_too() -> None:
    sentence = said("strong", stage="normalised", size=0.87)
    assert sentence.startswith("At 150x150 pixels, what is left of size alone predicts the label of dataset 2.2")
    assert "may be the masks themselves" in sentence


def test_none_alone_but_all_together() -> None:
    assert said("weak").startswith("No kind of measurement alone, but all together tell the label of dataset 2.2")


def test_a_source() -> None:
    assert "what a model learns of one source need not hold for another" in said("strong", target="dataset", size=0.9)


# --- what is kept, and what is refused -------------------------------------------------------------------------------


def test_a_report_comes_back_as_it_was(report: ShortcutReport, tmp_path: Path) -> None:
    path = tmp_path / "deep/shortcuts.json"
    save_shortcuts(path, report)
    again = load_shortcuts(path)
    assert (again.fingerprint, again.options, again.probes) == (report.fingerprint, report.options, report.probes)
    pd.testing.assert_frame_equal(again.scores, report.scores)
    pd.testing.assert_frame_equal(again.carriers, report.carriers)


@pytest.mark.parametrize("content", ["{", "{}", '{"carriers": [], "options": {"folds": 1}, "probes": []}', "[]"])
def test_a_damaged_report(report: ShortcutReport, tmp_path: Path, content: str) -> None:
    path = tmp_path / "shortcuts.json"
    save_shortcuts(path, report)
    path.write_text(content)
    with pytest.raises(WorkspaceError, match=r"shortcuts\.json"):
        load_shortcuts(path)


def test_a_report_whose_sentences_are_no_texts(report: ShortcutReport, tmp_path: Path) -> None:
    path = tmp_path / "shortcuts.json"
    save_shortcuts(path, report)
    stored = json.loads(path.read_text())
    stored["probes"][0]["sentence"] = True
    path.write_text(json.dumps(stored))
    with pytest.raises(WorkspaceError, match=r"shortcuts\.json cannot be read \(a probe whose target"):
        load_shortcuts(path)


def test_a_report_without_its_scores(report: ShortcutReport, tmp_path: Path) -> None:
    save_shortcuts(tmp_path / "shortcuts.json", report)
    (tmp_path / "shortcuts.parquet").unlink()
    with pytest.raises(WorkspaceError, match=r"shortcuts\.parquet cannot be read \(No such file or directory\)"):
        load_shortcuts(tmp_path / "shortcuts.json")


@pytest.mark.parametrize(
    "changed",
    [{"folds": 1}, {"material": 0.8, "strong": 0.7}, {"material": 0.4}, {"strong": 1.1}, {"carriers": -1},
     {"seed": -1}, {"repeats": 0}, {"fewest": 9}, {"folds": 40}],
)  # fmt: skip
def test_options_out_of_range(changed: dict[str, Any]) -> None:
    with pytest.raises(MaskDetError, match="must be"):
        replace(QUICK, **changed)


def test_faces_that_were_not_measured() -> None:
    table, measured = draw_measurements("nothing", 60, 1)
    with pytest.raises(MaskDetError, match=r"2 faces were not measured, drawn/00000\.jpg among them"):
        probe_shortcuts(table, measured.iloc[2:], QUICK)


def test_faces_without_a_label_to_tell() -> None:
    table, measured = draw_measurements("nothing", 60, 1)
    with pytest.raises(MaskDetError, match="there is no label to tell"):
        probe_shortcuts(table.assign(label="incorrect_mask"), measured, QUICK)


def test_faces_whose_mask_is_worn_incorrectly_are_passed_over() -> None:
    table, measured = draw_measurements("nothing", 200, 1)
    table.loc[:9, "label"] = "incorrect_mask"
    assert probe_of(probe_shortcuts(table, measured, QUICK), "drawn").faces == 190


def test_progress_ends_at_its_end() -> None:
    table, measured = draw_measurements("nothing", 60, 1)
    calls: list[tuple[int, int]] = []
    probe_shortcuts(table, measured, QUICK, lambda done, total, _: calls.append((done, total)))
    assert calls == [(0, 2), (1, 2), (2, 2)]


def test_the_check_finds_what_it_planted() -> None:
    found = probe("size", 1000, 5)
    assert found.verdict == "weak"
    assert [name for name, values in found.families.items() if values["found"]] == ["size"]
    table, measured = draw_measurements("size", 20_000, 5)
    # What it says it plants; the probe, which has to learn it from a thousand faces, comes near.
    assert roc_auc_score(table["label"] == "without_mask", measured["sqrt_size"]) == pytest.approx(0.7, abs=0.01)
