"""The view of counterfactuals: what happens to verdicts when one property of a face is changed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import pandas as pd
import streamlit as st

from maskdet.bias.store import COUNTERFACTUALS
from maskdet.document import in_words
from maskdet.labels import CLASSES
from maskdet.reports import with_interval
from maskdet.runs import Run
from ui.bias import TONE, needs_run, offer_run
from ui.bias_charts import Guide, interval_chart
from ui.bias_data import Lab, counterfactuals_of, groups_of, stamp_of_findings
from ui.cached import csv_bytes
from ui.charts import LABEL_TITLES, NO_BAR
from ui.tables import titled
from ui.text import percent, plain, sentence

if TYPE_CHECKING:
    from maskdet.bias.counterfactuals import Counterfactuals

Found = dict[str, "Counterfactuals"]
LIGHT: Final = "light-patch-lower-face"
DARK: Final = "dark-patch-lower-face"
#: What a model that looks at masks does, in the order in which the charts stand.
EXPECTED: Final = {
    "same": ("The verdict should stay", "Each flip is a fault: nothing about the mask was changed."),
    "with_mask": ("The verdict should become *with mask*", "A mask is drawn on: the more flips, the better."),
    "none": ("No verdict is right", "Where a mask is worn is hidden, so that a flip is no fault."),
}
_SPREAD: Final = "standard deviations of the run's logits"


def show_counterfactuals(lab: Lab) -> None:
    """Share of verdicts flipped and mean change of the logit, by transformation, run, label and skin tone."""
    st.caption(
        "One property of a face is changed, and the model is asked again. The verdict is the sign of the *logit*, "
        "which is above 0 for no mask; a change below 0 pulls towards *with mask*."
    )
    if needs_run(lab):
        return
    found = {run.id: one for run in lab.runs if (one := counterfactuals_of(lab.workspace, run)) is not None}
    missing = [run for run in lab.runs if run.id not in found]
    if found:
        _show_charts(lab, found)
        _show_claim(lab, found)
        _show_tones(lab, found)
        _show_table(lab, found)
    for run in missing:
        offer_run(lab, run, "What flips its verdicts", "counterfactuals", "Change faces and ask again")


def flip_rows(table: pd.DataFrame, labels: dict[str, str], row: str = "transformation") -> pd.DataFrame:
    """Shares of verdicts flipped as rows of `interval_chart`, a series a run; ``row`` names the column of the lines."""
    from maskdet.bias.transformations import TRANSFORMATIONS

    names = table[row].map(lambda name: TRANSFORMATIONS[name].title if name in TRANSFORMATIONS else str(name))
    return pd.DataFrame(
        {"row": names, "series": table["run"].map(labels), "value": table["flipped"], "low": table["low"],
         "high": table["high"], "n": table["n"]}
    )  # fmt: skip


def change_rows(table: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    """Mean changes of the logit, in units of each run's spread, as rows of `interval_chart`."""
    rows = flip_rows(table, labels)
    return rows.assign(value=table["change_sd"], low=table["change_sd_low"], high=table["change_sd_high"])


def claim_sentences(found: Sequence["Counterfactuals"], labels: dict[str, str]) -> list[str]:
    """For each run whether light patches pull it to *with mask* more than dark ones do, with figures."""
    from maskdet.bias.counterfactuals import contrast, flips

    said = []
    for one in found:
        if not {LIGHT, DARK} <= set(one.options.chosen):
            continue
        table = flips(one)
        shares = table[table["group_name"] == "all"].set_index("transformation")
        difference = contrast(one, LIGHT, DARK)
        row = difference[difference["group_name"] == "all"]
        if row.empty or not {LIGHT, DARK} <= set(shares.index):
            continue
        said.append(f"**{plain(labels[one.run])}**: {_claim(shares, row.iloc[0])}")
    return said


def claim_answer(found: Sequence["Counterfactuals"], runs: Sequence[Run], labels: dict[str, str]) -> str:
    """Whether light patches pull the transfer CNNs more than the other runs, in a sentence; "" without both."""
    from maskdet.bias.counterfactuals import contrast

    pulls = {}
    for one in found:
        if {LIGHT, DARK} <= set(one.options.chosen):
            rows = contrast(one, LIGHT, DARK)
            rows = rows[(rows["group_name"] == "all") & rows["change_sd_low"].notna()]
            if len(rows):
                pulls[one.run] = rows.iloc[0]
    transfer = [run.id for run in runs if run.model_name == "cnn-transfer" and run.id in pulls]
    others = [run.id for run in runs if run.model_name != "cnn-transfer" and run.id in pulls]
    if not transfer or not others:
        return ""
    more = [name for name in others if pulls[transfer[0]]["change_sd_high"] < pulls[name]["change_sd_low"]]
    less = [name for name in others if pulls[transfer[0]]["change_sd_low"] > pulls[name]["change_sd_high"]]
    same = [name for name in others if name not in more and name not in less]
    said = [
        f"{words} {in_words([plain(labels[name]) for name in names])}"
        for names, words in ((more, "more than"), (same, "about as much as"), (less, "less than"))
        if names
    ]
    verdict = (
        "This supports the study's suspicion"
        if more and not same and not less
        else ("This does not set the transfer CNN apart as the study suspects")
    )
    answer = f"Light patches, against dark ones, pull {plain(labels[transfer[0]])} {in_words(said)}. **{verdict}.**"
    return f"{answer} {_against_scratch(found, runs, labels, transfer[0])}".strip()


def _against_scratch(
    found: Sequence["Counterfactuals"], runs: Sequence[Run], labels: dict[str, str], transfer: str
) -> str:
    """The light patch on the transfer CNN and on the CNN trained from scratch, face by face; "" without both."""
    from maskdet.bias.counterfactuals import compare_flips

    by_run = {one.run: one for one in found}
    scratch = next((run.id for run in runs if run.model_name == "cnn" and run.id in by_run), None)
    if scratch is None:
        return ""
    rows = compare_flips(by_run[transfer], by_run[scratch])
    rows = rows[(rows["group_name"] == "all") & (rows["transformation"] == LIGHT) & rows["low"].notna()]
    if rows.empty:
        return ""
    row = rows.iloc[0]
    fewer = row["flipped"] < 0
    ends = sorted(abs(100 * row[name]) for name in ("low", "high")) if row["low"] * row["high"] > 0 else ()
    size = f"{abs(100 * row['flipped']):.1f} percentage points" + (f" ({ends[0]:.1f}–{ends[1]:.1f})" if ends else "")
    word = "fewer" if fewer else "more"
    chance = "" if ends else ", which chance may explain"
    return (
        f"On the same {int(row['n']):,} faces, a light patch flips {size} {word} verdicts in "
        f"{plain(labels[transfer])} than in {plain(labels[scratch])}{chance}."
    )


def _claim(shares: pd.DataFrame, row: "pd.Series[float]") -> str:
    """What light and dark patches do; ``row`` is their difference, whose change below 0 is towards with mask."""
    light, dark = (_share(shares.loc[name]) for name in (LIGHT, DARK))
    if pd.isna(row["change_sd_low"]):
        verdict = "too few faces to say which pulls more"
    elif row["change_sd_high"] < 0:
        verdict = "light patches pull more towards *with mask*"
    elif row["change_sd_low"] > 0:
        verdict = "dark patches pull more towards *with mask*, not light ones"
    else:
        verdict = "chance may explain the difference"
    return (
        f"**{verdict}**. A light patch on mouth and chin flips {light} of the verdicts on unmasked faces, a dark one "
        f"{dark}; the light one moves the logit by "
        f"{with_interval(row['change_sd'], row['change_sd_low'], row['change_sd_high'], 2)} {_SPREAD} more, "
        f"n = {int(row['n']):,}."
    )


def _share(row: "pd.Series[float]") -> str:
    return percent(row["flipped"], low=row["low"], high=row["high"])


def _show_claim(lab: Lab, found: Found) -> None:
    said = claim_sentences(list(found.values()), lab.labels)
    if said:
        st.markdown("## Does training on white masks make a model look for light patches?")
        st.markdown(
            "The study suspects it of its transfer CNN, which first learns from white masks alone (6.2). If so, a "
            "light patch that is no mask pulls more towards *with mask* than a dark one of the same shape does."
        )
        st.markdown("\n".join(f"- {one}" for one in said))
        answer = claim_answer([found[run.id] for run in lab.runs if run.id in found], lab.runs, lab.labels)
        if answer:
            st.markdown(answer)


def _show_charts(lab: Lab, found: Found) -> None:
    from maskdet.bias.transformations import TRANSFORMATIONS

    st.markdown("## What flips a verdict, and how far the logit moves")
    label = st.segmented_control(
        "Faces", list(CLASSES), default=CLASSES[1], required=True, format_func=LABEL_TITLES.__getitem__,
        key="bias_change_label", persist_state="session", label_visibility="collapsed",
    )  # fmt: skip
    table = _all_flips(lab, found, None)
    table = table[(table["label"] == label) & (table["group_name"] == "all")]
    for expected, (title, meaning) in EXPECTED.items():
        mine = table[[TRANSFORMATIONS[name].expected == expected for name in table["transformation"]]]
        if mine.empty:
            continue
        st.markdown(f"**{title}.** {meaning}")
        share, change = st.columns(2, gap="large")
        with share:
            st.plotly_chart(
                interval_chart(flip_rows(mine, lab.labels), lab.colours, title="share of verdicts flipped",
                               span=(-0.02, 1.02), shares=True, guides=(Guide(0.0, "no flip"),)),
                key=f"bias_flips_{expected}", config=NO_BAR, alt=f"Share of verdicts flipped. {title}",
            )  # fmt: skip
        with change:
            st.plotly_chart(
                interval_chart(change_rows(mine, lab.labels), lab.colours, title="mean change of the logit, in SDs",
                               guides=(Guide(0.0, "no change"),)),
                key=f"bias_changes_{expected}", config=NO_BAR, alt=f"Mean change of the logit. {title}",
            )  # fmt: skip
    options = next(iter(found.values())).options
    st.caption(
        f"A random sample of at most {options.sample:,} test faces of each label, the same for each run. Bars are 95 % "
        "intervals that take related faces together. Runs have logits of "
        "different scales, so that the change is given in standard deviations (SDs) of each run's own."
    )
    with st.expander("What is done to a face"):
        for name in dict.fromkeys(table["transformation"]):
            st.markdown(f"- **{TRANSFORMATIONS[name].title}**: {sentence(TRANSFORMATIONS[name].explanation)}")


def _show_tones(lab: Lab, found: Found) -> None:
    from maskdet.bias.transformations import TRANSFORMATIONS

    assert lab.focus is not None  # for the type alone: only shown where a run is in focus  # nosec B101
    groups = groups_of(lab.workspace, lab.focus, TONE)
    st.markdown("## By apparent skin tone")
    if groups is None:
        offer_run(lab, lab.focus, "Apparent skin tone", "appearance", "Measure skin tone and mask colour")
        return
    table = _all_flips(lab, found, groups)
    table = table[(table["group_name"] != "all")]
    names = list(dict.fromkeys(table["transformation"]))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            "Change", names, index=names.index(LIGHT) if LIGHT in names else 0, width=300, key="bias_change_tone",
            format_func=lambda one: TRANSFORMATIONS[one].title, persist_state="session",
        )  # fmt: skip
        labels = [label for label in CLASSES if label in TRANSFORMATIONS[name].applies_to]
        label = st.segmented_control(
            "Faces", labels, default=labels[-1], required=True, format_func=LABEL_TITLES.__getitem__,
            key=f"bias_change_tone_{len(labels)}", persist_state="session",
        )  # fmt: skip
    mine = table[(table["transformation"] == name) & (table["label"] == label)]
    if mine.empty:
        st.info("The skin tone of none of these faces could be measured.")
        return
    st.plotly_chart(
        interval_chart(flip_rows(mine, lab.labels, "group_name"), lab.colours, title="share of verdicts flipped",
                       span=(-0.02, 1.02), shares=True),
        key="bias_tone_flips", config=NO_BAR, alt="Share of verdicts flipped by apparent skin tone",
    )  # fmt: skip
    few = sorted({str(row.group_name) for row in mine.itertuples() if str(row.reason).startswith("too few")})
    if few:
        st.caption(f"Too few faces to say: {', '.join(map(plain, few))}.")


def _all_flips(lab: Lab, found: Found, groups: "pd.Series[str] | None") -> pd.DataFrame:
    runs = [run for run in lab.runs if run.id in found]
    stamps = {run.id: stamp_of_findings(lab.workspace, run, COUNTERFACTUALS) for run in runs}
    return pd.concat([_flips_of(stamps[run.id], groups, found[run.id], run) for run in runs], ignore_index=True)


@st.cache_data(show_spinner="Resampling the changed faces", max_entries=64)
def _flips_of(stamp: str, groups: "pd.Series[str] | None", _found: "Counterfactuals", _run: Run) -> pd.DataFrame:
    from maskdet.bias.counterfactuals import flips

    return flips(_found, groups).assign(run=_run.id)


def _show_table(lab: Lab, found: Found) -> None:
    table = _all_flips(lab, found, None)
    with st.expander("All figures, with n and intervals"):
        shown = table[["run", *table.columns.drop(["run", "group_name"])]]
        st.dataframe(shown, hide_index=True, column_config=titled(shown))
        st.download_button(
            "Counterfactuals (CSV)", csv_bytes(table), "counterfactuals.csv", "text/csv",
            icon=":material/download:", on_click="ignore", key="bias_change_csv",
        )  # fmt: skip
