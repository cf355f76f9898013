"""The augmentation that a visitor chose: kept for the session, put in words, and handed to a training."""

from dataclasses import fields
from typing import Final

import streamlit as st

from maskdet.augment import METHODS, AugmentOptions, AugmentPlan, Method
from ui.text import percent, plain

PLAN_TITLES: Final[dict[AugmentPlan, str]] = {"on-the-fly": "On the fly", "study": "Study plan", "none": "None"}
PLAN_TEXTS: Final[dict[AugmentPlan, str]] = {
    "on-the-fly": "Each epoch shows one new random variant of each face in its place.",
    "study": "Each epoch shows each face as it is, plus one copy a method. The copies are the same in every epoch.",
    "none": "Each epoch shows each face as it is.",
}
METHOD_TITLES: Final[dict[Method, str]] = {
    "flip": "Flip", "rotate": "Rotate", "brightness": "Brightness", "crop": "Crop", "noise": "Noise"
}  # fmt: skip
_OPTIONS: Final = "augmentation_options"
_SEED: Final = "augmentation_seed"


def keep(options: AugmentOptions, seed: int) -> None:
    """Remember the choice for the other pages of this session."""
    st.session_state[_OPTIONS] = options
    st.session_state[_SEED] = seed


def chosen_options() -> AugmentOptions:
    """What was chosen last, or the defaults."""
    options = st.session_state.get(_OPTIONS)
    return options if isinstance(options, AugmentOptions) else AugmentOptions()


def chosen_seed() -> int:
    """The seed whose copies the previews show."""
    return int(st.session_state.get(_SEED, 0))


def summary(options: AugmentOptions) -> str:
    """The choice in one line."""
    if options.plan == "none":
        return "None: each face as it is."
    strengths = {
        "flip": "flip",
        "rotate": f"rotate by up to {options.rotation:g}°",
        "brightness": f"brightness ±{percent(options.brightness, 0)}",
        "crop": f"crop keeping {percent(options.crop_keep, 0)}",
        "noise": f"noise of {options.noise:g} levels",
    }
    parts = [f"{PLAN_TITLES[options.plan]}: {', '.join(strengths[method] for method in options.methods)}"]
    if options.plan == "on-the-fly":
        parts.append(f"each with a chance of {percent(options.probability, 0)}")
    elif options.not_augmented:
        parts.append(f"dataset {plain(', '.join(options.not_augmented))} left as it is")
    return f"{'; '.join(parts)}."


def arguments(options: AugmentOptions) -> list[str]:
    """The options of the shell's ``train`` that give this choice."""
    command = [f"--augmentation={options.plan}"]
    if options.plan == "none":
        return command
    default = AugmentOptions()
    if options.methods != METHODS:
        command += [f"--method={method}" for method in options.methods]
    if options.not_augmented != default.not_augmented:
        command += [f"--not-augmented={dataset}" for dataset in options.not_augmented or ("",)]
    strengths = [field.name for field in fields(options) if field.type is float]
    return command + [
        f"--{name.replace('_', '-')}={getattr(options, name)}"
        for name in strengths
        if getattr(options, name) != getattr(default, name)
    ]
