"""The Quality page: its numbers are the shell's, every view on the sample set, apply and undo, real data."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from app_page import fine, press
from conftest import ShellOn
from quality_page import VIEWS, move, numbers, show, status, visit
from streamlit.testing.v1 import AppTest

from maskdet import duplicates
from maskdet.facetable import Faces, load_faces
from maskdet.leaks import leak_table
from maskdet.quality import FilterOptions, load_filtered, near_faces
from maskdet.review import near_threshold
from maskdet.split import SplitOptions, load_split
from maskdet.workspace import Workspace
from ui.quality_charts import leak_lines, removed_shares
from ui.quality_controls import differences
from ui.quality_data import pairs_of, setting_of
from ui.quality_views import _fates_csv, removal_table


@pytest.fixture
def real(real_home: Path, tmp_path: Path) -> Workspace:
    """The real datasets, in a workspace for one test; the faces' pixels are those of `real_home`."""
    home = tmp_path / "real"
    shutil.copytree(real_home, home, ignore=shutil.ignore_patterns("shards"))
    (home / "shards").symlink_to(real_home / "shards")
    return Workspace(home)


#: Options of the core, and the same as arguments of the shell.
CHOICES: list[tuple[dict[str, Any], list[object]]] = [
    ({}, []),
    ({"incorrect_mask": "without_mask", "hash_distance": 10}, ["--incorrect-mask=without_mask", "--hash-distance=10"]),
    (
        {
            "hash_kind": "dhash", "hash_distance": 2, "small_size": 500.0, "min_aspect_ratio": 0.75,
            "max_aspect_ratio": 1.33, "min_channel_mean": 40.0, "max_channel_mean": 220.0, "incorrect_mask": "class",
        },
        [
            "--hash-kind=dhash", "--hash-distance=2", "--small-size=500", "--min-aspect-ratio=0.75",
            "--max-aspect-ratio=1.33", "--min-channel-mean=40", "--max-channel-mean=220", "--incorrect-mask=class",
        ],
    ),
    (
        {
            "duplicates": False, "aspect_ratio": False, "rgb": False, "exact": True, "conflicts": True, "small": True,
            "min_side": 50.0, "blur": True, "min_sharpness": 30.0,
        },
        [
            "--no-duplicates", "--no-aspect-ratio", "--no-rgb", "--exact", "--conflicts", "--min-side=50",
            "--min-sharpness=30",
        ],
    ),
]  # fmt: skip


WORDS = ("pool", "dataset", "label")


def same_as_printed(table: pd.DataFrame, out: str) -> bool:
    """Whether a table of the page has the numbers that the shell printed, row by row."""
    lines = out.splitlines()
    header = lines[0].split()
    shared = [name for name in header if name in table]
    assert len(shared) > 3
    for row, line in zip(table.to_dict("records"), lines[1 : len(table) + 1], strict=True):
        printed = dict(zip(header, line.split(), strict=True))
        if any(float(printed[name]) != float(row[name]) for name in shared if name not in WORDS):
            return False
        if printed["dataset"] != row["dataset"]:
            return False
    return True


@pytest.mark.parametrize("data", ["sample", "real"])
@pytest.mark.parametrize(("options", "arguments"), CHOICES)
def test_removals_and_leaks_are_those_of_the_shell(
    data: str,
    options: dict[str, Any],
    arguments: list[object],
    shell_on: ShellOn,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workspace = request.getfixturevalue(data)
    app = move(visit(workspace, monkeypatch), **options)
    out, err = shell_on(workspace, "filter", *arguments)
    assert same_as_printed(app.dataframe[0].value, out)
    kept, removed = (int(numbers(app)[title].replace(",", "")) for title in ("Kept", "Removed"))
    assert f"{kept} of {kept + removed} faces kept" in err
    assert [warning.value for warning in app.warning] == [
        line.removeprefix("Look twice: ") for line in out.splitlines() if line.startswith("Look twice: ")
    ]
    removed_masks = sum(int(line.split()[-2]) for line in out.splitlines()[1:] if " with_mask " in line)
    assert f"{removed_masks:,} of " in next(m.delta for m in app.metric if m.label == "With mask: removed")

    show(app, "Leaks")
    fine(app.slider(key="leak_distance").set_value(8).run())
    leaks = app.dataframe[0].value
    out, _ = shell_on(workspace, "leaks", "--distance=8")
    ours = leaks[leaks["splitting"] != "Split in force"]
    printed = [line.split() for line in out.splitlines()[1:]]
    columns = ["part", "faces", "leaks", "percent", "related"]
    assert [[row[0], *map(float, row[1:])] for row in ours[columns].to_numpy().tolist()] == [
        [row[1], float(row[3]), float(row[4]), float(row[5]), float(row[6])] for row in printed
    ]


@pytest.mark.parametrize("data", ["sample", "real"])
def test_applying_gives_the_shells_fingerprint(
    data: str, shell_on: ShellOn, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = request.getfixturevalue(data)
    app = visit(workspace, monkeypatch)
    move(app, hash_distance=2)
    app.slider(key="quality_split_bounds").set_value((70, 85))
    app.number_input(key="quality_split_seed").set_value(3)
    fine(app.slider(key="quality_group_distance").set_value(4).run())
    press(app, "quality_apply")
    split = load_split(workspace, load_faces(workspace))
    assert split.options == SplitOptions(0.7, 0.15, 0.15, 3, 4)
    assert status(app) == f"**In force:** {len(split.table):,} faces, fingerprint `{split.fingerprint}`"
    assert any(split.fingerprint in toast.value for toast in app.toast)
    shell_on(workspace, "filter", "--hash-distance=2")
    out, err = shell_on(
        workspace, "split", "--train=0.7", "--validation=0.15", "--test=0.15", "--seed=3", "--group-distance=4"
    )
    assert split.fingerprint in err
    show(app, "Split in force")
    assert same_as_printed(app.dataframe[0].value, out)
    assert any(split.fingerprint in text.value and "split 70/15/15, seed 3" in text.value for text in app.markdown)


def test_what_differs_undo_and_the_way_back(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_split(sample, load_faces(sample)).fingerprint
    app = visit(sample, monkeypatch)
    assert before in status(app)
    assert app.button(key="quality_undo").disabled
    assert app.button(key="quality_reset").disabled
    move(app, hash_distance=0, rgb=False, small=False)
    fine(app.number_input(key="quality_split_seed").set_value(7).run())
    assert status(app) == (
        "**3 settings differ from the set in force:** RGB anomalies on → off; hash distance 4 → 0; seed 0 → 7"
    )
    press(app, "quality_apply")
    after = load_split(sample, load_faces(sample)).fingerprint
    assert after != before
    assert after in status(app)
    press(app, "quality_undo")
    assert load_split(sample, load_faces(sample)).fingerprint == before
    assert load_filtered(sample, load_faces(sample)).options == FilterOptions()
    assert app.button(key="quality_undo").disabled
    assert "3 settings differ" in status(app)
    show(app, "Split in force")
    press(app, "quality_take")
    assert before in status(app)
    # A new widget: the browser does not move one in a closed popover, and would send its old value again.
    assert [widget.key for widget in app.number_input if "seed" in widget.key] == ["quality_split_seed 1"]
    assert numbers(app)["Removed"] == "12"
    move(app, hash_distance=1)
    assert not app.button(key="quality_reset").disabled
    press(app, "quality_reset")
    assert app.slider(key="quality_hash_distance").value == 4
    assert before in status(app)


def test_nothing_in_force_yet(real: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(real, monkeypatch)
    assert status(app).startswith("**Not applied yet.**")
    show(app, "Split in force")
    assert "nothing was applied yet" in app.info[-1].value
    press(app, "quality_apply")
    assert load_split(real, load_faces(real)).fingerprint in status(app)
    assert app.button(key="quality_undo").disabled


def test_no_face_left_and_no_validation_face(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = move(visit(sample, monkeypatch), min_channel_mean=255.0, max_channel_mean=255.0)
    assert numbers(app)["Kept"] == "0"
    assert status(app) == "These filters remove every face: loosen them."
    assert app.button(key="quality_apply").disabled
    for view in VIEWS:
        show(app, view)
    press(app, "quality_reset")
    fine(app.slider(key="quality_split_bounds").set_value((60, 60)).run())
    assert status(app) == "The split leaves no face for validation: move its handles apart."
    assert not [button for button in app.button if button.key == "quality_apply"]
    show(app, "Leaks")
    assert "Move the handles" in app.info[-1].value


def kinds_shown(app: AppTest) -> set[str]:
    """What a view consists of; that the sample set is synthetic stands above all of them."""
    kinds = {
        "table": bool(app.dataframe),
        "chart": bool(app.get("plotly_chart")),
        "faces": any((button.key or "").startswith("open_") for button in app.button),
        "note": any("Synthetic" not in info.value for info in app.info),
    }
    return {kind for kind, is_there in kinds.items() if is_there}


@pytest.mark.parametrize(("data", "in_force"), [("sample", "table"), ("real", "note")])
def test_every_view_shows_something(
    data: str, in_force: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = visit(request.getfixturevalue(data), monkeypatch)
    assert {view: kinds_shown(show(app, view)) for view in VIEWS} == {
        "Removals": {"table", "chart"},
        "At the threshold": {"faces"},
        "Duplicate clusters": {"faces"},
        "Leaks": {"table", "chart", "faces"},
        "By hand": {"note"},  # nothing is decided yet
        "Split in force": {in_force},
    }


def opened(app: AppTest, key: str) -> list[str]:
    """Captions of the faces of a gallery."""
    start = f"open_{key}_"
    return [button.label.removeprefix("Open: ") for button in app.button if (button.key or "").startswith(start)]


@pytest.mark.parametrize("name", ["aspect_ratio", "rgb", "small", "blur"])
def test_faces_on_both_sides_of_a_threshold(name: str, sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = load_faces(sample)
    table = faces.table.set_index("face_id")
    app = show(visit(sample, monkeypatch), "At the threshold")
    fine(app.segmented_control(key="threshold_of").set_value(name).run())
    is_off = name in ("small", "blur")
    assert any("This filter is off" in caption.value for caption in app.caption) == is_off
    for side, ids in zip(("outside", "inside"), near_threshold(faces, FilterOptions(), name, 6), strict=True):
        shown = opened(app, f"near_{name}_{side}")
        assert len(shown) == len(ids)
        for caption, face_id in zip(shown, ids, strict=True):
            row = table.loc[face_id]
            value = {
                "aspect_ratio": f"ratio {row['aspect_ratio']:.2f}",
                "rgb": f"RGB {row['mean_red']:.1f}",
                "small": f"shorter side {min(row['width'], row['height'])} px",
                "blur": f"sharpness {row['sharpness']:.1f}",
            }[name]
            assert value in caption
            assert str(row["dataset"]) in caption


def test_pairs_on_both_sides_of_the_hash_distance(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = show(visit(sample, monkeypatch), "At the threshold")
    titles = [text.value for text in app.markdown if text.value.endswith(("bits", "bit", "same hash"))]
    assert titles == ["2 bits", "same hash", "same hash", "same hash", "8 bits", "10 bits", "10 bits"]
    joined = opened(app, "pairs_joined_0")
    assert sorted(caption.split(" · ")[0] for caption in joined) == ["removed", "stays"]
    assert [caption.split(" · ")[0] for caption in opened(app, "pairs_apart_0")] == ["stays", "stays"]
    move(app, hash_distance=10)
    assert any("more than 10 bits apart are not searched" in c.value.lower() for c in app.caption)


def test_clusters_begin_with_the_copy_that_stays(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = show(visit(sample, monkeypatch), "Duplicate clusters")
    assert any("the one with most pixels" in caption.value for caption in app.caption)
    for number in range(4):
        first, *others = opened(app, f"clusters_{number}")
        assert first.startswith("**stays**")
        assert {caption.split(" · ")[0] for caption in others} == {"removed"}
    fine(app.segmented_control(key="clusters_which").set_value("labels").run())
    assert app.info[-1].value == "There is no such cluster."
    move(app, duplicates=False)
    fine(app.segmented_control(key="clusters_which").set_value("size").run())
    assert any("The filter of duplicates is off" in caption.value for caption in app.caption)
    assert {caption.split(" · ")[0] for caption in opened(app, "clusters_0")} == {"**stays**", "stays"}


def test_leaking_faces_stand_beside_their_training_face(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = show(visit(sample, monkeypatch), "Leaks")
    table = app.dataframe[0].value
    assert "Split in force" in table["splitting"].tolist()
    assert table.loc[table["splitting"].str.startswith("Publisher's split, as"), "leaks"].sum() == 1
    judged, trained = opened(app, "leaks_0")
    assert judged.startswith("**test** · ")
    assert judged.endswith("near-duplicate-leak.jpg")
    assert trained.startswith("**train** · ")
    fine(app.slider(key="leak_distance").set_value(0).run())
    assert app.dataframe[0].value["leaks"].sum() <= table["leaks"].sum()


def test_options_survive_another_page(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = move(visit(sample, monkeypatch), hash_distance=0, rgb=False, min_aspect_ratio=0.5, max_aspect_ratio=2.0)
    show(app, "Leaks")
    removed = numbers(app)["Removed"]
    fine(app.switch_page("pages/augmentation.py").run())
    fine(app.switch_page("pages/quality.py").run())
    assert numbers(app)["Removed"] == removed
    assert app.segmented_control(key="quality_view").value == "Leaks"
    assert app.select_slider(key="quality_ratio_span").value == (0.5, 2.0)
    assert app.slider(key="quality_hash_distance").value == 0


def test_too_many_pairs_are_searched_only_as_far_as_needed(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = numbers(visit(sample, monkeypatch))
    st.cache_resource.clear()
    found = len(near_faces(load_faces(sample), "phash", 4).distance)
    monkeypatch.setattr(duplicates, "MAX_PAIRS", found)
    app = visit(sample, monkeypatch)
    assert numbers(app) == usual
    for view in VIEWS:
        show(app, view)
    assert pairs_of(sample, "phash", 4).max_distance == 4
    move(app, hash_distance=10)
    assert app.metric
    app.segmented_control(key="quality_view").set_value("At the threshold").run()
    assert not app.exception
    assert "lower the distance" in app.error[0].value


def test_large_clusters_and_uneven_removals_are_pointed_out(real: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(real, monkeypatch)
    assert not app.warning
    move(app, hash_kind="ahash", hash_distance=8)
    assert any("One duplicate cluster has" in warning.value for warning in app.warning)


def test_the_csv_of_all_faces(sample: Workspace) -> None:
    setting = setting_of(sample, FilterOptions())
    rows = pd.read_csv(pd.io.common.BytesIO(_fates_csv(setting)), keep_default_na=False)
    assert len(rows) == 143
    assert (rows["removed_by"] != "").sum() == 12
    assert list(rows) == ["face_id", "dataset", "photo", "label", "counted_as", "cluster", "removed_by", "kept_face"]


def test_what_differs_in_words() -> None:
    study = FilterOptions()
    assert differences(study, study) == []
    assert differences(replace(study, min_side=50), study) == []  # that filter is off
    assert differences(replace(study, small=True, min_side=50), study) == [
        "small faces off → on",
        "shorter side 20 → 50",
    ]
    changed = replace(study, hash_kind="dhash", incorrect_mask="class", max_aspect_ratio=2.5)
    assert differences(changed, study) == [
        "largest aspect ratio 4 → 2.5",
        "masks worn incorrectly left out → a class of their own",
        "hash kind pHash → dHash",
    ]


COUNTS = pd.DataFrame(
    {
        "dataset": ["a", "a"], "label": ["with_mask", "without_mask"], "faces": [10, 4], "incorrect_mask": [0, 0],
        "duplicate": [1, 2], "aspect_ratio": [0, 0], "rgb": [2, 0], "kept": [7, 2], "removed": [3, 2],
        "removed_percent": [30.0, 50.0],
    }
)  # fmt: skip


def test_shares_removed_are_charted_by_filter() -> None:
    figure = removed_shares(COUNTS)
    assert [bar.name for bar in figure.data] == ["Duplicate", "RGB anomaly"]
    assert list(figure.data[0].x) == [10, 50]
    assert list(figure.data[1].x) == [20, 0]
    assert list(figure.data[0].y[1]) == ["With mask", "Without mask"]


def test_the_table_in_percent_of_each_row() -> None:
    table = removal_table(COUNTS, in_percent=True)
    assert table["duplicate"].tolist() == [10, 50]
    assert table["removed"].tolist() == [3, 2]
    assert removal_table(COUNTS, in_percent=False)["duplicate"].tolist() == [1, 2]
    assert table.columns.tolist()[:5] == ["dataset", "label", "faces", "removed", "removed_percent"]  # in sight


def test_leaks_are_charted_by_splitting_and_part(sample: Workspace) -> None:
    faces: Faces = load_faces(sample)
    split = np.where(np.arange(len(faces.table)) % 2, "train", "test").astype(object)
    leaks = leak_table(faces, near_faces(faces, "phash"), {"publisher": split}, {})
    figure = leak_lines(leaks, {"publisher": "Published"}, 6)
    assert [(line.name, line.line.dash) for line in figure.data] == [("Published", "dot"), ("Published", "solid")]
    assert list(figure.data[1].x) == list(range(11))
    assert list(figure.data[1].y) == leaks.loc[leaks["part"] == "test", "percent"].tolist()
