"""The tree as a stranger reads it: files and functions that fit on few screens, and docstrings that name errors."""

import ast
import builtins
import re
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[1]
MOST_LINES_OF_A_FILE = 400
#: Of a function's body: signatures and docstrings may be long, and are not what one gets lost in.
MOST_LINES_OF_A_BODY = 50
FILES = sorted(path for path in PROJECT.rglob("*.py") if path.relative_to(PROJECT).parts[0] not in (".venv", "mutants"))
CORE = [path for path in FILES if path.is_relative_to(PROJECT / "maskdet") and path.parent.name != "cli"]
TEXTS = [*FILES, *PROJECT.glob("*.md"), *(PROJECT / "docs").glob("*.md")]
Function = ast.FunctionDef | ast.AsyncFunctionDef


def body_lines(function: Function) -> int:
    """From the first statement behind the docstring to the end."""
    behind = function.body[ast.get_docstring(function) is not None :]
    return behind[-1].end_lineno - behind[0].lineno + 1 if behind else 0


def long_functions(tree: ast.AST) -> list[str]:
    functions = [node for node in ast.walk(tree) if isinstance(node, Function)]
    return [function.name for function in functions if body_lines(function) > MOST_LINES_OF_A_BODY]


def public_functions(tree: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef]:
    """The public functions of a module, and the public methods of its public classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield from [node] if isinstance(node, ast.FunctionDef) else public_functions(node)


def unnamed_errors(tree: ast.Module, errors: frozenset[str]) -> list[str]:
    """Public functions that raise an error which their docstring does not name."""
    found = []
    for function in public_functions(tree):
        raised = [node.exc for node in ast.walk(function) if isinstance(node, ast.Raise)]
        names = {each.func.id for each in raised if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)}
        found += [
            f"{function.name}: {name}" for name in names & errors if name not in (ast.get_docstring(function) or "")
        ]
    return found


def is_there(name: str) -> bool:
    """Whether a dotted name is a module, something in one, or a field of a class in one."""
    try:
        return resolve_name(name) is not None
    except (ImportError, AttributeError):
        owner, _, field = name.rpartition(".")
    try:
        found: Any = resolve_name(owner)
    except (ImportError, AttributeError):
        return False
    return field in getattr(found, "__annotations__", {})


def test_no_file_is_long() -> None:
    assert len(FILES) > 300
    assert {path.name: n for path in FILES if (n := len(path.read_text().splitlines())) > MOST_LINES_OF_A_FILE} == {}


def test_no_function_is_long() -> None:
    assert {path.name: names for path in FILES if (names := long_functions(ast.parse(path.read_text())))} == {}


def test_errors_that_a_public_function_raises_stand_in_its_docstring() -> None:
    assert len(CORE) > 100
    trees = {path.name: ast.parse(path.read_text()) for path in CORE}
    classes = {node.name for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    errors = frozenset(name for name in classes if name.endswith("Error"))
    assert errors >= {"MaskDetError", "WorkspaceError", "RunError", "PhotoError", "VideoError"}
    assert {name: found for name, tree in trees.items() if (found := unnamed_errors(tree, errors))} == {}


def fragments(tree: ast.Module) -> dict[str, set[str]]:
    """Functions that run again without the rest of a page, with the names of what each calls; not of `st` itself."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    decorated = {
        name
        for name, node in functions.items()
        for each in node.decorator_list
        if _makes_fragment(each.func if isinstance(each, ast.Call) else each)
    }
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _makes_fragment(node.func)]
    given = {ast.unparse(each) for call in calls for each in call.args[:1] if not isinstance(each, ast.Constant)}
    assert given <= functions.keys(), "a function of the module, so that its calls can be looked at"
    return {name: set(_plain_calls(functions[name])) for name in decorated | given}


def _plain_calls(node: ast.AST) -> Iterator[str]:
    """Names of what is called at once: not in a lambda, which is called later."""
    for each in ast.iter_child_nodes(node):
        if not isinstance(each, ast.Lambda):
            yield from _plain_calls(each)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        yield node.func.id


def _makes_fragment(node: ast.expr) -> bool:
    return ast.unparse(node) in ("st.fragment", "st.dialog")


def test_fragments_and_dialogs_show_errors_as_pages_do() -> None:
    """What one raises, Streamlit shows as a traceback, with paths of the server."""
    found = {
        f"{path.name}: {name}": calls
        for path in sorted((PROJECT / "ui").glob("*.py"))
        for name, calls in fragments(ast.parse(path.read_text())).items()
    }
    allowed = {"show", "partial", *dir(builtins)}
    assert len(found) >= 9
    assert {name: calls for name, calls in found.items() if "show" not in calls or calls - allowed} == {}


def test_what_counts_as_a_fragment() -> None:
    text = "@st.fragment\ndef f():\n    st.a(g(1), lambda: k())\n"
    text += "@st.dialog('x')\ndef h():\n    show(f)\ndef g():\n    f()\n"
    found = fragments(ast.parse(text + "st.fragment(g, run_every=1.0)()\n"))
    assert found == {"f": {"g"}, "h": {"show"}, "g": {"f"}}


def test_names_of_the_core_in_texts_are_there() -> None:
    named = {(path.name, name) for path in TEXTS for name in re.findall(r"`(maskdet\.[\w.]+)`", path.read_text())}
    assert len(named) > 100
    assert not is_there("maskdet.nothing")
    assert is_there("maskdet.quality.FilterOptions.blur")
    assert [(path, name) for path, name in sorted(named) if not is_there(name)] == []


@pytest.mark.parametrize(("lines", "long"), [(50, []), (51, ["f"])])
def test_what_counts_as_long(lines: int, long: list[str]) -> None:
    head = 'def f(\n    x,\n):\n    """Text.\n\n    More.\n    """\n'
    assert long_functions(ast.parse(head + "    x = 1\n" * lines)) == long


def test_what_counts_as_unnamed() -> None:
    text = 'def f():\n    """Text."""\n    raise RunError("x")\nclass C:\n    def g(self):\n        """RunError."""\n'
    text += "        raise RunError()\n    def _h(self):\n        raise RunError()\nclass _D:\n    def f(self):\n"
    assert unnamed_errors(ast.parse(text + "        raise RunError()\n"), frozenset({"RunError"})) == ["f: RunError"]
