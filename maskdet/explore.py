"""Look into a face table: count it, narrow it, put it into bars, sort it. Pure functions; nothing here reads a photo.

Faces are named by their position (row number) in the face table, so that what a person picks in a chart, and what the
gallery then shows, are the same few integers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Final, cast, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.catalog import Dataset, lookup
from maskdet.errors import MaskDetError
from maskdet.facetable import Faces, label_split
from maskdet.labels import CLASSES, INCORRECT_MASK, LABELS, IncorrectMask, Label, treat_incorrect

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Measurement:
    """How a measured column of the face table is shown.

    Attributes
    ----------
    unit : str
        "" where it has none.
    log : bool
        Whether it spans orders of magnitude, so that bars and axes are logarithmic.
    digits : int
        Decimals worth showing.
    """

    title: str
    unit: str = ""
    log: bool = False
    digits: int = 0

    @property
    def axis(self) -> str:
        """Title with unit, as on an axis."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


#: The measurements of a face (see `maskdet.measure.measure_face`), the study's own first.
MEASUREMENTS: Final[dict[str, Measurement]] = {
    "sqrt_size": Measurement("Square-root size", "px", log=True),
    "aspect_ratio": Measurement("Aspect ratio", "height / width", log=True, digits=2),
    "width": Measurement("Width", "px", log=True),
    "height": Measurement("Height", "px", log=True),
    "brightness": Measurement("Brightness", "mean luma, 0 to 255"),
    "contrast": Measurement("Contrast", "standard deviation of luma"),
    "sharpness": Measurement("Sharpness", "variance of the Laplacian", log=True),
    "mean_red": Measurement("Mean red", "0 to 255"),
    "mean_green": Measurement("Mean green", "0 to 255"),
    "mean_blue": Measurement("Mean blue", "0 to 255"),
    "bytes": Measurement("File size of the photo", "bytes", log=True),
    "faces_in_photo": Measurement("Faces in the photo"),
}
CHANNELS: Final = ("mean_red", "mean_green", "mean_blue")
#: What a publisher's split is called where the publisher has none.
NO_SPLIT: Final = "none"
_BINS: Final = 40
#: The least number of faces in the photos of each bar: one number a bar up to ten, then wider ones.
_FACES_IN_PHOTO: Final = (*range(1, 11), 11, 21, 51)
_MEASURED_ELSEWHERE: Final = ("shard", "shard_row")


def with_faces_in_photo(table: pd.DataFrame) -> pd.DataFrame:
    """The face table with one more column, ``faces_in_photo``: usable faces of the photo that the face is in."""
    counts = table.groupby(["dataset", "photo"], sort=False)["face_id"].transform("size")
    return table.assign(faces_in_photo=counts.astype("int64"))


def dataset_table(faces: Faces, catalog: Mapping[str, Dataset], incorrect_mask: IncorrectMask) -> pd.DataFrame:
    """The study's Tables 1 and 2 for these faces, with where each dataset comes from.

    Returns
    -------
    DataFrame
        Columns dataset (the last row is "Total"), name, type, photos, faces, with_mask, without_mask, incorrect_mask,
        licence, source.
    """
    split = label_split(faces, incorrect_mask)
    known = [lookup(catalog, dataset) for dataset in split["dataset"][:-1]]
    split.insert(1, "name", [*(dataset.name for dataset in known), ""])
    split.insert(2, "type", [*(dataset.type for dataset in known), ""])
    split["licence"] = [*(dataset.licence for dataset in known), ""]
    split["source"] = [*(dataset.source for dataset in known), ""]
    return split


def against_study(faces: Faces, catalog: Mapping[str, Dataset], incorrect_mask: IncorrectMask) -> pd.DataFrame:
    """What is loaded of the study's datasets, beside what the study counted in them (Tables 1 and 2).

    Returns
    -------
    DataFrame
        A row for each of the study's datasets and count ("photos", "faces", "with_mask", "without_mask"): columns
        dataset, name, count, loaded, study, difference (loaded - study).
    """
    loaded = label_split(faces, incorrect_mask).set_index("dataset")
    rows = []
    for dataset in catalog.values():
        if dataset.study is None:
            continue
        for count in ("photos", "faces", *CLASSES):
            here = int(loaded[count].get(dataset.id, 0))
            there = int(getattr(dataset.study, count))
            rows.append((dataset.id, dataset.name, count, here, there, here - there))
    return pd.DataFrame(rows, columns=["dataset", "name", "count", "loaded", "study", "difference"])


def treatment_sentence(table: pd.DataFrame, incorrect_mask: IncorrectMask) -> str:
    """What becomes of the faces whose mask is worn incorrectly, as a sentence for people."""
    count = int((table["label"] == INCORRECT_MASK).sum())
    if count == 0:
        return "No face here is labelled as wearing its mask incorrectly."
    alone = _photos_of_none_else(table)
    photos = "1 photo with no other face is" if alone == 1 else f"{alone:,} photos with no other face are"
    one = count == 1
    subject = "1 face whose mask is worn incorrectly" if one else f"{count:,} faces whose mask is worn incorrectly"
    return {
        "drop": f"{subject} {'is' if one else 'are'} left out, since the study knows two labels only"
        + (f"; {photos} still counted." if alone else "."),
        "without_mask": f"{subject} {'counts' if one else 'count'} as without mask.",
        "class": f"{subject} {'is' if one else 'are'} counted apart; the study knows no such label.",
    }[incorrect_mask]


def _photos_of_none_else(table: pd.DataFrame) -> int:
    """How many photos hold only faces whose mask is worn incorrectly."""
    incorrect = table["label"] == INCORRECT_MASK
    of_them, others = (table.loc[which, ["dataset", "photo"]].drop_duplicates() for which in (incorrect, ~incorrect))
    return len(of_them) - len(of_them.merge(others))


def parse_treatment(name: str) -> IncorrectMask:
    """The treatment of incorrectly worn masks that a person named. Raises MaskDetError if there is no such one."""
    if name not in get_args(IncorrectMask):
        raise MaskDetError(f"Incorrect masks can be treated as {', '.join(get_args(IncorrectMask))}, not {name!r}.")
    return cast(IncorrectMask, name)


@dataclass(frozen=True)
class FaceFilter:
    """Which faces to look at; all conditions must hold.

    Attributes
    ----------
    datasets, labels, splits : tuple of str
        Any of these; empty for all. Labels are those that count (see ``incorrect_mask``); a face without publisher's
        split has `NO_SPLIT`.
    name : str
        Part of the photo's path, in either case.
    ranges : tuple of (str, float, float)
        Column of `MEASUREMENTS`, least and largest value, both allowed; infinite for no bound.
    incorrect_mask : {"drop", "without_mask", "class"}
        What becomes of faces whose mask is worn incorrectly.
    """

    datasets: tuple[str, ...] = ()
    labels: tuple[Label, ...] = ()
    splits: tuple[str, ...] = ()
    name: str = ""
    ranges: tuple[tuple[str, float, float], ...] = ()
    incorrect_mask: IncorrectMask = "class"

    def __post_init__(self) -> None:
        for column, low, high in self.ranges:
            if column not in MEASUREMENTS:
                raise MaskDetError(f"There is no measurement {column!r}; there are: {', '.join(MEASUREMENTS)}.")
            if not low <= high:
                title = MEASUREMENTS[column].title
                raise MaskDetError(f"{title}: the least value ({low:g}) is above the largest ({high:g}).")


def narrow(table: pd.DataFrame, wanted: FaceFilter) -> Positions:
    """Positions of the faces that a filter leaves, in the table's order."""
    labels = treat_incorrect(table["label"], wanted.incorrect_mask)
    keep = np.ones(len(table), dtype=bool)
    if wanted.incorrect_mask == "drop":
        keep &= (labels != INCORRECT_MASK).to_numpy()
    for values, allowed in (
        (table["dataset"], wanted.datasets),
        (labels, wanted.labels),
        (table["publisher_split"].replace({"": NO_SPLIT}), wanted.splits),
    ):
        if allowed:
            keep &= values.isin(allowed).to_numpy()
    if wanted.name:
        keep &= table["photo"].str.contains(wanted.name, case=False, regex=False).to_numpy(dtype=bool)
    for column, low, high in wanted.ranges:
        keep &= table[column].between(low, high).to_numpy()
    return np.flatnonzero(keep)


def bounds(low: float | None, high: float | None) -> tuple[float, float]:
    """A range from what a person typed, where nothing means no bound."""
    return (-inf if low is None else low, inf if high is None else high)


def in_order(table: pd.DataFrame, positions: Positions, column: str, *, ascending: bool = True) -> Positions:
    """Positions sorted by a measurement; equal ones by face id, so that the order is the same every time."""
    values = table[column].to_numpy()[positions]
    ids = table["face_id"].to_numpy()[positions]
    return positions[np.lexsort((ids, values if ascending else -values))]


def export(table: pd.DataFrame, positions: Positions, incorrect_mask: IncorrectMask) -> pd.DataFrame:
    """Faces as a table to pass on: all measured columns, the label as published and as counted."""
    chosen = table.take(positions).drop(columns=list(_MEASURED_ELSEWHERE), errors="ignore")
    columns = ["face_id", "dataset", "photo", "label", "counted_as"]
    chosen = chosen.assign(counted_as=treat_incorrect(chosen["label"], incorrect_mask))
    return chosen[[*columns, *(name for name in chosen.columns if name not in columns)]]


@dataclass(frozen=True)
class Bars:
    """A histogram in panels, whose bars know their faces.

    Attributes
    ----------
    table : DataFrame
        A row a bar that is not empty; its index is the bar's number. Columns panel and series (names), left and right
        (edges on the axis) and value (how much it counts).
    bar_of_face : ndarray of int64, shape (faces, k)
        The numbers of the bars that each face is in; k is 1, or 3 for the colour channels.
    ticks : tuple of str
        Names of the bars 0, 1, 2 ... where the axis has categories, else empty.
    """

    table: pd.DataFrame
    bar_of_face: Positions
    ticks: tuple[str, ...] = ()

    def faces_in(self, bars: Iterable[int]) -> Positions:
        """Positions of the faces that are in any of these bars, counted within the faces the bars were made of."""
        return np.flatnonzero(np.isin(self.bar_of_face, list(bars)).any(axis=1))


def bin_edges(values: npt.ArrayLike, log: bool = False, bins: int = _BINS) -> npt.NDArray[np.float64]:
    """Edges of equally wide bins from the least to the largest value; equally wide in the logarithm if ``log``.

    There are ``bins`` + 1 edges. In a logarithmic axis the first is the least positive value, and the first bin takes
    what is not above 0.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if log:
        numbers = numbers[numbers > 0]
    low, high = (float(numbers.min()), float(numbers.max())) if len(numbers) else (1.0, 1.0)
    if low == high:  # one value: a bar around it
        low, high = (low / 1.1, high * 1.1) if log else (low - 0.5, high + 0.5)
    edges = np.geomspace(low, high, bins + 1) if log else np.linspace(low, high, bins + 1)
    edges[0], edges[-1] = low, high
    return edges


def measurement_bars(table: pd.DataFrame, column: str, labels: "pd.Series[str]", bins: int = _BINS) -> Bars:
    """Distribution of a measurement, a panel a dataset, a series a label (study, Appendix A)."""
    edges = bin_edges(table[column], MEASUREMENTS[column].log, bins)
    return _bars(table["dataset"], [(labels, _bin_of(table[column], edges))], edges)


def channel_bars(table: pd.DataFrame, bins: int = _BINS) -> Bars:
    """Distributions of the three channel means, 0 to 255, a panel a dataset, a series a channel (study, 4.2.1)."""
    edges = np.linspace(0, 255, bins + 1)
    layers = [(pd.Series(channel, index=table.index), _bin_of(table[channel], edges)) for channel in CHANNELS]
    return _bars(table["dataset"], layers, edges)


def label_bars(table: pd.DataFrame, labels: "pd.Series[str]") -> Bars:
    """Faces by dataset, a series a label."""
    datasets, names = pd.factorize(table["dataset"], sort=True)
    return _bars(pd.Series("", index=table.index), [(labels, datasets)], _unit_edges(len(names)), tuple(names))


def format_bars(table: pd.DataFrame, labels: "pd.Series[str]") -> Bars:
    """Faces by file format, a series a label: a format that goes with one label is a shortcut a model may take."""
    formats, names = pd.factorize(table["format"], sort=True)
    return _bars(pd.Series("", index=table.index), [(labels, formats)], _unit_edges(len(names)), tuple(names))


def photo_bars(table: pd.DataFrame) -> Bars:
    """Photos by their number of faces, a panel a dataset; needs `with_faces_in_photo`."""
    first = np.array(_FACES_IN_PHOTO)
    bins = np.searchsorted(first, table["faces_in_photo"], side="right") - 1
    names = [str(n) if n + 1 == after else f"{n} to {after - 1}" for n, after in pairwise(_FACES_IN_PHOTO)]
    names.append(f"above {_FACES_IN_PHOTO[-1] - 1}")
    layer = (pd.Series("photos", index=table.index), bins)
    counts = ~table.duplicated(["dataset", "photo"]).to_numpy()
    return _bars(table["dataset"], [layer], _unit_edges(len(names)), tuple(names), counts)


def _unit_edges(count: int) -> npt.NDArray[np.float64]:
    """Edges of bars around 0, 1, 2 ..."""
    return np.arange(count + 1, dtype=np.float64) - 0.5


def _bin_of(values: "pd.Series[float]", edges: npt.NDArray[np.float64]) -> Positions:
    """The bin of each value, as numpy.histogram counts: the last bin takes its right edge too."""
    return np.clip(np.searchsorted(edges, values.to_numpy(), side="right") - 1, 0, len(edges) - 2).astype(np.int64)


def _bars(
    panels: "pd.Series[str]",
    layers: list[tuple["pd.Series[str]", Positions]],
    edges: npt.NDArray[np.float64],
    ticks: tuple[str, ...] = (),
    counts: npt.NDArray[np.bool_] | None = None,
) -> Bars:
    """Bars by panel, series and bin; each layer puts every face into one of them, ``counts`` says which faces count."""
    panel, panel_names = pd.factorize(panels, sort=True)
    names = pd.Index(sorted({name for series, _ in layers for name in series.unique()}, key=_label_order))
    bins = len(edges) - 1
    shape = (len(panel_names), len(names), bins)
    codes = [(np.asarray(panel), names.get_indexer(pd.Index(series)), bin_) for series, bin_ in layers]
    number = np.stack([(p * shape[1] + s) * shape[2] + b for p, s, b in codes], axis=1).astype(np.int64)
    counted = number if counts is None else number[counts]
    value = np.bincount(counted.ravel(), minlength=int(np.prod(shape)))
    filled = np.flatnonzero(value)
    of_panel, of_series, of_bin = np.unravel_index(filled, shape)
    table = pd.DataFrame(
        {
            "panel": panel_names[of_panel], "series": names[of_series], "left": edges[of_bin],
            "right": edges[of_bin + 1], "value": value[filled],
        },
        index=filled,
    )  # fmt: skip
    return Bars(table, number, ticks)


def _label_order(name: str) -> tuple[int, str]:
    order = (*LABELS, *CHANNELS)
    return (order.index(name) if name in order else len(order), name)
