"""What is written of the machine beside a result."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

from maskdet import __version__, environment


def test_the_machine_and_the_versions() -> None:
    found = environment.environment()
    assert found["maskdet"] == __version__
    assert found["python"] == platform.python_version()
    assert found["cores"] == os.cpu_count()
    assert found["memory_gb"] == pytest.approx(psutil.virtual_memory().total / 2**30, abs=0.051)
    assert found["packages"]["numpy"] == version("numpy")
    assert found["packages"]["tensorflow"] == version("tensorflow")


def test_a_package_that_is_not_there_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_PACKAGES", ("numpy", "no-such-package"))
    assert environment.environment()["packages"] == {"numpy": version("numpy"), "no-such-package": "not installed"}


def test_the_processor_is_named_as_far_as_the_system_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    listed = tmp_path / "cpuinfo"
    listed.write_text("processor\t: 0\nmodel name\t: A Quick One @ 3 GHz\nmodel name\t: Another\n")
    monkeypatch.setattr(environment, "Path", lambda _: listed)
    assert environment.environment()["processor"] == "A Quick One @ 3 GHz"
    listed.unlink()
    assert environment.environment()["processor"] == platform.processor()
