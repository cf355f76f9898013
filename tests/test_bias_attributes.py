"""Attributes of faces: where they come from, bins that hold what they say, groups in their order."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from factories import CATALOG, make_faces

from maskdet.bias.attributes import (
    ATTRIBUTES,
    face_attributes,
    group_of,
    load_attributes,
    save_attributes,
)
from maskdet.bias.tones import TONES
from maskdet.errors import MaskDetError, WorkspaceError

FINGERPRINT = "0123456789abcdef"


def appearance_of(**columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame({"face_id": ["f0", "f1", "f2"], **columns})


@pytest.fixture
def table() -> pd.DataFrame:
    """Three faces: one with a simulated mask, two of a dataset with real ones and of one that nobody described."""
    return make_faces(
        {"face_id": "f0", "dataset": "sim", "width": 40, "height": 90, "brightness": 50.0},
        {"face_id": "f1", "dataset": "a", "label": "without_mask"},
        {"face_id": "f2", "dataset": "else", "label": "without_mask"},
    ).table


def test_what_the_face_table_knows(table: pd.DataFrame) -> None:
    found = face_attributes(table, catalog=CATALOG).set_index("face_id").loc["f0"]
    assert list(found.index) == list(ATTRIBUTES)
    assert (found["dataset"], found["source"]) == ("sim", "simulated masks")
    assert found["size"] == pytest.approx(60)  # sqrt(40 * 90)
    assert found["aspect_ratio"] == pytest.approx(2.25)
    assert found["brightness"] == 50


def test_the_source_is_that_of_the_catalog(table: pd.DataFrame) -> None:
    found = face_attributes(table, catalog=CATALOG)
    assert found["source"].tolist() == ["simulated masks", "real masks", ""]
    assert face_attributes(table)["source"].tolist() == ["", "", ""]  # the catalog that ships knows none of them


def test_what_was_not_measured_is_not_known(table: pd.DataFrame) -> None:
    found = face_attributes(table)
    assert found[["skin_lightness", "skin_hue"]].isna().all(axis=None)
    assert (found[["skin_tone", "mask_colour", "shortcut"]] == "").all(axis=None)


def test_appearance_becomes_groups(table: pd.DataFrame) -> None:
    appearance = appearance_of(
        skin_lightness=[70.0, np.nan, 30.0], skin_hue=[50.0, np.nan, 60.0], skin_ita=[60.0, np.nan, -40.0],
        mask_colour=["blue", "", None],
    )  # fmt: skip
    found = face_attributes(table, appearance.iloc[::-1])
    assert found["skin_tone"].tolist() == ["very light", "", "dark"]
    assert found["mask_colour"].tolist() == ["blue", "", ""]
    assert found["skin_lightness"].tolist() == pytest.approx([70, np.nan, 30], nan_ok=True)
    assert face_attributes(table, appearance.head(1))["skin_tone"].tolist() == ["very light", "", ""]


def test_whether_the_shortcut_agrees_with_the_label_that_counts(table: pd.DataFrame) -> None:
    scores = pd.DataFrame({
        "face_id": ["f2", "f0", "f1"], "label": ["without_mask", "with_mask", "without_mask"],
        "p_without_mask": [0.4, 0.4, np.nan],
    })  # fmt: skip
    assert face_attributes(table, None, scores)["shortcut"].tolist() == ["aligned", "", "conflicting"]
    relabelled = scores.assign(label=["with_mask", "without_mask", "with_mask"])
    assert face_attributes(table, None, relabelled)["shortcut"].tolist() == ["conflicting", "", "aligned"]


def groups(values: object, name: str = "size", bins: int = 4) -> "pd.Series[str]":
    numbers = list(values)
    return group_of(pd.DataFrame({"face_id": [f"f{i}" for i in range(len(numbers))], name: numbers}), name, bins)


def test_numbers_are_put_into_quantile_bins() -> None:
    found = groups([13.0, 20.0, 45.0, 50.0, 60.0, 70.0, 80.0, 99.0, np.nan])
    # Quartiles of the eight: 38.75, 55, 72.5, rounded to 39, 55, 72 (half to even).
    assert found.cat.categories.tolist() == ["", "13 to 39 px", "39 to 55 px", "55 to 72 px", "72 to 99 px"]
    assert found.tolist() == ["13 to 39 px"] * 2 + ["39 to 55 px"] * 2 + ["55 to 72 px"] * 2 + ["72 to 99 px"] * 2 + [
        ""
    ]
    assert found.cat.ordered
    assert found.index.tolist() == [f"f{i}" for i in range(9)]


def test_a_bin_holds_what_its_name_says() -> None:
    values = np.random.default_rng(0).lognormal(4, 1, 500)
    found = groups(values)
    for name, value in zip(found, values, strict=True):
        low, high = (float(edge.replace(",", "")) for edge in name.removesuffix(" px").split(" to "))
        assert round(low) - 0.5 <= value <= high + 0.5
    assert found.value_counts().between(115, 135).all()


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([5.0] * 4, ["5 px"]),
        ([20.0, 224.0, 224.0, 224.0, 224.0], ["20 to 224 px", "224 px"]),  # the upper edge belongs to the next bin
        ([1.0, 1.0, 1.0, 1.0, 9.0], ["1 to 9 px"]),
        ([1.0, 1.0, 1.0, 2000.0, 3000.0], ["1 to 2,000 px", "2,000 to 3,000 px"]),
        ([1.0, 1.1, 1.2, 1.3], ["1 px"]),
        ([np.nan, np.nan], []),
        ([], []),
        ([np.inf, 2.0, 3.0], ["2 to 3 px", "3 px"]),
    ],
)  # fmt: skip
def test_numbers_that_many_faces_share(values: list[float], names: list[str]) -> None:
    found = groups(values)
    assert [name for name in found.cat.categories if name] == names
    assert len(set(found.cat.categories)) == len(found.cat.categories)


def test_digits_and_units_of_other_numbers() -> None:
    assert groups([0.5, 1.0, 1.5, 2.0], "aspect_ratio", bins=2).unique().tolist() == ["0.50 to 1.25", "1.25 to 2.00"]
    assert groups([0.001, 0.002, 0.003, 0.004], "age", bins=2).unique().tolist() == [
        "0.00100 to 0.00250", "0.00250 to 0.00400"
    ]  # fmt: skip
    assert groups([20, 30, 40, 50], "age", bins=2).unique().tolist() == ["20.0 to 35.0", "35.0 to 50.0"]


def test_categories_have_their_order() -> None:
    found = groups(["dark", "very light", "", "tan"], "skin_tone")
    assert found.cat.categories.tolist() == ["", "very light", "tan", "dark"]
    assert list(ATTRIBUTES["skin_tone"].groups) == list(TONES)
    assert groups(["b", "a", None, "B"], "club").cat.categories.tolist() == ["", "B", "a", "b"]
    assert groups([True, False], "smiles").tolist() == ["True", "False"]


def test_what_is_no_attribute() -> None:
    with pytest.raises(MaskDetError, match="no attribute 'height'"):
        group_of(pd.DataFrame({"face_id": ["f0"], "size": [1.0]}), "height")
    with pytest.raises(MaskDetError, match="no attribute 'face_id'"):
        group_of(pd.DataFrame({"face_id": ["f0"], "size": [1.0]}), "face_id")
    with pytest.raises(MaskDetError, match="at least 2 bins"):
        groups([1.0, 2.0], bins=1)


def test_every_attribute_explains_itself() -> None:
    for name, attribute in ATTRIBUTES.items():
        assert attribute.name == name
        assert attribute.title
        assert attribute.explanation.endswith(".")
        assert not {"race", "sex", "gender"} & set(attribute.explanation.lower().split())


def test_attributes_are_kept(table: pd.DataFrame, tmp_path: Path) -> None:
    found = face_attributes(table, appearance_of(skin_ita=[60.0, np.nan, -40.0]), catalog=CATALOG)
    save_attributes(tmp_path / "attributes.parquet", found)
    pd.testing.assert_frame_equal(load_attributes(tmp_path / "attributes.parquet"), found, check_dtype=False)


def test_attributes_of_an_earlier_version_lack_some(tmp_path: Path) -> None:
    pd.DataFrame({"face_id": ["f0"], "dataset": ["a"], "club": ["x"]}).to_parquet(tmp_path / "attributes.parquet")
    found = load_attributes(tmp_path / "attributes.parquet")
    assert list(found) == ["face_id", *ATTRIBUTES, "club"]
    assert (found["skin_tone"][0], found["club"][0]) == ("", "x")
    assert np.isnan(found["size"][0])


@pytest.mark.parametrize("table", [pd.DataFrame({"x": [1]}), pd.DataFrame({"face_id": ["f0", "f0"]})])
def test_a_table_without_faces_is_damaged(tmp_path: Path, table: pd.DataFrame) -> None:
    table.to_parquet(tmp_path / "attributes.parquet")
    with pytest.raises(WorkspaceError, match="no attributes of faces"):
        load_attributes(tmp_path / "attributes.parquet")
