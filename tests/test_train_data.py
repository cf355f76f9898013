"""What a training is given: plans, datasets that are left out or watched, the base of a transfer, and an estimate."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import Cut, cut_after, prepared_pools, use_small_networks
from quick_trainings import NETWORK, RELIABILITY, SAME, SMALL, copies_drawn, logits

from maskdet.errors import MaskDetError, RunError
from maskdet.facetable import load_faces
from maskdet.runs import Run, list_runs, open_run, unfinished_runs
from maskdet.split import load_split
from maskdet.train import _fitting_base, estimate, evaluate, resume, train
from maskdet.training_data import Plan, automatic_watch, training_data
from maskdet.workspace import Workspace, write_json

pytestmark = pytest.mark.usefixtures("no_bundled_runs")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The copies that networks are shown in training: face and copy."""
    return copies_drawn(monkeypatch)


@pytest.fixture(scope="module")
def pools_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the datasets a and b, and sim of simulated masks, 15 faces a label; not to be changed."""
    folder = tmp_path_factory.mktemp("pools")
    prepared_pools(Workspace(folder / "home"), folder / "data")
    return folder / "home"


@pytest.fixture
def pools(workspace: Workspace, pools_home: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """`pools_home`, in a workspace that may be changed; networks are small."""
    use_small_networks(monkeypatch)
    shutil.copytree(pools_home, workspace.home)
    return workspace


# --- plans -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"limit": 1}, "The limit must be at least 2 faces, not 1"),
        ({"pool": "both"}, "The pool must be main or pre-training, not 'both'"),
        ({"model": "resnet"}, "There is no model 'resnet'"),
        ({"model": "cnn-transfer", "pool": "pre-training"}, "cnn-transfer is trained on the main pool, from a base"),
    ],
)
def test_plans_are_checked(plan: dict[str, Any], words: str) -> None:
    with pytest.raises(MaskDetError, match=words):
        Plan(**{"model": "svm"} | plan)


def test_a_plan_survives_json() -> None:
    plan = Plan("cnn", {"epochs": 3}, seed=4, limit=9, fingerprint="abcdef", left_out=("a",), watched=(), base="x")
    stored = json.loads(json.dumps(plan.__dict__ | {"id": "cnn-1", "created": "2024", "faces": {"train": 3}}))
    assert Plan.of(stored) == plan


def test_what_is_trained_is_told_while_it_is_trained(pools: Workspace) -> None:
    seen: list[Any] = []

    def look(run_id: str) -> None:
        (unfinished,) = unfinished_runs(pools)
        seen.append((run_id, unfinished.plan, unfinished.active))

    run = train(pools, "cnn", NETWORK, seed=3, limit=12, left_out=("b",), started=look)
    ((run_id, plan, active),) = seen
    assert (run_id, active) == (run.id, True)
    assert plan["options"] == run.record["options"]
    assert plan["options"]["precision"] == "float32"
    assert {name: plan[name] for name in ("id", "model", "seed", "limit", "left_out", "watched", "base", "pool")} == {
        "id": run.id, "model": "cnn", "seed": 3, "limit": 12, "left_out": ["b"], "watched": ["sim"], "base": None,
        "pool": "main",
    }  # fmt: skip
    assert plan["fingerprint"] == run.fingerprint
    assert unfinished_runs(pools) == []
    kept = {path.name for path in run.folder.iterdir()}
    assert kept == {"history.json", "metrics.json", "predictions.parquet", "run.json", "weights"} | RELIABILITY


# --- datasets --------------------------------------------------------------------------------------------------------


def test_what_is_left_out_or_watched_is_not_trained_on(pools: Workspace, drawn: list[tuple[str, str]]) -> None:
    run = train(pools, "cnn", NETWORK | {"epochs": 1}, left_out=("b",))
    assert {face_id.split("/")[0] for face_id, _ in drawn} == {"a"}
    assert len(drawn) == len({face_id for face_id, _ in drawn}) == 18
    data = run.record["data"]
    assert (data["left_out"], data["watched"], data["datasets"]) == (["b"], ["sim"], ["a"])
    by_split = run.predictions.groupby("split")["dataset"].unique().map(sorted).to_dict()
    assert by_split == {"train": ["a"], "validation": ["a"], "test": ["a", "b"]}
    assert data["faces"] == {"train": 18, "validation": 6, "test": 12}
    assert run.metrics["faces"] == 12
    # Watched are sim's 24 faces for training and validation; its 6 test faces chose nothing, and so may judge.
    assert {"watched_loss", "watched_accuracy", "watched_macro_f1"} <= set(run.history)
    assert run.metrics["watched"]["sim"]["faces"] == 6
    assert not set(run.predictions["dataset"]) & {"sim"}


def test_validation_and_watched_faces_are_of_the_plan(pools: Workspace) -> None:
    data = training_data(pools, Plan("cnn", watched=("b",)))
    assert {name: sorted(set(images.datasets)) for name, images in data.images.items()} == {
        "train": ["a"], "validation": ["a"], "test": ["a", "b"], "watched": ["b"]
    }  # fmt: skip
    ids = {name: set(images.face_ids) for name, images in data.images.items()}
    assert {name: len(faces) for name, faces in ids.items()} == {
        "train": 18, "validation": 6, "test": 12, "watched": 24
    }  # fmt: skip
    assert len(set.union(*ids.values())) == 60  # no face is in two of them
    assert data.watched_test.empty  # b's test faces are judged with the others
    assert data.fit.watched is data.images["watched"]
    assert training_data(pools, Plan("cnn", watched=())).fit.watched is None


def test_a_limit_counts_for_watched_faces_too(pools: Workspace) -> None:
    """Else a quick try would judge thousands of faces each epoch."""
    data = training_data(pools, Plan("cnn", limit=12))
    assert {name: len(images) for name, images in data.images.items()} == {
        "train": 12, "validation": 4, "test": 4, "watched": 16
    }  # fmt: skip
    assert len(data.watched_test) == 4


def test_the_smallest_limit_leaves_a_face_of_each_dataset_and_label(pools: Workspace) -> None:
    data = training_data(pools, Plan("svm", limit=2))
    for part in data.parts.values():
        assert part.groupby(["dataset", "label"]).size().tolist() == [1, 1, 1, 1]


def test_who_is_watched_by_itself(pools: Workspace) -> None:
    split = load_split(pools, load_faces(pools))
    assert automatic_watch(split, "cnn") == automatic_watch(split, "inceptionv3") == ("sim",)
    assert automatic_watch(split, "cnn", "pre-training") == ()
    assert automatic_watch(split, "svm") == automatic_watch(split, "cnn-transfer") == ()
    assert training_data(pools, Plan("cnn", left_out=("sim",))).watched == ()


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"left_out": ("c",)}, "There is no dataset 'c' in this split; there are: a, b, sim"),
        ({"watched": ("c",)}, "There is no dataset 'c' in this split; there are: a, b, sim"),
        ({"left_out": ("a", "b")}, "The train split has no face with_mask"),
        ({"model": "svm", "watched": ("sim",)}, "svm is fitted in one go: there is no epoch to choose by watching"),
    ],
)
def test_datasets_are_checked_before_any_work(pools: Workspace, plan: dict[str, Any], words: str) -> None:
    with pytest.raises(MaskDetError, match=words):
        train(pools, **{"model_name": plan.pop("model", "cnn")}, **plan)
    assert not pools.path("runs").exists()


def test_the_pre_training_pool(pools: Workspace) -> None:
    run = train(pools, "svm", SMALL, pool="pre-training")
    assert set(run.predictions["dataset"]) == {"sim"}
    assert (run.record["data"]["pool"], run.record["data"]["watched"]) == ("pre-training", [])
    assert evaluate(pools, run).metrics == run.metrics


# --- transfer --------------------------------------------------------------------------------------------------------


def test_a_transfer_makes_its_base_first(pools: Workspace) -> None:
    ids: list[str] = []
    quick = NETWORK | {"epochs": 1}
    first = train(pools, "cnn-transfer", quick, started=ids.append)
    base, transfer = (open_run(pools.path("runs", run_id)) for run_id in ids)
    assert (base.model_name, transfer.id, transfer.record["base"]) == ("cnn", first.id, base.id)
    assert (base.record["data"]["pool"], base.record["data"]["datasets"]) == ("pre-training", ["sim"])
    assert transfer.record["data"]["watched"] == []  # it has begun with what others watch
    fitting = _fitting_base(pools, load_split(pools, load_faces(pools)))
    assert fitting
    assert fitting.id == base.id  # so the next one takes it again
    assert {"frozen_epochs": 1, "epochs": 1}.items() <= first.record["options"].items()


@pytest.fixture
def bases(pools: Workspace) -> dict[str, Run]:
    """CNNs that a transfer may or may not begin with, from one that was trained."""
    whole = train(pools, "cnn", NETWORK | {"epochs": 1}, pool="pre-training")
    made = {"whole": whole}
    data = whole.record["data"]
    changes: dict[str, dict[str, Any]] = {
        "older": {"created": "2000-01-01T00:00:00Z"},
        "limited": {"created": "2999-01-01T00:00:00Z", "limit": 12},
        "main": {"created": "2999-01-01T00:00:00Z", "data": data | {"pool": "main"}},
        "elsewhere": {"created": "2999-01-01T00:00:00Z", "data": data | {"fingerprint": "abcdef"}},
        "svm": {"created": "2999-01-01T00:00:00Z", "model": "svm"},
    }
    for name, change in changes.items():
        shutil.copytree(whole.folder, pools.path("runs", name))
        write_json(pools.path("runs", name, "run.json"), whole.record | {"id": name} | change)
        made[name] = open_run(pools.path("runs", name))
    return made


def test_which_base_a_transfer_begins_with_and_is_resumed_from(
    pools: Workspace, bases: dict[str, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    split = load_split(pools, load_faces(pools))
    fitting = _fitting_base(pools, split)
    assert fitting
    assert fitting.id == bases["whole"].id
    named = train(pools, "cnn-transfer", NETWORK, base="older", seed=2)
    assert named.record["base"] == "older"
    with monkeypatch.context() as patch:
        patch.setattr("maskdet.train.FolderCheckpoint", cut_after(1))
        with pytest.raises(Cut):
            train(pools, "cnn-transfer", NETWORK, base="older", seed=2)
    (cut,) = unfinished_runs(pools)
    resumed = resume(pools, cut.id)
    assert resumed.record["base"] == "older"
    np.testing.assert_allclose(logits(resumed), logits(named), rtol=SAME, atol=SAME)
    count = len(list_runs(pools))
    for name, words in (
        ("main", "Run main is no CNN trained on the pre-training pool; a transfer begins with such a one"),
        ("svm", "Run svm is no CNN trained on the pre-training pool"),
        ("nothing", "There is no run 'nothing'"),
    ):
        with pytest.raises(RunError, match=words):
            train(pools, "cnn-transfer", NETWORK, base=name)
    assert len(list_runs(pools)) == count
    assert unfinished_runs(pools) == []


# --- estimate --------------------------------------------------------------------------------------------------------


def test_an_estimate_writes_nothing(pools: Workspace) -> None:
    """And needs no base."""
    before = sorted(pools.home.rglob("*"))
    assert 0 < estimate(pools, "cnn-transfer", NETWORK) < 600
    assert sorted(pools.home.rglob("*")) == before
