"""What the pages share: the session's data, cached reads of the core, charts, galleries and jobs."""

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

# A fresh server whose first visitor asks for /quality would run pages/quality.py by itself, without app.py's navigation
# and error handling: Streamlit takes a folder named pages/ for its older kind of app until st.navigation was called
# once. Every page imports this package first, so the run begins again, through app.py.
if PagesManager.uses_pages_directory:
    PagesManager.uses_pages_directory = False
    st.rerun()
