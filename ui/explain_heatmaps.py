"""Heatmaps of one face side by side: several methods, several models, any layer, either label."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import streamlit as st

from maskdet.compare import short_labels
from maskdet.errors import MaskDetError
from maskdet.labels import CLASSES
from maskdet.progress import Progress
from maskdet.runs import Run
from ui.cached import runs_of
from ui.charts import LABEL_TITLES
from ui.explain_heat import Display, heat_image, heatmap_of, say_coming
from ui.explain_models import explainer_of, judge_of, ready_explainer
from ui.explain_state import Look
from ui.explain_verdict import TITLES, surely
from ui.session import workspace_in_sight
from ui.text import plain, sentence

if TYPE_CHECKING:
    from maskdet.attribution import Explainer

_VERDICT: Final = "verdict"
_OTHERS: Final = "explain_others"
_METHODS: Final = "explain_methods"
_WIDTH: Final = 168
_LAYER_HELP: Final = (
    "Late layers see large parts of a face, coarsely; early ones see edges and spots. Methods that look at no single "
    "layer leave it aside."
)
_LABEL_HELP: Final = "Whose evidence is drawn: what speaks for the model's own choice, or for one of the two labels."


def show_heatmaps(look: Look, display: Display) -> None:
    """A row a model, a picture a method."""
    explainer = ready_explainer(look.options.folder)
    if explainer is None:
        say_coming()
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        runs = _choose_runs(look)
        methods = _choose_methods(explainer)
        label = st.segmented_control(
            "Evidence for", [_VERDICT, *CLASSES], default=_VERDICT, required=True, key="explain_label",
            format_func=lambda name: LABEL_TITLES.get(name, "The model's choice"), help=_LABEL_HELP,
        )  # fmt: skip
        layer = _choose_layer(explainer, look) if len(runs) == 1 else None
    labels = short_labels(runs)
    for run in runs:
        if len(runs) > 1:
            _show_verdict_of(run, labels[run.id], look)
        try:
            _show_row(look, explainer_of(run.folder), run, methods, (label, layer), display)
        except MaskDetError as error:
            st.error(sentence(error), icon=":material/error:")
    st.caption(
        "Bright places speak for the label, each map by its own scale: two maps compare by where they are bright, not "
        "by how bright. A map says where a model looked, not whether it is right."
    )


def _show_row(
    look: Look, explainer: "Explainer", run: Run, methods: Sequence[str], what: tuple[str, str | None], display: Display
) -> None:
    from maskdet.attribution import METHODS

    label, layer = what
    label = judge_of(run.folder)([look.pixels])[0].label if label == _VERDICT else label
    suiting = [name for name in methods if name in explainer.methods]
    missing = [METHODS[name].title for name in methods if name not in explainer.methods]
    with st.container(horizontal=True, gap="small"):
        for name in suiting:
            with st.container(width=_WIDTH, gap="xxsmall"):
                place = st.empty()
                used = layer if METHODS[name].uses_layer else None
                heatmap = heatmap_of(look, explainer, run.folder, name, label, used, _bar(place, METHODS[name].title))
                with place.container(gap="xxsmall"):
                    at = f", layer {plain(heatmap.layer)}" if heatmap.layer else ""
                    heat_image(look, heatmap, display, f"**{METHODS[name].title}**{at}")
    if missing:
        st.caption(f"{', '.join(missing)}: only for networks. Occlusion explains any model.")


def _show_verdict_of(run: Run, label: str, look: Look) -> None:
    verdict = judge_of(run.folder)([look.pixels])[0]
    sure = f"{surely(verdict.probability)} for {LABEL_TITLES[verdict.label].lower()}"
    st.markdown(f"**{plain(label)}**: {TITLES[verdict.verdict]} ({sure})")


def _bar(place: "st.delta_generator.DeltaGenerator", title: str) -> Progress:
    def progress(done: int, total: int, text: str) -> None:
        place.progress(done / max(1, total), title)

    return progress


def _choose_runs(look: Look) -> list[Run]:
    """The chosen run, and others to compare it with."""
    others = {run.id: run for run in runs_of(workspace_in_sight()) if run.id != look.options.run.id}
    labels = short_labels([look.options.run, *others.values()])
    kept = [name for name in st.session_state.get(_OTHERS, []) if name in others]
    if _OTHERS in st.session_state:  # the chosen run may be one of them now, or one was removed
        st.session_state[_OTHERS] = kept
    chosen = st.multiselect(
        "Compare with", list(others), format_func=labels.__getitem__, key=_OTHERS, persist_state="session", width=250,
        placeholder="other models", wrap=True,
    )  # fmt: skip
    return [look.options.run, *(others[name] for name in chosen)]


def _choose_methods(explainer: "Explainer") -> list[str]:
    from maskdet.attribution import METHODS

    st.session_state.setdefault(_METHODS, list(explainer.methods[:1]))
    chosen: list[str] = st.multiselect(
        "Methods", list(METHODS), format_func=lambda name: METHODS[name].title, key=_METHODS, persist_state="session",
        width=330, placeholder="one or several", help=_sources(), wrap=True,
    )  # fmt: skip
    return chosen


def _sources() -> str:
    from maskdet.attribution import METHODS

    return "; ".join(f"{method.title}: {method.source}" for method in METHODS.values()) + "."


def _choose_layer(explainer: "Explainer", look: Look) -> str | None:
    if not explainer.layers:
        return None
    names = list(dict.fromkeys([*explainer.layers, *filter(None, [explainer.default_layer])]))
    layer: str = st.selectbox(
        "Layer", names, index=names.index(explainer.default_layer or names[0]), width=170,
        key=f"explain_layer_{look.options.run.id}", help=_LAYER_HELP,
    )  # fmt: skip
    return layer
