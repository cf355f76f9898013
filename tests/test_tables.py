"""Columns of tables in the pages: titles for people, thousands apart, few digits."""

import pandas as pd
import pytest
import streamlit as st

from ui.tables import column_title, titled


@pytest.mark.parametrize(
    ("name", "title"),
    [("dataset", "Dataset"), ("faces_in_photo", "Faces in photo"), ("auc", "AUC"), ("n", "n"), ("p: CNN", "p: CNN"),
     ("in a training photo", "In a training photo"), ("RGB", "RGB"),
     ("p_without_mask", "Probability of no mask")],
)  # fmt: skip
def test_a_column_has_a_title_for_people(name: str, title: str) -> None:
    assert column_title(name) == title


def test_whole_numbers_have_thousands_apart_and_others_few_digits() -> None:
    table = pd.DataFrame({"faces": [1200], "share": [0.123456], "dataset": ["a"]})
    columns = titled(table, digits=2)
    assert columns["faces"]["type_config"]["format"] == "localized"
    assert columns["share"]["type_config"]["format"] == "%.2f"
    assert columns["dataset"]["label"] == "Dataset"


def test_what_is_given_stays_and_the_rest_is_filled_in() -> None:
    table = pd.DataFrame({"faces": [1200], "share": [0.5], "wrong": [3], "secret": [1]})
    columns = titled(
        table,
        {
            "faces": st.column_config.NumberColumn(help="all of them"),
            "share": st.column_config.NumberColumn("wrong (%)", format="%.1f"),
            "wrong": "faces wrong",
            "secret": None,
        },
    )
    assert columns["faces"]["help"] == "all of them"
    assert columns["faces"]["type_config"]["format"] == "localized"
    assert columns["share"]["label"] == "Wrong (%)"
    assert columns["share"]["type_config"]["format"] == "%.1f"
    assert columns["wrong"]["label"] == "Faces wrong"
    assert columns["secret"] is None
