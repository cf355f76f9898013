"""The documents: every link leads somewhere, every command they name exists, the shell's reference is the code's."""

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

from benchmarks import BENCHMARKS
from maskdet.catalog import DATA_DIR
from maskdet.cli import app

PROJECT = DATA_DIR.parent
DOCUMENTS = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").glob("*.md"), DATA_DIR / "README.md"])
COMMANDS = get_command(app).commands
each = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))


@cache
def anchors(path: Path) -> set[str]:
    """The headings of a document as GitHub links to them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(document: Path) -> list[str]:
    """Targets of links and images outside code, without those that lead to the web."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    return [target for target in targets if not re.match(r"https?://|mailto:", target)]


def shell_lines(document: Path) -> list[list[str]]:
    """Words of each line of the shell that runs MaskDet, from its command on, without comments."""
    found = re.findall(r"python -m maskdet ((?!COMMAND|\[)[^`\n]+)", document.read_text(encoding="utf-8"))
    return [shlex.split(line.split(";")[0], comments=True) for line in found]


@each
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in links(document):
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        assert path.exists(), f"{document.name}: {target}"
        assert not anchor or anchor in anchors(path), f"{document.name}: {target}"


@each
def test_commands_are_named_as_they_are_typed(document: Path) -> None:
    short = re.findall(rf"(?<!python -m )\bmaskdet (?:{'|'.join(COMMANDS)})\b", document.read_text(encoding="utf-8"))
    assert not short, f"{document.name}: there is no such program; python -m maskdet is"


@each
def test_every_command_and_option_that_is_named_exists(document: Path) -> None:
    for name, *words in shell_lines(document):
        if name.startswith("-"):
            continue
        assert name in COMMANDS, f"{document.name}: {name}"
        known = {text for each in COMMANDS[name].params for text in [*each.opts, *each.secondary_opts]} | {"--help"}
        unknown = {word.split("=")[0].rstrip(".,)") for word in words if word.startswith("--")} - known - {"--"}
        assert not unknown, f"{document.name}: {name} {unknown}"


def test_documents_that_name_commands_are_among_those_read() -> None:
    lines = {str(path.relative_to(PROJECT)): len(shell_lines(path)) for path in DOCUMENTS}
    assert lines["README.md"] > 1
    assert lines["docs/shell.md"] > 50
    assert sum(len(links(path)) for path in DOCUMENTS) > 10


def test_every_document_is_in_the_list_of_documents() -> None:
    listed = set(links(PROJECT / "docs" / "README.md"))
    there = {path.name for path in (PROJECT / "docs").glob("*.md")} - {"README.md"}
    assert len(there) > 15
    assert there - listed == set()


def test_controls_that_the_readme_names_are_on_a_page() -> None:
    """In italics, as *Add or forget a dataset*; the source says the same word by word."""
    named = set(re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", (PROJECT / "README.md").read_text(encoding="utf-8")))
    assert len(named) >= 3
    sources = [path for folder in ("ui", "pages", "maskdet") for path in (PROJECT / folder).rglob("*.py")]
    texts = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    assert [name for name in sorted(named) if f'"{name}"' not in texts] == []


def test_the_reference_of_the_shell_is_that_of_the_code(tmp_path: Path) -> None:
    """After a change of a command: `make docs`."""
    told = re.search(r"-m typer (maskdet.cli utils docs .*) --output docs/shell.md", (PROJECT / "Makefile").read_text())
    assert told
    target = tmp_path / "shell.md"
    command = [sys.executable, "-m", "typer", *shlex.split(told[1]), "--output", str(target)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, timeout=120)
    written = target.read_text(encoding="utf-8")
    assert written == (PROJECT / "docs" / "shell.md").read_text(encoding="utf-8")
    assert [f"## `python -m maskdet {name}`" in written for name in COMMANDS] == [True] * len(COMMANDS)


def test_figures_of_responsible_use_are_those_of_the_bias_lab_and_the_study() -> None:
    """Those pages are held to what ships (tests/test_bundled_bias.py, tests/test_bundled_study.py)."""
    docs = PROJECT / "docs"
    told = (docs / "bias.md").read_text(encoding="utf-8") + (docs / "study.md").read_text(encoding="utf-8")
    known = set(re.findall(r"\d+(?:[.,]\d+)?", told))
    text = (docs / "responsible_use.md").read_text(encoding="utf-8")
    errors = text.split("## What is known of its errors")[1].split("\n## ")[0]
    figures = re.findall(r"\d+(?:[.,]\d+)?", errors)
    assert len(figures) > 25
    assert [figure for figure in figures if figure not in known] == []


def test_every_benchmark_has_its_rows() -> None:
    page = (PROJECT / "docs/benchmarks.md").read_text(encoding="utf-8")
    measured = {line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")}
    assert set(BENCHMARKS) <= measured
