"""Choose what to train: model, data, options. Says what speaks against it before anything is started."""

from dataclasses import dataclass
from typing import Any, Final

import streamlit as st

from maskdet.augment import AugmentOptions
from maskdet.compare import SHORT_NAMES
from maskdet.errors import MaskDetError
from maskdet.facetable import Faces
from maskdet.models import MODELS
from maskdet.runs import Run
from maskdet.split import SPLITS, SavedSplit
from maskdet.workspace import Workspace
from ui.augmentation import chosen_options, chosen_seed, summary
from ui.popover import key_of, put
from ui.text import code, plain
from ui.training_balance import choose_balance, reset_balance, show_balance
from ui.training_command import (
    CAPTIONS,
    NEW_BASE,
    Choice,
    automatic_watch,
    training_faces,
    watchable,
    weights_file,
)
from ui.training_options import Option, options_of, reset_options, show_options, text_of

_WEIGHTS: Final = {"imagenet": "ImageNet (downloaded)", "file": "ImageNet, from a file", "none": "None: from scratch"}
_AUGMENTATIONS: Final = {"page": "As on the Augmentation page", "study": "The study's plan", "none": "None"}
_STUDY_PLAN: Final = AugmentOptions(plan="study")


@dataclass(frozen=True)
class Setup:
    """What was chosen, or why it cannot be trained."""

    choice: Choice
    problem: str = ""


def choose_model() -> str:
    """One of the study's four models."""
    names = [*[name for name in CAPTIONS if name in MODELS], *[name for name in MODELS if name not in CAPTIONS]]
    st.session_state.setdefault("training_model", names[0])
    with st.container(key="training_models"):
        return st.radio(
            "Model", names, format_func=lambda name: MODELS[name].title, horizontal=True, key="training_model",
            captions=[caption_of(name) for name in names], persist_state="session", width="stretch",
        )  # fmt: skip


def caption_of(model: str) -> str:
    """What speaks for a model, and its short name where charts and tables of runs have another than its title."""
    short = SHORT_NAMES.get(model, MODELS[model].title)
    return " ".join(filter(None, [CAPTIONS.get(model, ""), f"Short: {short}." * (short != MODELS[model].title)]))


def choose_data(splits: list[SavedSplit], faces: Faces) -> tuple[SavedSplit, str]:
    """A saved filtered set and its split, and why it cannot be trained on, if so."""
    usable = {saved.fingerprint: saved for saved in splits if saved.usable}
    if st.session_state.get("training_data") not in usable:
        st.session_state["training_data"] = next(iter(usable))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Data: filtered set and split", list(usable), format_func=lambda name: _title(usable[name]),
            key="training_data", persist_state="session",
            help="Every set that was applied on the Quality page stays here under its fingerprint, as long as the "
            "scanned faces are the same.",
        )  # fmt: skip
        st.page_link("pages/quality.py", label="Change the data", icon=":material/filter_alt:")
    saved = usable[chosen]
    old = len(splits) - len(usable)
    st.caption(_data_text(saved) + (f" Older sets of faces that have changed since: {old}." if old else ""))
    gone = sorted(set(faces.missing) & {*saved.datasets(), *saved.datasets("pre-training")})
    if gone:
        return saved, (
            f"The folder of {', '.join(gone)} is gone ({faces.roots[gone[0]]}): bring it back, or filter and split "
            "again to go on without it."
        )
    return saved, "" if sum(saved.faces().values()) else "This set has no faces with real masks to train on."


def choose_options(workspace: Workspace, model: str, saved: SavedSplit, runs: list[Run]) -> Setup:
    """The model's options, and what else a training of it depends on."""
    kind = MODELS[model]
    options = options_of(kind.options_type())
    values = show_options(model, options)
    problem = _wrong_options(kind, values)
    weights, base = "imagenet", None
    if model == "inceptionv3":
        weights, wrong = _weights()
        problem = problem or wrong
    if kind.needs_base:
        base, wrong = _base(saved, runs)
        problem = problem or wrong
    augmentation = _augmentation() if kind.needs_tensorflow else None
    # Folded, so that the button that starts it stands on the first screen.
    with st.expander("Seed, which faces, and balancing", key="training_faces"):
        seed, limit, left_out, watched, wrong = _data_options(model, saved)
        balance, target = choose_balance(workspace, saved.fingerprint)
    choice = Choice(
        model, saved.fingerprint, values, augmentation, seed, limit, left_out, watched, base, weights, balance, target
    )  # fmt: skip
    if balance and not wrong:
        wrong = show_balance(workspace, choice)
    _defaults(model, saved, options)
    if values:
        titles = {option.name: option.title for option in options}
        different = ", ".join(f"{titles[name]} {text_of(value)}" for name, value in values.items())
        st.caption(f"Different from the defaults: {plain(different)}.")
    return Setup(choice, problem or wrong)


def _wrong_options(kind: type[Any], values: dict[str, Any]) -> str:
    try:
        kind.options_type()(**values)
    except (MaskDetError, TypeError) as error:
        return str(error)
    return ""


def _weights() -> tuple[str, str]:
    """The weights that InceptionV3 begins with, and what is wrong with them."""
    source = st.radio(
        "Weights to begin with", list(_WEIGHTS), format_func=_WEIGHTS.__getitem__, horizontal=True,
        key="training_weights", persist_state="session",
        help="Keras downloads InceptionV3's ImageNet weights once (88 MB). Without a way to the network, give the "
        "file `inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5`.",
    )  # fmt: skip
    if source != "file":
        return source, ""
    path = st.text_input(
        "File on the computer that runs MaskDet", placeholder="/home/me/inception_v3_notop.h5", max_chars=1000,
        key="training_weights_file", persist_state="session",
    )  # fmt: skip
    try:
        return weights_file(path), ""
    except MaskDetError as error:
        return "", str(error)


def _base(saved: SavedSplit, runs: list[Run]) -> tuple[str | None, str]:
    """The pre-training run of a transfer."""
    fitting = [
        run
        for run in runs
        if run.model_name == "cnn" and run.record["data"].get("pool") == "pre-training"
        and run.fingerprint == saved.fingerprint
    ]  # fmt: skip
    faces = saved.faces("pre-training")["train"]
    key = f"training_base_{saved.fingerprint}"
    if fitting:
        titles = {run.id: _base_title(run) for run in fitting} | ({NEW_BASE: "Train a new one first"} if faces else {})
        return st.selectbox(
            "Begins with the pre-training run", list(titles), format_func=titles.__getitem__, key=key, width=520,
            help="A CNN trained on the simulated masks of this very split.",
        ), ""  # fmt: skip
    if faces:
        st.info(
            f"There is no pre-training run of this split yet: a CNN is trained on its {faces:,} training faces with "
            "simulated masks first, with the study's options, and stays for further trainings.",
            icon=":material/info:",
        )
        return None, ""
    return None, (
        "Transfer learning begins with simulated masks, and this set has none: scan such a dataset (MaskedFace-Net, "
        "the study's Dataset 1), or choose another model."
    )


def _base_title(run: Run) -> str:
    limited = f", limited to {run.record['limit']:,} faces" if run.record.get("limit") else ""
    return f"{run.id} · {run.record['data']['faces']['train']:,} faces{limited}"


def _augmentation() -> AugmentOptions:
    on_page = chosen_options()
    st.session_state.setdefault(key_of("training_augmentation"), "page")
    source = st.segmented_control(
        "Augmentation", list(_AUGMENTATIONS), format_func=_AUGMENTATIONS.__getitem__, required=True,
        key=key_of("training_augmentation"), persist_state="session",
    )  # fmt: skip
    options = {"page": on_page, "study": _STUDY_PLAN, "none": AugmentOptions(plan="none")}[source]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(summary(options), width="content")
        if source == "page":
            st.page_link("pages/augmentation.py", label="Change the augmentation", icon=":material/auto_fix_high:")
    return options


def _data_options(
    model: str, saved: SavedSplit
) -> tuple[int, int | None, tuple[str, ...], tuple[str, ...] | None, str]:
    """Seed, limit, left-out and watched datasets, and what is wrong with them."""
    watched: tuple[str, ...] | None = None
    st.session_state.setdefault(key_of(_seed_key()), chosen_seed())
    with st.container(horizontal=True):
        seed = st.number_input(
            "Seed", 0, 2**31 - 1, width=130, key=key_of(_seed_key()), persist_state="session",
            help="Same seed, same result.",
        )  # fmt: skip
        left_out = tuple(
            st.multiselect(
                "Datasets not to train on", saved.datasets(), key=key_of(_left_out_key(saved)), width=280,
                persist_state="session", placeholder="none",
                help="Their test faces stay in the test, so it shows how the model does on a source it never saw.",
            )
        )  # fmt: skip
        faces = training_faces(saved, left_out)
        limit = st.number_input(
            "Training faces", 2, value=None, step=100, width=150, placeholder=f"all {faces:,}",
            key=key_of("training_limit"), persist_state="session",
            help="Fewer for a quick try, drawn evenly over datasets and labels; the run says so.",
        )  # fmt: skip
        if MODELS[model].needs_tensorflow and watchable(saved, model):
            watched = _watched(model, saved)
        training_on = [name for name in saved.datasets() if name not in {*left_out, *(watched or ())}]
    if seed != chosen_seed() and MODELS[model].needs_tensorflow:
        st.caption(f"The previews on the Augmentation page show seed {chosen_seed()}.")
    wrong = "" if training_on else "Every dataset is left out or watched: leave one to train on."
    return seed, limit if limit and limit < faces else None, left_out, watched, wrong


def _watched(model: str, saved: SavedSplit) -> tuple[str, ...] | None:
    automatic = automatic_watch(saved, model)
    key = key_of(_watched_key(model, saved))
    st.session_state.setdefault(key, list(automatic))
    chosen = st.multiselect(
        "Watched datasets", watchable(saved, model), key=key, width=280, persist_state="session", placeholder="none",
        help="Not trained on, but looked at after each epoch: which epoch is kept, and when to stop, follow from them "
        "too. What is learned of some sources may be lost on another, and only such faces show it. (Our choice: the "
        "simulated masks, where there are any.)",
    )  # fmt: skip
    return None if tuple(sorted(chosen)) == automatic else tuple(chosen)


def _defaults(model: str, saved: SavedSplit, options: list[Option]) -> None:
    """Buttons that set everything back, to our defaults or as near to the study as one can get."""
    with st.container(horizontal=True):
        st.button(
            "Options as the study has them",
            icon=":material/menu_book:",
            key="training_study",
            type="tertiary",
            on_click=_reset,
            args=(model, saved, options, True),
            help="The study's values where it names them, else our defaults; its plan of augmentation; all faces, no "
            "dataset left out or watched.",
        )
        st.button(
            "Back to the defaults", icon=":material/restart_alt:", key="training_defaults", type="tertiary",
            on_click=_reset, args=(model, saved, options, False),
        )  # fmt: skip


def _reset(model: str, saved: SavedSplit, options: list[Option], study: bool) -> None:
    reset_options(model, options)
    put("training_augmentation", "study" if study else "page")
    put(_seed_key(), chosen_seed())
    put(_left_out_key(saved), [])
    put("training_limit", None)
    reset_balance()
    put(_watched_key(model, saved), [] if study else list(automatic_watch(saved, model)))


def _seed_key() -> str:
    return f"training_seed_{chosen_seed()}"  # follows the Augmentation page until it is changed here


def _left_out_key(saved: SavedSplit) -> str:
    return f"training_left_out_{saved.fingerprint}"


def _watched_key(model: str, saved: SavedSplit) -> str:
    return f"training_watched_{model}_{saved.fingerprint}"


def _title(saved: SavedSplit) -> str:
    when = saved.created.replace("T", " ")[:16]
    parts = [f"{sum(saved.faces().values()):,} faces", ", ".join(saved.datasets()), saved.fingerprint, when]
    return " · ".join([*["in force"] * saved.in_force, *filter(None, parts)])


def _data_text(saved: SavedSplit) -> str:
    counts = saved.faces()
    text = f"{', '.join(f'{counts[name]:,} {name}' for name in SPLITS)} faces of {plain(', '.join(saved.datasets()))}."
    simulated = sum(saved.faces("pre-training").values())
    if simulated:
        text += (
            f" {simulated:,} faces with simulated masks ({plain(', '.join(saved.datasets('pre-training')))}) are not "
            "trained on, as in the study: they are there to pre-train on, or to be watched."
        )
    apart = sum(saved.faces(labels=("incorrect_mask",)).values())
    if apart:
        text += f" So are {apart:,} faces whose mask is worn incorrectly: a class of their own."
    return f"{text} Fingerprint {code(saved.fingerprint)}."
