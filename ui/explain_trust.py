"""How far to trust a heatmap: what becomes of the verdict if the hottest places go first, against random maps."""

from functools import partial
from typing import TYPE_CHECKING, Final

import streamlit as st

from ui.charts import LABEL_TITLES, NO_BAR
from ui.explain_charts import faithfulness_chart
from ui.explain_heat import Display, heat_image, heatmap_of, say_coming
from ui.explain_models import judge_of, ready_explainer
from ui.explain_state import Look
from ui.text import percent

if TYPE_CHECKING:
    from maskdet.attribution import Heatmap
    from maskdet.attribution.faithfulness import Faithfulness

_WHAT: Final = (
    "If a heatmap shows what the model looks at, hiding its hottest places first should overturn the verdict sooner "
    "than hiding random places, and bringing them back first should restore it sooner."
)


def show_trust(look: Look, display: Display) -> None:
    """Deletion and insertion curves of one heatmap, on request, and its share on the lower half of the face."""
    from maskdet.attribution import METHODS
    from maskdet.attribution.faithfulness import lower_half_share

    explainer = ready_explainer(look.options.folder)
    if explainer is None:
        say_coming()
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        method = st.selectbox(
            "Heatmap", explainer.methods, format_func=lambda name: METHODS[name].title, key="explain_trust_method",
            width=260,
        )  # fmt: skip
        heatmap = heatmap_of(look, explainer, look.options.folder, method)
        asked = st.button("Test this heatmap", icon=":material/experiment:", disabled=not heatmap.has_evidence)
    st.caption(_WHAT)
    picture, rest = st.columns([1, 4])
    with picture:
        heat_image(look, heatmap, display, width=168)
        if heatmap.has_evidence:
            share = lower_half_share(heatmap)
            st.metric(
                "Heat on the lower half", percent(share, 0),
                help="Where a mask would be. Heat all over the face gives 50 %. Of one face, n = 1, so without an "
                "interval; “How the models look” has it for many.",
            )  # fmt: skip
    key = ("faithfulness", look.options.folder, method)
    with rest:
        if asked:
            place = st.empty()
            look.kept(key, partial(_measure, look, heatmap, place))
            place.empty()
        found: Faithfulness | None = look.known(key)
        if found is not None:
            _show_curves(found, LABEL_TITLES[heatmap.label].lower())


def _measure(look: Look, heatmap: "Heatmap", place: "st.delta_generator.DeltaGenerator") -> "Faithfulness":
    from maskdet.attribution.faithfulness import deletion_insertion

    def progress(done: int, total: int, text: str) -> None:
        place.progress(done / total, "Hiding and bringing back places")

    return deletion_insertion(judge_of(look.options.folder).logits, look.pixels, heatmap, progress=progress)


def _show_curves(found: "Faithfulness", title: str) -> None:
    maps = len(found.random_deletion)
    if found.better_than_random:
        st.success(
            f"This heatmap finds what the model looks at: it does better than {maps} random maps of this face "
            f"(p = {found.p_value:.2f}).", icon=":material/check_circle:",
        )  # fmt: skip
        if not found.better_than_middle:
            st.info("But a plain spot in the middle of the face does as well: the curves don't show more.")
    else:
        st.warning(
            f"This heatmap does no better than random maps of this face can (p = {found.p_value:.2f}, {maps} maps): "
            "don't read much into where it is bright.", icon=":material/warning:",
        )  # fmt: skip
    for column, curve, better in zip(st.columns(2), ("deletion", "insertion"), ("lower", "higher"), strict=True):
        area = found.deletion_area if curve == "deletion" else found.insertion_area
        with column:
            st.markdown(f"**{curve.capitalize()}**: the {better}, the better. Area {area:.2f}")
            st.plotly_chart(
                faithfulness_chart(found, curve), key=f"explain_{curve}", config=NO_BAR,
                alt=f"{curve.capitalize()} curve of the heatmap and of random maps",
            )  # fmt: skip
    st.caption(
        f"Probability of “{title}” by the model, not calibrated. Hidden places take the face's mean colour. The test "
        "is of one face, n = 1: p is the share of maps that do as well, this one among them."
    )
