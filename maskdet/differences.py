"""In what runs differ: their options, data and machines, one name for each nested option."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from maskdet.runs import Run

_PARTS: Final = ("model", "data", "filter", "split", "machine")
_PACKAGE: Final = "package "
_ABSENT: Final = object()
#: What another training did, where its option alone would not say it.
_IN_WORDS: Final = {("frozen", True): "frozen features"}


def options_table(runs: Mapping[str, Run], *, differing: bool = True) -> pd.DataFrame:
    """The options of runs, a row an option and a column a run, nested ones as ``augmentation.rotation``.

    Parameters
    ----------
    runs : mapping
        Runs by the name of their column.
    differing : bool
        Only the options in which the runs differ, and no versions of packages. An option that a run does not have
        counts as another value.

    Returns
    -------
    DataFrame
        ``part`` (model, data, filter, split, machine), ``option``, and a column of text a run; "—" where a run has
        no such option.
    """
    flat = {name: _flat_options(run) for name, run in runs.items()}
    keys = list(dict.fromkeys(key for options in flat.values() for key in options))
    shared = [key for key in keys if all(key in options for options in flat.values())]
    ordered = sorted(keys, key=lambda key: (_PARTS.index(key[0]), key not in shared))
    rows = []
    for part, option in ordered:
        values = [spoken(options.get((part, option), _ABSENT)) for options in flat.values()]
        if not differing or (len(set(values)) > 1 and not option.startswith(_PACKAGE)):
            rows.append([part, option, *values])
    return pd.DataFrame(rows, columns=["part", "option", *flat])


def changes_of(run: Run, entry: Mapping[str, Any]) -> list[str]:
    """In what other trainings of a run's model differ from the run, each such as "epochs 5, not 3".

    Parameters
    ----------
    entry : mapping
        What is noted of them: ``options`` and ``fingerprint``, where they are known.
    """
    own, other = (flattened(without_folders(one)) for one in (run.record["options"], entry.get("options", {})))
    changes = [
        _IN_WORDS.get((name, value is True), f"{name} {spoken(value)}, not {spoken(own[name])}")
        for name, value in other.items()
        if name in own and spoken(value) != spoken(own[name])
    ]
    if entry.get("fingerprint", run.fingerprint) != run.fingerprint:
        changes.append(f"data {entry['fingerprint']}, not {run.fingerprint}")
    return changes


def flattened(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested options as one mapping, such as ``augmentation.rotation``."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{before}{name}.")
        else:
            flat[f"{before}{name}"] = value
    return flat


def spoken(value: Any) -> str:
    """An option's value for people."""
    if value is _ABSENT:
        return "—"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(spoken, value)) or "none"
    return str(value)


def _balance(record: Mapping[str, Any]) -> str | None:
    balance = record.get("balance")
    return f"{balance['attribute']}, {balance['target']}" if balance else None


def _flat_options(run: Run) -> dict[tuple[str, str], Any]:
    record, data = run.record, run.record["data"]
    environment = record.get("environment", {})
    parts: dict[str, Mapping[str, Any]] = {
        "model": {"model": run.model_name, **record["options"], "seed": record.get("seed"),
                  "limit": record.get("limit"), "base": record.get("base"), "balance": _balance(record)},
        "data": {key: data.get(key, default) for key, default in
                 (("fingerprint", None), ("pool", "main"), ("datasets", []), ("left_out", []), ("watched", []),
                  ("faces", {}))},
        "filter": data.get("filter", {}),
        "split": data.get("split", {}),
        "machine": {key: value for key, value in environment.items() if key != "packages"}
        | {f"{_PACKAGE}{name}": version for name, version in environment.get("packages", {}).items()},
    }  # fmt: skip
    return {(part, name): value for part, values in parts.items() for name, value in flattened(values).items()}


def without_folders(options: dict[str, Any]) -> dict[str, Any]:
    """Options that name the file of ImageNet's weights, but not where it lay on the machine that trained."""
    return options | {"weights": Path(options["weights"]).name} if "weights" in options else options
