"""The framework of the benchmarks: processes of their own, and the table. No test asserts seconds."""

import importlib
import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks import BENCHMARKS, __main__, bench_duplicates
from benchmarks.framework import Cost, SkipError, duration, measure, run, shared_data
from maskdet.duplicates import near_pairs

TINY = '''"""Adds numbers.

The baseline adds them one by one.
"""
import os
from benchmarks.framework import Row, SkipError
def run(quick):
    return [
        Row("3 | 4", "1 ms", "one by one: 2.5 ms", 2.5, "twice as fast", True),
        Row(f"quick={quick}, own process={os.getpid() != PARENT}", "1 s", ratio=0.05, goal="< 1 ms", met=False),
    ]
'''
WITHOUT_DATA = '''"""Looks at photos."""
from benchmarks.framework import shared_data
def run(quick):
    shared_data()
'''


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Two benchmarks, one of which finds no data."""
    (tmp_path / "bench_tiny.py").write_text(TINY.replace("PARENT", str(os.getpid())))
    (tmp_path / "bench_without_data.py").write_text(WITHOUT_DATA)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("MASKDET_SHARED", str(tmp_path / "nowhere"))
    return {"tiny": "bench_tiny", "photos": "bench_without_data"}


def test_the_page(tiny: dict[str, str]) -> None:
    page = run(tiny, quick=True)
    assert [line for line in page.splitlines() if line.startswith("|")] == [
        "| benchmark | what | baseline | measured | ratio | goal | met |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| tiny | 3 \\| 4 | one by one: 2.5 ms | 1 ms | 2.5 | twice as fast | yes |",
        "| tiny | quick=True, own process=True |  | 1 s | 0.05 | < 1 ms | **no** |",
        "| photos | all |  | skipped: no data; name the folder that contains data/ in MASKDET_SHARED |  |  |  |",
    ]
    assert "### tiny\n\nAdds numbers.\n\nThe baseline adds them one by one.\n" in page
    assert f"{os.cpu_count()} cores" in page
    assert f"numpy {np.__version__}" in page
    assert os.uname().nodename not in page


def test_only_a_whole_run_writes_the_page(
    tiny: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "docs" / "benchmarks.md"
    monkeypatch.setattr(__main__, "PAGE", page)
    monkeypatch.setattr(__main__, "BENCHMARKS", {"tiny": tiny["tiny"]})
    for options in (["--only", "tiny"], ["--quick"]):
        monkeypatch.setattr("sys.argv", ["benchmarks", *options])
        __main__.main()
        assert "| tiny | quick=" in capsys.readouterr().out
        assert not page.exists()
    monkeypatch.setattr("sys.argv", ["benchmarks"])
    __main__.main()
    assert page.read_text(encoding="utf-8") == capsys.readouterr().out.removesuffix("\n")


def test_data_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKDET_SHARED", str(tmp_path))
    with pytest.raises(SkipError, match="no data"):
        shared_data()
    (tmp_path / "data").mkdir()
    assert shared_data() == tmp_path / "data"


def test_every_benchmark_says_how_it_measures() -> None:
    for name, module in BENCHMARKS.items():
        assert module == f"benchmarks.bench_{name}"
        assert "goal" in (importlib.import_module(module).__doc__ or "").lower()


def test_the_page_that_ships_says_of_each_how_it_is_measured() -> None:
    """After a change of a benchmark's docstring: `make bench`, or its text by hand."""
    told = __main__.PAGE.read_text(encoding="utf-8").split("## How it is measured\n\n")[1]
    known = [f"### {name}\n\n{importlib.import_module(module).__doc__}" for name, module in BENCHMARKS.items()]
    assert told.split("\n### ") == "\n".join(known).split("\n### ")


def test_measure() -> None:
    results = iter([1, 2, 3])
    result, cost = measure(lambda: next(results), repeats=3)
    assert result == 3
    assert 0 <= cost.wall < 60
    assert 10 < cost.peak < 100_000  # MB: Python with numpy is above 10, this machine's memory below


def test_figures_are_rounded() -> None:
    assert [duration(s) for s in (16123.4, 12.345, 0.012345, 2e-6)] == ["16,123 s", "12.3 s", "12.3 ms", "0.002 ms"]
    assert str(Cost(1.5, 0.25, 1234.5)) == "1.5 s (CPU 250 ms, peak 1,234 MB)"


def test_duplicates_agree() -> None:
    row = bench_duplicates.agreement(600)
    assert row.met
    assert not row.measured.startswith("0 pairs")
    chained = bench_duplicates.chained(3000, 4, all_with_all=2.0, compared=1000)
    assert chained.met
    assert chained.baseline == "all with all, scaled up: 18 s"
    hashes, turns = bench_duplicates.make_hashes(500)
    assert len(turns) == 50
    assert np.bitwise_count(hashes[:50] ^ hashes[50:100]).max() <= 12
    equal = len(bench_duplicates.brute_force(hashes, 0)[0])
    assert equal == len(near_pairs(hashes, 0)[0])
    assert equal >= (turns == 0).sum() > 0
