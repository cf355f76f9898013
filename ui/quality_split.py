"""Apply a setting: write the filtered set and its split, say what is in force, and go back to the one before."""

from dataclasses import dataclass, replace
from typing import Final

import streamlit as st

from maskdet.decisions import Decision, differing
from maskdet.duplicates import MAX_DISTANCE
from maskdet.errors import WorkspaceError
from maskdet.quality import Filtered, FilterOptions, save_filtered
from maskdet.split import Split, SplitOptions, save_split, split_faces, split_table
from maskdet.workspace import Workspace
from ui.charts import LABEL_TITLES
from ui.popover import key_of, put
from ui.public import require_private
from ui.quality_controls import differences, set_controls
from ui.quality_data import Setting, catalog_of_home, filtered_by, in_force, setting_of
from ui.tables import titled
from ui.text import counted

STUDY_SPLIT: Final = SplitOptions()
_BOUNDS: Final = "quality_split_bounds"
_SEED: Final = "quality_split_seed"
_DISTANCE: Final = "quality_group_distance"
_HISTORY: Final = "quality_applied"


@dataclass(frozen=True)
class Applied:
    """What a filtered set and its split were made of."""

    filters: FilterOptions
    split: SplitOptions
    decisions: dict[str, Decision]


def choose_split() -> SplitOptions | None:
    """Shares, seed and what stays together, in a popover; None where the shares leave a part empty."""
    for key, value in _values(STUDY_SPLIT).items():
        st.session_state.setdefault(key_of(key), value)
    first, second = st.session_state[key_of(_BOUNDS)]
    title = f"Split {first}/{second - first}/{100 - second}, seed {st.session_state[key_of(_SEED)]}"
    with st.popover(title, icon=":material/call_split:"):
        first, second = st.slider(
            "Training | validation | test (study: 60/20/20 %)", 1, 99, key=key_of(_BOUNDS), persist_state="session",
            help="Left of the first handle: training. Between the two: validation. The rest: test.",
        )  # fmt: skip
        st.caption(f"{first} % training, {second - first} % validation, {100 - second} % test")
        seed = st.number_input(
            "Seed", 0, 2**31 - 1, key=key_of(_SEED), persist_state="session", help="Same faces and seed, same split."
        )
        distance = st.slider(
            "Keep look-alikes together up to (our default: 6 bits)", 0, MAX_DISTANCE, key=key_of(_DISTANCE),
            persist_state="session",
            help="Faces whose pHashes differ in at most this many bits go into the same part of the split, and so do "
            "faces of one photo. The study splits face by face at random.",
        )  # fmt: skip
    if first == second:
        return None
    shares = (first / 100, (second - first) / 100, (100 - second) / 100)
    return SplitOptions(*shares, seed=seed, group_distance=distance)


def show_apply(setting: Setting, options: SplitOptions) -> None:
    """One line: whether the setting is in force, and the buttons to apply it or to undo that."""
    history = _history(setting.workspace)
    current = current_split(setting.workspace)
    undo = st.button(
        "Undo", disabled=not history, icon=":material/undo:", key="quality_undo",
        help="Apply again what was in force before.",
    )  # fmt: skip
    apply = st.button(
        "Apply and split", type="primary", icon=":material/check:", key="quality_apply",
        disabled=filtered_by(setting).kept.empty,
        help="Write the kept faces and their split. Models are trained on them.",
    )  # fmt: skip
    if apply or undo:
        with st.spinner("Splitting the faces"):
            if undo:
                before = history[-1]
                split = write(setting_of(setting.workspace, before.filters, before.decisions), before.split)
                history.pop()
            else:
                split = write(setting, options)
                if not isinstance(current, str):
                    history.append(applied(*current))
        st.toast(
            f"{'Applied again' if undo else 'Applied'}: {len(split.table):,} faces, fingerprint {split.fingerprint}",
            icon=":material/check:",
        )
        st.rerun()


def status(setting: Setting, options: SplitOptions | None) -> str:
    """Whether the setting is the one in force, in a sentence."""
    if filtered_by(setting).kept.empty:
        return "These filters remove every face: loosen them."
    if options is None:
        return "The split leaves no face for validation: move its handles apart."
    current = current_split(setting.workspace)
    if isinstance(current, str):
        return "**Not applied yet.** Models are trained on what you apply."
    different = changes(setting, options, applied(*current))
    if not different:
        return f"**In force:** {len(current[1].table):,} faces, fingerprint `{current[1].fingerprint}`"
    count = f"{len(different)} settings differ" if len(different) > 1 else "1 setting differs"
    return f"**{count} from the set in force:** {'; '.join(different)}"


def show_split(setting: Setting, options: SplitOptions | None) -> None:
    """The split in force, and how the controls differ from it."""
    current = current_split(setting.workspace)
    if isinstance(current, str):
        st.info(
            "Nothing is in force for these faces: nothing was applied yet, or the faces have changed since. Press "
            "*Apply and split* above.",
            icon=":material/info:",
        )
        return
    made_of, split = applied(*current), current[1]
    shares = "/".join(f"{100 * share:g}" for share in split.options.shares)
    st.markdown(
        f"**In force:** {len(split.table):,} faces, split {shares}, seed {split.options.seed}, fingerprint "
        f"`{split.fingerprint}`. Every run that is trained on it carries this fingerprint."
    )
    if set(split.table["face_id"]) != set(current[0].kept["face_id"]):
        st.warning("The faces were filtered again after this split was made; press *Apply and split*.")
    table = split_table(split)
    st.dataframe(
        table.assign(label=table["label"].map(LABEL_TITLES)), hide_index=True, height="content",
        column_config=titled(
            table, {"pool": st.column_config.TextColumn(help="Simulated masks are split apart, to pre-train on.")}
        ),
    )  # fmt: skip
    different = changes(setting, options, made_of) if options else []
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link("pages/training.py", label="Train a model on it", icon=":material/model_training:")
        if different:
            st.button(
                "Set the controls to what is in force", on_click=_take, args=(made_of,), icon=":material/tune:",
                key="quality_take", help=f"They differ now: {'; '.join(different)}.",
            )  # fmt: skip


def write(setting: Setting, options: SplitOptions) -> Split:
    """Write the filtered set and its split. Raises MaskDetError if no face is kept or nothing can be written."""
    require_private()
    filtered = filtered_by(setting)
    split = split_faces(setting.faces, filtered, catalog_of_home(), options)
    with setting.workspace.applying():
        save_filtered(setting.workspace, filtered)
        save_split(setting.workspace, split)
    return split


def current_split(workspace: Workspace) -> tuple[Filtered, Split] | str:
    """What is in force, or a sentence that says why nothing is."""
    try:
        return in_force(workspace)
    except WorkspaceError as error:
        return str(error)


def applied(filtered: Filtered, split: Split) -> Applied:
    """What these were made of."""
    return Applied(filtered.options, split.options, dict(filtered.decisions))


def changes(setting: Setting, options: SplitOptions, then: Applied) -> list[str]:
    """What differs between the controls and what was applied."""
    found = differences(setting.options, then.filters)
    decided = differing(dict(setting.decisions), then.decisions)
    if decided:
        found.append(f"decisions by hand on {counted(len(decided), 'face')}")
    if options.shares != then.split.shares:
        found.append(f"shares {_shares(then.split)} → {_shares(options)}")
    if options.seed != then.split.seed:
        found.append(f"seed {then.split.seed} → {options.seed}")
    if options.group_distance != then.split.group_distance:
        found.append(f"look-alikes kept together up to {then.split.group_distance} → {options.group_distance} bits")
    if options.grouped != then.split.grouped:
        found.append("split face by face → by photo and duplicate cluster")
    return found


def _shares(options: SplitOptions) -> str:
    return "/".join(f"{100 * share:g}" for share in options.shares)


def _values(options: SplitOptions) -> dict[str, object]:
    first = round(100 * options.train)
    return {
        _BOUNDS: (first, round(100 * (options.train + options.validation))),
        _SEED: options.seed,
        _DISTANCE: options.group_distance,
    }


def _take(then: Applied) -> None:
    set_controls(then.filters)
    for key, value in _values(replace(then.split, grouped=True)).items():
        put(key, value)


def _history(workspace: Workspace) -> list[Applied]:
    """What was in force before each time that this visit applied something, the oldest first."""
    applied_before: dict[str, list[Applied]] = st.session_state.setdefault(_HISTORY, {})
    return applied_before.setdefault(str(workspace.home), [])
