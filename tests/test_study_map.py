"""docs/study_map.md: a row for every table, figure and appendix of the study; pages, views and commands that exist."""

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from maskdet.catalog import DATA_DIR
from maskdet.cli import app
from ui.errors import _VIEWS as ERRORS

PROJECT = DATA_DIR.parent
ITEMS = [
    *(f"Table {number}" for number in range(1, 4)),
    *(f"Figure {number}" for number in range(1, 18)),
    *(f"Appendix {letter}" for letter in "ABCDEF"),
]
LINES = (PROJECT / "docs" / "study_map.md").read_text(encoding="utf-8").splitlines()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in LINES if line.startswith("| ")][2:]
NOWHERE, NO_COMMAND = "not in the app", "—"
#: Views that are reached by another view of their page, with its name.
VIEWS_WITHIN = dict.fromkeys(ERRORS, "Errors")
each = pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])


@cache
def titles_of_pages() -> dict[str, Path]:
    """File of each page by its title in the navigation."""
    found = re.findall(r'st\.Page\("([\w/.]+)", title="(\w+)"', (PROJECT / "app.py").read_text(encoding="utf-8"))
    return {title: PROJECT / path for path, title in found}


@cache
def texts_of(page: Path) -> frozenset[str]:
    """Every text in the source of a page and in the modules of `ui` that it imports, directly or not."""
    texts, waiting, seen = set(), [page], set()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value.lstrip("# "))
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ui."):
                found = (PROJECT / str(node.module).replace(".", "/")).with_suffix(".py")
                waiting += [found] if found not in seen else []
    return frozenset(texts)


def test_there_is_one_row_for_each_item_of_the_study() -> None:
    assert [row[0] for row in ROWS] == ITEMS
    assert all(len(row) == 5 and all(row) for row in ROWS)


@each
def test_the_page_and_the_view_exist(row: list[str]) -> None:
    if row[2] == NOWHERE:
        assert row[3] != NO_COMMAND
        return
    page, *views = row[2].split(" › ")
    texts = texts_of(titles_of_pages()[page])
    assert views
    assert [view for view in views if view not in texts] == [], row[2]
    above = VIEWS_WITHIN.get(views[-1])
    assert above is None or views[:-1] == [above], row[2]


@each
def test_the_command_exists_with_its_options(row: list[str]) -> None:
    if row[3] == NO_COMMAND:
        assert row[2] != NOWHERE
        return
    told = re.fullmatch(r"`python -m maskdet ([^`]+)`", row[3])
    assert told
    name, *words = shlex.split(told[1])
    helped = CliRunner().invoke(app, [name, "--help"])
    assert helped.exit_code == 0
    with get_command(app).commands[name].make_context(name, list(words)) as context:  # refuses what it does not know
        assert context.params


def test_a_text_of_no_page_is_not_found() -> None:
    assert "Removals" not in texts_of(titles_of_pages()["Results"])
