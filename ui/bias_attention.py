"""The view of attention: how much of the heat lies where a mask is, by group and by right or wrong."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import streamlit as st

from maskdet.bias.attributes import attribute_title
from maskdet.bias.means import ALL
from maskdet.bias.store import ATTENTION
from maskdet.labels import CLASSES
from maskdet.runs import Run
from ui.bias import TONE, choose_one, needs_run, offer_run
from ui.bias_charts import Guide, interval_chart
from ui.bias_data import Lab, attention_of, attributes_of_run, groups_of, is_uploaded, stamp_of_findings
from ui.cached import csv_bytes, faces_of, jpeg, thumbnails
from ui.charts import LABEL_TITLES, NO_BAR
from ui.errors_faces import here
from ui.explain_charts import mean_map_chart
from ui.tables import titled
from ui.text import percent, plain

if TYPE_CHECKING:
    from maskdet.bias.attention import Attention

_OUTCOMES: Final = {"all": "All", "right": "Verdict right", "wrong": "Verdict wrong"}
_OUTCOME_COLOURS: Final = {"Verdict right": "#009E73", "Verdict wrong": "#D55E00"}
_MAP_WIDTH: Final = 200
_FACE_WIDTH: Final = 120
_EVEN: Final = 0.5
_RESAMPLING: Final = "Resampling the heatmaps"


def show_attention(lab: Lab) -> None:
    """Shares of heat by group and outcome, mean maps, and faces with the least and the most heat on the lower half."""
    st.caption(
        "A heatmap shows which places of a face spoke for the verdict. Heat all over the face puts half of it on the "
        "lower half, where a mask is worn; a model that looks at masks puts more there. Heat is of the verdict, "
        "so right and wrong are compared within one."
    )
    if needs_run(lab):
        return
    label = st.segmented_control(
        "Verdict", list(CLASSES), default=CLASSES[0], required=True, key="bias_heat_label",
        format_func=lambda name: f"Judged {LABEL_TITLES[name].lower()}", persist_state="session",
        label_visibility="collapsed",
    )  # fmt: skip
    for run in lab.pair:
        found = attention_of(lab.workspace, run)
        if len(lab.pair) > 1:
            st.markdown(f"## {plain(lab.labels[run.id])}")
        if found is None:
            offer_run(lab, run, "Where it looks", "attention", "Measure attention")
        else:
            _show_run(lab, run, found, label)


def share_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Shares of heat on the lower half as rows of `interval_chart`: a line a group, a series an outcome."""
    table = table[table["outcome"] != "all"]
    return pd.DataFrame(
        {"row": table["group_name"].replace({ALL: "All faces"}), "series": table["outcome"].map(_OUTCOMES),
         "value": table["share"], "low": table["low"], "high": table["high"], "n": table["n"]}
    )  # fmt: skip


def _show_run(lab: Lab, run: Run, found: "Attention", label: str) -> None:
    chart, maps = st.columns([3, 2], gap="large")
    with chart:
        name = _choose_attribute(lab, run)
        groups = None if name is None else groups_of(lab.workspace, run, name)
        table_of = _own_table if name is not None and is_uploaded(name) else _table
        table = table_of(stamp_of_findings(lab.workspace, run, ATTENTION), found, groups)
        mine = table[table["verdict"] == label]
        st.plotly_chart(
            interval_chart(share_rows(mine), _OUTCOME_COLOURS, title="share of the heat on the lower half",
                           shares=True, guides=(Guide(_EVEN, "even heat"),)),
            key=f"bias_attention_{run.id}", config=NO_BAR,
            alt="Share of heat on the lower half of the face by group and outcome",
        )  # fmt: skip
        empty = int(mine.loc[mine["group_name"] == ALL, "no_evidence"].sum())
        st.caption(
            f"{plain(found.method)}{f' of layer {plain(found.layer)}' if found.layer else ''}, a random sample of at "
            f"most {found.options.sample:,} test faces of each label; *wrong* takes further wrong faces in. Bars are "
            "95 % intervals by bootstrap over groups of related faces, where there are enough; n is of faces with heat."
            + (f" In {empty:,} faces nothing was found that spoke for the verdict." if empty else "")
        )
    with maps:
        _show_maps(run, found, label)
    _show_examples(lab, run, found, label, groups)
    with st.expander("All figures, with n and intervals"):
        st.dataframe(
            table, hide_index=True, key=f"bias_attention_table_{run.id}",
            column_config=titled(table),
        )  # fmt: skip
        st.download_button(
            "Attention (CSV)", csv_bytes(table), "attention.csv", "text/csv", icon=":material/download:",
            on_click="ignore", key=f"bias_attention_csv_{run.id}",
        )  # fmt: skip


def _choose_attribute(lab: Lab, run: Run) -> str | None:
    names = [name for name in attributes_of_run(lab.workspace, run).columns if name != "face_id"]
    known = [name for name in names if groups_of(lab.workspace, run, name) is not None]
    return choose_one(
        "Groups by", known, f"bias_heat_by_{run.id}", attribute_title, default=TONE if TONE in known else None
    )


@st.cache_data(show_spinner=_RESAMPLING, max_entries=32)
def _table(stamp: str, _found: "Attention", groups: "pd.Series[Any] | None") -> pd.DataFrame:
    from maskdet.bias.attention import attention_by

    return attention_by(_found, groups)


@st.cache_data(show_spinner=_RESAMPLING, max_entries=8, scope="session")
def _own_table(stamp: str, _found: "Attention", groups: "pd.Series[Any] | None") -> pd.DataFrame:
    """`_table` by an attribute that a visitor brought: gone with the visitor."""
    from maskdet.bias.attention import attention_by

    return attention_by(_found, groups)


def _show_maps(run: Run, found: "Attention", label: str) -> None:
    from maskdet.bias.attention import mean_map, of_outcome

    st.markdown(f"**Mean heatmaps of faces judged {LABEL_TITLES[label].lower()}**")
    with st.container(horizontal=True, gap="medium"):
        for outcome in ("right", "wrong"):
            actual = label if outcome == "right" else CLASSES[1 - CLASSES.index(label)]
            members = found.faces[of_outcome(found.faces, actual, outcome)]
            mean = mean_map(found, members["face_id"])
            with st.container(width=_MAP_WIDTH, gap="xxsmall"):
                evident = int(members["lower_half_share"].notna().sum())
                st.markdown(f"{_OUTCOMES[outcome]}, n = {evident:,}")
                if mean is None:
                    st.caption("No face with evidence.")
                    continue
                st.plotly_chart(
                    mean_map_chart(mean), key=f"bias_map_{run.id}_{outcome}", config=NO_BAR, width="content",
                    alt=f"Mean heatmap of {evident} faces, {_OUTCOMES[outcome].lower()}",
                )  # fmt: skip
    st.caption("Dark is cold; below the dashed line is the lower half. Each map is scaled to its own hottest place.")


def _show_examples(lab: Lab, run: Run, found: "Attention", label: str, groups: "pd.Series[Any] | None") -> None:
    from maskdet.bias.attention import examples

    chosen = examples(found, groups, 6)
    chosen = chosen[(chosen["label"] == label) ^ chosen["wrong"]]  # those that were judged so
    if chosen.empty:
        return
    known = here(lab.workspace, chosen["face_id"])
    with st.expander("Examples: the faces with the least and the most heat on the lower half"):
        names = list(dict.fromkeys(chosen["group_name"]))
        if len(names) > 1:
            name = st.selectbox("Group", names, key=f"bias_examples_of_{run.id}", width=240)
            chosen = chosen[chosen["group_name"] == name]
            known = here(lab.workspace, chosen["face_id"])
        if not known.all():
            st.info(
                "The photos of these faces are not all on this computer; scan their datasets to see them here.",
                icon=":material/image_not_supported:",
            )
            away = chosen[["end", "face_id", "wrong", "lower_half_share"]]
            st.dataframe(
                away, hide_index=True, height="content", key=f"bias_examples_{run.id}", column_config=titled(away)
            )
            return
        for end, title in (("lowest", "Least heat on the lower half"), ("highest", "Most heat on the lower half")):
            st.markdown(f"**{title}**")
            _show_faces(lab, found, chosen[chosen["end"] == end])


def _show_faces(lab: Lab, found: "Attention", rows: pd.DataFrame) -> None:
    from io import BytesIO

    from PIL import Image

    from maskdet.attribution import overlay
    from maskdet.attribution.heatmap import Heatmap

    table = faces_of(lab.workspace).table
    positions = pd.Index(table["face_id"]).get_indexer(pd.Index(rows["face_id"]))
    at = pd.Index(found.faces["face_id"]).get_indexer(pd.Index(rows["face_id"]))
    with st.container(horizontal=True, gap="small"):
        images = thumbnails(lab.workspace, table.take(positions))
        for row, place, data in zip(rows.itertuples(), at, images, strict=True):
            share = f"{percent(row.lower_half_share, 0)} on the lower half"
            pixels = np.asarray(Image.open(BytesIO(data)).convert("RGB"))
            label = CLASSES[int(found.faces["logit"].iloc[place] > 0)]  # its verdict, whose evidence the map shows
            heat = Heatmap(found.maps[place].astype(np.float32), label, found.layer, found.method)
            with st.container(width=_FACE_WIDTH, gap="xxsmall"):
                st.image(
                    jpeg(Image.fromarray(overlay(pixels, heat))), width="stretch", alt="Heatmap over a face",
                    caption=share + (", judged wrongly" if row.wrong else ""),
                )  # fmt: skip
