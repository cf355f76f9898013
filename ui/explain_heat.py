"""Heatmaps of a face: computed once in a session, and laid over the face as the visitor likes them."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st
from PIL import Image

from maskdet.progress import Progress, silent
from ui.cached import jpeg
from ui.charts import LABEL_TITLES
from ui.explain_models import ready_explainer
from ui.explain_state import Look, pixels_of

if TYPE_CHECKING:
    from maskdet.attribution import Explainer, Heatmap


@dataclass(frozen=True)
class Display:
    """How heatmaps are laid over faces: opacity of the hottest place, 0..1, and a colour map."""

    opacity: float
    colour_map: str


def quick_heatmap(look: Look) -> "Heatmap | None":
    """Where the model found evidence for its own label; None while its explainer is being made."""
    explainer = ready_explainer(look.options.folder)
    return None if explainer is None else heatmap_of(look, explainer, look.options.folder, explainer.methods[0])


def heatmap_of(
    look: Look,
    explainer: "Explainer",
    folder: Path,
    method: str,
    label: str | None = None,
    layer: str | None = None,
    progress: Progress = silent,
) -> "Heatmap":
    """A heatmap by any model and method, for the chosen run's label if no other is given."""
    label = label or look.verdict.label
    make = partial(explainer.heatmap, method, look.pixels, label, layer, progress)
    made: Heatmap = look.kept(("heat", folder, method, label, layer), make)
    return made


def say_coming() -> None:
    """In the place of a heatmap while its explainer is being made."""
    st.caption(":material/hourglass_empty: The heatmap is coming: the model is being loaded for it.")


def heat_image(
    look: Look, heatmap: "Heatmap", display: Display, caption: str | None = None, width: str | int = "stretch"
) -> None:
    """The face with the heatmap over it, or a sentence where there is nothing to draw; no caption if it is empty."""
    from maskdet.attribution import overlay

    title = LABEL_TITLES[heatmap.label].lower()
    if not heatmap.has_evidence:
        st.caption(f":material/search_off: No evidence found for “{title}”.")
        if caption:
            st.caption(caption)
        return
    pixels = overlay(pixels_of(look.crop), heatmap, display.opacity, display.colour_map)
    st.image(
        jpeg(Image.fromarray(pixels)), width=width,
        caption=f"Evidence for “{title}”" if caption is None else caption or None,
        alt=f"Heatmap of face {look.face.number}: where the model found evidence for {title}",
    )  # fmt: skip
