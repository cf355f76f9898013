"""What would change a verdict: properties of the face varied one at a time, and masks drawn on it."""

from typing import Any, Final

import pandas as pd
import streamlit as st
from PIL import Image

from maskdet.drawn_masks import MASK_COLOURS, USUAL_BOX, USUAL_LANDMARKS, draw_mask
from maskdet.errors import MaskDetError
from maskdet.photos import Box, normalise, read_photo
from maskdet.predict import Verdict
from maskdet.whatif import SWEEPS, flips_at, sweep
from ui.cached import jpeg
from ui.charts import LABEL_TITLES, NO_BAR
from ui.explain_charts import mark_flip, sweep_chart
from ui.explain_heat import Display
from ui.explain_models import judge_of
from ui.explain_state import Look, pixels_of
from ui.explain_verdict import COLOURS, TITLES, surely
from ui.text import sentence

_STEPS: Final = 17
#: How much around a face a drawn mask may need, as a share of the box's sides.
_AROUND: Final = 0.5
_MASK_WIDTH: Final = 168


def show_whatif(look: Look, display: Display) -> None:
    """Masks drawn on in several colours, then a curve a property."""
    st.markdown("### A mask drawn on")
    _show_masks(look)
    st.markdown("### One property at a time")
    _show_sweeps(look)


def _show_masks(look: Look) -> None:
    try:
        found: list[tuple[str, Image.Image, Verdict]] = look.kept(
            ("masks", look.options.folder), lambda: _with_masks(look)
        )
    except MaskDetError as error:
        st.info(sentence(error), icon=":material/masks:")
        return
    with st.container(horizontal=True, gap="small"):
        for colour, picture, verdict in found:
            with st.container(width=_MASK_WIDTH, gap="xxsmall"):
                title = f"A {colour} mask" if MASK_COLOURS[colour] else "A skin-coloured mask"
                st.image(jpeg(picture), width="stretch", caption=title, alt=f"{title}, drawn on the face")
                st.html(
                    f'<span style="color: #fff; background: {COLOURS[verdict.verdict]}; padding: .1rem .5rem; '
                    f'border-radius: .4rem">{TITLES[verdict.verdict]}</span>'
                )
                st.caption(f"{surely(verdict.probability)} for {LABEL_TITLES[verdict.label].lower()}")
    changed = sum(verdict.label != look.verdict.label for *_, verdict in found)
    guess = (
        "" if look.face.detected else " The photo was taken as one face, so where its eyes and mouth are is a guess."
    )
    st.caption(
        f"The model changes its choice for {changed} of {len(found)} masks. They are drawn by the eyes, nose and mouth "
        f"that the detector found, over whatever is there.{guess}"
    )


def _with_masks(look: Look) -> list[tuple[str, Image.Image, Verdict]]:
    """Each colour's mask on the face: the crop, and the verdict on it."""
    photo = pixels_of(read_photo(look.upload.data).image)
    height, width = photo.shape[:2]
    crop = look.face.box
    around = _around(crop, width, height)
    pixels = photo[around[1] : around[3], around[0] : around[2]]
    box, landmarks = _located(look)
    left, top, right, bottom = _moved(crop, around[:2])
    pictures = []
    for colour in MASK_COLOURS:
        masked = draw_mask(pixels, landmarks - around[:2], _moved(box, around[:2]), colour)
        pictures.append(Image.fromarray(masked[top:bottom, left:right]))
    verdicts = judge_of(look.options.folder)([normalise(picture) for picture in pictures])
    for picture in pictures:
        picture.thumbnail(look.crop.size)
    return list(zip(MASK_COLOURS, pictures, verdicts, strict=True))


def _located(look: Look) -> tuple[Box, Any]:
    """Box and landmarks in pixels of the photo: the detector's, or the usual ones of a photo that is one face."""
    found = look.face.detected
    if found is not None:
        return found.box, found.landmarks
    left, top, right, bottom = look.face.box
    size = (right - left, bottom - top)
    x0, y0, x1, y1 = (round(share * side) for share, side in zip(USUAL_BOX, size * 2, strict=True))
    return (x0, y0, x1, y1), USUAL_LANDMARKS * size


def _moved(box: Box, by: tuple[int, int]) -> Box:
    return (box[0] - by[0], box[1] - by[1], box[2] - by[0], box[3] - by[1])


def _around(box: Box, width: int, height: int) -> Box:
    left, top, right, bottom = box
    more = round(_AROUND * (right - left)), round(_AROUND * (bottom - top))
    return (max(0, left - more[0]), max(0, top - more[1]), min(width, right + more[0]), min(height, bottom + more[1]))


def _show_sweeps(look: Look) -> None:
    judge = judge_of(look.options.folder)
    tables: dict[str, pd.DataFrame] = look.kept(("sweeps", look.options.folder), lambda: _sweeps(look))
    columns = st.columns(3) + st.columns(3)
    for place, (name, table) in zip(columns, tables.items(), strict=True):
        what = SWEEPS[name]
        flip = flips_at(table, name)
        figure = sweep_chart(table, what, judge.reliability)
        if flip is not None:
            mark_flip(figure, flip)
        with place:
            st.markdown(f"**{what.title}**", help=what.explanation)
            st.plotly_chart(
                figure,
                key=f"explain_sweep_{name}",
                config=NO_BAR,
                alt=f"Probability of no mask by {what.title.lower()}",
            )
            unit = f" {what.unit}" if what.unit else ""
            st.caption("The choice stays the same." if flip is None else f"Another choice at {flip:.3g}{unit}.")
    st.caption(
        "The ring is the face as it is, the dotted line the nearest value at which the model chooses the other label; "
        "above the middle is without mask, below with mask, and grey is “not sure”. One face (n = 1): no interval."
    )


def _sweeps(look: Look) -> dict[str, pd.DataFrame]:
    judge = judge_of(look.options.folder)
    crop = pixels_of(read_photo(look.upload.data).image.crop(look.face.box))
    return {name: _calibrated(sweep(judge.logits, crop, name, _STEPS), judge.reliability) for name in SWEEPS}


def _calibrated(table: pd.DataFrame, reliability: Any) -> pd.DataFrame:
    p = table["p_without_mask"] if reliability is None else reliability.probability(table["logit"])
    return table.assign(p=p)
