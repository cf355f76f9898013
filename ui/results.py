"""The head of the Results page: which runs, judged by which faces, the ranking, and what a reader must know."""

from itertools import groupby
from typing import Final

import pandas as pd
import streamlit as st

from maskdet.bootstrap import LEVEL
from maskdet.compare import default_runs, marks, ranking, short_labels, trial_mark
from maskdet.metrics import Difference
from maskdet.reports import with_interval
from maskdet.runs import Run
from ui.charts import NO_BAR
from ui.jobs import show_jobs, start_button
from ui.results_charts import ranking_chart
from ui.results_data import BASES, COMMON, IN_FORCE, OWN, Comparison, difference_of
from ui.text import code, plain, sentence

_RUNS: Final = "results_runs"
_ASKED: Final = "results_asked"
_MOST_RUNS: Final = 8
_BASIS_HELP: Final = (
    "**Own test faces**: each run by those of the split that it was trained with. **Common test faces**: by those that "
    "all chosen runs have, so that figures compare face by face. **Data in force**: by the test faces of the split in "
    "force now, without any that a run saw in training."
)
NO_CHOICE: Final = (
    "Test faces chose nothing here: epochs and grid points were chosen by validation faces, and the first selection of "
    "runs by model and date."
)


def choose_runs(runs: list[Run]) -> list[Run]:
    """Which runs to compare: at first the study's four models, and those named in the address (``?run=ID``)."""
    by_id = {run.id: run for run in runs}
    asked = [name for name in st.query_params.get_all("run") if name in by_id]
    if _RUNS in st.session_state:  # one may have been removed since, and one asked for
        new = asked if asked != st.session_state.get(_ASKED) else []
        known = dict.fromkeys([*new, *st.session_state[_RUNS]])
        st.session_state[_RUNS] = [name for name in known if name in by_id][:_MOST_RUNS]
    st.session_state[_ASKED] = asked
    first = list(dict.fromkeys([*asked, *(run.id for run in default_runs(runs))]))[:_MOST_RUNS]
    labels = short_labels(runs)

    def title(name: str) -> str:
        run = by_id[name]
        notes = ["bundled"] if run.is_bundled else []
        return " · ".join([labels[name], *notes])

    chosen = st.multiselect(
        "Runs", list(by_id), default=first, format_func=title, key=_RUNS, max_selections=_MOST_RUNS,
        persist_state="session", placeholder="Choose runs to compare", wrap=True,
    )  # fmt: skip
    return [by_id[name] for name in chosen]


def choose_basis() -> str:
    """By which faces to judge."""
    return st.segmented_control(
        "Judge by", list(BASES), default=OWN, required=True, key="results_basis", persist_state="session",
        help=_BASIS_HELP, wrap=True,
    )  # fmt: skip


def show_ranking(comparison: Comparison) -> None:
    """Who is right most often, in a sentence and a chart."""
    table = ranking(comparison.judged)
    known = table.dropna(subset=["macro_f1"])
    if known.empty:
        st.info("None of these runs has a macro F1 on these faces: " + sentence(_reason(comparison)))
        return
    st.markdown(_headline(comparison, known))
    st.plotly_chart(
        ranking_chart(known, comparison.style), key="ranking", config=NO_BAR,
        alt="Macro F1 of each run with its interval, and the study's",
    )  # fmt: skip
    counts = sorted({int(faces) for faces in known["faces"]})
    faces = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    st.caption(
        "Macro F1: the mean of both labels' F1, the balance of precision and recall; 1 is without any error. Bars are "
        f"intervals at {100 * LEVEL:.0f} %, by bootstrap over groups of related faces; n = {faces} test faces that the "
        f"models never saw. {NO_CHOICE}"
    )


def show_notes(comparison: Comparison) -> None:
    """What a reader must know before the figures: other data, other faces, trials, what cannot be read."""
    foreign = [
        f"**{plain(one.label)}** was trained on data {code(one.run.fingerprint)} but is judged here on other data, "
        f"{code(one.fingerprint)}. {_left_out(one.seen)}"
        for one in comparison.judged
        if one.is_foreign
    ]
    if foreign:
        st.error("\n\n".join(foreign), icon=":material/warning:")
    for problem in comparison.problems:
        st.warning(sentence(problem), icon=":material/error:")
    if not comparison.same_faces and comparison.basis != COMMON:
        st.warning(
            "These runs were judged by different test faces, so that a difference may lie in the faces. Judge by "
            f"*{COMMON}* to compare them face by face.",
            icon=":material/rule:",
        )
    said = [(text, text == trial_mark(one.run), one.label) for one in comparison.judged for text in marks(one.run)]
    for (text, is_trial), same in groupby(sorted(said), key=lambda mark: mark[:2]):
        labels = ", ".join(plain(label) for *_, label in same)
        (st.warning if is_trial else st.info)(f"**{labels}**: {sentence(text)}")
    if comparison.basis == IN_FORCE:
        _offer_predictions(comparison)


def _offer_predictions(comparison: Comparison) -> None:
    """A button for each run for which test faces in force have no prediction yet."""
    lacking = [one for one in comparison.judged if one.missing]
    for one in lacking:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"**{plain(one.label)}** has not predicted {one.missing:,} of "
                f"{one.missing + one.metrics['faces']:,} test faces in force"
                + ("; its figures are of the others." if one.metrics["faces"] else "; it has no figures before that."),
                width="stretch",
            )
            start_button(comparison.workspace, ["evaluate", one.run.id], "Predict them")
    show_jobs(comparison.workspace, "evaluate", 2)


def _headline(comparison: Comparison, known: pd.DataFrame) -> str:
    best = known.iloc[0]
    figure = with_interval(best["macro_f1"], best["low"], best["high"])
    metrics = next(one.metrics for one in comparison.judged if one.label == best["run"])
    wrong = int(metrics["confusion"][0][1] + metrics["confusion"][1][0])
    said = f"## {plain(best['run'])}: macro F1 {figure}\n\n**{wrong:,} of {metrics['faces']:,}** faces are judged "
    said += "wrongly. "
    if pd.isna(best["low"]):
        said += " ".join(map(sentence, metrics.get("cautions", []))) + "\n\n"
    if len(known) == 1:
        return said
    predictions = {one.label: one.predictions for one in comparison.with_predictions}
    second = known.iloc[1]["run"]
    if best["run"] not in predictions or second not in predictions:
        return said
    return said + _verdict(difference_of(predictions[second], predictions[best["run"]]), str(second))


def _verdict(difference: Difference, second: str) -> str:
    """Whether the first is really better than the second."""
    if difference.difference is None:
        return f"It cannot be compared with {plain(second)}: {sentence(difference.reason)}"
    faces = f"the {difference.faces:,} test faces that both were judged by"
    size = with_interval(difference.difference, difference.low, difference.high)
    said = f"Against {plain(second)}, on {faces}: a difference of {size}"
    if difference.reason:
        return f"{said}. {sentence(difference.reason)}"
    if difference.differs:
        return f"{said}, more than chance explains."
    return f"{said}. **Chance may explain it**: the interval holds 0."


def _reason(comparison: Comparison) -> str:
    reasons = [one.metrics.get("reasons", {}).get("macro_f1", "") for one in comparison.judged]
    return " ".join(dict.fromkeys(filter(None, reasons)))


def _left_out(seen: int) -> str:
    if not seen:
        return "It saw none of these test faces in training."
    return (
        f"{seen:,} test faces are left out, which it saw in training, or of whose photo or look-alikes it saw another."
    )
