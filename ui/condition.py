"""What is damaged in the workspace, said on every page: which file, why, and what mends it."""

import os
from typing import Final

import streamlit as st

from maskdet.integrity import inspect
from maskdet.workspace import Workspace
from ui.public import is_public
from ui.session import home_workspace
from ui.text import sentence

_SHOWN: Final = 5
#: Files that grow while a job works: what they say is no reason to read all others again.
_GROWING: Final = ("events.jsonl", "output.log", ".lock")


def show_damage() -> None:
    """A warning with a sentence for each damaged file; nothing where all is whole."""
    workspace = home_workspace()
    damaged = _damaged(workspace, _stamp(workspace))
    if not damaged:
        return
    if is_public():  # strangers need not know where things lie
        st.warning("Some files of this server are damaged; all else is as it was.", icon=":material/healing:")
        return
    said = [sentence(one) for one in damaged[:_SHOWN]]
    if len(damaged) > _SHOWN:
        said.append(f"There are {len(damaged) - _SHOWN:,} more: `python -m maskdet check` names all.")
    lines = "\n\n".join(said)
    st.warning(f"**Damaged in the workspace; all else is as it was.**\n\n{lines}", icon=":material/healing:")


def _stamp(workspace: Workspace) -> int:
    """Changes whenever a file is replaced; looking at some hundred files takes milliseconds."""
    stamps = []
    for folder, _, names in os.walk(workspace.home):
        if folder.endswith(".partial"):  # its checkpoint changes with each epoch
            stamps.append((folder, 0, 0))
            continue
        for name in sorted(set(names) - set(_GROWING)):
            try:
                status = os.lstat(os.path.join(folder, name))  # noqa: PTH118 - a Path each takes longer than its stat
            except FileNotFoundError:  # replaced or removed meanwhile
                continue
            stamps.append((f"{folder}/{name}", status.st_mtime_ns, status.st_size))
    return hash(tuple(stamps))


@st.cache_data(show_spinner=False, max_entries=4)
def _damaged(workspace: Workspace, stamp: int) -> tuple[str, ...]:
    return inspect(workspace, thorough=False).damaged
