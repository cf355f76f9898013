"""Further filters: thresholds by hand, in words and from JSON, and what every entry of the mapping must keep to."""

import json
import shutil
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_page import fine, press
from conftest import Shell
from factories import make_faces
from quality_page import move, numbers, visit

from maskdet.errors import MaskDetError
from maskdet.facetable import load_faces
from maskdet.further_filters import FURTHER, parse_thresholds, thresholds
from maskdet.quality import FilterOptions, apply_filters, filter_titles, load_filtered, margins, measured_filters
from maskdet.review import near_threshold, removals
from maskdet.starter import sample_of
from maskdet.workspace import Workspace
from ui.quality_controls import STUDY, differences

LOW, EDGE, HIGH = ({"contrast": value} for value in (9.9, 10.0, 60.0))


@pytest.mark.parametrize("name", FURTHER)
def test_a_filter_measures_each_face_and_begins_with_a_threshold_that_keeps_a_good_one(name: str) -> None:
    faces = make_faces({}, {}, {})
    values = FURTHER[name].value(faces.table).to_numpy()
    assert values.shape == (3,)
    assert (values >= FURTHER[name].least).all()
    assert name in measured_filters()
    assert apply_filters(faces, FilterOptions(further=((name, 1e6),))).table["removed_by"].tolist() == [name] * 3


def test_names_are_those_of_nothing_else() -> None:
    titles = filter_titles()
    assert len(set(titles.values())) == len(titles)
    assert not set(FURTHER) & {field.name for field in fields(FilterOptions)}


def test_contrast() -> None:
    faces = make_faces(LOW, EDGE, HIGH)
    assert apply_filters(faces).table["removed_by"].tolist() == ["", "", ""]  # off, as in the study
    on = FilterOptions(further=(("contrast", 10.0),))
    filtered = apply_filters(faces, on)
    assert filtered.table["removed_by"].tolist() == ["contrast", "", ""]
    assert removals(faces, filtered)["contrast"].tolist() == [1]
    np.testing.assert_allclose(margins(faces.table, on)["contrast"], [-0.01, 0.0, 5.0])
    outside, inside = near_threshold(faces, on, "contrast", 5)
    assert (outside.index.tolist(), inside.index.tolist()) == ([0], [1, 2])


def test_options_come_back_from_json() -> None:
    options = FilterOptions(further=(("contrast", 12),))
    assert options.further == (("contrast", 12.0),)
    assert FilterOptions(**json.loads(json.dumps(asdict(options)))) == options
    assert FilterOptions(**{"rgb": False}).further == ()  # as an older version wrote them


@pytest.mark.parametrize(
    ("texts", "expected"),
    [([], ()), (["contrast"], (("contrast", 10.0),)), (["contrast=12.5"], (("contrast", 12.5),))],
)
def test_thresholds_in_words(texts: list[str], expected: tuple[tuple[str, float], ...]) -> None:
    assert parse_thresholds(texts) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour=3", "There is no further filter 'colour'; choose one of contrast"),
        ("contrast=high", "needs NAME=NUMBER, not 'contrast=high'"),
        ("contrast=-1", r"must be at least 0, not -1\.0"),
        ("contrast=nan", "must be at least 0, not nan"),
        ("contrast=inf", "must be at least 0, not inf"),
    ],
)
def test_wrong_thresholds_are_told(text: str, message: str) -> None:
    with pytest.raises(MaskDetError, match=message):
        parse_thresholds([text])


@pytest.mark.parametrize(
    "given", [[("contrast", "high")], [("contrast", None)], [("contrast", 10**400)], [("contrast",)], [3]]
)
def test_thresholds_of_another_kind_are_told(given: list[Any]) -> None:
    with pytest.raises(MaskDetError, match=r"^A further filter needs a name and a number \(.+\)\.$"):
        thresholds(given)


def test_each_filter_once() -> None:
    assert thresholds([("contrast", 3), ("contrast", 4)]) == (("contrast", 4.0),)


def test_from_the_shell(drawn: Path, workspace: Workspace, shell: Shell) -> None:
    shutil.copytree(sample_of(Workspace(drawn)).home, workspace.home)
    status, out, _ = shell("filter", "--further", "contrast=1000")
    filtered = load_filtered(workspace, load_faces(workspace))
    assert (status, filtered.options.further, len(filtered.kept)) == (0, (("contrast", 1000.0),), 0)
    assert "contrast" in out


def test_on_the_page(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(sample, monkeypatch)
    before = numbers(app)["Removed"]
    app = move(app, further_contrast=True)
    app = fine(app.number_input(key="quality_least_contrast").set_value(1000.0).run())
    assert numbers(app)["Kept"] == "0"
    app = fine(app.segmented_control(key="quality_view").set_value("At the threshold").run())
    fine(app.segmented_control(key="threshold_of").set_value("contrast").run())
    assert differences(FilterOptions(further=(("contrast", 1000.0),)), STUDY) == ["low contrast off → 1000"]
    app = press(app, "quality_reset")
    assert numbers(app)["Removed"] == before
