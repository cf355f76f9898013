"""Datasets: what was scanned, how it is balanced, and the faces themselves."""

from collections.abc import Mapping

import streamlit as st

from maskdet.catalog import Dataset, load_catalog
from maskdet.explore import against_study, dataset_table, treatment_sentence
from maskdet.facetable import Faces, label_percent
from maskdet.labels import LABELS, IncorrectMask
from ui.cached import faces_of
from ui.charts import LABEL_TITLES
from ui.choices import choose_incorrect_mask
from ui.explorer import explore
from ui.public import is_public
from ui.session import current_workspace, home_workspace, show
from ui.sources import show_sources
from ui.tables import titled
from ui.text import code, plain

_COUNTS = ["photos", "faces", *LABELS]
_COLUMNS = ["dataset", "name", "type", *_COUNTS, "licence", "source"]
_TITLES = {name: name.capitalize() for name in _COLUMNS} | LABEL_TITLES


def show_missing(faces: Faces) -> None:
    for dataset in faces.missing:
        place = "" if is_public() else f": {code(faces.roots[dataset])}"
        st.warning(
            f"The folder of {plain(dataset)} is gone{place}. Its faces are kept out of filters, "
            "splits and training until it is back. You can scan it elsewhere under the same name, or forget it.",
            icon=":material/folder_off:",
        )


def show_tables(faces: Faces, catalog: Mapping[str, Dataset], incorrect_mask: IncorrectMask) -> None:
    table = dataset_table(faces, catalog, incorrect_mask).astype(dict.fromkeys(_COUNTS, float))
    percent = {"dataset": "% of total", "photos": 100.0, "faces": 100.0, **label_percent(table)}
    counts = [name for name in _COUNTS if name != "incorrect_mask" or incorrect_mask == "class"]
    table.loc[len(table)] = percent
    shown = table[[name for name in _COLUMNS if name not in _COUNTS or name in counts]].rename(columns=_TITLES)
    shown = shown.fillna({"Name": "", "Type": "", "Licence": "", "Source": ""})
    numbers = [_TITLES[name] for name in counts]
    styled = shown.style.format("{:,.0f}", subset=(shown.index[:-1], numbers))
    styled = styled.format("{:.1f} %", subset=(shown.index[-1:], numbers))
    link = st.column_config.LinkColumn(display_text=r"https?://(?:www\.)?([^/]+)")
    wide = st.column_config.TextColumn(width=120)
    st.dataframe(styled, hide_index=True, column_config={"Source": link, "Dataset": wide})
    st.caption(
        f"{treatment_sentence(faces.table, incorrect_mask)} SMFD: masks drawn on (simulated); RMFD: real masks. "
        "The study's Tables 1 and 2, for what is loaded here."
    )


def show_study(faces: Faces, catalog: Mapping[str, Dataset], incorrect_mask: IncorrectMask) -> None:
    with st.expander("Beside the study's own counts", icon=":material/compare_arrows:"):
        compared = against_study(faces, catalog, incorrect_mask)
        titles = {name: _TITLES[name] for name in compared["count"].unique()}
        parts = ["loaded", "study", "difference"]
        compared["dataset"] += " · " + compared["name"]
        wide = compared.replace({"count": titles}).pivot(index="dataset", columns="count", values=parts)
        wide = wide.swaplevel(axis="columns")[[(title, part) for title in titles.values() for part in parts]]
        signed = [(title, "difference") for title in titles.values()]
        st.dataframe(wide.style.format("{:,}").format("{:+,}", subset=signed))
        st.caption(
            "Tables 1 and 2 of the study. It does not say how it came to fewer faces than the annotations of 3.2 hold."
        )


def show_rejects(faces: Faces) -> None:
    if len(faces.rejects):
        with st.expander(f"Files and boxes that could not be used: {len(faces.rejects):,}", icon=":material/block:"):
            st.dataframe(faces.rejects, hide_index=True, column_config=titled(faces.rejects))


def main() -> None:
    st.title("Datasets")
    workspace = current_workspace()
    catalog = load_catalog(home_workspace().path("datasets.toml"))
    show_sources(catalog)
    faces = faces_of(workspace)
    show_missing(faces)
    incorrect_mask = choose_incorrect_mask()
    show_tables(faces, catalog, incorrect_mask)
    show_study(faces, catalog, incorrect_mask)
    st.header("Explore")
    explore(workspace, catalog, incorrect_mask)
    show_rejects(faces)


show(main)
