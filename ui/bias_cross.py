"""The view of models trained on one dataset and tested on another, beside the pooled score."""

from typing import Final

import pandas as pd
import streamlit as st

from maskdet.bias.cross_dataset import ALL, POOLED, row_of_run
from maskdet.errors import MaskDetError
from maskdet.models import MODELS
from maskdet.reports import with_interval
from maskdet.runs import Run
from ui.bias import offer_data
from ui.bias_charts import cross_heatmap
from ui.bias_data import Lab
from ui.cached import csv_bytes
from ui.charts import NO_BAR
from ui.tables import titled
from ui.text import plain, sentence

_TITLES: Final = {ALL: "all of them", POOLED: "pooled"}


def show_cross(lab: Lab) -> None:
    """A heatmap a model, with finished runs as further rows, and all figures with n and interval."""
    st.caption(
        "Macro F1 of models that were trained on the dataset of a row and tested on that of a column. A model that has "
        "learned masks does as well on a source it never saw; one that has learned a shortcut of its own source does "
        "not, and the pooled score, of training and testing on all of them, does not show it."
    )
    cross = lab.data.cross
    runs = _rows_of_runs(lab)
    if not cross:
        offer_data(
            lab, "What a model trained on one dataset is worth on another", "cross-dataset", "Train and test them"
        )
        st.caption(
            "This trains PCA and SVM on each dataset, some minutes. `python -m maskdet bias data --part cross-dataset "
            "--cross inceptionv3` does it with the features of InceptionV3."
        )
    for matrix in cross:
        name = MODELS[matrix.model].title if matrix.model in MODELS else matrix.model
        st.markdown(f"## {plain(name)}, trained on one dataset at a time")
        st.markdown(_verdict(matrix.rows))
        _show_matrix(matrix.rows, f"bias_cross_{matrix.model}", f"{name} trained on one dataset, tested on another")
    if len(runs):
        st.markdown("## Finished runs, on their test faces of each dataset")
        _show_matrix(runs, "bias_cross_runs", "Finished runs by dataset", "run")
    everything = pd.concat([*(matrix.rows.assign(model=matrix.model) for matrix in cross), runs], ignore_index=True)
    if len(everything):
        _show_table(everything)


def _rows_of_runs(lab: Lab) -> pd.DataFrame:
    """The chosen runs as rows, with their short names."""
    parts = []
    for run in lab.runs:
        try:
            parts.append(_row_of_run(str(run.folder), run).assign(train=lab.labels[run.id], model=run.id))
        except MaskDetError as error:
            st.warning(f"**{plain(lab.labels[run.id])}** cannot be shown: {sentence(error)}")
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


@st.cache_data(show_spinner="Judging the run on each dataset", max_entries=32)
def _row_of_run(folder: str, _run: Run) -> pd.DataFrame:
    return row_of_run(_run)


def _verdict(rows: pd.DataFrame) -> str:
    """The pooled score beside the best and the worst of those that were tested elsewhere."""
    known = rows.dropna(subset=["macro_f1"])
    pooled = known[(known["train"] == ALL) & (known["test"] == POOLED)]
    elsewhere = known[(known["train"] != ALL) & (known["train"] != known["test"])]
    said = []
    if len(pooled):
        said.append(f"Trained on all and tested on all: macro F1 **{_figure(pooled.iloc[0])}**.")
    if len(elsewhere):
        worst, best = (elsewhere.loc[elsewhere["macro_f1"].astype(float).agg(end)] for end in ("idxmin", "idxmax"))
        said.append(
            f"Tested on a dataset it never saw: from **{_figure(worst)}** (trained on {plain(worst['train'])}, tested "
            f"on {plain(worst['test'])})"
            + (
                f" to **{_figure(best)}** (trained on {plain(best['train'])}, tested on {plain(best['test'])})."
                if len(elsewhere) > 1
                else "."
            )
        )
    return " ".join(said) or "None of the datasets could be trained on alone."


def _figure(row: "pd.Series[object]") -> str:
    return f"{with_interval(row['macro_f1'], row['low'], row['high'])}, n = {int(row['faces']):,}"


def _show_matrix(rows: pd.DataFrame, key: str, alt: str, down: str = "trained on") -> None:
    shown = rows.assign(train=rows["train"].replace(_TITLES), test=rows["test"].replace(_TITLES))
    trains, tests = _order(shown["train"]), _order(shown["test"])
    st.plotly_chart(cross_heatmap(shown, trains, tests, down), key=key, config=NO_BAR, alt=alt)
    reasons = shown[shown["reason"].fillna("") != ""].groupby(["test", "reason"], sort=False).size()
    if len(reasons):
        st.caption("  \n".join(f"{plain(test)}: {sentence(reason)}" for test, reason in reasons.index))


def _order(names: "pd.Series[str]") -> list[str]:
    """Datasets as they come, all of them together last."""
    known, together = list(dict.fromkeys(names)), _TITLES.values()
    return [name for name in known if name not in together] + [name for name in together if name in known]


def _show_table(rows: pd.DataFrame) -> None:
    table = rows[["model", "train", "test", "train_faces", "faces", "groups", "macro_f1", "low", "high", "reason"]]
    with st.expander("All figures, with n and intervals"):
        titles = {
            "model": "model or run", "train": "trained on", "test": "tested on", "faces": "test faces",
            "train_faces": "training faces", "groups": "groups of related faces", "macro_f1": "macro F1",
            "low": "95 % from", "high": "to",
        }  # fmt: skip
        st.dataframe(table, hide_index=True, height="content", column_config=titled(table, titles))
        st.download_button(
            "Cross-dataset figures (CSV)", csv_bytes(table), "cross-dataset.csv", "text/csv",
            icon=":material/download:", on_click="ignore", key="bias_cross_csv",
        )  # fmt: skip
