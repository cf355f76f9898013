"""MaskDet in the browser: navigation, and the choice of data."""

import streamlit as st

from ui.condition import show_damage
from ui.finished import let_fragments_finish
from ui.session import choose_data, show
from ui.upkeep import keep_up

#: Little room is given to margins; choices that take two lines are buttons of their own, large enough for a thumb.
STYLE = """<style>
[data-testid="stMainBlockContainer"] { padding-top: 3.5rem; padding-bottom: 5rem; }
[data-testid="stButtonGroup"] [role="radiogroup"] { gap: 0.3rem; }
[data-testid="stButtonGroup"] [data-variant="segmented_control"] {
  margin: 0; border: 1px solid rgba(128, 128, 128, 0.35) !important; border-radius: 0.4rem !important;
}
[data-testid="stButtonGroup"] [data-variant="segmented_control"][data-selected] {
  border-color: currentColor !important; color: inherit;
}
[data-testid="stSidebar"] [data-variant="segmented_control"] { padding-left: 0.6rem; padding-right: 0.6rem; }
@media (max-width: 1280px) {
  [data-testid="stMainBlockContainer"] { padding-left: 2rem; padding-right: 2rem; }
}
@media (max-width: 640px) {
  [data-testid="stMainBlockContainer"] { padding-left: 1rem; padding-right: 1rem; }
  [data-testid="stButtonGroup"] [data-variant="segmented_control"] { min-height: 2.5rem; }
}
</style>"""

let_fragments_finish()
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
show(show_damage)
page.run()
keep_up()
