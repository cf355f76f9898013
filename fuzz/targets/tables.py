"""Targets: tables that a person uploads, and what leaves MaskDet as CSV."""

import csv
import io
import re
from pathlib import Path
from typing import Final

import pandas as pd

from fuzz.mutate import csv_text, text
from fuzz.target import Prepared, Target, check, check_finite, check_text, refusals
from maskdet.bias.attributes import group_of
from maskdet.bias.judged import MOST_GROUPS
from maskdet.bias.uploaded import MOST_ATTRIBUTES, read_attribute_csv, with_uploaded
from maskdet.decisions import DECISIONS, counted, from_csv
from maskdet.decisions import to_csv as decisions_csv
from maskdet.export import LINE_END, inert, restored, to_csv

#: What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection).
_FORMULA: Final = tuple("=+-@\t\r\uff0b\uff1d\uff0d\uff20")
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?(e[+-]\d+)?")
_KNOWN: Final = ("a/one.png", "a/two.png@1,2,3,4", "a/two.png@5,6,7,8", "b/x/one.png", "b/ä.png", "a/0.png", "c/=1.png")


def check_csv(written: str) -> list[list[str]]:
    """A CSV that was written has rows of one length, and no cell that a spreadsheet would run."""
    rows = list(csv.reader(io.StringIO(written, newline=""), strict=True))
    check(len({len(row) for row in rows}) <= 1, "rows of different lengths")
    for row in rows:
        for cell in row:
            check(_NUMBER.fullmatch(cell) or not cell.startswith(_FORMULA), f"a cell that is a formula: {cell[:40]!r}")
    return rows


def _decisions(folder: Path) -> Prepared:
    def run(data: bytes) -> None:
        with refusals():
            decided = from_csv(data)
            for face_id, decision in decided.items():
                check_text(face_id)
                check(face_id and decision in DECISIONS, f"{face_id!r}: {decision!r}")
            counted(decided)
            written = decisions_csv(decided)
            check_csv(written)
            check(from_csv(written.encode()) == decided, "what was written reads as something else")

    seeds = [
        b"face_id,decision\r\na/one.png,keep\r\nb/two.png,drop\r\n",
        b"face_id,decision\n'=1,confirm\n",
        b'\xef\xbb\xbffurther,decision,face_id\n1,"with_mask","a,b"\n\n2, incorrect_mask,c\n',
    ]
    return Prepared(run, seeds)


def _attributes(folder: Path) -> Prepared:
    known = pd.DataFrame({"face_id": list(_KNOWN), "dataset": [name[0] for name in _KNOWN], "size": range(len(_KNOWN))})

    def run(data: bytes) -> None:
        with refusals():
            found = read_attribute_csv(data, _KNOWN)
            names = list(found.table.columns.drop("face_id"))
            check(set(found.table["face_id"]) <= set(_KNOWN), "a face that is not known")
            check(not found.table["face_id"].duplicated().any(), "a face twice")
            check(0 < len(names) <= MOST_ATTRIBUTES, f"{len(names)} attributes")
            merged = with_uploaded(known, found)
            check(list(merged["face_id"]) == list(_KNOWN), "other faces than before")
            for name in names:
                check_text(name)
                _check_column(found.table[name])
                groups = group_of(merged, name)
                check(list(groups.index) == list(_KNOWN), "groups of other faces")
                check(len(groups.cat.categories) <= max(MOST_GROUPS, 5) + 1, f"{len(groups.cat.categories)} groups")
            check_csv(to_csv(merged))

    seeds = [
        b"file,beard,age\none.png,yes,3\na/two.png,no,5.5\nx/one.png,,n/a\n",
        b"face_id;light\na/two.png@1,2,3,4;dark\n'=1;?\n",
        "path\tä\tsize\n./b\\ä.png\t1e3\t7\n0.png\t-2\t\n".encode(),
        b'photo,"a\nb"\n"one.png","c"\n',
    ]
    return Prepared(run, seeds)


def _check_column(values: "pd.Series[str]") -> None:
    if pd.api.types.is_numeric_dtype(values):
        for value in values.dropna():
            check_finite(float(value), "a number of an attribute")
    else:
        for value in values:
            check_text(value)


def _export(folder: Path) -> Prepared:
    """Texts that end in the cells and the header of an export, a line each."""

    def run(data: bytes) -> None:
        texts = data.decode("utf-8", errors="replace").split("\x1f")[:20]
        for cell in texts:
            safe = inert(cell)
            check(restored(safe) == cell, f"{cell!r} comes back as {restored(safe)!r}")
        written = to_csv(pd.DataFrame({texts[0]: texts, f"{texts[0]} n": range(len(texts))}))
        rows = check_csv(written)
        check(written.count(LINE_END) >= len(texts), "rows without an end")
        check([restored(row[0]) for row in rows[1:]] == texts, "other texts than before")

    return Prepared(run, [b"=1+1\x1f'=1\x1f-x\x1fa,b\x1fa\nb", '＝1\x1f@\x1f"\x1f\r\n=2'.encode()])


TARGETS = (
    Target("decisions-csv", _decisions, ("maskdet.decisions.from_csv", "maskdet.decisions.to_csv"), csv_text),
    Target("attributes-csv", _attributes, ("maskdet.bias.uploaded.read_attribute_csv",), csv_text),
    Target("export", _export, ("maskdet.export.to_csv", "maskdet.export.inert"), text),
)
