"""How a verdict is said: its title and colour, how sure the model is, and why it should not be believed."""

from html import escape
from typing import Final

import streamlit as st

from maskdet.labels import CLASSES
from maskdet.predict import Verdict, why_not
from maskdet.reliability import Reliability
from ui.charts import LABEL_COLOURS, LABEL_TITLES
from ui.text import percent

#: Titles of verdicts, and of faces that got none.
TITLES: Final = {
    "with_mask": LABEL_TITLES["with_mask"],
    "without_mask": LABEL_TITLES["without_mask"],
    "not_sure": "Not sure",
    "not_like_training_data": "Not like the training data",
    "too_small": "Too small",
}
#: Colours that carry white text, beside those of the labels.
COLOURS: Final = {
    "with_mask": LABEL_COLOURS["with_mask"],
    "without_mask": LABEL_COLOURS["without_mask"],
    "not_sure": "#66717A",
    "not_like_training_data": "#8C4A7C",
    "too_small": "#66717A",
}
_STYLE: Final = """<style>
.verdict { font-weight: 600; display: flex; flex-wrap: wrap; gap: .3rem .6rem; align-items: baseline; }
.verdict .chip { color: #fff; padding: .12rem .6rem; border-radius: .4rem; line-height: 1.5; }
.large .chip { font-size: 1.35rem; }
.verdict .sure { font-size: 1rem; }
.scale { position: relative; height: .8rem; border-radius: .4rem; overflow: hidden; margin-top: .7rem; display: flex; }
.scale .unsure { background: repeating-linear-gradient(45deg, #8a949a 0 4px, #c5cbcf 4px 8px); }
.scale .at { position: absolute; top: 0; bottom: 0; width: .32rem; margin-left: -.16rem; background: #fff;
  box-shadow: 0 0 0 2px #1c2a30; border-radius: .2rem; }
@media (max-width: 640px) {
  .st-key-explain_pair > div { flex: 1 1 40%; width: 40% !important; min-width: 0; }
}
.ends { display: flex; justify-content: space-between; font-size: .8rem; opacity: .8; }
</style>"""


def name_of(verdict: Verdict | None) -> str:
    """Key of `TITLES` and `COLOURS`: the verdict, or ``too_small`` for a face that got none."""
    return "too_small" if verdict is None else verdict.verdict


def show_verdict(verdict: Verdict, reliability: Reliability | None, *, large: bool = True) -> None:
    """The verdict in large letters, a scale with the probability and the band of "not sure", and a sentence."""
    st.html(_STYLE + f'<div class="{"large" if large else "small"}">{verdict_html(verdict, reliability)}</div>')
    reason = why_not(verdict, reliability)
    if reason:
        st.markdown(reason)


def verdict_html(verdict: Verdict, reliability: Reliability | None) -> str:
    """The verdict and its scale as HTML."""
    title, colour = TITLES[verdict.verdict], COLOURS[verdict.verdict]
    low, high = (reliability.low, reliability.high) if reliability else (0.5, 0.5)
    at = 100 * min(max(verdict.p_without_mask, 0.008), 0.992)  # the mark stays whole at the ends
    parts = (
        f'<div style="flex: {low:.4f}; background: {COLOURS["with_mask"]}"></div>'
        f'<div class="unsure" style="flex: {high - low:.4f}"></div>'
        f'<div style="flex: {1 - high:.4f}; background: {COLOURS["without_mask"]}"></div>'
    )
    spoken = f"probability of no mask {verdict.p_without_mask:.3f}, not sure between {low:.2f} and {high:.2f}"
    ends = [LABEL_TITLES[label].lower() for label in CLASSES]
    middle = "<span>not sure</span>" if high - low >= 0.1 else ""
    return (
        f'<div class="verdict"><span class="chip" style="background: {colour}">{escape(title)}</span>'
        f'<span class="sure">{escape(sureness(verdict))}</span></div>'
        f'<div class="scale" role="img" aria-label="{spoken}">{parts}'
        f'<div class="at" style="left: {at:.1f}%"></div></div>'
        f'<div class="ends"><span>{ends[0]}</span>{middle}<span>{ends[1]}</span></div>'
    )


def sureness(verdict: Verdict) -> str:
    """How sure the model is, in words."""
    share = surely(verdict.probability)
    label = LABEL_TITLES[verdict.label].lower()
    if verdict.verdict == "not_sure":
        return f"leans to {label}, {share}"
    if verdict.verdict == "not_like_training_data":
        return f"it would say {label}"
    return f"{share} sure"


def surely(probability: float) -> str:
    """A probability in words: no model is wholly sure."""
    return percent(probability) if probability < 0.9995 else f"more than {percent(0.999)}"
