"""The row of filters above a gallery of faces."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd
import streamlit as st

from maskdet.explore import MEASUREMENTS, NO_SPLIT, FaceFilter, bounds
from maskdet.labels import INCORRECT_MASK, LABELS, IncorrectMask
from ui.charts import LABEL_TITLES
from ui.popover import key_of, put

_RANGES: Final = ("sqrt_size", "aspect_ratio", "brightness", "sharpness")
_LISTS: Final = ("filter_datasets", "filter_labels", "filter_splits")
_NAME: Final = "filter_name"


def choose_filter(table: pd.DataFrame, incorrect_mask: IncorrectMask) -> FaceFilter:
    """One row of filters that combine. Raises MaskDetError if a range is the wrong way round."""
    labels = [label for label in LABELS if label != INCORRECT_MASK or incorrect_mask == "class"]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        datasets = several("Dataset", "filter_datasets", sorted(table["dataset"].unique()), width=155)
        chosen_labels = several("Label", "filter_labels", labels, LABEL_TITLES, width=225)
        splits = sorted(table["publisher_split"].replace({"": NO_SPLIT}).unique())
        chosen_splits = []
        if splits != [NO_SPLIT]:
            chosen_splits = several("Publisher's split", "filter_splits", splits, width=145)
        name = st.text_input(
            "File name contains", key=_NAME, persist_state="session", max_chars=200, placeholder="any", width=140
        )
        with st.popover(_ranges_title(), icon=":material/tune:", width="content"):
            ranges = [_range(table, column) for column in _RANGES]
        st.button("Reset", on_click=reset_filter, icon=":material/restart_alt:", key="filter_reset")
    return FaceFilter(
        datasets=tuple(datasets),
        labels=tuple(chosen_labels),
        splits=tuple(chosen_splits),
        name=name.strip(),
        ranges=tuple((column, *bounds(low, high)) for column, low, high in ranges if (low, high) != (None, None)),
        incorrect_mask=incorrect_mask,
    )


def reset_filter() -> None:
    """Take all filters back."""
    for key in _LISTS:
        st.session_state[key] = []
    st.session_state[_NAME] = ""
    for column in _RANGES:
        for end in ("low", "high"):
            put(f"filter_{column}_{end}", None)


def several(
    title: str, key: str, options: Sequence[str], titles: Mapping[str, str] | None = None, *, width: int
) -> list[Any]:
    """Any of some options, kept for the visit; none chosen means all."""
    if key in st.session_state:  # an option may be gone: a dataset was forgotten, other data were chosen
        st.session_state[key] = [value for value in st.session_state[key] if value in options]
    return st.multiselect(
        title, options, key=key, persist_state="session", placeholder="all", width=width,
        format_func=titles.__getitem__ if titles else str,
    )  # fmt: skip


def _range(table: pd.DataFrame, column: str) -> tuple[str, float | None, float | None]:
    measurement = MEASUREMENTS[column]
    values = table[column]
    step = 10.0**-measurement.digits
    st.markdown(f"**{measurement.title}** :gray[{measurement.unit}]")
    least, largest = st.columns(2)
    low, high = (
        place.number_input(
            f"{measurement.title} {word}", value=None, step=step, format=f"%.{measurement.digits}f",
            key=key_of(f"filter_{column}_{end}"), persist_state="session", label_visibility="collapsed",
            placeholder=f"{word} {number:,.{measurement.digits}f}",
        )
        for place, word, end, number in ((least, "from", "low", values.min()), (largest, "to", "high", values.max()))
    )  # fmt: skip
    return column, low, high


def _ranges_title() -> str:
    active = sum(
        any(st.session_state.get(key_of(f"filter_{column}_{end}")) is not None for end in ("low", "high"))
        for column in _RANGES
    )
    return f"Measurements ({active})" if active else "Measurements"
