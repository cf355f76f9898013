"""The controls of the Augmentation page: the plan and its methods, with the study's figures beside each."""

from typing import Any, Final

import streamlit as st

from maskdet.augment import METHODS, AugmentOptions, AugmentPlan
from ui.augmentation import METHOD_TITLES, PLAN_TEXTS, PLAN_TITLES

_STUDY: Final = AugmentOptions(plan="study")
#: The controls' values to begin with, by their keys.
_DEFAULTS: Final[dict[str, Any]] = {
    "augment_plan": AugmentOptions().plan,
    "augment_seed": 0,
    "augment_not_augmented": list(_STUDY.not_augmented),
    "augment_rotation": round(_STUDY.rotation),
    "augment_brightness": _STUDY.brightness,
    "augment_crop_keep": _STUDY.crop_keep,
    "augment_noise": _STUDY.noise,
    "augment_probability": _STUDY.probability,
    **{f"augment_on_{method}": True for method in METHODS},
}


def choose_options(datasets: list[str]) -> tuple[AugmentOptions | None, int]:
    """The plan and its parameters; no options if every method is off."""
    for key, value in _DEFAULTS.items():
        st.session_state.setdefault(key, value)
    plan = st.radio(
        "Plan", list(PLAN_TITLES), format_func=PLAN_TITLES.__getitem__,
        horizontal=True, key="augment_plan", persist_state="session",
    )  # fmt: skip
    st.caption(PLAN_TEXTS[plan])
    with st.container(horizontal=True):
        methods = [
            method
            for method in METHODS
            if st.toggle(METHOD_TITLES[method], key=f"augment_on_{method}", persist_state="session", width="content")
        ]
    with st.expander("How strong, how often, and the seed", icon=":material/tune:"):
        values, seed = _choose_strengths(plan, datasets)
    if not methods:
        return None, seed
    return AugmentOptions(plan=plan, methods=tuple(methods), **values), seed


def _choose_strengths(plan: AugmentPlan, datasets: list[str]) -> tuple[dict[str, Any], int]:
    """How much each method changes, with the study's figures, what else a plan asks for, and the seed."""
    values: dict[str, Any] = {}
    rotate, brightness, crop, noise = st.columns(4)
    values["rotation"] = float(_slider(rotate, "Rotate: largest angle (°)", 0, 180, 1, "rotation"))
    rotate.caption("Either way. Study: 30°.")
    values["brightness"] = _slider(brightness, "Brightness: largest change", 0.0, 1.0, 0.05, "brightness", "percent")
    brightness.caption("Study: at random, no number. Ours: 30 %.")
    values["crop_keep"] = _slider(crop, "Crop: area kept", 0.05, 1.0, 0.05, "crop_keep", "percent")
    crop.caption("At a random place. Study: 80 %.")
    values["noise"] = _slider(noise, "Noise: standard deviation", 0.0, 128.0, 1.0, "noise", "%.0f")
    noise.caption("Of 255 levels. Study: no number. Ours: 8.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        seed = st.number_input(
            "Seed", 0, 2**31 - 1, key="augment_seed", persist_state="session", width=140,
            help="Same seed, face and method: same copy, on every machine.",
        )  # fmt: skip
        if plan == "on-the-fly":
            values["probability"] = _slider(
                st, "Chance of each method", 0.0, 1.0, 0.05, "probability", "percent", width=260
            )
        if plan == "study":
            known = sorted({*datasets, *st.session_state["augment_not_augmented"]})
            values["not_augmented"] = tuple(
                st.multiselect(
                    "Datasets left as they are", known, key="augment_not_augmented", persist_state="session", width=320,
                    help="Study: 2.1, since it contains augmented photos already.",
                )
            )  # fmt: skip
        st.button(
            "Back to the defaults", icon=":material/restart_alt:", on_click=lambda: st.session_state.update(_DEFAULTS)
        )
    return values, seed


def _slider(
    place: Any, label: str, low: float, high: float, step: float, name: str, text: str | None = None, **more: Any
) -> float:
    """A slider that keeps its value when the visitor leaves the page; sums of its steps are rounded off."""
    value = place.slider(
        label, low, high, step=step, format=text, key=f"augment_{name}", persist_state="session", **more
    )
    return round(value, 2)
