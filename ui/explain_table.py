"""All faces of many photos as a table, with counts; a click on a row opens its photo."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Final

import pandas as pd
import streamlit as st

from maskdet.predict import OK, VERDICTS, JudgedPhoto, verdicts_table
from ui.cached import csv_bytes
from ui.charts import LABEL_TITLES
from ui.explain_state import Options, Upload, face_key
from ui.explain_verdict import TITLES
from ui.text import counted

#: Names of verdicts as they are counted, and of files that got none.
_COUNTED: Final = TITLES | {"unreadable": "Not readable"}
_HELP: Final = {
    "not_sure": "The model's probability lies where too many of its verdicts were wrong.",
    "not_like_training_data": "Faces far from all that the model was trained on: a verdict would be a guess.",
    "too_small": "Faces below the smallest size, which are not judged.",
    "unreadable": "Files that are no photo, or damaged; the table says why.",
}
_CHOICE: Final = "explain_photo"
#: From this shorter side on, in px, faces with and without mask are found about as often (docs/detection.md).
_WELL_FOUND: Final = 40
_TABLE: Final = "explain_table"
_MOST_ROWS: Final = 8


def counts_of(judged: Sequence[JudgedPhoto]) -> dict[str, int]:
    """Faces by verdict, faces that are too small, and files that cannot be read."""
    found = dict.fromkeys((*VERDICTS, "too_small", "unreadable"), 0)
    for photo in judged:
        found["unreadable"] += not photo.photo.readable
        for verdict in photo.verdicts:
            found["too_small" if verdict is None else verdict.verdict] += 1
    return found


def show_counts(judged: Sequence[JudgedPhoto]) -> None:
    """How many faces got which verdict."""
    faces = sum(len(photo.verdicts) for photo in judged)
    photos = sum(one.photo.readable for one in judged)
    st.markdown(f"## {counted(faces, 'face')} in {counted(photos, 'photo')}")
    with st.container(horizontal=True, gap="small"):
        for name, count in counts_of(judged).items():
            st.metric(_COUNTED[name], f"{count:,}", border=True, width="content", help=_HELP.get(name))
    if _has_small_faces(judged):
        st.caption(
            "Faces below 40 px are easier to miss with a mask than without: from 20 to 39 px, 91 % of masked faces "
            "were found (n = 1,147) and 98 % of the others (n = 208). A count of masks in a crowd is rather too low."
        )


def _has_small_faces(judged: Sequence[JudgedPhoto]) -> bool:
    """Whether some detected face is smaller than those on which the detector misses masks hardly more often."""
    boxes = [face.detected.box for one in judged for face in one.photo.faces if face.detected]
    return any(min(right - left, bottom - top) < _WELL_FOUND for left, top, right, bottom in boxes)


def show_table(uploads: Sequence[Upload], judged: Sequence[JudgedPhoto], options: Options) -> pd.DataFrame:
    """All faces; a click on a row chooses its photo and face. Returns the table as `maskdet predict` gives it."""
    table = verdicts_table(judged, options.run.id, options.min_size)
    rows = [(at, number) for at, one in enumerate(judged) for number in _numbers(one)]
    st.dataframe(
        _for_people(table), hide_index=True, height=38 + 35 * min(_MOST_ROWS, len(table)), key=_TABLE,
        on_select=partial(_choose_row, uploads, rows, options), selection_mode="single-row", placeholder="—",
        column_config={
            "Photo": st.column_config.TextColumn(width="medium"),
            "Face": st.column_config.NumberColumn(width="small"),
            "Verdict": st.column_config.TextColumn(width="medium"),
            "Probability of no mask": st.column_config.ProgressColumn(min_value=0, max_value=1, format="%.3f"),
            "Remark": st.column_config.TextColumn(width="medium"),
        },
    )  # fmt: skip
    return table


def choose_photo(uploads: Sequence[Upload], judged: Sequence[JudgedPhoto]) -> int:
    """Position of the photo to look at: the first that can be read, until another is chosen."""
    places = {key: at for at, key in enumerate(_keys(uploads))}
    chosen = st.session_state.get(_CHOICE)
    if chosen not in places:
        chosen = list(places)[next((at for at, one in enumerate(judged) if one.photo.readable), 0)]
    st.session_state[_CHOICE] = chosen  # again in each run: the list's titles change where a photo comes before it
    key: tuple[str, int] = st.selectbox(
        "Look at", list(places), key=_CHOICE, width=420,
        format_func=lambda key: f"{places[key] + 1}. {judged[places[key]].photo.name}",
    )  # fmt: skip
    return places[key]


def csv_button(table: pd.DataFrame) -> None:
    """All faces as a file."""
    st.download_button(
        "All faces as CSV", csv_bytes(table), "verdicts.csv", "text/csv", icon=":material/download:", on_click="ignore"
    )


def _for_people(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Photo": table["file"],
            "Face": table["face"],
            "Verdict": table["verdict"].map(TITLES).fillna("—"),
            "Probability of no mask": table["p_without_mask"].astype("float64"),
            "Remark": table["status"].where(table["status"] != OK, ""),
            "Model's choice": table["label"].map(LABEL_TITLES).fillna("—"),
        }
    )


def _keys(uploads: Sequence[Upload]) -> list[tuple[str, int]]:
    """Names each photo wherever it stands: its digest, and how many of the same one stand before it."""
    before: Counter[str] = Counter()
    keys = []
    for upload in uploads:
        keys.append((upload.digest, before[upload.digest]))
        before[upload.digest] += 1
    return keys


def _numbers(judged: JudgedPhoto) -> list[int]:
    """The number of the face in each row of a photo, 0 in that of a file without faces."""
    return [face.number for face in judged.photo.faces] or [0]


def _choose_row(uploads: Sequence[Upload], rows: Sequence[tuple[int, int]], options: Options) -> None:
    chosen = st.session_state[_TABLE].selection.rows
    if chosen and chosen[0] < len(rows):
        at, number = rows[chosen[0]]
        st.session_state[_CHOICE] = _keys(uploads)[at]
        st.session_state[face_key(uploads[at], options)] = number
