"""A form for any model's options: a widget a field, by its type, with the default beside it."""

import types
from collections.abc import Collection, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from math import floor, log10
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import streamlit as st

from ui.popover import key_of, put

Kind = Literal["bool", "int", "float", "choice", "several", "list", "text"]

#: Titles and explanations of options; one that is not here has its own name as title.
TEXTS: Final[dict[str, tuple[str, str]]] = {
    "epochs": ("Epochs", "How often training sees all training faces. With a first phase, those after it."),
    "batch_size": ("Batch size", "Faces for each step."),
    "learning_rate": ("Learning rate", "Adam's. With a first phase, its rate."),
    "frozen_epochs": ("First phase", "Epochs in which only the new layers are trained, the others stay as they are."),
    "fine_tuning_rate": ("Fine-tuning rate", "Adam's learning rate once all layers are trained."),
    "cut": ("Ends at block", "mixed10 is the whole of InceptionV3; an earlier block is smaller, quicker, and has finer "
            "heatmaps."),
    "frozen": ("Frozen features", "Train the last layer alone, on features that are computed once: minutes on a "
               "processor. Nothing is augmented then, and the epochs don't count."),
    "dropout": ("Dropout", "Share of its inputs that a dropout layer drops while training."),
    "keep_best": ("Keep the best epoch", "Of the validation loss, or with a watched dataset of the macro F1 on both. "
                  "Off: the last epoch is kept."),
    "schedule": ("Rate over time", "constant, or falling to 0 along a cosine within each phase."),
    "patience": ("Stop early after", "Epochs without a better one. Empty: train all epochs."),
    "precision": ("Precision", "What layers compute in while training; auto is bfloat16 where the hardware has it."),
    "components": ("Components", "Principal components kept; fewer if there are fewer faces."),
    "kernel": ("Kernels", "Searched with each C."),
    "C": ("C", "Values to search, with commas between."),
    "gamma": ("gamma", "Values to search for the RBF kernel, with commas between; scale is 1 / (components × their "
              "variance)."),
    "folds": ("Folds", "Of the cross-validation that chooses from the grid, by macro F1."),
    "jobs": ("Processes", "-1 is one a core."),
}  # fmt: skip
#: What is in sight; further options are folded.
MAIN: Final = (
    "epochs", "frozen_epochs", "batch_size", "learning_rate", "fine_tuning_rate", "cut", "frozen", "components",
    "kernel", "C", "gamma", "folds",
)  # fmt: skip
#: The options whose default is the study's own (4.3.1 to 4.3.3). Of all others it says nothing: the default is ours.
OF_THE_STUDY: Final[Mapping[str, Collection[str]]] = {
    "cnn": {"epochs", "batch_size", "learning_rate"},
    "cnn-transfer": {"epochs", "batch_size", "learning_rate", "frozen_epochs"},
    "inceptionv3": {"cut", "frozen", "frozen_epochs"},
    "svm": {"components", "folds"},
}
#: Chosen elsewhere on the page.
ELSEWHERE: Final = frozenset({"augmentation", "weights"})


@dataclass(frozen=True)
class Option:
    """One field of a model's options, as a form shows it."""

    name: str
    kind: Kind
    default: Any
    choices: tuple[Any, ...] = ()
    optional: bool = False

    @property
    def title(self) -> str:
        """Its name for people."""
        return TEXTS[self.name][0] if self.name in TEXTS else self.name.replace("_", " ").capitalize()


def options_of(kind: type[Any]) -> list[Option]:
    """The fields of a dataclass that a form can show, in their order, but for those chosen elsewhere."""
    hints = get_type_hints(kind)
    return [_option(field, hints[field.name]) for field in fields(kind) if field.name not in ELSEWHERE]


def show_options(model: str, options: list[Option]) -> dict[str, Any]:
    """A form for the options. Returns those that differ from their default; texts that are no values stay texts."""
    for option in options:
        st.session_state.setdefault(key_of(_name(model, option)), _shown(option, option.default))
    values = {}
    main = [option for option in options if option.name in MAIN]
    with st.container(horizontal=True):
        for option in main:
            values[option.name] = _widget(model, option)
    rest = [option for option in options if option.name not in MAIN]
    if rest:
        with st.expander("Further options", key=f"training_further_{model}"), st.container(horizontal=True):
            for option in rest:
                values[option.name] = _widget(model, option)
    defaults = {option.name: option.default for option in options}
    return {name: value for name, value in values.items() if value != defaults[name]}


def reset_options(model: str, options: list[Option]) -> None:
    """Set the form back to the defaults."""
    for option in options:
        put(_name(model, option), _shown(option, option.default))


def text_of(value: Any) -> str:
    """A value in words."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return "off"
    if isinstance(value, tuple):
        return ", ".join(map(text_of, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def parse_list(text: str) -> tuple[Any, ...]:
    """Values with commas between: numbers where they are, else words."""
    return tuple(_number_or_word(part.strip()) for part in text.split(",") if part.strip())


def _option(field: Field[Any], hint: Any) -> Option:
    default = field.default if field.default_factory is MISSING else field.default_factory()
    optional = get_origin(hint) in (Union, types.UnionType) and type(None) in get_args(hint)
    if optional:
        hint = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is Literal:
        return Option(field.name, "choice", default, get_args(hint))
    if get_origin(hint) is tuple:
        of = get_args(hint)[0]
        if get_origin(of) is Literal:
            return Option(field.name, "several", default, get_args(of))
        return Option(field.name, "list", default)
    kinds: dict[Any, Kind] = {bool: "bool", int: "int", float: "float"}
    return Option(field.name, kinds.get(hint, "text"), default, optional=optional)


def _widget(model: str, option: Option) -> Any:
    named = option.name in OF_THE_STUDY.get(model, ())
    wide = {"several": 240, "list": 200, "choice": 150, "bool": 190}.get(option.kind, 140)
    with st.container(width=wide, gap="xxsmall"):
        value = _input(option, key_of(_name(model, option)))
        st.caption(f"{'Study' if named else 'Ours'}: {text_of(option.default)}")
    return value


def _input(option: Option, key: str) -> Any:
    """The widget of an option, whose value is in the session by now."""
    explained = TEXTS.get(option.name, ("", None))[1]
    rest: dict[str, Any] = {"key": key, "help": explained, "persist_state": "session"}
    if option.kind == "bool":
        return st.toggle(option.title, **rest)
    if option.kind == "choice":
        return st.selectbox(option.title, option.choices, **rest)
    if option.kind == "several":
        return tuple(st.pills(option.title, option.choices, selection_mode="multi", **rest) or ())
    if option.kind in ("list", "text"):
        text = st.text_input(option.title, max_chars=200, **rest)
        return parse_list(text) if option.kind == "list" else text
    if option.kind == "int":
        least = min(0, option.default or 0)
        if option.optional:
            return st.number_input(option.title, least, value=None, step=1, placeholder="off", **rest)
        return st.number_input(option.title, least, step=1, **rest)
    step = 10.0 ** floor(log10(option.default)) if option.default > 0 else 0.1
    return st.number_input(option.title, 0.0, step=step, format="%g", **rest)


def _shown(option: Option, value: Any) -> Any:
    """A value as the option's widget holds it."""
    if option.kind == "list":
        return text_of(value)
    return list(value) if option.kind == "several" else value


def _number_or_word(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _name(model: str, option: Option) -> str:
    return f"training_{model}_{option.name}"
