"""What a run's files hold, which of them can be shown, and how older ones are read."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, Final, TypeGuard, get_args

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from maskdet.catalog import Pool
from maskdet.workspace import is_record, read_table, unreadable

#: Version of the folder's layout and of the options; a run of a later one is refused with a sentence.
FORMAT: Final = 3
#: What every run.json and metrics.json holds.
_RECORD: Final[dict[str, Any]] = {
    "format": int, "id": str, "model": str, "created": str, "options": dict, "data": dict, "seconds": dict
}  # fmt: skip
_METRICS: Final[dict[str, Any]] = {"faces": (int, type(None)), "macro_f1": (int, float, type(None)), "intervals": dict}
_NO_METRICS: Final[dict[str, Any]] = {"faces": None, "macro_f1": None, "intervals": {}}


#: What a model says of a face, in tables of predictions: numbers, each of them.
_SAID: Final = ("logit", "p_without_mask")


def read_predictions(path: Path, needs: Collection[str] = ()) -> pd.DataFrame:
    """A table of predictions, of a run or of another split or fold.

    A logit that is no number would be no more than 0, so the face would count as judged with mask.

    Raises
    ------
    WorkspaceError
        If it cannot be read, lacks a column, or what a model says of a face is no number.
    """
    table = read_table(path, needs)
    for name in _SAID:
        if name not in table:
            continue
        if not is_numeric_dtype(table[name]):
            raise unreadable(path, f"{name} holds no numbers")
        odd = int((~np.isfinite(table[name].to_numpy(np.float64, na_value=np.nan))).sum())
        if odd:
            raise unreadable(path, f"{name} is no number for {odd} of {len(table)} faces")
    return table


def require_metrics(path: Path, found: object) -> None:
    """Raise WorkspaceError for what was read of a file of metrics and holds none."""
    if not isinstance(found, dict) or not is_record({**_NO_METRICS, **found}, _METRICS):
        raise unreadable(path, "it holds no metrics")


def is_whole(record: object) -> TypeGuard[dict[str, Any]]:
    """True where the parts of a record are of the kinds that pages and reports show."""
    if not is_record(record, _RECORD):
        return False
    data, seconds, balance, limit = (record.get(name) for name in ("data", "seconds", "balance", "limit"))
    datasets = data.get("datasets", []) if isinstance(data, dict) else None
    return (
        is_record(data, {"fingerprint": str, "faces": dict})
        and data.get("pool", "main") in get_args(Pool)
        and isinstance(datasets, list)
        and all(isinstance(dataset, str) for dataset in datasets)
        and is_record(seconds, dict.fromkeys(seconds or (), (int, float)))
        and (not balance or is_record(balance, {"attribute": str, "target": str}))
        and (limit is None or is_record(record, {"limit": int}))
        and is_record(record.get("bundle", {}), {})
        and is_record(record["options"].get("augmentation", {}), {})
    )


def upgraded(record: dict[str, Any]) -> dict[str, Any]:
    """A run's record with its options as this version names them; the file stays as it was written.

    Up to format 1, augmentation was either on, always on the fly, or off.
    """
    options = dict(record["options"])
    if record["format"] < 2 and "augment" in options:
        plan = "on-the-fly" if options.pop("augment") else "none"
        options["augmentation"] = {**options.get("augmentation", {}), "plan": plan}
    return {**record, "format": FORMAT, "options": options}
