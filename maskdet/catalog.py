"""The catalog: what is known of each dataset before a single photo is read (study, Table 1).

It comes from ``data/datasets.toml``; a ``datasets.toml`` in the workspace adds to it or overrides it.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

from maskdet.errors import MaskDetError, reason_of

DatasetType = Literal["SMFD", "RMFD", "unknown"]
Pool = Literal["main", "pre-training"]

#: What ships with MaskDet: the catalog and the bundled runs.
DATA_DIR: Final = Path(__file__).resolve().parent.parent / "data"


@dataclass(frozen=True)
class StudyCounts:
    """What the study counted in a dataset: photos (Table 1) and faces by label (Table 2)."""

    photos: int
    with_mask: int
    without_mask: int

    def __post_init__(self) -> None:
        for name, count in vars(self).items():
            if not isinstance(count, int) or isinstance(count, bool) or count < 0:
                raise MaskDetError(f"The study counts whole numbers, at least 0: {name} is {count!r}.")

    @property
    def faces(self) -> int:
        """Faces of both labels; the study knows no third."""
        return self.with_mask + self.without_mask


@dataclass(frozen=True)
class Dataset:
    """One dataset of the catalog.

    Attributes
    ----------
    id : str
        The name of its folder; the study's number for its five datasets.
    type : {"SMFD", "RMFD", "unknown"}
        Simulated or real masked faces.
    synthetic : bool
        True for the sample set that MaskDet draws itself.
    kaggle : str
        Its handle on Kaggle, ``owner/name``, or "".
    study : StudyCounts or None
        What the study counted in it, where it is one of the study's.
    related : Path or None
        The table of its photos that come from one source (see `maskdet.related`); in the file, a path beside it.
    """

    id: str
    name: str
    type: DatasetType = "unknown"
    source: str = ""
    licence: str = "not stated"
    synthetic: bool = False
    kaggle: str = ""
    study: StudyCounts | None = None
    related: Path | None = None

    def __post_init__(self) -> None:
        for name in ("name", "source", "licence", "kaggle"):
            if not isinstance(getattr(self, name), str):
                raise MaskDetError(f"Dataset {self.id}: {name} must be a text, not {getattr(self, name)!r}.")
        if not isinstance(self.synthetic, bool):
            raise MaskDetError(f"Dataset {self.id}: synthetic must be true or false, not {self.synthetic!r}.")
        if self.type not in get_args(DatasetType):
            raise MaskDetError(f"Dataset {self.id}: type must be SMFD, RMFD or unknown, not {self.type!r}.")

    @property
    def pool(self) -> Pool:
        """Simulated masks are split alone, for pre-training; everything else together (study, 4.2.2)."""
        return "pre-training" if self.type == "SMFD" else "main"


def load_catalog(*extra: Path) -> dict[str, Dataset]:
    """The shipped catalog, with the entries of further TOML files added or overriding.

    Files that do not exist are passed over.

    Raises
    ------
    MaskDetError
        If a file is no TOML or an entry has an unknown key or type.
    """
    catalog: dict[str, Dataset] = {}
    for path in (DATA_DIR / "datasets.toml", *extra):
        if not path.is_file():
            continue
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
            catalog |= {key: _dataset(key, entry, path.parent) for key, entry in tables.items()}
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError) as error:
            raise MaskDetError(
                f"The catalog {path} cannot be read ({reason_of(error)}): mend it in an editor, or delete it."
            ) from error
    return catalog


def lookup(catalog: Mapping[str, Dataset], dataset_id: str) -> Dataset:
    """The catalog's entry, or one of type "unknown" for a dataset that nobody described."""
    return catalog.get(dataset_id) or Dataset(id=dataset_id, name=dataset_id)


def _dataset(key: str, entry: dict[str, Any], beside: Path) -> Dataset:
    dataset = Dataset(id=key, **entry)
    if "study" in entry:
        dataset = replace(dataset, study=StudyCounts(**entry["study"]))
    if "related" in entry:
        if not isinstance(entry["related"], str) or not entry["related"].isprintable() or not entry["related"]:
            raise MaskDetError(f"Dataset {key}: related must be the path of a table, not {entry['related']!r}.")
        dataset = replace(dataset, related=beside / entry["related"])
    return dataset
