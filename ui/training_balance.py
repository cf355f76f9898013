"""Balance the training faces by an attribute: by which, to what end, and what that changes."""

from typing import Final

import pandas as pd
import streamlit as st

from maskdet.balance import TARGET_TEXTS, TARGETS, Balanced, Target, balanceable
from maskdet.bias.attributes import ATTRIBUTES, attribute_title
from maskdet.bias.uploaded import kept_uploaded
from maskdet.errors import MaskDetError
from maskdet.labels import CLASSES
from maskdet.training_data import AUTOMATIC, Plan, training_data
from maskdet.workspace import Workspace
from ui.cached import stamp_of
from ui.popover import key_of, put
from ui.tables import titled
from ui.text import percent, plain
from ui.training_command import Choice

_BALANCE: Final = "training_balance"
_TARGET: Final = "training_balance_target"
_TITLES: Final[dict[Target, str]] = {"independent": "Label independent of it", "equal": "All groups equal"}
#: Seconds for which a preview stays, so that other widgets do not wait for it.
_KEPT: Final = 60


def choose_balance(workspace: Workspace, fingerprint: str | None) -> tuple[str | None, Target]:
    """The attribute to balance by, None for none, and the target."""
    st.session_state.setdefault(key_of(_TARGET), TARGETS[0])
    names = [None, *balanceable(), *_uploaded(workspace, fingerprint)]
    if st.session_state.get(key_of(_BALANCE)) not in names:  # an attribute that was forgotten since
        put(_BALANCE, None)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Balance by", names, format_func=_title, key=key_of(_BALANCE), width=280,
            persist_state="session",
            help="Where most bright faces are without mask, say, a model can learn brightness in the place of masks. "
            "Balanced, training faces count by their group and label so that this does not help. Validation and test "
            "faces stay as they are.",
        )  # fmt: skip
        if chosen is None:
            return None, TARGETS[0]
        target = st.segmented_control(
            "Target", list(TARGETS), format_func=_TITLES.__getitem__, required=True, key=key_of(_TARGET),
            persist_state="session",
        )  # fmt: skip
    what = ATTRIBUTES[chosen].explanation if chosen in ATTRIBUTES else "An attribute of your own CSV."
    st.caption(f"{TARGET_TEXTS[target]} {plain(what)}")
    return chosen, target


def show_balance(workspace: Workspace, choice: Choice) -> str:
    """What balancing makes of the training faces that were chosen, or, returned, why it cannot be done."""
    watched = AUTOMATIC if choice.watched is None else choice.watched
    plan = Plan(
        choice.model, seed=choice.seed, limit=choice.limit, fingerprint=choice.fingerprint, left_out=choice.left_out,
        watched=watched, balance=choice.balance, balance_target=choice.balance_target,
    )  # fmt: skip
    try:
        balanced = _balanced(workspace, stamp_of(workspace), plan)
    except MaskDetError as error:
        return str(error)
    if balanced is not None:
        with st.expander(f"Training faces by {balanced.title.lower()}, and how they count", key="training_balanced"):
            table = preview(balanced)
            st.dataframe(
                table, hide_index=True, height="content", key="training_balanced_table", column_config=titled(table)
            )
            st.caption("Balanced: what the faces count as. Shares are of faces without mask.")
            for sentence in balanced.notes:
                st.caption(plain(sentence))
    return ""


def reset_balance() -> None:
    """Back to each face counting once."""
    put(_BALANCE, None)
    put(_TARGET, TARGETS[0])


def preview(balanced: Balanced) -> pd.DataFrame:
    """A row a group: for each label the training faces and what they count as, and the share without mask."""
    cells = balanced.cells
    wide = cells.pivot(index="group", columns="label", values=["faces", "counted"]).loc[cells["group"].unique()]
    table = pd.DataFrame({balanced.title: [str(group) or "not known" for group in wide.index]})
    for label in CLASSES:
        words = label.replace("_", " ")
        table[words] = wide["faces"][label].to_numpy(int)
        table[f"{words}, balanced"] = wide["counted"][label].round().to_numpy(int)
    for name, values in (("share", "faces"), ("share, balanced", "counted")):
        share = wide[values][CLASSES[1]] / wide[values].sum(axis=1)
        table[name] = [percent(value, 0) for value in share]
    return table


@st.cache_data(show_spinner=False, ttl=_KEPT, max_entries=16)
def _balanced(_workspace: Workspace, stamp: str, plan: Plan) -> Balanced | None:
    return training_data(_workspace, plan).balanced


def _uploaded(workspace: Workspace, fingerprint: str | None) -> list[str]:
    """Attributes that a visitor kept for these faces on the Bias page."""
    if fingerprint is None:
        return []
    table = kept_uploaded(workspace, fingerprint)
    return [] if table is None else list(table.columns.drop("face_id"))


def _title(attribute: str | None) -> str:
    return "Nothing: each face counts once" if attribute is None else attribute_title(attribute)
