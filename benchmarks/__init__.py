"""Benchmarks: speed against a baseline in the same run. ``make bench`` runs them and writes docs/benchmarks.md."""

from typing import Final

#: Name and module of each benchmark, in the order of the table. A module's docstring says how it measures, and its
#: ``run(quick)`` returns the rows.
BENCHMARKS: Final = {
    name: f"benchmarks.bench_{name}"
    for name in (
        "scan",
        "decision",
        "scaling",
        "duplicates",
        "augment",
        "training",
        "detection",
        "attribution",
        "verdict",
        "photo",
        "users",
    )
}
