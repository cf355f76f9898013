"""The controls of the Quality page: every threshold with the study's value beside it."""

from dataclasses import fields
from typing import Any, Final

import streamlit as st

from maskdet.duplicates import MAX_DISTANCE
from maskdet.further_filters import FURTHER
from maskdet.measure import HASH_KINDS
from maskdet.quality import FilterOptions
from ui.choices import TREATMENTS, choose_incorrect_mask

STUDY: Final = FilterOptions()
KIND_TITLES: Final = {"phash": "pHash", "dhash": "dHash", "ahash": "aHash", "whash": "wHash"}
_KIND_NOTES: Final = {
    "phash": "coarse frequencies", "dhash": "steps in brightness", "ahash": "brighter than the mean",
    "whash": "wavelets",
}  # fmt: skip
_RATIOS: Final = (
    0.05, 0.1, 0.15, 0.2, 0.25, 0.33, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0, 1.1, 1.33, 1.67, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0,
    10.0, 20.0,
)  # fmt: skip
_SHARPNESSES: Final = (0.0, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0, 70.0, 100.0, 150.0, 200.0, 500.0)
_RATIO: Final = "quality_ratio_span"
_MEANS: Final = "quality_mean_span"
#: Sliders that hold two options.
_SPANS: Final = {
    _RATIO: ("min_aspect_ratio", "max_aspect_ratio"),
    _MEANS: ("min_channel_mean", "max_channel_mean"),
}
#: Options that have no control of their own.
_APART: Final = [name for pair in _SPANS.values() for name in pair] + ["further"]
#: A threshold counts only where its filter is on.
_FILTER_OF: Final = {
    "small_size": "aspect_ratio", "min_aspect_ratio": "aspect_ratio", "max_aspect_ratio": "aspect_ratio",
    "min_channel_mean": "rgb", "max_channel_mean": "rgb", "min_side": "small", "min_sharpness": "blur",
}  # fmt: skip


_TITLES: Final = {
    "duplicates": "duplicates", "hash_kind": "hash kind", "hash_distance": "hash distance",
    "aspect_ratio": "small and stretched", "small_size": "square-root size", "min_aspect_ratio": "least aspect ratio",
    "max_aspect_ratio": "largest aspect ratio", "rgb": "RGB anomalies", "min_channel_mean": "least channel mean",
    "max_channel_mean": "largest channel mean", "incorrect_mask": "masks worn incorrectly",
    "exact": "exact duplicates apart", "conflicts": "conflicting labels", "small": "small faces",
    "min_side": "shorter side", "blur": "blurred faces", "min_sharpness": "sharpness",
}  # fmt: skip
_VALUES: Final[dict[Any, str]] = {**KIND_TITLES, **{name: title.lower() for name, title in TREATMENTS.items()}}


def choose_options() -> FilterOptions:
    """All controls, one below the other; the choice is kept for the visit."""
    for key, value in _values(STUDY).items():
        if key != _RATIO:  # that one is given its value below
            st.session_state.setdefault(key, value)
    header = st.container(horizontal=True, vertical_alignment="center")
    _choose_duplicates()
    _choose_stretched()
    _choose_rgb()
    choose_incorrect_mask()
    _choose_further()
    options = _read()
    with header:
        _show_header(options)
    return options


def set_controls(options: FilterOptions) -> None:
    """Move all controls, as a callback of a button."""
    for key, value in _values(options).items():
        st.session_state[key] = value


def differences(options: FilterOptions, other: FilterOptions) -> list[str]:
    """What differs between two choices, where it can have an effect: "hash distance 4 → 6"."""
    found = []
    for field in fields(FilterOptions):
        name = field.name
        mine, theirs = getattr(options, name), getattr(other, name)
        switch = _FILTER_OF.get(name)
        counts = name != "further" and (switch is None or getattr(options, switch) or getattr(other, switch))
        if mine != theirs and counts:
            found.append(f"{_TITLES[name]} {_text(theirs)} → {_text(mine)}")
    ours, others = dict(options.further), dict(other.further)
    for name in sorted({*ours, *others}):
        mine, theirs = ours.get(name, False), others.get(name, False)
        if mine != theirs:
            found.append(f"{FURTHER[name].title.lower()} {_text(theirs)} → {_text(mine)}")
    return found


def _values(options: FilterOptions) -> dict[str, Any]:
    """Value of each control, by its key."""
    single = {_key(field.name): getattr(options, field.name) for field in fields(options) if field.name not in _APART}
    spans = {key: (getattr(options, low), getattr(options, high)) for key, (low, high) in _SPANS.items()}
    on = dict(options.further)
    further = {_key(f"further_{name}"): name in on for name in FURTHER}
    least = {_key(f"least_{name}"): float(on.get(name, one.least)) for name, one in FURTHER.items()}
    return single | spans | further | least


def _read() -> FilterOptions:
    values = {
        field.name: st.session_state[_key(field.name)] for field in fields(FilterOptions) if field.name not in _APART
    }
    for key, names in _SPANS.items():
        values |= dict(zip(names, st.session_state[key], strict=True))
    values["further"] = tuple(
        (name, st.session_state[_key(f"least_{name}")]) for name in FURTHER if _is_on(f"further_{name}")
    )
    return FilterOptions(**values)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return _VALUES[value] if isinstance(value, str) else f"{value:g}"


def _key(name: str) -> str:
    return name if name == "incorrect_mask" else f"quality_{name}"  # incorrect_mask is shared with other pages


def _show_header(options: FilterOptions) -> None:
    different = differences(options, STUDY)
    st.markdown("**Thresholds**", width="stretch")
    st.button(
        "As in the study", on_click=set_controls, args=(STUDY,), disabled=not different, type="tertiary",
        icon=":material/restart_alt:", key="quality_reset",
        help=f"Reset: {'; '.join(different)}" if different else "All thresholds are the study's.",
    )  # fmt: skip


def _choose_duplicates() -> None:
    with st.container(gap="xxsmall"):
        on = _toggle("duplicates", "Duplicates", "Faces whose perceptual hashes differ in few bits; one copy stays.")
        st.selectbox(
            "Hash kind (study: pHash)", HASH_KINDS, key=_key("hash_kind"), persist_state="session",
            format_func=lambda kind: f"{KIND_TITLES[kind]}: {_KIND_NOTES[kind]}",
            disabled=not (on or _is_on("conflicts")),
            help="What tells how alike two faces are. At the same distance, dHash, aHash and wHash join many more "
            "unrelated faces than pHash.",
        )  # fmt: skip
        st.slider(
            "Hash distance (our default: 4 bits)", 0, MAX_DISTANCE, key=_key("hash_distance"),
            persist_state="session", disabled=not (on or _is_on("conflicts")),
            help="Duplicates differ in at most this many of 64 bits. The study names no distance; 4 removes about as "
            "many faces as it reports. Two pHashes practically always differ in an even number of bits.",
        )  # fmt: skip


def _choose_stretched() -> None:
    with st.container(gap="xxsmall"):
        on = _toggle("aspect_ratio", "Small and stretched", "Small faces far from square, which resizing distorts.")
        size = float(st.session_state[_key("small_size")])
        st.slider(
            "Square-root size below (study: 300 px)", 0.0, max(1000.0, size), step=10.0, format="%d px",
            key=_key("small_size"), persist_state="session", disabled=not on,
            help="The aspect ratio matters only for faces smaller than this: the square root of width × height.",
        )  # fmt: skip
        span = st.session_state.get(_RATIO, (STUDY.min_aspect_ratio, STUDY.max_aspect_ratio))
        st.select_slider(
            "Aspect ratio kept (study: 0.25 to 4)", sorted({*_RATIOS, *span}), format_func="{:g}".format,
            value=span,  # or it would be taken for a slider with one handle
            key=_RATIO, persist_state="session", disabled=not on, help="Height / width.",
        )  # fmt: skip


def _choose_rgb() -> None:
    with st.container(gap="xxsmall"):
        on = _toggle("rgb", "RGB anomalies", "Faces that are almost wholly dark or bright in a colour channel.")
        st.slider(
            "Channel means kept (study: 5 to 250)", 0.0, 255.0, step=1.0, format="%d", key=_MEANS,
            persist_state="session", disabled=not on, help="Mean of red, of green and of blue, each from 0 to 255.",
        )  # fmt: skip


def _choose_further() -> None:
    names = ("exact", "conflicts", "small", "blur", *(f"further_{name}" for name in FURTHER))
    on = sum(_is_on(name) for name in names)
    title = "Further filters (not in the study)" + (f": {on} on" if on else "")
    with st.expander(title, key="quality_further"):
        _toggle("exact", "Exact duplicates apart", "Same size, same pixels: counted apart from other duplicates.")
        _toggle(
            "conflicts", "Conflicting labels",
            "Duplicate clusters whose faces have different labels: one label must be wrong, so all of them go.",
        )  # fmt: skip
        on_small = _toggle("small", "Small faces", "Faces with too few pixels to show anything.")
        side = float(st.session_state[_key("min_side")])
        st.slider(
            "Shorter side at least (ours: 20 px)", 0.0, max(200.0, side), step=1.0, format="%d px",
            key=_key("min_side"), persist_state="session", disabled=not on_small,
        )  # fmt: skip
        on_blur = _toggle("blur", "Blurred faces", "Faces without sharp edges.")
        st.select_slider(
            "Sharpness at least (ours: 10)",
            sorted({*_SHARPNESSES, float(st.session_state[_key("min_sharpness")])}), format_func="{:g}".format,
            key=_key("min_sharpness"), persist_state="session", disabled=not on_blur,
            help="Variance of the Laplacian of the face at 150×150: low where nothing is sharp.",
        )  # fmt: skip
        for name, one in FURTHER.items():
            on_further = _toggle(f"further_{name}", one.title, f"Faces that measure too little: {one.measured}.")
            st.number_input(
                f"At least (ours: {one.least:g})", 0.0, key=_key(f"least_{name}"), persist_state="session",
                disabled=not on_further, help=f"{one.measured.capitalize()}.",
            )  # fmt: skip


def _toggle(name: str, title: str, help_text: str) -> bool:
    return st.toggle(title, key=_key(name), persist_state="session", help=help_text)


def _is_on(name: str) -> bool:
    return bool(st.session_state[_key(name)])
