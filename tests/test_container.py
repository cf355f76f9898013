"""The Dockerfile: what it names is there and gets in, what must not does not, and it runs as nobody special."""

import ast
import json
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from streamlit import config

from maskdet.catalog import DATA_DIR
from maskdet.workspace import HOME_VARIABLE
from ui.public import PUBLIC_VARIABLE

PROJECT = DATA_DIR.parent


def _instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", (PROJECT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in lines if line.strip()]


INSTRUCTIONS = _instructions()
IGNORED = [line for line in (PROJECT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]


def arguments(instruction: str) -> list[str]:
    return [rest for name, rest in INSTRUCTIONS if name == instruction]


def copied() -> list[str]:
    return [source.rstrip("/") for each in arguments("COPY") for source in each.split()[:-1]]


def gets_in(path: str) -> bool:
    """Whether a path is in the build's context: the last line of .dockerignore that matches it decides."""
    result = True
    for line in IGNORED:
        pattern = line.lstrip("!").rstrip("/")
        parts = [path, *(parent.as_posix() for parent in Path(path).parents if parent != Path())]
        anywhere = pattern.startswith("**/") and pattern.removeprefix("**/") in Path(path).parts
        if anywhere or any(fnmatch(part, pattern) for part in parts):
            result = line.startswith("!")
    return result


def test_what_it_copies_is_there_and_in_the_context() -> None:
    assert {"requirements.txt", "app.py", "maskdet", "pages", "ui", "data", ".streamlit"} <= set(copied())
    assert [name for name in copied() if not (PROJECT / name).exists()] == []
    assert [name for name in copied() if not gets_in(name)] == []


def test_all_that_the_app_imports_is_copied() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    ours = {Path(name).parts[0].removesuffix(".py") for name in tracked.splitlines()}
    into = {Path(name).stem for name in copied()}
    for path in [PROJECT / "app.py", *(p for top in ("maskdet", "pages", "ui") for p in (PROJECT / top).rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            assert {name.split(".")[0] for name in names} & ours <= into, path


@pytest.mark.parametrize(
    "path",
    ["data/workspace", "data/workspace/faces.parquet", "tests/conftest.py", ".git/config", ".venv/bin/python", "docs",
     "requirements-dev.txt", "maskdet/__pycache__/jobs.cpython-312.pyc"],
)  # fmt: skip
def test_what_a_user_made_and_what_develops_stays_out(path: str) -> None:
    assert not gets_in(path)


def test_it_runs_as_nobody_special_and_keeps_the_workspace_in_a_volume() -> None:
    names = [name for name, _ in INSTRUCTIONS]
    assert arguments("USER") == ["maskdet"]
    assert names.index("USER") < names.index("CMD")
    assert "USER" not in names[names.index("USER") + 1 :]
    variables = dict(pair.split("=", 1) for each in arguments("ENV") for pair in each.split())
    assert arguments("VOLUME") == [variables[HOME_VARIABLE]]
    assert variables[PUBLIC_VARIABLE] == "1"
    assert any(f"--owner maskdet {variables[HOME_VARIABLE]}" in each for each in arguments("RUN"))
    assert not any("requirements-" in rest for _, rest in INSTRUCTIONS)


def test_its_python_is_one_that_the_project_takes() -> None:
    version = re.fullmatch(r"python:3\.(\d+)-slim", arguments("FROM")[0])
    assert version
    assert int(version[1]) >= 11
    assert 'requires-python = ">=3.11"' in (PROJECT / "pyproject.toml").read_text(encoding="utf-8")


def test_streamlit_knows_the_options_and_the_port_is_the_one_that_is_asked_about() -> None:
    program, action, script, *flags = json.loads(arguments("CMD")[0])
    assert (program, action, script) == ("streamlit", "run", "app.py")
    options = dict(flag.removeprefix("--").split("=") for flag in flags)
    known = config.get_config_options()
    assert [name for name in options if name not in known] == []
    assert options["server.address"] == "0.0.0.0"  # within the container
    assert arguments("EXPOSE") == [options["server.port"]]
    asked = json.loads(arguments("HEALTHCHECK")[0].split("CMD ", 1)[1])
    assert f"http://localhost:{options['server.port']}/_stcore/health" in asked[-1]
    assert asked[:2] == ["python", "-c"]
    compile(asked[2], "healthcheck", "exec")
    refused = subprocess.run([sys.executable, *asked[1:2], asked[2].replace(options["server.port"], "9")], check=False,
                             capture_output=True, timeout=60)  # fmt: skip
    assert refused.returncode != 0  # nobody listens there
