"""Attributes of faces, and the groups that they make: whom a model may fail.

A category makes a group a value, a number makes quantile bins. Attributes are of the photo, never of the person: what
is called skin tone is the apparent colour of pixels in that light, and where it is not known a face is in no group.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.bias.tones import TONES, tone_category
from maskdet.catalog import Dataset, load_catalog, lookup
from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.labels import CLASSES
from maskdet.workspace import read_table, write_table

Numbers = npt.NDArray[np.float64]

#: Of the shortcut probe's probability: above, it guesses without mask.
_EVEN: Final = 0.5
_SOURCES: Final = {"SMFD": "simulated masks", "RMFD": "real masks"}


@dataclass(frozen=True)
class Attribute:
    """Something that sets faces apart.

    Attributes
    ----------
    name, title : str
        The column, and the name for people.
    explanation : str
        What it is and how it is measured, one or two sentences.
    kind : {"category", "number"}
        Whether a value is a group, or numbers are put into quantile bins.
    unit : str
        Of a number, "" if it has none.
    digits : int
        Decimals of a number worth showing.
    groups : tuple of str
        Categories in their order; empty where there are others, which come by name.
    """

    name: str
    title: str
    explanation: str
    kind: Literal["category", "number"]
    unit: str = ""
    digits: int = 0
    groups: tuple[str, ...] = ()


ATTRIBUTES: Final[dict[str, Attribute]] = {
    attribute.name: attribute
    for attribute in (
        Attribute("dataset", "Dataset", "The source dataset of the photo.", "category"),
        Attribute(
            "source",
            "Source of the masks",
            "Whether the catalog lists the dataset as one of real masks (RMFD) or of masks drawn onto photos (SMFD).",
            "category",
            groups=tuple(_SOURCES.values()),
        ),
        Attribute(
            "size",
            "Size",
            "Square root of width times height of the face in its photo: small faces are enlarged blurs to a model.",
            "number",
            "px",
        ),
        Attribute(
            "aspect_ratio",
            "Aspect ratio",
            "Height / width of the face in its photo: how far it is stretched when it is made square.",
            "number",
            digits=2,
        ),
        Attribute("brightness", "Brightness", "Mean luma of the face, 0 to 255.", "number"),
        Attribute(
            "sharpness",
            "Sharpness",
            "Variance of the Laplacian of the normalised face: low where it is blurred.",
            "number",
        ),
        Attribute(
            "skin_tone",
            "Apparent skin tone",
            "Category of the individual typology angle of the skin pixels above the mask: the colour in this photo's "
            "light, not the person's.",
            "category",
            groups=tuple(TONES),
        ),
        Attribute(
            "skin_lightness",
            "Apparent skin lightness",
            "L* (CIELAB, 0 to 100) of the skin pixels above the mask, in this photo's light.",
            "number",
            "L*",
        ),
        Attribute(
            "skin_hue",
            "Apparent skin hue",
            "Hue angle (CIELAB) of the skin pixels above the mask, in this photo's light: low is red, high is yellow.",
            "number",
            "degrees",
        ),
        Attribute(
            "mask_colour",
            "Mask colour",
            "Colour of the lower face of faces labelled with mask: of a hand or a visor where one is in front of it.",
            "category",
        ),
        Attribute(
            "shortcut",
            "Shortcut",
            "Whether what the shortcut probe guesses from size, shape, encoding, colour, light and sharpness alone "
            "agrees with the label: a model that takes the shortcut fails where it does not.",
            "category",
            groups=("aligned", "conflicting"),
        ),
    )
}
#: Numbers of the face table by attribute, and of the appearance.
_MEASURED: Final = {
    "size": "sqrt_size", "aspect_ratio": "aspect_ratio", "brightness": "brightness", "sharpness": "sharpness"
}  # fmt: skip
#: Those that `maskdet.bias.appearance` measures.
OF_APPEARANCE: Final = ("skin_tone", "skin_lightness", "skin_hue", "mask_colour")
_APPEARANCE: Final = ("skin_lightness", "skin_hue", "skin_ita", "mask_colour")


def attribute_title(name: str) -> str:
    """An attribute's name for people; that of an uploaded column is its name."""
    return ATTRIBUTES[name].title if name in ATTRIBUTES else name


def face_attributes(
    table: pd.DataFrame,
    appearance: pd.DataFrame | None = None,
    scores: pd.DataFrame | None = None,
    catalog: Mapping[str, Dataset] | None = None,
) -> pd.DataFrame:
    """The attributes of some faces.

    Parameters
    ----------
    table : DataFrame
        Rows of the face table.
    appearance : DataFrame, optional
        What `maskdet.bias.appearance` measured of some of them.
    scores : DataFrame, optional
        face_id, label and p_without_mask, the guesses of `maskdet.bias.shortcuts`. The label is the one that counts,
        which may be other than the published one of the face table.
    catalog : mapping, optional
        By default the one that ships.

    Returns
    -------
    DataFrame
        face_id and a column for each of `ATTRIBUTES`: NaN or "" where it is not known.
    """
    known = load_catalog() if catalog is None else catalog
    types = {dataset: lookup(known, dataset).type for dataset in table["dataset"].unique()}
    columns: dict[str, Any] = {
        "face_id": table["face_id"].to_numpy(),
        "dataset": table["dataset"].to_numpy(),
        "source": [_SOURCES.get(types[dataset], "") for dataset in table["dataset"]],
        **{name: table[column].to_numpy(np.float64) for name, column in _MEASURED.items()},
    }
    ids = table["face_id"]
    seen = pd.DataFrame(columns=_APPEARANCE) if appearance is None else appearance.set_index("face_id")
    columns |= {name: _by_face(seen, name, ids).to_numpy(np.float64) for name in ("skin_lightness", "skin_hue")}
    columns["skin_tone"] = [tone_category(angle) for angle in _by_face(seen, "skin_ita", ids).astype(float)]
    colours = _by_face(seen, "mask_colour", ids)
    columns["mask_colour"] = colours.astype(object).where(colours.notna(), "").astype(str).to_numpy()
    columns["shortcut"] = "" if scores is None else _shortcut(scores, ids)
    return pd.DataFrame(columns)[["face_id", *ATTRIBUTES]]


def save_attributes(path: Path, attributes: pd.DataFrame) -> None:
    """Write attributes as Parquet, atomically. Raises WorkspaceError if they cannot be written."""
    write_table(path, complete(attributes))


def load_attributes(path: Path) -> pd.DataFrame:
    """Read what `save_attributes` wrote. Raises WorkspaceError if it is missing or damaged."""
    table = read_table(path)
    if "face_id" not in table or table["face_id"].duplicated().any():
        raise WorkspaceError(f"{path} holds no attributes of faces.")
    return complete(table)


def group_of(attributes: pd.DataFrame, name: str, bins: int = 4) -> "pd.Series[str]":
    """The group of each face by an attribute.

    Parameters
    ----------
    attributes : DataFrame
        face_id and a column an attribute; further columns may be those of an uploaded table.
    name : str
        A column: a category's values are its groups, numbers are put into quantile bins of these faces.
    bins : int
        Most bins of numbers, at least 2; fewer where many faces share a value.

    Returns
    -------
    Series
        An ordered Categorical by face_id. Bins are named by their edges, such as "13 to 45 px" (the upper one belongs
        to the next bin); "" where it is not known, which comes first among the categories.

    Raises
    ------
    MaskDetError
        If there is no such column, or bins is below 2.
    """
    if name not in attributes or name == "face_id":
        known = ", ".join(map(str, attributes.columns.drop("face_id")))
        raise MaskDetError(f"There is no attribute {name!r} of these faces; there are: {known}.")
    if bins < 2:
        raise MaskDetError(f"Numbers are put into at least 2 bins, not {bins}.")
    values = attributes[name]
    attribute = ATTRIBUTES.get(name)
    is_number = attribute.kind == "number" if attribute else _is_number(values)
    if is_number:
        texts, order = _binned(values.to_numpy(np.float64), bins, attribute)
    else:
        texts = [value if isinstance(value, str) else "" if pd.isna(value) else str(value) for value in values]
        order = _ordered(set(texts), attribute.groups if attribute else ())
    groups = pd.Categorical(texts, categories=[*([""] if "" in texts else []), *order], ordered=True)
    return pd.Series(groups, index=pd.Index(attributes["face_id"], name="face_id"), name=name)


def _by_face(table: pd.DataFrame, name: str, ids: "pd.Series[str]") -> "pd.Series[Any]":
    """A column of a table by face id, for some faces; NaN where the table has none."""
    return table[name].reindex(ids) if name in table else pd.Series(np.nan, index=ids)


def _shortcut(scores: pd.DataFrame, ids: "pd.Series[str]") -> list[str]:
    of = scores.set_index("face_id").reindex(ids)
    guess, label = of["p_without_mask"].to_numpy(np.float64), of["label"].to_numpy()
    agrees = (guess > _EVEN) == (label == CLASSES[1])
    known = ~np.isnan(guess) & np.isin(label.astype(str), CLASSES)
    return [("aligned" if yes else "conflicting") if said else "" for yes, said in zip(agrees, known, strict=True)]


def complete(table: pd.DataFrame) -> pd.DataFrame:
    """All attributes in their order and kind, then other columns; a later version may know more than was kept."""
    columns: dict[str, Any] = {}
    for name, attribute in ATTRIBUTES.items():
        values = table[name] if name in table else pd.Series(np.nan, index=table.index)
        number = attribute.kind == "number"
        columns[name] = (
            pd.to_numeric(values, errors="coerce").astype(float)
            if number
            else values.astype(object).where(values.notna(), "").astype(str)
        )
    others = [name for name in table.columns if name not in ATTRIBUTES]
    return table.assign(**columns)[["face_id", *ATTRIBUTES, *(name for name in others if name != "face_id")]]


def _is_number(values: "pd.Series[Any]") -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _ordered(values: set[str], groups: tuple[str, ...]) -> list[str]:
    """Categories in their own order, others by name."""
    return [*(group for group in groups if group in values), *sorted(values - {"", *groups})]


def _binned(values: Numbers, bins: int, attribute: Attribute | None) -> tuple[list[str], list[str]]:
    """The bin's name of each number, "" for none, and all names in their order."""
    known = values[np.isfinite(values)]
    if not len(known):
        return [""] * len(values), []
    digits = attribute.digits if attribute else _digits(known)
    # Rounded, so that a bin holds what its name says.
    inner = np.unique(np.quantile(known, np.arange(1, bins) / bins).round(digits))
    inner = inner[(inner > known.min()) & (inner <= known.max())]
    edges = [f"{edge:,.{digits}f}" for edge in (known.min(), *inner, known.max())]
    unit = f" {attribute.unit}" if attribute and attribute.unit else ""
    names = [f"{low}{unit}" if low == high else f"{low} to {high}{unit}" for low, high in pairwise(edges)]
    place = np.searchsorted(inner, values, side="right")
    return [names[at] if finite else "" for at, finite in zip(place, np.isfinite(values), strict=True)], names


def _digits(values: Numbers) -> int:
    """Decimals that tell numbers of this size apart: three digits of their middle half's width."""
    low, high = np.percentile(values, [25, 75])
    width = high - low or abs(high) or 1.0
    return int(np.clip(2 - np.floor(np.log10(width)), 0, 6))
