"""MaskDet in the browser: navigation, and the choice of data."""

import streamlit as st

from ui.session import choose_data

#: On a small screen, little room is given to margins.
STYLE = """<style>
@media (max-width: 1280px) {
  [data-testid="stMainBlockContainer"] { padding: 3.5rem 2rem 5rem; }
}
@media (max-width: 640px) {
  [data-testid="stMainBlockContainer"] { padding: 3.5rem 1rem 5rem; }
}
</style>"""

st.set_page_config(page_title="MaskDet", page_icon="😷", layout="wide")
page = st.navigation(
    [
        st.Page("pages/home.py", title="Home", icon=":material/home:", default=True),
        st.Page("pages/datasets.py", title="Datasets", icon=":material/photo_library:"),
        st.Page("pages/quality.py", title="Quality", icon=":material/filter_alt:"),
        st.Page("pages/augmentation.py", title="Augmentation", icon=":material/auto_fix_high:"),
        st.Page("pages/training.py", title="Training", icon=":material/model_training:"),
        st.Page("pages/results.py", title="Results", icon=":material/monitoring:"),
        st.Page("pages/bias.py", title="Bias", icon=":material/balance:"),
        st.Page("pages/explain.py", title="Explain", icon=":material/face:"),
    ]
)
st.html(STYLE)
choose_data()
page.run()
