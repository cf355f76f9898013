"""``python -m benchmarks``: measure everything and write the table, or look at a part of it."""

import argparse
from pathlib import Path

from benchmarks import BENCHMARKS
from benchmarks.framework import run

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"


def main() -> None:
    """Parse the options, run, and print; only a whole run replaces the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=BENCHMARKS, help="run one benchmark and print its table")
    parser.add_argument("--quick", action="store_true", help="fewer faces; print the table")
    options = parser.parse_args()
    page = run({options.only: BENCHMARKS[options.only]} if options.only else BENCHMARKS, options.quick)
    print(page)
    if not (options.only or options.quick):
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
