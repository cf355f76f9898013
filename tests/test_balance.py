"""Balancing: weights worked out by hand, draws, what a record says, and a planted imbalance that is undone."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from factories import Cut, cut_after, scanned_and_split, use_small_networks
from PIL import Image

import maskdet.runs
from maskdet.balance import (
    BALANCE_FILE,
    CAP,
    Balanced,
    balance_groups,
    load_balanced,
    resample,
    save_balanced,
    weights,
)
from maskdet.compare import marks, short_labels
from maskdet.errors import MaskDetError, RunError, WorkspaceError
from maskdet.images import ArrayImages
from maskdet.models import Model, feeding
from maskdet.photos import FACE_SIZE, RgbImage
from maskdet.runs import Run, unfinished_runs
from maskdet.train import resume, train
from maskdet.training_data import Plan, training_data
from maskdet.workspace import Workspace, write_table

MASK, NONE = "with_mask", "without_mask"


def faces(**cells: tuple[int, int]) -> tuple[list[str], list[str]]:
    """Groups and labels: of each group so many faces with mask and without."""
    groups, labels = [], []
    for group, counts in cells.items():
        for label, count in zip((MASK, NONE), counts, strict=True):
            groups += [group.replace("unknown", "")] * count
            labels += [label] * count
    return groups, labels


def by_cell(groups: list[str], labels: list[str], values: np.ndarray) -> dict[tuple[str, str], list[float]]:
    table = pd.DataFrame({"group": groups, "label": labels, "weight": values})
    return {key: sorted(set(rows["weight"].round(9))) for key, rows in table.groupby(["group", "label"])}


def balanced(target: Any = "independent", **cells: tuple[int, int]) -> Balanced:
    groups, labels = faces(**cells)
    ids = [f"f{number}" for number in range(len(groups))]
    part = pd.DataFrame({"face_id": ids, "label": labels})
    order = [*dict.fromkeys(group for group in groups if group)]
    return balance_groups(part, pd.Series(pd.Categorical(groups, [*order, ""]), ids), "brightness", target)


# --- weights ---------------------------------------------------------------------------------------------------------


def test_independent_is_the_product_of_the_shares_over_the_share_of_both() -> None:
    """dark 6 and 2, bright 4 and 8 of 20: P(dark) 0.4, P(mask) 0.5; 0.4 x 0.5 / 0.3 = 2/3, and so on."""
    groups, labels = faces(dark=(6, 2), bright=(4, 8))
    found = weights(groups, labels)
    assert by_cell(groups, labels, found) == {
        ("dark", MASK): [round(2 / 3, 9)], ("dark", NONE): [2.0], ("bright", MASK): [1.5], ("bright", NONE): [0.75]
    }  # fmt: skip
    assert found.sum() == pytest.approx(20)


def test_independent_weights_make_the_label_independent_and_keep_the_sums() -> None:
    groups, labels = faces(dark=(60, 20), middle=(11, 33), bright=(40, 80))
    table = pd.DataFrame({"group": groups, "label": labels, "weight": weights(groups, labels)})
    counted = table.pivot_table(index="group", columns="label", values="weight", aggfunc="sum")
    faces_of = table.groupby("group").size()
    np.testing.assert_allclose(counted.sum(axis=1), faces_of.loc[counted.index])
    np.testing.assert_allclose(counted[MASK] / counted.sum(axis=1), 111 / 244)


def test_equal_lets_each_group_of_each_label_count_the_same() -> None:
    """Four cells of 20 faces: 5 each, so 5 / 6, 5 / 2, 5 / 4 and 5 / 8."""
    groups, labels = faces(dark=(6, 2), bright=(4, 8))
    assert by_cell(groups, labels, weights(groups, labels, "equal")) == {
        ("dark", MASK): [round(5 / 6, 9)], ("dark", NONE): [2.5], ("bright", MASK): [1.25], ("bright", NONE): [0.625]
    }  # fmt: skip


def test_what_is_independent_already_stays_as_it_is() -> None:
    groups, labels = faces(dark=(6, 3), bright=(4, 2))
    np.testing.assert_allclose(weights(groups, labels), 1)


def test_faces_of_no_known_group_count_once_and_change_nothing_for_others() -> None:
    groups, labels = faces(dark=(6, 2), bright=(4, 8), unknown=(30, 1))
    found = weights(groups, labels)
    np.testing.assert_allclose(found[20:], 1)
    np.testing.assert_allclose(found[:20], weights(groups[:20], labels[:20]))
    np.testing.assert_allclose(weights([""] * 3, [MASK] * 3), 1)


def test_the_cap_holds_and_the_rest_takes_what_is_left() -> None:
    """Equal, of 100 faces: 50 for each of two cells, so 50 and 50 / 99; capped at 10 the others share 90."""
    groups, labels = faces(a=(1, 0), b=(0, 99))
    found = weights(groups, labels, "equal")
    assert found[0] == CAP
    np.testing.assert_allclose(found[1:], 90 / 99)
    # Capped at 3: 4 faces of 4 cells at 25 each of 100 want 25 / 4 and so on; two rounds are needed.
    groups, labels = faces(a=(4, 9), b=(40, 47))
    found = weights(groups, labels, "equal", cap=2.7)
    cells = by_cell(groups, labels, found)
    assert cells[("a", MASK)] == cells[("a", NONE)] == [2.7]
    assert found.sum() == pytest.approx(100)
    assert cells[("b", MASK)][0] / cells[("b", NONE)][0] == pytest.approx(47 / 40)


def test_an_empty_cell_leaves_a_mean_of_one() -> None:
    groups, labels = faces(dark=(10, 0), bright=(10, 20))
    assert weights(groups, labels).mean() == pytest.approx(1)


@pytest.mark.parametrize(
    ("about", "words"),
    [({"target": "fair"}, "must be one of independent, equal, not 'fair'"), ({"cap": 1}, "The cap must be above 1")],
)
def test_wrong_options_of_weights(about: dict[str, Any], words: str) -> None:
    with pytest.raises(MaskDetError, match=words):
        weights(["a", "b"], [MASK, NONE], **about)


# --- draws -----------------------------------------------------------------------------------------------------------


def test_a_draw_rounds_each_weight_up_or_down() -> None:
    wanted = np.repeat([2.5, 0.25, 1.0], [10, 20, 30])  # of mean 1
    drawn = resample(wanted, 3)
    assert len(drawn) == 60
    assert (np.diff(drawn) >= 0).all()
    counts = np.bincount(drawn, minlength=60)
    assert set(counts[:10]) == {2, 3}
    assert set(counts[10:30]) == {0, 1}
    assert set(counts[30:]) <= {0, 1, 2}
    for part, total in ((slice(0, 10), 25), (slice(10, 30), 5), (slice(30, 60), 30)):
        assert abs(counts[part].sum() - total) <= 1  # what weighs the same comes as often as it should


def test_equal_weights_draw_everything_once() -> None:
    np.testing.assert_array_equal(resample(np.ones(50), 1), np.arange(50))
    np.testing.assert_array_equal(resample(np.full(50, 0.3), 1), np.arange(50))  # the mean counts


def test_draws_follow_the_seed_and_over_many_every_face_comes() -> None:
    wanted = np.repeat([1.8, 0.2], [50, 50])
    np.testing.assert_array_equal(resample(wanted, [1, 2]), resample(wanted, [1, 2]))
    many = [resample(wanted, [1, epoch]) for epoch in range(200)]
    assert len({tuple(drawn) for drawn in many}) == 200
    share = np.bincount(np.concatenate(many), minlength=100) / 200
    np.testing.assert_allclose(share, wanted, atol=0.15)


# --- what is said ----------------------------------------------------------------------------------------------------


def test_the_record_has_the_counts_before_and_after() -> None:
    record = balanced(dark=(6, 2), bright=(4, 8), unknown=(1, 0)).record()
    assert {name: record[name] for name in ("attribute", "target", "cap")} == {
        "attribute": "brightness", "target": "independent", "cap": 10
    }  # fmt: skip
    assert record["cells"] == [
        {"group": "dark", "label": MASK, "faces": 6, "weight": 0.6667, "counted": 4.0},
        {"group": "dark", "label": NONE, "faces": 2, "weight": 2.0, "counted": 4.0},
        {"group": "bright", "label": MASK, "faces": 4, "weight": 1.5, "counted": 6.0},
        {"group": "bright", "label": NONE, "faces": 8, "weight": 0.75, "counted": 6.0},
        {"group": "", "label": MASK, "faces": 1, "weight": 1.0, "counted": 1.0},
        {"group": "", "label": NONE, "faces": 0, "weight": None, "counted": 0.0},
    ]
    assert record["notes"] == ["Brightness is not known for 1 of the training faces; each of them counts once."]


def test_an_empty_cell_and_one_at_the_cap_are_said() -> None:
    found = balanced("equal", dark=(30, 0), bright=(1, 200))
    assert found.notes == (
        "No training face of brightness dark is without mask: balancing cannot make what is not there.",
        "Training faces with mask of brightness bright (n = 1) count 10 times each, the most that a face may, and "
        "still less than they should.",
    )
    assert found.cells["faces"].tolist() == [30, 0, 1, 200]
    assert found.cells["counted"].tolist() == pytest.approx([110.5, 0, 10, 110.5])  # 231 faces, less 10, for two cells


def test_groups_keep_their_order_and_those_of_no_training_face_are_left_out() -> None:
    part = pd.DataFrame({"face_id": ["1", "2", "3", "4"], "label": [MASK, NONE] * 2})
    groups = pd.Series(
        pd.Categorical(["9 to 10", "9 to 10", "2 to 9", "2 to 9", "0 to 2"], ["0 to 2", "2 to 9", "9 to 10"]),
        ["1", "2", "3", "4", "of the test"],
    )
    assert balance_groups(part, groups, "size", "equal").cells["group"].tolist() == ["2 to 9"] * 2 + ["9 to 10"] * 2
    unknown = balance_groups(pd.concat([part, pd.DataFrame({"face_id": ["5"], "label": [MASK]})]), groups, "size",
                             "equal")  # fmt: skip
    assert unknown.faces["group"].tolist()[-1] == ""


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"unknown": (3, 3)}, "Brightness is known of no training face: measure it with"),
        ({"dark": (3, 3), "unknown": (3, 3)}, r"All training faces have the same brightness \(dark\): nothing to"),
        ({"dark": (3, 0), "bright": (3, 0), "unknown": (0, 3)}, "Brightness is known of faces with mask alone, so no"),
    ],
)
def test_nothing_to_balance(cells: dict[str, tuple[int, int]], words: str) -> None:
    with pytest.raises(MaskDetError, match=words):
        balanced(**cells)


def test_what_is_kept_with_a_training_comes_back(tmp_path: Path) -> None:
    found = balanced("equal", dark=(6, 2), bright=(4, 8), unknown=(1, 0))
    save_balanced(tmp_path, found)
    again = load_balanced(tmp_path, "brightness", "equal")
    assert again.record() == found.record()
    pd.testing.assert_frame_equal(again.faces, found.faces)
    write_table(tmp_path / BALANCE_FILE, found.faces[["face_id"]])
    with pytest.raises(RunError, match="is damaged: train anew"):
        load_balanced(tmp_path, "brightness", "equal")
    (tmp_path / BALANCE_FILE).write_bytes(b"no table")
    with pytest.raises(WorkspaceError):
        load_balanced(tmp_path, "brightness", "equal")


def test_counts_of_many_draws_are_those_of_the_record() -> None:
    found = balanced(dark=(60, 20), bright=(40, 80))
    drawn = Counter(
        str(found.faces["group"][at]) + found.faces["label"][at] for at in resample(found.faces["weight"].to_numpy(), 0)
    )
    for row in found.cells.itertuples():
        assert abs(drawn[f"{row.group}{row.label}"] - row.counted) <= 1


# --- trainings -------------------------------------------------------------------------------------------------------

SVM = {"components": 8, "C": [0.1, 1.0], "kernel": ["linear"], "folds": 2, "jobs": 1}
NETWORK = {"epochs": 2, "batch_size": 16, "precision": "float32", "augmentation": {"plan": "on-the-fly"}}
#: Of the test faces that show what a model learned, of each label and brightness.
EACH = 60


def draw(label: str, dark: bool, count: int, seed: int, size: int = 48) -> RgbImage:
    """Blotches, dark or bright as a whole; the lower half is a little darker than the upper with a mask, mostly."""
    rng = np.random.default_rng(seed)
    drawn = np.empty((count, size, size, 3), np.uint8)
    for number in range(count):
        cells = (rng.integers(-40, 40, (5, 5, 3)) + (95 if dark else 160)).astype(np.uint8)
        face = np.asarray(Image.fromarray(cells).resize((size, size), Image.Resampling.BICUBIC), dtype=np.float64)
        darker = rng.normal(14 if label == MASK else -14, 10)
        face[size // 2 :] -= darker
        face[: size // 2] += darker  # of the brightness it says nothing
        drawn[number] = np.clip(face, 0, 255)
    return drawn


@pytest.fixture(scope="module")
def planted_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace where dark faces are mostly with mask and bright ones mostly without; not to be changed."""
    folder = tmp_path_factory.mktemp("planted")
    for number, (label, dark, count) in enumerate(
        [(MASK, True, 210), (MASK, False, 30), (NONE, True, 30), (NONE, False, 210)]
    ):
        (folder / "data/tiny" / label).mkdir(parents=True, exist_ok=True)
        for i, face in enumerate(draw(label, dark, count, seed=number)):
            Image.fromarray(face).save(folder / "data/tiny" / label / f"{number}-{i:03d}.png")
    scanned_and_split(Workspace(folder / "home"), folder / "data")
    return folder / "home"


@pytest.fixture
def planted(workspace: Workspace, planted_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Workspace:
    """`planted_home`, in a workspace that may be changed; networks are small and no run ships."""
    use_small_networks(monkeypatch)
    monkeypatch.setattr(maskdet.runs, "BUNDLED", tmp_path / "bundled")
    shutil.copytree(planted_home, workspace.home)
    return workspace


def gap(model: Model) -> float:
    """How much more often a model is right where brightness goes with the label than where it goes against it."""
    right = {}
    for number, (label, dark) in enumerate([(MASK, True), (NONE, False), (MASK, False), (NONE, True)]):
        logits = model.predict_logit(ArrayImages(draw(label, dark, EACH, seed=10 + number, size=FACE_SIZE)))
        right[label, dark] = ((logits > 0) == (label == NONE)).mean()
    with_it, against_it = (right[MASK, dark] + right[NONE, not dark] for dark in (True, False))
    return float(with_it - against_it) / 2


def logits(run: Run) -> np.ndarray:
    return run.predictions.sort_values("face_id")["logit"].to_numpy()


def test_a_planted_imbalance_is_undone(planted: Workspace) -> None:
    plain = train(planted, "svm", SVM)
    fair = train(planted, "svm", SVM, balance="brightness")
    assert gap(plain.load_model()) > 0.2
    assert abs(gap(fair.load_model())) < gap(plain.load_model()) / 2


def test_the_run_says_how_it_was_balanced_and_each_face_stands_in_it_once(planted: Workspace) -> None:
    run = train(planted, "svm", SVM, balance="brightness", balance_target="equal", limit=120)
    balance = run.record["balance"]
    assert (balance["attribute"], balance["target"], balance["cap"]) == ("brightness", "equal", CAP)
    cells = pd.DataFrame(balance["cells"])
    assert len(cells) == 2 * 4  # four bins of as many training faces
    assert cells["faces"].sum() == run.record["data"]["faces"]["train"] == 120
    assert cells["counted"].sum() == pytest.approx(120, abs=0.5)
    assert cells.loc[cells["weight"] < CAP, "counted"].max() < cells["faces"].max()
    assert not run.predictions["face_id"].duplicated().any()
    assert run.predictions["split"].value_counts().to_dict() == {"train": 120, "validation": 40, "test": 40}
    kept = load_balanced(run.folder, "brightness", "equal")
    assert set(kept.faces["face_id"]) == set(run.predictions.loc[run.predictions["split"] == "train", "face_id"])
    assert marks(run)[1:] == ["Its training faces were balanced by brightness (equal)."]
    assert short_labels([run])[run.id] == "PCA + SVM"


def test_validation_and_test_faces_do_not_weigh(planted: Workspace) -> None:
    data = training_data(planted, Plan("cnn", balance="brightness", limit=60))
    assert data.fit.train.weights is not None
    assert data.fit.train.weights.mean() == pytest.approx(1)
    assert len(data.fit.train) == len(set(data.fit.train.face_ids)) == 60
    assert [data.images[name].weights for name in ("validation", "test")] == [None, None]
    assert training_data(planted, Plan("cnn")).fit.train.weights is None


def test_a_network_is_shown_each_cell_as_often_as_it_counts(
    planted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[int, str]] = []

    def draw_copy(image: np.ndarray, copy: str, *, face_id: str, epoch: int, **_about: Any) -> np.ndarray:
        shown.append((epoch, face_id))
        return image

    monkeypatch.setattr(feeding, "draw_copy", draw_copy)
    run = train(planted, "cnn", NETWORK, balance="brightness", limit=96)
    faces = load_balanced(run.folder, "brightness", "independent").faces.set_index("face_id")
    for epoch in range(2):
        drawn = [face_id for at, face_id in shown if at == epoch]
        assert len(drawn) == len(set(drawn)) == 96  # what comes again, comes under a name of its own
        cells = faces.loc[[face_id.split("|")[0] for face_id in drawn]].groupby(["group", "label"]).size()
        for cell in run.record["balance"]["cells"]:
            assert abs(cells[cell["group"], cell["label"]] - cell["counted"]) < 2
    first, second = ({face_id for at, face_id in shown if at == epoch} for epoch in range(2))
    assert first != second


def test_a_balanced_training_goes_on_as_it_began(planted: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was measured since."""
    whole = train(planted, "svm", SVM, balance="brightness", limit=100)
    with monkeypatch.context() as patch:
        patch.setattr("maskdet.train.FolderCheckpoint", cut_after(1))
        with pytest.raises(Cut):
            train(planted, "svm", SVM, balance="brightness", limit=100)
    (cut,) = unfinished_runs(planted)
    assert (cut.plan["balance"], cut.plan["balance_target"]) == ("brightness", "independent")
    with monkeypatch.context() as patch:
        patch.setattr("maskdet.bias.known_attributes.attributes_of", lambda *_: pytest.fail("measured again"))
        resumed = resume(planted, cut.id)
    np.testing.assert_allclose(logits(resumed), logits(whole), rtol=1e-5, atol=1e-5)
    assert resumed.record["balance"] == whole.record["balance"]


def test_a_resumed_training_must_be_of_the_faces_that_were_weighed(
    planted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("maskdet.train.FolderCheckpoint", cut_after(1))
        with pytest.raises(Cut):
            train(planted, "svm", SVM, balance="brightness", limit=100)
    (cut,) = unfinished_runs(planted)
    faces = load_balanced(cut.folder, "brightness", "independent").faces
    write_table(cut.folder / BALANCE_FILE, faces.iloc[1:])
    with pytest.raises(RunError, match="balanced for other faces than it names"):
        resume(planted, cut.id)


def test_plans_of_balancing(planted: Workspace) -> None:
    assert Plan.of({"model": "svm", "seed": 3}) == Plan("svm", seed=3)  # as versions before 0.3 kept it
    plan = Plan("svm", balance="size", balance_target="equal")
    assert Plan.of(json.loads(json.dumps(plan.__dict__))) == plan
    with pytest.raises(MaskDetError, match="There is no attribute 'age' to balance by; there are: dataset, source"):
        train(planted, "svm", SVM, balance="age")
    with pytest.raises(MaskDetError, match="its probe saw the labels of test faces"):
        Plan("svm", balance="shortcut")
    with pytest.raises(MaskDetError, match="must be one of independent, equal, not 'fair'"):
        Plan("svm", balance="size", balance_target="fair")  # type: ignore[arg-type]
    with pytest.raises(MaskDetError, match="Apparent skin tone is known of no training face: measure it with"):
        train(planted, "svm", SVM, balance="skin_tone")
    assert not planted.path("runs").exists()
