"""docs/architecture.md: every module of the core stands in its table, and nothing in it that is not there."""

import re
from pathlib import Path

from maskdet.catalog import DATA_DIR

CORE = DATA_DIR.parent / "maskdet"
DOCUMENT = (DATA_DIR.parent / "docs" / "architecture.md").read_text(encoding="utf-8")


def rows() -> list[tuple[str, list[str]]]:
    """Package ("" for the core itself) and modules of each row of the table of modules."""
    table = DOCUMENT.split("## Modules")[1].split("\n## ")[0]
    found = []
    for line in table.splitlines()[4:]:
        if line.startswith("|"):
            step, modules = line.strip("|").split("|")
            package = re.search(r"in `(\w+)/`", step)
            found.append((package[1] if package else "", re.findall(r"`(\w+)`", modules)))
    return found


def modules_of(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.py") if not path.stem.startswith("__")}


def test_every_module_stands_in_the_table_once() -> None:
    named: dict[str, list[str]] = {}
    for package, modules in rows():
        own = modules_of(CORE / package)
        named.setdefault(package, []).extend(module for module in modules if module in own)
        named.setdefault("", []).extend(module for module in modules if package and module not in own)
    packages = {path.parent.name for path in CORE.glob("*/__init__.py")}
    assert set(named) == {"", *packages}
    for package, modules in named.items():
        assert sorted(modules) == sorted(modules_of(CORE / package)), package or "maskdet"


def test_the_files_of_a_workspace_are_those_of_the_code() -> None:
    """Each name in the table's first column is written somewhere in the core."""
    table = DOCUMENT.split("| file of the workspace")[1].split("\n\n")[0]
    source = "\n".join(path.read_text(encoding="utf-8") for path in CORE.rglob("*.py"))
    names = set(re.findall(r"`(\w+\.\w+)`", table))
    assert len(names) > 15
    assert [name for name in sorted(names) if name not in source] == []
    folders = set(re.findall(r"`(\w+)/", table))
    assert [name for name in sorted(folders) if f'"{name}"' not in source] == []
