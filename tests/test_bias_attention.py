"""Attention by group: which faces, whose evidence, shares and means by hand, and what is kept."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from factories import FakeModel, prepared, use_small_networks
from written_runs import write_run

from maskdet.attribution import Explainer
from maskdet.attribution.faithfulness import lower_half_shares
from maskdet.bias import attention as module
from maskdet.bias.attention import (
    Attention,
    AttentionOptions,
    attention,
    attention_by,
    choose_faces,
    covered,
    examples,
    heat_on_faces,
    kept_maps,
    load_attention,
    mean_map,
    raw_maps,
    save_attention,
)
from maskdet.bias.regions import FaceGeometry, lower_face
from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.facetable import load_faces
from maskdet.images import ArrayImages, stored_images
from maskdet.labels import WITH_MASK, WITHOUT_MASK
from maskdet.models import create_model
from maskdet.runs import Run
from maskdet.workspace import Workspace

USUAL = FaceGeometry.usual()


def judged(*rows: tuple[str, str, float]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["face_id", "label", "logit"])
    wrong = (table["logit"] > 0) != (table["label"] == WITHOUT_MASK)
    return table.assign(dataset="a", group=np.arange(len(table)), wrong=wrong)


def test_a_sample_of_each_label_and_the_wrong_ones_besides() -> None:
    many = [(f"m{n:03d}", WITH_MASK, 1.0 if n % 10 == 0 else -1.0) for n in range(100)]
    table = judged(*many, *((f"u{n}", WITHOUT_MASK, 1.0) for n in range(5)))
    chosen = choose_faces(table, 8, 0)
    assert chosen[chosen["sampled"]].groupby("label").size().to_dict() == {WITH_MASK: 8, WITHOUT_MASK: 5}
    assert int(chosen["wrong"].sum()) == 8
    assert chosen.loc[~chosen["sampled"], "wrong"].all()
    # Who is in the sample does not hang on what the model says.
    other = choose_faces(table.assign(wrong=False), 8, 0)
    assert set(other["face_id"]) == set(chosen.loc[chosen["sampled"], "face_id"])


class Told(Explainer):
    """An explainer that paints a map by the label that it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[int]]] = []

    def raw(self, method: str, faces: Any, label: str, layer: Any = None, *_: Any) -> Any:
        self.asked.append((label, [int(face[0, 0, 0]) for face in faces]))
        return np.stack([np.full((2, 2), face[0, 0, 0] + 100 * (label == WITHOUT_MASK), np.float32) for face in faces])

    def on_face(self, raw: Any, layer: Any) -> Any:
        return raw


def numbered(count: int) -> ArrayImages:
    faces = np.zeros((count, 150, 150, 3), np.uint8)
    faces[:, 0, 0, 0] = np.arange(count)
    return ArrayImages(faces)


def test_each_face_is_asked_for_the_label_that_it_is_given() -> None:
    explainer, told = Told(), []
    logits = pd.Series([1.0, -1.0, -2.0, 3.0, 0.0])
    raw = raw_maps(explainer, "grad-cam", None, numbered(5), logits, lambda done, total, _: told.append((done, total)))
    assert explainer.asked == [(WITH_MASK, [1, 2, 4]), (WITHOUT_MASK, [0, 3])]
    assert raw[:, 0, 0].tolist() == [100, 1, 2, 103, 4]
    assert told == [(3, 5), (5, 5)]


def test_many_faces_are_asked_in_parts() -> None:
    explainer = Told()
    raw = raw_maps(explainer, "grad-cam", None, numbered(70), pd.Series(np.full(70, -1.0)))
    assert [len(faces) for _, faces in explainer.asked] == [32, 32, 6]
    assert raw[:, 0, 0].tolist() == list(range(70))


def test_shares_of_the_heat_by_hand() -> None:
    raw = np.zeros((3, 2, 2), np.float32)
    raw[0, 1] = 1  # all below
    raw[1] = 1  # everywhere
    table = heat_on_faces(raw, [USUAL] * 3)
    region = lower_face(USUAL)
    assert table["lower_half_share"].tolist()[:2] == [1, 0.5]
    assert table.loc[2, ["lower_half_share", "lower_face_share"]].isna().all()
    below = region[75:].sum() / (75 * 150)  # the mean of the two lower cells, of which the region covers so much
    assert table["lower_face_share"][0] == pytest.approx(below)
    assert table["lower_face_share"][1] == pytest.approx(region.mean())
    assert table["lower_face_area"].tolist() == [pytest.approx(region.mean())] * 3


def test_how_much_of_a_cell_a_region_covers() -> None:
    region = np.zeros((150, 150), dtype=bool)
    region[:50, :75] = True
    np.testing.assert_allclose(covered(region, 3, 2), [[1, 0], [0, 0], [0, 0]])
    np.testing.assert_allclose(covered(region, 2, 2), [[50 / 75, 0], [0, 0]])
    np.testing.assert_allclose(covered(region, 7, 4).mean(), region.mean())  # cells that are no whole pixels


def test_maps_are_kept_small_and_scaled() -> None:
    raw = np.zeros((2, 4, 4), np.float32)
    raw[0, 1, 2] = 8
    raw[0, 3, 3] = 2
    kept = kept_maps(raw)
    assert (kept.dtype, kept.shape) == (np.float16, (2, 4, 4))
    assert (kept[0, 1, 2], kept[0, 3, 3], kept[1].max()) == (1, 0.25, 0)
    large = np.zeros((1, 150, 150), np.float32)
    large[0, :10, :5] = 3
    small = kept_maps(large)
    assert small.shape == (1, 15, 15)
    assert (small[0, 0, 0], small[0].astype(float).sum()) == (1, 1)


def found_of(faces: pd.DataFrame, maps: np.ndarray | None = None) -> Attention:
    maps = np.zeros((len(faces), 2, 2), np.float16) if maps is None else maps
    return Attention("r", "abc", "grad-cam", "conv5_relu", AttentionOptions(), faces, maps)


def by_hand(each: int = 40) -> Attention:
    """Masked faces look at the lower face (0.8), a quarter is wrong and does not (0.4); unmasked 0.5, one empty.

    Five more wrong ones are none of the sample.
    """
    count = 2 * each + 5
    number = np.arange(count)
    masked = (number < each) | (number >= 2 * each)
    wrong = (number < each // 4) | (number >= 2 * each)
    share = np.where(masked, np.where(wrong, 0.4, 0.8), 0.5)
    share[each] = np.nan
    faces = pd.DataFrame(
        {
            "face_id": [f"a/{n:03d}" for n in number], "dataset": "a",
            "label": np.where(masked, WITH_MASK, WITHOUT_MASK), "group": number, "logit": 1.0, "wrong": wrong,
            "sampled": number < 2 * each, "lower_half_share": share, "lower_face_share": share / 2,
            "lower_face_area": 0.3,
        }
    )  # fmt: skip
    return found_of(faces)


def test_figures_by_hand() -> None:
    table = attention_by(by_hand()).set_index(["group_name", "label", "outcome"])
    assert len(table) == 5  # no unmasked face is wrong
    everyone, right = table.loc[("all", WITH_MASK, "all")], table.loc[("all", WITH_MASK, "right")]
    assert (everyone["n"], right["n"]) == (40, 30)
    assert everyone["share"] == pytest.approx(0.7)
    assert everyone["low"] < 0.7 < everyone["high"]
    assert right["share"] == pytest.approx(0.8)
    assert everyone["lower_face_share"] == pytest.approx(0.35)
    assert everyone["lower_face_low"] < 0.35 < everyone["lower_face_high"]
    assert everyone["lower_face_area"] == pytest.approx(0.3)
    wrong = table.loc[("all", WITH_MASK, "wrong")]
    assert (wrong["n"], wrong["reason"]) == (15, "too few to say: 15 faces")  # 10 of the sample and 5 besides
    assert wrong["share"] == pytest.approx(0.4)
    assert np.isnan(wrong["low"])
    unmasked = table.loc[("all", WITHOUT_MASK, "all")]
    assert (unmasked["n"], unmasked["no_evidence"], unmasked["share"]) == (39, 1, 0.5)  # the mean is of 39
    assert unmasked["reason"] == "no interval: no two faces differ"  # all have half of it there


def test_figures_of_groups() -> None:
    found = by_hand()
    groups = pd.Series("light", index=found.faces["face_id"])
    groups.iloc[:10] = "dark"
    table = attention_by(found, groups, fewest=10).set_index(["group_name", "label", "outcome"])
    dark = table.loc[("dark", WITH_MASK, "wrong")]
    assert (dark["n"], dark["share"], dark["reason"]) == (10, pytest.approx(0.4), "no interval: no two faces differ")
    assert np.isnan(dark["low"])
    assert ("dark", WITH_MASK, "right") not in table.index
    assert table.loc[("light", WITH_MASK, "wrong"), "n"] == 5
    assert table.loc[("light", WITH_MASK, "all"), "share"] == pytest.approx(0.8)


def test_the_mean_map_is_that_of_faces_with_evidence() -> None:
    maps = np.zeros((85, 2, 2), np.float16)
    maps[0, 0, 0], maps[1, 1, 1] = 1, 1
    found = found_of(by_hand().faces, maps)
    mean = mean_map(found, ["a/000", "a/001", "a/040", "elsewhere"])  # a/040 has none
    assert mean is not None
    assert mean.tolist() == [[0.5, 0], [0, 0.5]]
    assert mean_map(found, ["a/040"]) is None
    assert mean_map(found, []) is None


def test_examples_are_the_most_extreme() -> None:
    found = by_hand()
    found.faces.loc[12, "lower_half_share"] = 0.99
    found.faces.loc[3, "lower_half_share"] = 0.01
    table = examples(found, count=2)
    masked = table[table["label"] == WITH_MASK]
    assert masked["end"].tolist() == ["lowest", "lowest", "highest", "highest"]
    assert masked["face_id"].tolist() == ["a/003", "a/000", "a/012", "a/010"]
    assert masked["wrong"].tolist() == [True, True, False, False]
    groups = pd.Series({"a/003": "dark", "a/012": "dark"})
    dark = examples(found, groups, count=3).query("group_name == 'dark'")
    assert dark["face_id"].tolist() == ["a/003", "a/012", "a/012", "a/003"]
    # Wrong faces that are not in the sample are no examples of their group.
    assert not {"a/080", "a/084"} & set(examples(found, count=100)["face_id"])


def written(workspace: Workspace, root: Path) -> Run:
    """A run whose test faces are eight of a drawn dataset, two of them wrong."""
    table = prepared(workspace, root, {"with_mask": 4, "without_mask": 4}).table
    logit = np.where(table["label"] == WITHOUT_MASK, 2.0, -2.0)
    logit[[0, 5]] *= -1
    rows = table.assign(split="test", group=np.arange(len(table)), logit=logit, p_without_mask=0.5)
    columns = ["face_id", "dataset", "label", "group", "split", "logit", "p_without_mask"]
    return write_run(workspace, "looked", table=rows[columns])


def test_a_network_is_looked_at_by_grad_cam(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_small_networks(monkeypatch)
    run, model = written(workspace, tmp_path), create_model("cnn")
    model.network = model.build()
    monkeypatch.setattr(Run, "load_model", lambda run: model)
    monkeypatch.setattr(module, "open_runtime", lambda run: None)
    found = attention(workspace, run, AttentionOptions(sample=3))
    assert (found.method, found.layer) == ("grad-cam", "conv5_relu")
    assert found.faces["sampled"].sum() == 6
    alone = Explainer(model).raw("grad-cam", model_faces(workspace, found), WITH_MASK)
    given = found.faces["logit"].to_numpy() < 0
    np.testing.assert_allclose(lower_half_shares(alone[given]), found.faces.loc[given, "lower_half_share"], atol=1e-5)


def model_faces(workspace: Workspace, found: Attention) -> np.ndarray:
    images = stored_images(workspace, load_faces(workspace), found.faces["face_id"])
    return images.take(np.arange(len(images)))


def test_a_model_without_a_network_is_looked_at_by_occlusion(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, model = written(workspace, tmp_path), FakeModel()
    monkeypatch.setattr(Run, "load_model", lambda run: model)
    monkeypatch.setattr(module, "open_runtime", lambda run: lambda faces: model.predict_features(ArrayImages(faces)))
    told: list[int] = []
    options = AttentionOptions(slow_sample=3)
    found = attention(workspace, run, options, lambda done, *_: told.append(done))
    assert (found.method, found.layer, found.maps.shape[1:]) == ("occlusion", None, (10, 10))
    assert found.faces["sampled"].sum() == 6
    assert found.faces["wrong"].sum() == 2
    assert (found.run, found.fingerprint, found.options) == ("looked", "abc", options)
    assert told == sorted(told)
    # Of a model that compares the lower with the upper half, both have evidence.
    assert found.faces["lower_half_share"].between(0, 1).all()
    with pytest.raises(MaskDetError, match="Grad-CAM needs a convolutional network"):
        attention(workspace, run, AttentionOptions(method="grad-cam"))
    with pytest.raises(MaskDetError, match="looks at no single layer"):
        attention(workspace, run, AttentionOptions(layer="conv5_relu"))


def test_samples_of_no_face_are_refused() -> None:
    for options in ({"sample": 0}, {"slow_sample": 0}):
        with pytest.raises(MaskDetError, match="at least 1 face"):
            AttentionOptions(**options)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    found = found_of(by_hand().faces, np.random.default_rng(0).random((85, 3, 3)).astype(np.float16))
    path = tmp_path / "attention.json"
    save_attention(path, found)
    again = load_attention(path)
    assert (again.run, again.fingerprint, again.method, again.layer, again.options) == (
        found.run, found.fingerprint, found.method, found.layer, found.options,
    )  # fmt: skip
    assert (again.maps == found.maps).all()
    pd.testing.assert_frame_equal(attention_by(again), attention_by(found))


@pytest.mark.parametrize(
    "change", [{"options": {"sample": 0}}, {"options": 3}, {"run": ...}, {"options": {"smile": 1}}]
)
def test_a_damaged_record_is_one_sentence(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "attention.json"
    save_attention(path, by_hand())
    stored = json.loads(path.read_text()) | change
    path.write_text(json.dumps({key: value for key, value in stored.items() if value is not ...}))
    with pytest.raises(WorkspaceError, match=r"attention\.json cannot be read \("):
        load_attention(path)


@pytest.mark.parametrize(("shape", "kind"), [((3, 2, 2), "float16"), ((2, 2), "float16"), (None, "S3")])
def test_maps_that_do_not_fit_the_faces_are_one_sentence(
    tmp_path: Path, shape: tuple[int, ...] | None, kind: str
) -> None:
    path = tmp_path / "attention.json"
    save_attention(path, found_of(by_hand().faces, np.zeros(shape or by_hand().maps.shape, kind)))
    with pytest.raises(WorkspaceError, match="maps of shape"):
        load_attention(path)
