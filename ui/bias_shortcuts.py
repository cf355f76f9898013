"""The view of shortcuts: what of the label, and of the source, can be told without looking at masks."""

from typing import TYPE_CHECKING, Final

import pandas as pd
import streamlit as st

from maskdet.bias.measurements import FAMILIES
from ui.bias import offer_data
from ui.bias_charts import Guide, interval_chart
from ui.bias_data import Lab
from ui.cached import csv_bytes
from ui.charts import LABEL_TITLES, NO_BAR, RUN_COLOURS
from ui.errors_faces import show_gallery_of
from ui.tables import titled
from ui.text import capital, plain, sentence

if TYPE_CHECKING:
    from maskdet.bias.shortcuts import Probe, ShortcutReport

POOLED: Final = "pooled"
STAGES: Final = {"photo": "Photo as it is", "normalised": "Normalised, 150×150"}
STAGE_COLOURS: Final = {STAGES["photo"]: RUN_COLOURS[4], STAGES["normalised"]: RUN_COLOURS[5]}
_BADGES: Final = {
    "strong": ":red-badge[:material/warning: strong]",
    "weak": ":orange-badge[:material/info: weak]",
    "none": ":green-badge[:material/check: none]",
    "too few to say": ":gray-badge[:material/help: too few to say]",
}
_INTERVALS: Final = "Bars are 95 % intervals by bootstrap over groups of related faces."
_FEATURES: Final = 8
#: What is measured, for people, where the name of a column does not say it.
_FEATURE_TITLES: Final = {
    "sqrt_size": "square-root size", "aspect_ratio": "aspect ratio", "bytes_per_pixel": "bytes per pixel",
    "jpeg_quantisation": "JPEG quantisation", "mean_red": "mean red", "mean_green": "mean green",
    "mean_blue": "mean blue",
}  # fmt: skip


def show_shortcuts(lab: Lab) -> None:
    """Verdicts, how well measurements alone predict label and source, by which they do, and the faces that carry it."""
    st.caption(
        "A classifier that sees no face, only a handful of measurements (size, shape, file format, mean colour, light, "
        "sharpness), tries to tell whether there is a mask. What it can use, a model can use in the place of masks: "
        "its score is then no proof that it sees them."
    )
    report = lab.data.shortcuts
    if report is None:
        offer_data(lab, "What predicts the label without looking at masks", "shortcuts", "Measure shortcuts")
        return
    labels = [probe for probe in report.probes if probe.target == "label"]
    chart, families = st.columns(2, gap="large")
    with chart:
        _show_auc(labels)
    with families:
        _show_families(labels)
    _show_verdicts(labels)
    importance, sources = st.columns(2, gap="large")
    with importance:
        _show_importance(labels)
    with sources:
        _show_sources([probe for probe in report.probes if probe.target == "dataset"])
    _show_carriers(lab, report)
    _show_tables(report)


def auc_rows(probes: "list[Probe]") -> pd.DataFrame:
    """The AUC of each probe as rows of `interval_chart`: datasets first, then pooled."""
    rows = [
        {
            "row": scope_title(probe.scope), "series": STAGES.get(probe.stage, probe.stage), "value": probe.auc,
            "low": probe.low, "high": probe.high, "n": probe.faces,
        }
        for probe in sorted(probes, key=lambda probe: probe.scope == POOLED)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["row", "series", "value", "low", "high", "n"])


def family_rows(probes: "list[Probe]") -> pd.DataFrame:
    """The AUC of each family of measurements alone, as rows of `interval_chart`."""
    rows = [
        {
            "row": FAMILIES.get(family, family).capitalize(), "series": STAGES.get(probe.stage, probe.stage),
            "value": auc["auc"], "low": auc["low"], "high": auc["high"], "n": probe.faces,
        }
        for probe in probes
        for family, auc in probe.families.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["row", "series", "value", "low", "high", "n"])


def importance_rows(probe: "Probe", most: int = _FEATURES) -> pd.DataFrame:
    """The measurements that matter most, and how much the AUC drops without each: mean and standard deviation."""
    first = sorted(probe.importance.items(), key=lambda item: -item[1]["mean"])[:most]
    rows = [
        {
            "row": feature_title(name), "series": "drop", "value": drop["mean"], "low": drop["mean"] - drop["sd"],
            "high": drop["mean"] + drop["sd"], "n": probe.faces,
        }
        for name, drop in first
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["row", "series", "value", "low", "high", "n"])


def scope_title(scope: str) -> str:
    """What a probe is about."""
    return "All datasets together" if scope == POOLED else f"Dataset {scope}"


def feature_title(name: str) -> str:
    """A measurement for people."""
    short = name.removeprefix("normalised_")
    title = _FEATURE_TITLES.get(short, short.replace("_", " ").replace("jpeg", "JPEG"))
    return capital(title)


def _show_verdicts(probes: "list[Probe]") -> None:
    in_order = sorted(probes, key=lambda probe: probe.scope == POOLED)
    st.markdown("## Shortcuts, dataset by dataset")
    st.markdown(_listed([probe for probe in in_order if probe.stage == "photo"]))
    with st.expander("What survives normalisation to 150×150 pixels, which is what a model gets to see"):
        st.markdown(_listed([probe for probe in in_order if probe.stage == "normalised"]))


def _listed(probes: "list[Probe]") -> str:
    return "\n".join(f"- {_BADGES.get(probe.verdict, '')} {sentence(probe.sentence)}" for probe in probes)


def _show_auc(probes: "list[Probe]") -> None:
    st.markdown("## How well the label is told without seeing masks")
    st.plotly_chart(
        interval_chart(auc_rows(probes), STAGE_COLOURS, title="AUC: 0.5 is chance, 1 is certain",
                       span=(0.4, 1.02), guides=(Guide(0.5, "chance"),)),
        key="bias_auc", config=NO_BAR, alt="AUC of the label from measurements alone, by dataset and pooled",
    )  # fmt: skip
    st.caption(
        "AUC: how often, of a masked and an unmasked face, the right one is picked. What survives *normalisation* is "
        f"what a model gets to see, for all its faces are resized to 150×150 pixels. {_INTERVALS}"
    )


def _show_families(probes: "list[Probe]") -> None:
    scopes = list(dict.fromkeys(probe.scope for probe in sorted(probes, key=lambda probe: probe.scope != POOLED)))
    st.markdown("## By which kind of measurement alone")
    scope = _choose_scope(scopes, "bias_family_scope")
    mine = [probe for probe in probes if probe.scope == scope]
    rows = family_rows(mine)
    if rows["value"].isna().all():
        _show_reason(mine)
        return
    st.plotly_chart(
        interval_chart(rows, STAGE_COLOURS, title="AUC of the label", span=(0.4, 1.02), guides=(Guide(0.5, "chance"),),
                       counts=False),
        key="bias_families", config=NO_BAR, alt="AUC of the label from each kind of measurement alone",
    )  # fmt: skip
    counts = " to ".join(f"{count:,}" for count in sorted(set(rows["n"])))
    st.caption(f"n = {counts} faces. Encoding: file format, bytes a pixel and JPEG quality.")


def _show_importance(probes: "list[Probe]") -> None:
    st.markdown("## Which measurements it goes by")
    scopes = list(dict.fromkeys(probe.scope for probe in probes if probe.importance))
    if not scopes:
        _show_reason(probes)
        return
    scope = _choose_scope(sorted(scopes, key=lambda name: name != POOLED), "bias_importance_scope")
    mine = next(probe for probe in probes if probe.scope == scope and probe.importance)
    st.plotly_chart(
        interval_chart(importance_rows(mine), {"drop": STAGE_COLOURS[STAGES["photo"]]}, title="drop of the AUC",
                       counts=False),
        key="bias_importance", config=NO_BAR, alt="Drop of the AUC without each measurement",
    )  # fmt: skip
    st.caption(
        f"By how much the AUC on faces it was not fitted to drops when a measurement is shuffled among them (n = "
        f"{mine.faces:,}); bars are one standard deviation over the shuffles. Measurements that say the same share it."
    )


def _show_sources(probes: "list[Probe]") -> None:
    st.markdown("## Can it tell where a face comes from?")
    known = [probe for probe in probes if probe.auc is not None]
    if not known:
        _show_reason(probes)
        return
    st.plotly_chart(
        interval_chart(auc_rows(known), STAGE_COLOURS, title="AUC of the source dataset", span=(0.4, 1.02),
                       guides=(Guide(0.5, "chance"),)),
        key="bias_sources", config=NO_BAR, alt="AUC of the source dataset from measurements alone",
    )  # fmt: skip
    for probe in known:
        st.markdown(f"- {STAGES.get(probe.stage, probe.stage)}: {sentence(probe.sentence)}")
    st.caption(
        "Where sources are told apart and have different shares of masks, knowing the source is half the answer."
    )


def _show_carriers(lab: Lab, report: "ShortcutReport") -> None:
    carriers = report.carriers
    if carriers.empty:
        return
    st.markdown("## Faces that carry the shortcut")
    label = st.segmented_control(
        "Label", [name for name in LABEL_TITLES if (carriers["label"] == name).any()], required=True,
        default=carriers["label"].iloc[0], format_func=LABEL_TITLES.__getitem__, key="bias_carrier_label",
        persist_state="session", label_visibility="collapsed",
    )  # fmt: skip
    mine = carriers[carriers["label"] == label]
    st.caption(
        "Their label is told from measurements alone, surely and rightly, by a classifier that was not fitted to them."
    )
    show_gallery_of(lab.workspace, mine, _carrier_captions, "bias_carriers", label)
    with st.expander(f"Their ids ({len(mine)})"):
        shown = mine[["face_id", "dataset", "p_without_mask"]]
        titles = {"p_without_mask": "Probability of no mask, from measurements"}
        st.dataframe(shown, hide_index=True, column_config=titled(shown, titles))


def _carrier_captions(rows: pd.DataFrame) -> list[str]:
    return [f"{plain(row.dataset)} · probability of no mask {row.p_without_mask:.2f}" for row in rows.itertuples()]


def _show_tables(report: "ShortcutReport") -> None:
    fields = ("target", "scope", "stage", "faces", "groups", "auc", "low", "high", "verdict", "reason")
    table = pd.DataFrame([{name: getattr(probe, name) for name in fields} for probe in report.probes])
    with st.expander("All figures"):
        st.dataframe(table, hide_index=True, height="content", column_config=titled(table))
        st.download_button(
            "Shortcuts (CSV)", csv_bytes(table), "shortcuts.csv", "text/csv", icon=":material/download:",
            on_click="ignore", key="bias_shortcuts_csv",
        )  # fmt: skip


def _choose_scope(scopes: list[str], key: str) -> str:
    if st.session_state.get(key) not in scopes:
        st.session_state.pop(key, None)
    return st.selectbox(
        "Faces of", scopes, format_func=scope_title, key=key, persist_state="session", label_visibility="collapsed"
    )


def _show_reason(probes: "list[Probe]") -> None:
    reasons = dict.fromkeys(probe.reason for probe in probes if probe.reason)
    st.info(" ".join(map(sentence, reasons)) or "Nothing could be said of these faces.")
