"""A photo with its faces numbered, and a card for each: what was cropped, where the model looked, and the verdict."""

from collections.abc import Sequence
from typing import Final

import streamlit as st
from PIL import Image, ImageDraw, ImageFont

from maskdet.errors import MaskDetError
from maskdet.photos import Box
from maskdet.predict import WHOLE_PHOTO, JudgedPhoto, Verdict
from ui.cached import jpeg
from ui.explain_heat import Display, heat_image, quick_heatmap, say_coming
from ui.explain_models import judge_of
from ui.explain_state import Look, Options, Picture, Upload, face_key, picture_of
from ui.explain_verdict import COLOURS, TITLES, name_of, show_verdict
from ui.gallery import pager
from ui.text import plain, sentence

#: Cards on a page: each has a heatmap, which takes time.
_CARDS: Final = 8
_CARD_WIDTH: Final = 230
#: Width of each picture in a card, where there is one card and where there are several; and of a photo above cards.
_LARGE: Final = 230
_SMALL: Final = 90
_PHOTO_WIDTH: Final = 760

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def show_photo(upload: Upload, judged: JudgedPhoto, options: Options, display: Display) -> Look | None:
    """The photo and the cards of its faces; the face that is chosen, or None if none was judged."""
    photo = judged.photo
    picture = picture_of(upload, photo, options)
    looks = [
        Look(upload, options, face, verdict, crop)
        for face, verdict, crop in zip(photo.faces, judged.verdicts, picture.faces, strict=True)
        if verdict is not None
    ]
    if len(looks) == 1:
        left, right = st.columns([2, 3], gap="medium")
        with right, st.container(border=True):
            _show_card(looks[0], _LARGE, display)
        with left:
            _show_picture(picture, judged, options)
        return looks[0]
    with st.container(width=_PHOTO_WIDTH):
        _show_picture(picture, judged, options)
    if not looks:
        st.info("No face here is large enough to be judged; *More options* has the smallest size.")
        return None
    _show_cards(looks, display)
    return _choose_face(looks)


def _show_picture(picture: Picture, judged: JudgedPhoto, options: Options) -> None:
    photo = judged.photo
    st.image(
        jpeg(with_boxes(picture, [face.box for face in photo.faces], judged.verdicts)), width="stretch",
        caption=f"{plain(photo.name)} · {photo.width}×{photo.height} px",
        alt="The photo, with a numbered box around each face",
    )  # fmt: skip
    if photo.status == WHOLE_PHOTO:
        st.warning(
            "No face was found here, so the whole photo was taken as one. If it is no face, the verdict means nothing.",
            icon=":material/search_off:",
        )
    small = sum(verdict is None for verdict in judged.verdicts)
    if small:
        st.caption(
            f"{small} of {len(photo.faces)} faces are smaller than {options.min_size} px (dashed boxes): too small to "
            "be judged."
        )


def with_boxes(picture: Picture, boxes: Sequence[Box], verdicts: Sequence[Verdict | None]) -> Image.Image:
    """The photo with a box around each face, dashed where too small: number and, where there is room, the verdict."""
    image = picture.photo.copy()
    draw = ImageDraw.Draw(image)
    width = max(2, round(max(image.size) / 350))
    font = ImageFont.load_default(max(13, round(max(image.size) / 48)))
    scaled = [_scaled(box, picture.scale) for box in boxes]
    for corners, verdict in zip(scaled, verdicts, strict=True):
        colour = COLOURS[name_of(verdict)]
        if verdict is None:
            _dashed(draw, corners, colour, max(1, width // 2))
        else:
            draw.rectangle([c + d for c, d in zip(corners, (-width, -width, width, width), strict=True)],
                           outline="white", width=width)  # fmt: skip  # seen on any background
            draw.rectangle(corners, outline=colour, width=width)
    taken = list(scaled)
    for number, (corners, verdict) in enumerate(zip(scaled, verdicts, strict=True), start=1):
        words = [f"{number}"] if verdict is None else [f"{number} {TITLES[verdict.verdict]}", f"{number}"]
        places = [_place(draw, text, corners, font, image.size) for text in words]
        others = [box for box in taken if box != corners]
        text, place = next(
            (one for one in zip(words, places, strict=True) if not any(_overlap(one[1], box) for box in others)),
            (words[-1], places[-1]),
        )
        taken.append(place)
        draw.rectangle(place, fill=COLOURS[name_of(verdict)])
        draw.text((place[0] + 4, place[1] + 2), text, fill="white", font=font)
    return image


def _scaled(box: Box, scale: float) -> Box:
    left, top, right, bottom = (round(side * scale) for side in box)
    return left, top, max(left + 1, right - 1), max(top + 1, bottom - 1)


def _place(draw: ImageDraw.ImageDraw, words: str, box: Box, font: _Font, size: tuple[int, int]) -> Box:
    """Where words go: above a box where there is room, else within it, and within the photo."""
    _, _, wide, high = draw.textbbox((0, 0), words, font=font)
    wide, high = round(wide) + 8, round(high) + 6
    left = max(0, min(box[0], size[0] - wide))
    top = box[1] - high if box[1] >= high else box[1]
    return left, top, left + wide, top + high


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _dashed(draw: ImageDraw.ImageDraw, box: Box, colour: str, width: int) -> None:
    left, top, right, bottom = box
    dash = max(3, min(right - left, bottom - top) // 5)
    for line, fill in ((width + 2, "white"), (width, colour)):
        for x in range(left, right, 2 * dash):
            for y in (top, bottom):
                draw.line((x, y, min(x + dash, right), y), fill=fill, width=line)
        for y in range(top, bottom, 2 * dash):
            for x in (left, right):
                draw.line((x, y, x, min(y + dash, bottom)), fill=fill, width=line)


def _show_cards(looks: Sequence[Look], display: Display) -> None:
    shown = looks[pager(f"explain_cards_{looks[0].upload.digest}", len(looks), _CARDS)]
    with st.container(horizontal=True, gap="small"):
        for look in shown:
            with st.container(border=True, width=_CARD_WIDTH, height="stretch", gap="xsmall"):
                st.markdown(f"**Face {look.face.number}**")
                _show_card(look, _SMALL, display)
                st.button("Look closer", key=f"explain_closer_{look.upload.digest}_{look.face.number}",
                          on_click=_choose, args=(look,), icon=":material/zoom_in:")  # fmt: skip
    st.caption("Of each face: what was cut out, and where the model found evidence for its choice.")


def _show_card(look: Look, width: int, display: Display) -> None:
    large = width == _LARGE
    show_verdict(look.verdict, judge_of(look.options.folder).reliability, large=large)
    with st.container(horizontal=True, gap="small", key="explain_pair" if large else None):
        alt = f"Face {look.face.number}, cut out of the photo"
        with st.container(width=width):
            st.image(jpeg(look.crop), width="stretch", caption="The face" if large else None, alt=alt)
        with st.container(width=width):
            try:
                heatmap = quick_heatmap(look)
            except MaskDetError as error:  # the verdict stands all the same
                st.caption(f":material/error: {sentence(error)}")
                return
            if heatmap is None:
                say_coming()
            else:
                heat_image(look, heatmap, display, None if large else "")


def _choose_face(looks: Sequence[Look]) -> Look | None:
    """The face to look at in detail: the largest, until another is chosen."""
    if len(looks) < 2:
        return looks[0] if looks else None
    by_number = {look.face.number: look for look in looks}
    largest = max(looks, key=lambda look: (look.face.box[2] - look.face.box[0]) * (look.face.box[3] - look.face.box[1]))
    key = face_key(looks[0].upload, looks[0].options)
    if st.session_state.get(key) not in by_number:
        st.session_state[key] = largest.face.number
    number = st.selectbox(
        "Look closer at", list(by_number), key=key, width=340,
        format_func=lambda number: f"Face {number}: {TITLES[by_number[number].verdict.verdict].lower()}",
    )  # fmt: skip
    return by_number[number]


def _choose(look: Look) -> None:
    st.session_state[face_key(look.upload, look.options)] = look.face.number
