"""The view of the model card, and the whole report to take along."""

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

import streamlit as st

from maskdet.runs import Run
from ui.bias import needs_run
from ui.bias_data import Lab, data_of, findings_of
from ui.text import code, plain

#: In px; a card is some ten screens long.
_CARD_HEIGHT: Final = 760
#: The card's headings are the page's lesser ones.
_HEADING: Final = re.compile(r"^#{1,3} ", re.MULTILINE)

if TYPE_CHECKING:
    from maskdet.card import ModelCard


def show_card(lab: Lab) -> None:
    """The card of the run in focus, and files of it and of everything that was found."""
    if needs_run(lab):
        return
    card = _card(lab, lab.pair[0])
    st.caption(
        "What this run is, what it is for and not for, what it was measured to do, and what was not measured; after "
        "Mitchell et al., *Model Cards for Model Reporting* (2019)."
    )
    _show_files(lab, card)
    if card.not_measured:
        missing = "; ".join(plain(block.what) for block in card.not_measured)
        st.warning(f"Not measured, and said so in the card: {missing}.", icon=":material/straighten:")
    from maskdet.document import to_markdown

    with st.container(border=True, key="bias_card", height=_CARD_HEIGHT):
        st.markdown(_HEADING.sub(r"#\g<0>", to_markdown(card)))


def _card(lab: Lab, run: Run) -> "ModelCard":
    from maskdet.card import card_from

    return card_from(lab.workspace, data_of(lab.workspace, run.fingerprint), findings_of(lab.workspace, run))


def _show_files(lab: Lab, card: "ModelCard") -> None:
    from maskdet.document import to_html, to_markdown

    name = f"model-card-{card.run}"
    with st.container(horizontal=True):
        st.download_button(
            "Card (Markdown)", partial(_encoded, to_markdown, card), f"{name}.md", "text/markdown",
            icon=":material/download:", on_click="ignore", key="bias_card_md",
        )  # fmt: skip
        st.download_button(
            "Card (HTML)", partial(_encoded, to_html, card), f"{name}.html", "text/html", icon=":material/download:",
            on_click="ignore", key="bias_card_html",
        )  # fmt: skip
        st.download_button(
            "Bias report of data and runs (HTML)", partial(_report, lab), "bias-report.html", "text/html",
            icon=":material/summarize:", on_click="ignore", key="bias_report",
            help="Everything that this page shows of the data and of the runs in focus, as one file without photos.",
        )  # fmt: skip
    st.caption(f"From the shell: {code(f'python -m maskdet card {card.run}')}")


def _encoded(write: "Callable[[ModelCard], str]", card: "ModelCard") -> bytes:
    return write(card).encode()


def _report(lab: Lab) -> bytes:
    from maskdet.bias.report import report_html

    found = [findings_of(lab.workspace, run) for run in lab.pair]
    return report_html(lab.data if lab.fingerprint else None, found).encode()
