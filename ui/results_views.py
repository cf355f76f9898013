"""The views of the Results page; only the one on show is computed."""

from collections.abc import Iterable
from itertools import combinations
from typing import Any, Final

import pandas as pd
import streamlit as st

from maskdet.compare import HOW, POOLED, JudgedRun, other_sources, running_times
from maskdet.differences import options_table
from maskdet.errors import MaskDetError
from maskdet.metrics import ECE_NOTE, Difference
from maskdet.published import STUDY_NOTE
from maskdet.reports import OTHER_TITLES, as_csv, as_latex, as_markdown, by_label, of_both_labels, with_interval
from ui.charts import NO_BAR, confusion_heatmap
from ui.results_charts import reliability_chart, roc_chart, running_time, sources_chart, times_chart
from ui.results_data import Comparison, difference_of, reliability_of, roc_of, threshold_of
from ui.tables import titled
from ui.text import plain, sentence

#: So that four fit beside each other in a wide window.
_PANEL_WIDTH: Final = 228
_COLOURINGS: Final = {"share": "Share of the actual label", "count": "Count"}
_NO_PREDICTIONS: Final = "The predictions of {} cannot be read."


def show_metrics(comparison: Comparison) -> None:
    """Table 3, accuracy, ROC-AUC and calibration, by dataset, differences of pairs, and files to take along."""
    judged = comparison.judged
    st.dataframe(
        by_label(judged), hide_index=True, height="content",
        column_config={"Study": st.column_config.TextColumn("Study: precision / recall / F1", help=STUDY_NOTE)},
    )  # fmt: skip
    st.dataframe(of_both_labels(judged), hide_index=True, height="content")
    st.caption(
        "In brackets: 95 % intervals by bootstrap of whole groups of related faces; exact ones of accuracy, precision "
        "and recall. Macro: the mean over both labels. ROC-AUC: how often a face without mask gets the higher logit of "
        "a pair. "
        f"Expected calibration error and Brier score: 0 is best. {ECE_NOTE} {STUDY_NOTE}"
    )
    for one in judged:
        _show_cautions(one)
    _show_exports(judged)
    st.markdown("## By dataset")
    st.dataframe(datasets_table(judged), hide_index=True, height="content")
    values = [(name, values) for one in judged for name, values in one.metrics["datasets"].items()]
    _show_reasons((name, value.get("reason", "")) for name, value in values)
    if len(comparison.with_predictions) > 1:
        st.markdown("## Do two models really differ?")
        st.dataframe(differences_table(comparison), hide_index=True, height="content")
        st.caption(
            "Difference of macro F1 on the test faces that both were judged by, with its 95 % interval by a paired "
            "bootstrap of groups. Where the interval holds 0, chance may explain the difference. Of many pairs, one in "
            "twenty seems to differ by chance alone."
        )


def show_confusion(comparison: Comparison) -> None:
    """Confusion matrices of all runs on one scale of colour, at a threshold that can be moved."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        threshold = st.slider(
            "Without mask above a probability (before calibration) of", 0.01, 0.99, 0.5, 0.01, key="results_threshold",
            persist_state="session", width=420,
        )  # fmt: skip
        colour_by = st.segmented_control(
            "Colour", list(_COLOURINGS), default="share", required=True, key="results_colour",
            format_func=_COLOURINGS.__getitem__, persist_state="session",
        )  # fmt: skip
    found = [(one, _matrix(one, threshold)) for one in comparison.judged]
    known = [(one, matrix) for one, matrix in found if matrix]
    most = max((count for _, matrix in known for row in matrix["confusion"] for count in row), default=1)
    with st.container(horizontal=True):
        for one, matrix in known:
            with st.container(width=_PANEL_WIDTH, gap="xxsmall"):
                figure = with_interval(matrix["macro_f1"], *(matrix["interval"] or (None, None)))
                st.markdown(f"**{plain(one.label)}**  \nmacro F1 {figure}  \nn = {matrix['faces']:,}")
                st.plotly_chart(
                    confusion_heatmap(matrix["confusion"], colour_by=colour_by, most=most), config=NO_BAR,
                    key=f"confusion_{one.run.id}", alt=f"Confusion matrix of {one.label}",
                )  # fmt: skip
    for one, matrix in found:
        if not matrix:
            st.info(f"{_NO_PREDICTIONS.format(plain(one.label))} Its matrix is known at a threshold of 0.5 only.")
    scale = "0 to 100 % of an actual label" if colour_by == "share" else f"0 to {most:,} faces"
    st.caption(
        f"Colour: {scale}, one scale for all matrices. The threshold is for looking: 0.5 is the models' own and was "
        "not chosen on test faces, and one that is chosen here would look better than it is."
    )


def show_calibration(comparison: Comparison) -> None:
    """Reliability curves with the calibration errors, and ROC curves."""
    judged, style = comparison.with_predictions, comparison.style
    with st.container(horizontal=True):
        for one in judged:
            with st.container(width=_PANEL_WIDTH, gap="xxsmall"):
                metrics = one.metrics
                error = with_interval(metrics["ece"], *(metrics["intervals"].get("ece") or (None, None)))
                st.markdown(f"**{plain(one.label)}**  \nECE {error} before calibration  \nn = {metrics['faces']:,}")
                st.plotly_chart(
                    reliability_chart(reliability_of(one.predictions), style[one.label]), config=NO_BAR,
                    key=f"reliability_{one.run.id}", alt=f"Reliability curve of {one.label}",
                )  # fmt: skip
    columns = ["Model", "n", *(OTHER_TITLES[name] for name in ("ece", "brier", "roc_auc"))]
    st.dataframe(of_both_labels(comparison.judged)[columns], hide_index=True, height="content")
    st.caption(
        "Probabilities are those before calibration, unlike that of a photo's verdict. On the dashed line a model says "
        "just what it should. Bins of the probability are of equal width, 15 as in Guo et al. (2017): bins of equal "
        "size would nearly all lie at 0 and 1. A larger point holds more faces; a bar is Wilson's 95 % interval, wide "
        "in the middle, where few faces are. The expected calibration error is the mean distance from the line, "
        f"weighted by faces. {ECE_NOTE}"
    )
    for one in comparison.judged:
        if one.predictions is None:
            st.info(_NO_PREDICTIONS.format(plain(one.label)))
    _show_roc(comparison)


def show_times(comparison: Comparison) -> None:
    """Running times of fitting and predicting against macro F1 (study, Figure 14)."""
    times = running_times(comparison.judged, comparison.runs)
    fit, predict = st.columns(2, gap="medium")
    with fit:
        st.markdown("## Fitting")
        figure = times_chart(times, "total_seconds", "time to fit", comparison.style)
        st.plotly_chart(figure, key="times_fit", config=NO_BAR, alt="Macro F1 against the time to fit")
    with predict:
        st.markdown("## Predicting")
        figure = times_chart(times, "predict_ms", "ms a face", comparison.style, seconds=False)
        st.plotly_chart(figure, key="times_predict", config=NO_BAR, alt="Macro F1 against the time to predict a face")
    st.dataframe(times_table(times), hide_index=True, height="content")
    several = len(times[["cores", "processor"]].drop_duplicates()) > 1
    st.caption(
        "Each time is of one training, n = 1, so that it has no interval; logarithmic axes. The fit of a transfer CNN "
        "counts that of its base model, as in the study. The study's times are multiples of its SVM's (section 5.1), "
        "on a machine with 63 processors."
        + (" **These runs come from different machines: their times do not compare.**" if several else "")
    )
    for remark in dict.fromkeys(one.run.remark for one in comparison.judged if one.run.remark):
        st.caption(f":material/info: {plain(remark)}")


def show_sources(comparison: Comparison) -> None:
    """Macro F1 on each dataset when it was in training, and when it was left out."""
    parts, broken = [], []
    for one in comparison.judged:
        try:
            parts.append(other_sources([one]))
        except MaskDetError as error:
            broken.append(error)
    for error in broken:
        st.warning(sentence(error))
    sources = pd.concat(parts, ignore_index=True) if parts else other_sources([])
    if sources.empty:
        st.info("No figures by dataset are known of these runs.")
        return
    if not sources["how"].isin(HOW[1:]).any():
        st.info(
            "None of these runs knows how its model does on a dataset that was left out of training. A new training "
            "can leave one out or watch one: see the Training page.",
            icon=":material/lightbulb:",
        )
    st.plotly_chart(
        sources_chart(sources, comparison.style), key="sources", config=NO_BAR, alt="Macro F1 by dataset and how"
    )
    st.dataframe(sources_table(sources), hide_index=True, height="content")
    _show_reasons(zip(sources["dataset"], sources["reason"], strict=True))
    st.caption(
        "A pooled figure says how a model does on more photos from the sources that it was trained on. How it does on "
        "a source that it never saw is told by leaving a dataset out of training: the same options, trained without "
        "it, judged by all its faces. *Left out, but watched*: training looked at it to stop early, and learned "
        "nothing from it."
    )


def show_options(comparison: Comparison) -> None:
    """The options in which runs differ, or all of them, and each run's record."""
    everything = st.toggle("All options, also those that are the same", key="results_all_options")
    runs = {one.label: one.run for one in comparison.judged}
    table = options_table(runs, differing=not everything)
    if table.empty:
        alone = len(runs) < 2
        st.info("Choose two runs to see how they differ." if alone else "These runs have the same options.")
    else:
        narrow = {"part": st.column_config.Column(width=70)}
        st.dataframe(table, hide_index=True, height="content", column_config=titled(table, narrow))
        st.caption("— stands for an option that a run does not have.")
    for one in comparison.judged:
        record = one.run.record
        with st.expander(f"{plain(one.label)}: run {plain(one.run.id)}"):
            faces = ", ".join(f"{count:,} {plain(name)}" for name, count in record["data"]["faces"].items())
            st.markdown(f"{plain(one.run.title)}, trained on {plain(', '.join(record['data']['datasets']))} ({faces}).")
            st.json({name: record.get(name) for name in ("options", "seed", "base", "data", "seconds", "environment")})


def datasets_table(judged: list[JudgedRun]) -> pd.DataFrame:
    """Macro F1 and accuracy of each run on each dataset's test faces, as text."""
    rows = []
    for one in judged:
        for dataset, values in one.metrics["datasets"].items():
            intervals = values.get("intervals", {})
            figures = {
                title: with_interval(values[name], *(intervals.get(name) or (None, None)))
                for name, title in (("macro_f1", "Macro F1"), ("accuracy", "Accuracy"))
            }
            rows.append({"Dataset": dataset, "Model": one.label, "n": f"{values['faces']:,}", **figures})
    table = pd.DataFrame(rows, columns=["Dataset", "Model", "n", "Macro F1", "Accuracy"])
    return table.sort_values("Dataset", kind="stable", ignore_index=True)


def differences_table(comparison: Comparison) -> pd.DataFrame:
    """The paired difference of each two runs, as text."""
    rows = []
    for one, other in combinations(comparison.with_predictions, 2):
        difference = difference_of(other.predictions, one.predictions)
        rows.append(
            {
                "Model": one.label, "less": other.label, "Common faces": f"{difference.faces:,}",
                "Difference": with_interval(difference.difference, difference.low, difference.high),
                "Verdict": _verdict(difference),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def times_table(times: pd.DataFrame) -> pd.DataFrame:
    """Running times as text."""

    def spoken(seconds: Any) -> str:
        return "—" if pd.isna(seconds) else running_time(float(seconds))

    rows = [
        {
            "Model": row.run, "Fit": spoken(row.fit_seconds), "of its base": spoken(row.base_seconds),
            "ms a face": "—" if pd.isna(row.predict_ms) else f"{row.predict_ms:.2f}",
            "Macro F1": with_interval(row.macro_f1, row.low, row.high), "n": f"{row.faces:,}",
            "× SVM": "—" if pd.isna(row.relative) else f"{row.relative:.1f}",
            "× SVM in the study": "—" if pd.isna(row.study_relative) else f"{row.study_relative:.1f}",
            "Cores": "—" if pd.isna(row.cores) else f"{row.cores:.0f}", "Processor": row.processor or "—",
        }
        for row in times.itertuples()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def sources_table(sources: pd.DataFrame) -> pd.DataFrame:
    """A row a dataset and run, a column for each way in which the dataset took part in training, as text."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for row in sources.itertuples():
        cells = rows.setdefault((row.dataset, row.run), {"Dataset": row.dataset, "Model": row.run})
        cells[row.how] = f"{with_interval(row.macro_f1, row.low, row.high)}, n = {row.faces:,}"
    table = pd.DataFrame(rows.values())
    ways = [how for how in HOW if how in table]
    columns = ["Dataset", "Model", *ways]
    titles = {how: f"Macro F1, {how}" for how in ways}
    ordered = table.sort_values("Dataset", kind="stable", key=lambda names: names.where(names != POOLED, ""))
    return ordered[columns].fillna("").rename(columns=titles).reset_index(drop=True)


def _show_reasons(reasons: Iterable[tuple[str, str]]) -> None:
    """Why figures or intervals of datasets are missing, each reason once."""
    datasets: dict[str, list[str]] = {}
    for dataset, reason in reasons:
        if reason and dataset not in datasets.setdefault(reason, []):
            datasets[reason].append(dataset)
    for reason, names in datasets.items():
        st.caption(f":material/info: {plain(', '.join(names))}: {sentence(reason)}")


def _show_roc(comparison: Comparison) -> None:
    st.markdown("## ROC curve")
    curves = {one.label: roc_of(one.predictions) for one in comparison.with_predictions}
    whole = st.toggle("The whole curve, not its corner", key="results_roc_whole", persist_state="session")
    figure = roc_chart({label: curve for label, curve in curves.items() if len(curve)}, comparison.style,
                       1.0 if whole else 0.2)  # fmt: skip
    st.plotly_chart(figure, key="roc", config=NO_BAR, alt="ROC curves")


def _matrix(one: JudgedRun, threshold: float) -> dict[str, Any] | None:
    if one.predictions is not None:
        return threshold_of(one.predictions, threshold)
    if threshold != 0.5:
        return None
    metrics = one.metrics
    interval = metrics["intervals"].get("macro_f1")
    return {name: metrics[name] for name in ("faces", "confusion", "macro_f1")} | {"interval": interval}


def _verdict(difference: Difference) -> str:
    if difference.reason:
        return difference.reason
    return "differ" if difference.differs else "may be chance"


def _show_cautions(one: JudgedRun) -> None:
    metrics = one.metrics
    for text in dict.fromkeys([*metrics.get("reasons", {}).values(), *metrics.get("cautions", [])]):
        st.caption(f":material/info: {plain(one.label)}: {sentence(text)}")
    if "incorrect_mask" in metrics:
        apart = metrics["incorrect_mask"]
        st.caption(
            f":material/info: {plain(one.label)}: masks worn incorrectly are a class of their own, in none of these "
            f"figures; {apart['judged_without_mask']} of {apart['faces']} such test faces are judged without mask."
        )


def _show_exports(judged: list[JudgedRun]) -> None:
    files = {
        "CSV": (as_csv, "results.csv", "text/csv"),
        "Markdown": (as_markdown, "results.md", "text/markdown"),
        "LaTeX": (as_latex, "results.tex", "application/x-tex"),
    }
    with st.container(horizontal=True):
        for title, (make, name, kind) in files.items():
            st.download_button(
                title, make(judged).encode(), name, kind, icon=":material/download:", on_click="ignore",
                key=f"results_{title}", help="These tables, with n, intervals and the fingerprints of the data",
            )  # fmt: skip
