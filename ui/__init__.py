"""What the pages share: the session's data, cached reads of the core, charts, galleries and jobs."""

import streamlit as st
from starlette.formparsers import MultiPartParser
from streamlit.runtime.pages_manager import PagesManager

from maskdet.video import MAX_VIDEO_BYTES

# A fresh server whose first visitor asks for /quality would run pages/quality.py by itself, without app.py's navigation
# and error handling: Streamlit takes a folder named pages/ for its older kind of app until st.navigation was called
# once. Every page imports this package first, so the run begins again, through app.py.
if PagesManager.uses_pages_directory:
    PagesManager.uses_pages_directory = False
    st.rerun()

# Of an upload, what is more than 1 MB would wait on the disk, in a file without a name, until all of it has come.
# Visitors are told that their photos and videos stay in memory.
MultiPartParser.spool_max_size = MAX_VIDEO_BYTES
