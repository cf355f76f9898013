"""Counterfactuals: which faces, what the model is asked, and the figures; values by hand."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from factories import prepared
from written_runs import write_run

from maskdet.bias import counterfactuals as module
from maskdet.bias.counterfactuals import (
    CounterfactualOptions,
    Counterfactuals,
    compare_flips,
    contrast,
    counterfactuals,
    flips,
    judge_changes,
    load_counterfactuals,
    save_counterfactuals,
)
from maskdet.bias.regions import FaceGeometry
from maskdet.bias.transformations import TRANSFORMATIONS, transformed
from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.images import ArrayImages
from maskdet.labels import WITH_MASK, WITHOUT_MASK
from maskdet.photos import RgbImage
from maskdet.runs import Run
from maskdet.workspace import Workspace

USUAL = FaceGeometry.usual()
NAMES = ("brighten", "tint-black", "mask-white")


def lightness(faces: RgbImage) -> np.ndarray:
    """A model whose logit is the mean pixel, less 100."""
    return faces.mean(axis=(1, 2, 3)) - 100


def blind_model(run: Run) -> object:
    return lambda faces: (lightness(faces), np.zeros((len(faces), 1), np.float32))


def test_each_face_is_judged_as_it_is_and_after_what_applies_to_its_label() -> None:
    faces = np.stack([np.full((150, 150, 3), level, np.uint8) for level in (60, 90, 120)])
    labels = [WITH_MASK, WITHOUT_MASK, WITHOUT_MASK]
    told = []
    table = judge_changes(
        lightness, ArrayImages(faces), [USUAL] * 3, labels, NAMES, lambda done, total, _: told.append((done, total))
    )
    assert table.columns.tolist() == ["logit", *NAMES]
    np.testing.assert_allclose(table["logit"], [-40, -10, 20])
    np.testing.assert_allclose(table["brighten"], [-10, 35, 80])
    assert table["tint-black"].notna().tolist() == [True, False, False]
    assert table["mask-white"].notna().tolist() == [False, True, True]
    drawn = transformed(faces[1], USUAL, ["mask-white"])["mask-white"]
    assert table["mask-white"][1] == pytest.approx(drawn.mean() - 100, abs=1e-3)
    assert told[-1] == (3, 3)


def test_what_cannot_be_done_to_a_face_has_no_logit() -> None:
    high = FaceGeometry(USUAL.landmarks - np.array((0, 28), np.float32), USUAL.box, found=True)
    faces = np.full((2, 150, 150, 3), 90, np.uint8)
    table = judge_changes(lightness, ArrayImages(faces), [high, USUAL], [WITHOUT_MASK] * 2, ["light-patch-forehead"])
    assert table["light-patch-forehead"].notna().tolist() == [False, True]


def found_of(before: object, brighten: object, drawn: object, *, run: str = "r") -> Counterfactuals:
    """Half of the faces with mask, half without; each in a group of its own."""
    logits = np.asarray(before, dtype=np.float32)
    half = len(logits) // 2
    faces = pd.DataFrame(
        {
            "face_id": [f"a/{number:03d}" for number in range(len(logits))], "dataset": "a",
            "label": [WITH_MASK] * half + [WITHOUT_MASK] * half, "group": np.arange(len(logits)),
            "found": True, "logit": logits, "brighten": np.asarray(brighten, np.float32),
            "mask-white": np.asarray(drawn, np.float32),
        }
    )  # fmt: skip
    return Counterfactuals(run, "abc", CounterfactualOptions(names=("brighten", "mask-white")), faces)


def by_hand() -> Counterfactuals:
    """40 faces of each label at -2 and 2: a quarter of the masked turn when brighter, the others move by 1."""
    before = np.repeat([-2.0, 2.0], 40)
    brighten = np.concatenate([np.repeat([1.0, -1.0], [10, 30]), np.full(40, 3.0)])
    drawn = np.concatenate([np.full(40, np.nan), np.full(38, -2.0), [np.nan, 1.0]])
    return found_of(before, brighten, drawn)


def test_figures_by_hand() -> None:
    table = flips(by_hand()).set_index(["transformation", "label"])
    assert len(table) == 3  # masks are drawn on unmasked faces alone
    masked = table.loc[("brighten", WITH_MASK)]
    assert (masked["n"], masked["flipped"], masked["change"]) == (40, 0.25, 1.5)  # 10 by 3, 30 by 1
    assert masked["low"] < 0.25 < masked["high"]
    assert masked["change_low"] < 1.5 < masked["change_high"]
    assert masked["change_sd"] == 0.75  # the logits as they are have a standard deviation of 2
    assert masked["change_sd_high"] == masked["change_high"] / 2
    unmasked = table.loc[("brighten", WITHOUT_MASK)]
    assert (unmasked["flipped"], unmasked["low"], unmasked["change"]) == (0, 0, 1)
    assert unmasked["high"] == pytest.approx(1 - 0.025 ** (1 / 40))
    drawn = table.loc[("mask-white", WITHOUT_MASK)]
    assert drawn["n"] == 39  # one could not be drawn on
    assert drawn["flipped"] == pytest.approx(38 / 39)
    assert drawn["change"] == pytest.approx((38 * -4 - 1) / 39)
    assert masked["reason"] == drawn["reason"] == ""
    assert unmasked["reason"] == "no interval of the change: no two faces differ"  # each logit rose by 1
    assert np.isnan(unmasked["change_low"])


def test_a_drawn_mask_has_nothing_to_turn_where_one_was_seen_already() -> None:
    before = np.concatenate([np.full(40, -2.0), np.full(4, -1.0), np.full(36, 2.0)])
    table = flips(found_of(before, before, np.full(80, -3.0))).set_index(["transformation", "label"])
    drawn = table.loc[("mask-white", WITHOUT_MASK)]
    assert (drawn["n"], drawn["flipped"], drawn["change"]) == (36, 1, -5)
    assert table.loc[("brighten", WITHOUT_MASK), "n"] == 40


def test_groups_and_too_few() -> None:
    found = by_hand()
    groups = pd.Series("light", index=found.faces["face_id"])
    groups.iloc[:10] = "dark"  # those that turn
    table = flips(found, groups).set_index(["transformation", "label", "group_name"])
    assert table.loc[("brighten", WITH_MASK, "light"), ["n", "flipped"]].tolist() == [30, 0]
    dark = table.loc[("brighten", WITH_MASK, "dark")]
    assert (dark["n"], dark["flipped"], dark["change"]) == (10, 1, 3)
    assert dark["reason"] == "too few to say: 10 faces"
    assert np.isnan(dark[["low", "high", "change_low", "change_sd_high"]].astype(float)).all()
    assert ("brighten", WITHOUT_MASK, "dark") not in table.index
    assert flips(found, groups, fewest=10).query("group_name == 'dark'")["low"].notna().all()


def test_rows_come_by_transformation_in_the_order_asked_for() -> None:
    assert flips(by_hand())["transformation"].tolist() == ["brighten", "brighten", "mask-white"]


def test_logits_that_do_not_differ_have_no_unit() -> None:
    table = flips(found_of([1.0] * 80, [2.0] * 80, [np.nan] * 80))
    assert table["change"].dropna().tolist() == [1, 1]
    assert table["change_sd"].isna().all()


def test_two_runs_are_compared_face_by_face() -> None:
    # The other turns every fifth of the ten that the first turns, and its logits lie on a scale ten times as wide.
    before = np.repeat([-20.0, 20.0], 40)
    brighten = np.concatenate([np.repeat([10.0, -10.0], [2, 38]), np.full(40, 30.0)])
    other = found_of(before, brighten, np.full(80, np.nan), run="other")
    table = compare_flips(by_hand(), other).set_index(["transformation", "label"])
    masked = table.loc[("brighten", WITH_MASK)]
    assert masked["flipped"] == pytest.approx(0.25 - 0.05)
    # Of the first 10 by 3/2 and 30 by 1/2; of the other 2 by 30/20 and 38 by 10/20.
    assert masked["change_sd"] == pytest.approx(0.75 - 0.55)
    assert 0 < masked["low"] < masked["flipped"] < masked["high"]
    assert table.loc[("mask-white", WITHOUT_MASK), "n"] == 0
    unmasked = table.loc[("brighten", WITHOUT_MASK)]
    assert (unmasked["flipped"], unmasked["change_sd"]) == (0, 0)


def test_only_faces_of_both_runs_are_compared() -> None:
    first = by_hand()
    fewer = Counterfactuals("o", "abc", first.options, first.faces.iloc[::-2])
    table = compare_flips(first, fewer)
    assert table.loc[table["transformation"] == "brighten", "n"].tolist() == [20, 20]
    assert (table["flipped"].dropna() == 0).all()


def test_one_change_against_another() -> None:
    found = by_hand()
    light, dark = "light-patch-forehead", "dark-patch-forehead"
    faces = found.faces.rename(columns={"brighten": light}).assign(**{dark: found.faces["logit"]})
    patched = Counterfactuals("r", "abc", CounterfactualOptions(names=(light, dark, "mask-white")), faces)
    table = contrast(patched, light, dark)
    assert table[["transformation", "label", "n"]].to_numpy().tolist() == [[light, WITHOUT_MASK, 40]]
    assert table["change_sd"].tolist() == [0.5]
    with pytest.raises(MaskDetError, match="was not asked about 'grey'"):
        contrast(patched, light, "grey")


def test_options_are_checked() -> None:
    with pytest.raises(MaskDetError, match="at least 1 face, not 0"):
        CounterfactualOptions(sample=0)
    with pytest.raises(MaskDetError, match="not 'smile'"):
        CounterfactualOptions(names=("smile",))
    assert CounterfactualOptions().chosen == tuple(TRANSFORMATIONS)


def test_a_run_is_asked_about_a_sample_of_its_test_faces(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = prepared(workspace, tmp_path, {"with_mask": 6, "without_mask": 6}).table
    rows = table.assign(split="test", group=np.arange(len(table)), logit=1.0, p_without_mask=0.7)
    rows.loc[rows.index[0], "split"] = "train"
    columns = ["face_id", "dataset", "label", "group", "split", "logit", "p_without_mask"]
    run = write_run(workspace, "asked", table=rows[columns])
    monkeypatch.setattr(module, "open_runtime", blind_model)
    told: list[tuple[int, int]] = []
    options = CounterfactualOptions(sample=4, names=NAMES)
    found = counterfactuals(workspace, run, options, lambda done, total, _: told.append((done, total)))
    assert found.faces.groupby("label").size().to_dict() == {WITH_MASK: 4, WITHOUT_MASK: 4}
    assert rows.loc[rows.index[0], "face_id"] not in set(found.faces["face_id"])
    assert (found.run, found.fingerprint, found.options) == ("asked", "abc", options)
    assert not found.faces["found"].any()
    # Logits are those of the runtime, not those that are stored.
    assert (found.faces["logit"] != 1).all()
    assert told == sorted(told)
    assert told[-1] == (2000, 2000)
    again = counterfactuals(workspace, run, options)
    pd.testing.assert_frame_equal(again.faces, found.faces)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path, found = tmp_path / "counterfactuals.json", by_hand()
    save_counterfactuals(path, found)
    again = load_counterfactuals(path)
    assert (again.run, again.fingerprint, again.options) == (found.run, found.fingerprint, found.options)
    pd.testing.assert_frame_equal(flips(again), flips(found))


@pytest.mark.parametrize(
    "record", [{"options": {"names": 3}}, {"options": {"sample": 0}}, {"options": {"names": ["smile"]}}, {"run": None}]
)
def test_a_damaged_record_is_one_sentence(tmp_path: Path, record: dict[str, object]) -> None:
    path = tmp_path / "counterfactuals.json"
    save_counterfactuals(path, by_hand())
    stored = json.loads(path.read_text())
    if record == {"run": None}:
        del stored["run"]
    else:
        stored["options"] |= record["options"]
    path.write_text(json.dumps(stored))
    with pytest.raises(WorkspaceError, match=r"counterfactuals\.json cannot be read \("):
        load_counterfactuals(path)


def test_a_column_that_is_missing_is_one_sentence(tmp_path: Path) -> None:
    path, found = tmp_path / "counterfactuals.json", by_hand()
    save_counterfactuals(path, Counterfactuals("r", "abc", found.options, found.faces.drop(columns="brighten")))
    with pytest.raises(WorkspaceError, match=r"counterfactuals\.json cannot be read \("):
        load_counterfactuals(path)
