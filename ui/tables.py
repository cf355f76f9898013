"""How tables show their columns: titles for people, thousands apart, no more digits than are meant."""

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd
import streamlit as st

from ui.text import capital

#: Names of columns that say nothing to people, or are written otherwise.
_TITLES: Final = {"face_id": "Face", "auc": "AUC", "rgb": "RGB", "p_without_mask": "Probability of no mask"}


def titled(table: pd.DataFrame, columns: Mapping[str, Any] | None = None, digits: int = 3) -> dict[str, Any]:
    """A configuration for each column of a table, for `st.dataframe`.

    Parameters
    ----------
    columns : mapping, optional
        Titles or configurations of single columns, None for one that is hidden; without a title, a column gets that
        of its name.
    digits : int
        Of numbers that are not whole.
    """
    found: dict[str, Any] = {}
    for name, kind in table.dtypes.items():
        given = (columns or {}).get(str(name), {})
        if given is None:  # a hidden column
            found[str(name)] = None
            continue
        given = {"label": given} if isinstance(given, str) else given
        config = {**_default(kind, digits), **{key: value for key, value in given.items() if value is not None}}
        if config.get("type_config", {}).get("format", "") is None:
            config["type_config"] = config["type_config"] | {"format": _default(kind, digits)["type_config"]["format"]}
        found[str(name)] = config | {"label": column_title(given.get("label") or str(name))}
    return found


def column_title(name: str) -> str:
    """A column's name for people: "faces_in_photo" is "Faces in photo"; a single letter, as n, stays as it is."""
    if name in _TITLES:
        return _TITLES[name]
    title = name.replace("_", " ")
    return title if title[1:2] in ("", " ", ":") else capital(title)


def _default(kind: Any, digits: int) -> dict[str, Any]:
    if pd.api.types.is_integer_dtype(kind):
        return {**st.column_config.NumberColumn(format="localized")}
    if pd.api.types.is_float_dtype(kind):
        return {**st.column_config.NumberColumn(format=f"%.{digits}f")}
    return {**st.column_config.Column()}
