"""CSV for spreadsheets: formulas are inert, numbers are not touched, and the text comes back."""

import csv
from io import StringIO

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskdet.export import inert, restored, to_csv


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t1", "\r1", "\n1", "\uff1d1+1", "'=1", "''@x"])
def test_a_formula_is_inert(text: str) -> None:
    assert inert(text) == f"'{text}"


@pytest.mark.parametrize(
    ("text", "safe"),
    [("a;=1+1;b", "a;'=1+1;b"), ("a\t@x", "a\t'@x"), ("x;'-1", "x;''-1"), ('"=1', "\"'=1"), ("a|=1", "a|'=1")],
)
def test_no_formula_begins_where_a_spreadsheet_has_another_separator(text: str, safe: str) -> None:
    assert inert(text) == safe
    assert restored(safe) == text


@pytest.mark.parametrize("text", ["", "a=1", "3.1/images/a.jpg", "'quoted'", "1-2"])
def test_plain_text_stays(text: str) -> None:
    assert inert(text) == text


@given(st.text())
def test_what_is_inert_can_be_restored(text: str) -> None:
    assert restored(inert(text)) == text
    assert not inert(text).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_a_table() -> None:
    table = pd.DataFrame({"=name": ["=cmd|' /C calc'!A0", "plain"], "value": [-1.5, 2.0], "flag": [True, False]})
    text = to_csv(table)
    assert text == "'=name,value,flag\r\n'=cmd|' /C calc'!A0,-1.5,True\r\nplain,2.0,False\r\n"
    assert pd.read_csv(StringIO(text))["value"].tolist() == [-1.5, 2.0]
    assert table.columns[0] == "=name"  # the caller's table is not changed


def test_a_line_break_begins_no_cell_of_its_own() -> None:
    table = pd.DataFrame({"photo": ["a\r=1+1.png", "b\n=1+1.png", 'c"\r\n=1+1.png']})
    text = to_csv(table)
    assert text == """photo\r\n"a\r'=1+1.png"\r\n"b\n'=1+1.png"\r\n"c""\r\n'=1+1.png"\r\n"""
    rows = [restored(row) for [row] in csv.reader(StringIO(text, newline=""))]
    assert rows[1:] == table["photo"].tolist()
