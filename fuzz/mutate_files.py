"""Mutators of files: photos, tables, arrays and archives."""

import io
import random
import zipfile
import zlib
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import pandas as pd

from fuzz.mutate import ODD_NUMBERS, ODD_TEXTS, json_lines, json_text, odd_value, raw

#: Changed bytes, of bytes and a source of chance.
Mutator = Callable[[bytes, random.Random], bytes]


def png(data: bytes, rng: random.Random) -> bytes:
    """A PNG with a chunk changed, taken away, moved or doubled, whose checksums are right; other files: raw."""
    if data[:8] != b"\x89PNG\r\n\x1a\n" or rng.random() < 0.2:
        return raw(data, rng)
    chunks, at = [], 8
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    if not chunks:
        return raw(data, rng)
    place, what = rng.randrange(len(chunks)), rng.randrange(5)
    kind, content = chunks[place]
    if what == 0:
        chunks.insert(rng.randrange(len(chunks) + 1), chunks[place])
    elif what == 1:
        del chunks[place]
    elif what == 2:
        kinds = (
            b"tRNS",
            b"gAMA",
            b"iCCP",
            b"tEXt",
            b"zTXt",
            b"iTXt",
            b"eXIf",
            b"acTL",
            b"fcTL",
            b"fdAT",
            b"PLTE",
            b"IDAT",
            b"IHDR",
            b"IEND",
            b"pHYs",
            b"sRGB",
            b"cHRM",
        )
        chunks.insert(place, (rng.choice(kinds), rng.randbytes(rng.randrange(40))))
    elif kind == b"IDAT" and what == 3:
        try:
            chunks[place] = (kind, zlib.compress(raw(zlib.decompress(content), rng)))
        except zlib.error:
            chunks[place] = (kind, raw(content, rng))
    else:
        chunks[place] = (kind, raw(content, rng))
    parts = [len(c).to_bytes(4) + k + c + zlib.crc32(k + c).to_bytes(4) for k, c in chunks]
    return data[:8] + b"".join(parts)


def or_raw(mutate: Mutator) -> Mutator:
    """Change the bytes instead where what they hold was damaged before, or cannot be written once it is changed."""

    @wraps(mutate)
    def changed(data: bytes, rng: random.Random) -> bytes:
        try:
            return mutate(data, rng)
        except Exception:  # noqa: BLE001 - whatever libraries raise; the target gets some bytes all the same
            return raw(data, rng)

    return changed


@or_raw
def parquet(data: bytes, rng: random.Random) -> bytes:
    """A Parquet table with a column, rows or a cell changed, taken away or doubled."""
    table = pd.read_parquet(io.BytesIO(data))
    for _ in range(rng.randrange(1, 3)):
        table = _changed_table(table, rng)
    written = io.BytesIO()
    table.to_parquet(written, index=rng.random() < 0.05)
    return written.getvalue()


@or_raw
def npz(data: bytes, rng: random.Random) -> bytes:
    """An archive of arrays with one changed, taken away or renamed, or made one of objects, which are pickled."""
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    name = rng.choice(sorted(arrays))
    other = rng.choice(sorted(arrays)) if rng.random() < 0.1 else name
    arrays[other] = _changed_array(arrays.pop(name), rng)
    written = io.BytesIO()
    np.savez(written, **arrays)
    return written.getvalue()


@or_raw
def npy(data: bytes, rng: random.Random) -> bytes:
    """One array changed."""
    written = io.BytesIO()
    np.save(written, _changed_array(np.load(io.BytesIO(data), allow_pickle=False), rng))
    return written.getvalue()


@or_raw
def archive(data: bytes, rng: random.Random) -> bytes:
    """A ZIP archive with a member changed by its format, taken away or doubled."""
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    name = rng.choice(sorted(members))
    what = rng.randrange(8)
    if what == 0:
        members.pop(name)
    elif what == 1:
        members[rng.choice(sorted(members))] = members[name]
    else:
        members[name] = (json_text if name.endswith(".json") else npy)(members[name], rng)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as target:
        for member, content in members.items():
            target.writestr(member, content)
    return written.getvalue()


def by_kind(data: bytes, rng: random.Random) -> bytes:
    """A file changed by the format that it has: Parquet, ZIP, PNG, JSON, lines of JSON; a rest raw."""
    if rng.random() < 0.15:
        return raw(data, rng)
    if data[:4] == b"PAR1":
        return parquet(data, rng)
    if data[:2] == b"PK":
        return npz(data, rng)
    if data[:6] == b"\x93NUMPY":
        return npy(data, rng)
    if data[:1] in (b"{", b"["):
        return json_lines(data, rng) if b'}\n{"' in data else json_text(data, rng)
    return raw(data, rng)


def _changed_table(table: pd.DataFrame, rng: random.Random) -> pd.DataFrame:
    if not len(table.columns):
        return table
    name, what = rng.choice(list(table.columns)), rng.randrange(10)
    if what == 0:
        return table.drop(columns=name)
    if what == 1:
        return table.rename(columns={name: rng.choice((*map(str, table.columns), *ODD_TEXTS[:6]))})
    if what == 2:
        return table.iloc[: rng.randrange(len(table) + 1)]
    if what == 3:
        return pd.concat([table, table.iloc[: rng.randrange(len(table) + 1)]], ignore_index=True)
    if what == 4:
        return table.sample(frac=1, random_state=rng.randrange(1000)).reset_index(drop=True)
    if what == 5:
        return table.assign(**{str(rng.choice(ODD_TEXTS)): 0})
    values = list(table[name].astype(object))
    if what < 8 and values:
        values[rng.randrange(len(values))] = _cell(values, rng)
    else:
        cell = _cell(values, rng)
        values = [cell] * len(values)
    return table.assign(**{str(name): pd.Series(values, index=table.index)})


def _cell(values: list[Any], rng: random.Random) -> Any:
    same = type(values[0]) if values else str
    odd: Any = odd_value(rng)
    if rng.random() < 0.7:  # of the same kind, so that the column keeps its type
        if issubclass(same, str):
            odd = rng.choice(ODD_TEXTS)
        elif issubclass(same, bool):
            odd = rng.random() < 0.5
        else:
            odd = rng.choice(ODD_NUMBERS)
    return odd


def _changed_array(array: Any, rng: random.Random) -> Any:
    what = rng.randrange(9)
    if what == 0:
        return array[: rng.randrange(len(array) + 1)] if array.ndim else array
    if what == 1:
        return array.reshape(-1)
    if what == 2:
        return array[None]
    if what == 3:
        return array.T
    if what == 4:
        return array.astype(rng.choice(("float64", "int8", "U4", "bool", "complex64", "S3", "float16")))
    if what == 5:
        return np.array(rng.choice(([], 0, "a", [[1.0]], [np.nan])))
    if what == 6:
        return np.array([{"a": 1}, None], dtype=object)
    if what == 7 and array.dtype.kind == "f" and array.size:
        changed = array.copy()
        changed.reshape(-1)[rng.randrange(array.size)] = rng.choice((np.nan, np.inf, -np.inf, 0, 6e4))
        return changed
    return np.concatenate([array, array]) if array.ndim else array
