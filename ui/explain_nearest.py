"""The training faces that a model finds most like a face."""

from typing import Any, Final

import pandas as pd
import streamlit as st

from ui.cached import faces_of
from ui.charts import LABEL_TITLES
from ui.errors_faces import here
from ui.explain_heat import Display
from ui.explain_models import judge_of
from ui.explain_state import Look
from ui.gallery import show_faces
from ui.session import workspace_in_sight

_COUNT: Final = 8


def show_nearest(look: Look, display: Display) -> None:
    """The nearest ones with their labels; pictures of those whose photos are in this workspace."""
    judge = judge_of(look.options.folder)
    if judge.reliability is None:
        st.info("This run has no index of its training faces: it was trained by an earlier version.")
        return
    if not judge.reliability.face_ids:
        st.info(
            "This run ships without an index of its training faces, since what the model sees of a face shows the face "
            "itself. A training of your own keeps one."
        )
        return
    found: tuple[Any, Any] = look.kept(
        ("nearest", look.options.folder),
        lambda: judge.reliability.nearest(judge.runtime(look.pixels[None])[1], _COUNT),
    )
    table = _table(look, found)
    shown = table[here(workspace_in_sight(), table["face_id"])]
    if len(shown):
        faces = faces_of(workspace_in_sight())
        captions = [f"{row.title} · {row.distance:.2f}" for row in shown.itertuples()]
        show_faces(workspace_in_sight(), faces, list(shown["face_id"]), captions, key="explain_nearest")
    if len(shown) < len(table):
        missing = "these faces" if shown.empty else f"{len(table) - len(shown)} of them"
        st.info(
            f"The photos of {missing} are not on this computer; scan their datasets to see them here.",
            icon=":material/image_not_supported:",
        )
        st.dataframe(
            table[["face_id", "title", "distance"]], hide_index=True, height="content",
            column_config={"face_id": "Face", "title": "Label",
                           "distance": st.column_config.NumberColumn("Distance", format="%.2f")},
        )  # fmt: skip
    st.caption(
        f"The {len(table)} of {len(judge.reliability.face_ids):,} training faces that lie nearest in what the model "
        f"sees of a face. A face counts as unlike the training data from a distance of "
        f"{judge.reliability.distance_threshold:.2f} to the {judge.reliability.neighbour}th nearest."
    )


def _table(look: Look, found: tuple[Any, Any]) -> pd.DataFrame:
    """face_id, distance and the label's title, nearest first."""
    table = pd.DataFrame({"face_id": list(found[0][0]), "distance": found[1][0].astype(float)})
    labels = look.options.run.predictions.set_index("face_id")["label"]
    titles = table["face_id"].map(labels).map(LABEL_TITLES).fillna("label unknown")
    return table.assign(title=titles)
