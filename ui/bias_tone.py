"""The view of apparent skin tone and mask colour: what is measured, of whom it cannot be, and how it is spread."""

from typing import Final

import pandas as pd
import streamlit as st

from maskdet.bias.tones import LIGHT_ABOVE, TONES, YELLOW_ABOVE
from maskdet.labels import CLASSES
from ui.bias import offer_data
from ui.bias_charts import interval_chart, mask_colour_chart, spread_chart, tone_scatter
from ui.bias_data import Lab, known_faces
from ui.cached import csv_bytes
from ui.charts import LABEL_COLOURS, LABEL_TITLES, NO_BAR
from ui.text import percent, plain, sentence

_ALL: Final = "all"
_LABELS: Final = {LABEL_TITLES[label]: LABEL_COLOURS[label] for label in CLASSES}
#: Columns of the table of those that are left out, which are no reasons.
_FACTS: Final = ("label", "dataset", "faces", "not_measurable", "share", "low", "high", "interval_reason")


def show_tones(lab: Lab) -> None:
    """Limits first, then whom the measure leaves out, the distribution of tones, and of mask colours."""
    st.markdown(
        "**Apparent** skin tone is the colour of the skin pixels of forehead, nose root and cheeks *in this photo*, "
        "and no property of a person: light, camera, make-up and editing shift it. Nothing is guessed of who somebody "
        "is."
    )
    with st.expander("What is measured, and its limits"):
        _show_method()
    left_out = lab.data.not_measurable
    faces = known_faces(lab)
    if left_out is None and faces is None:
        offer_data(lab, "Apparent skin tone and mask colour", "appearance", "Measure skin tone and mask colour")
        return
    if left_out is not None and len(left_out):
        _show_left_out(left_out)
    if faces is not None:
        _show_spread(faces)
        _show_masks(faces)
    else:
        st.caption("The tones themselves are kept with the photos that they were measured on, which are not here.")


def left_out_rows(left_out: pd.DataFrame) -> pd.DataFrame:
    """The share that is not measurable as rows of `interval_chart`, a series a label, all datasets first."""
    order = left_out.assign(first=left_out["dataset"] != _ALL).sort_values("first", kind="stable")
    return pd.DataFrame(
        {"row": order["dataset"].replace({_ALL: "All datasets"}), "series": order["label"].map(LABEL_TITLES),
         "value": order["share"], "low": order["low"], "high": order["high"], "n": order["faces"]}
    )  # fmt: skip


def colour_counts(faces: pd.DataFrame) -> pd.DataFrame:
    """How many masks of each colour a dataset has: row, colour, faces; colours in the order of the measure."""
    from maskdet.bias.mask_colour import COLOURS

    known = faces[(faces["mask_colour"] != "") & (faces["label"] == CLASSES[0])]
    counts = known.groupby(["dataset", "mask_colour"], observed=True).size().rename("faces").reset_index()
    place = {colour: number for number, colour in enumerate(COLOURS)}
    counts = counts.sort_values("mask_colour", key=lambda names: names.map(place), kind="stable", ignore_index=True)
    return counts.rename(columns={"dataset": "row", "mask_colour": "colour"})


def _show_method() -> None:
    tones = ", ".join(f"{name} (above {angle:.0f}°)" if angle > -90 else name for name, angle in TONES.items())
    st.markdown(
        f"- **Lightness L*** (CIELAB, 0 to 100) and **hue** (an angle: low is red, high is yellow) of the median skin "
        f"pixel; light tones lie above L* {LIGHT_ABOVE:.0f}, yellow hues above {YELLOW_ABOVE:.0f}° (Thong, Joniak and "
        "Xiang, *Beyond Skin Tone*, ICCV 2023).\n"
        "- The **individual typology angle** mixes lightness and yellow (Chardon, Cretois and Hourseau, 1991); its "
        f"categories are the groups called *apparent skin tone*: {tones}. It says little alone, which is why L* and "
        "hue stand beside it.\n"
        "- **Mask colour** is the colour that covers the middle of the lower face of masked faces, named.\n"
        "- Skin is looked for where landmarks say that it is. Small, grey, dark or unevenly lit faces, and those whose "
        "landmarks were not found, are *not measurable*: they are in no group, and a large share of them makes the "
        "groups say little of all faces."
    )


def _show_left_out(left_out: pd.DataFrame) -> None:
    st.markdown("## Of whom the skin tone is not measurable")
    for row in left_out[left_out["dataset"] == _ALL].itertuples():
        share = percent(row.share, low=row.low, high=row.high)
        st.markdown(f"- {LABEL_TITLES[row.label]}: **{share}** of n = {row.faces:,} faces are left out")
    chart, reasons = st.columns(2, gap="large")
    with chart:
        st.plotly_chart(
            interval_chart(left_out_rows(left_out), _LABELS, title="share not measurable", shares=True,
                           span=(-0.02, 1.02)),
            key="bias_left_out", config=NO_BAR, alt="Share of faces whose skin tone is not measurable, by dataset",
        )  # fmt: skip
    with reasons:
        names = [name for name in left_out.columns if name not in _FACTS]
        table = left_out[left_out["dataset"] == _ALL].set_index("label")[names].T
        table = table[table.sum(axis=1) > 0].rename(columns=LABEL_TITLES).rename_axis("Why").reset_index()
        st.dataframe(
            table, hide_index=True, height="content",
            column_config={"Why": st.column_config.TextColumn(width=300)}
            | {title: st.column_config.NumberColumn(format="localized", width=85) for title in _LABELS},
        )  # fmt: skip
    few = left_out["interval_reason"].fillna("") if "interval_reason" in left_out else []
    for reason in dict.fromkeys(str(why) for why in few if why):
        st.caption(sentence(reason))
    st.download_button(
        "Not measurable (CSV)", csv_bytes(left_out), "not-measurable.csv", "text/csv",
        icon=":material/download:", on_click="ignore", key="bias_left_out_csv",
    )  # fmt: skip


def _show_spread(faces: pd.DataFrame) -> None:
    known = faces.dropna(subset=["skin_lightness", "skin_hue"])
    st.markdown("## How apparent skin is spread")
    if known.empty:
        st.info("The skin tone of none of these faces could be measured.")
        return
    scatter, boxes = st.columns(2, gap="large")
    with scatter:
        st.plotly_chart(
            tone_scatter(known, LIGHT_ABOVE, YELLOW_ABOVE), key="bias_tones", config=NO_BAR,
            alt="Lightness of apparent skin over its hue, with the shares of four quadrants",
        )  # fmt: skip
        counts = known["label"].value_counts()
        st.caption(
            f"n = {len(known):,} faces: "
            + ", ".join(f"{counts.get(label, 0):,} {LABEL_TITLES[label].lower()}" for label in CLASSES)
            + ". Shares are of all of them; of many, 2,500 are drawn."
        )
    with boxes:
        name = st.segmented_control(
            "Measure", ["skin_lightness", "skin_hue"], default="skin_lightness", required=True, key="bias_tone_measure",
            format_func={"skin_lightness": "Lightness L*", "skin_hue": "Hue"}.__getitem__, persist_state="session",
            label_visibility="collapsed",
        )  # fmt: skip
        values = known.rename(columns={"dataset": "row"})[["row", "label"]].assign(value=known[name])
        title = "lightness L*" if name == "skin_lightness" else "hue, in degrees"
        st.plotly_chart(
            spread_chart(values.sort_values("row"), title), key="bias_spread", config=NO_BAR,
            alt=f"Distribution of {title} of apparent skin by dataset and label",
        )  # fmt: skip
        st.caption("Boxes: the middle half and the median; whiskers: the 5th to the 95th percentile.")


def _show_masks(faces: pd.DataFrame) -> None:
    counts = colour_counts(faces)
    st.markdown("## Colours of the masks")
    if counts.empty:
        st.info("The colour of none of these masks could be measured.")
        return
    masked = int((faces["label"] == CLASSES[0]).sum())
    st.plotly_chart(mask_colour_chart(counts), key="bias_masks", config=NO_BAR, alt="Share of mask colours by dataset")
    known = int(counts["faces"].sum())
    per = ", ".join(f"{plain(row)} {of['faces'].sum():,}" for row, of in counts.groupby("row"))
    st.caption(
        f"n = {known:,} of {masked:,} masked faces whose mask colour was measured ({per}); of the others it could not "
        "be told."
    )
