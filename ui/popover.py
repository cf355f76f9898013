"""Widgets in a popover whose values the page may set.

The browser takes a new value only for what it shows. A widget in a closed popover would keep its old one and send it
back with the next click; so each time its value is set, it becomes a new widget with a key of its own.
"""

from typing import Any

import streamlit as st


def key_of(name: str) -> str:
    """The widget's key as of now."""
    times = st.session_state.get(_count(name), 0)
    return f"{name} {times}" if times else name


def put(name: str, value: Any) -> None:
    """Set the widget's value, from a callback or before the widget is made."""
    st.session_state[_count(name)] = st.session_state.get(_count(name), 0) + 1
    st.session_state[key_of(name)] = value


def _count(name: str) -> str:
    return f"{name} set"
