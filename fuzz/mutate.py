"""Mutators: from an input to a similar one that still has its format's syntax, so that what reads it gets far.

What cannot be parsed comes back as random bytes of itself. Everything follows from the random generator.
"""

import csv
import io
import json
import random
import re
import struct
from collections.abc import Callable
from typing import Any, Final

#: What nobody expects where a text, a number or a list should be.
ODD_TEXTS: Final = (
    "",
    " ",
    "a",
    "0",
    "-1",
    "1e999",
    "nan",
    "inf",
    "None",
    "null",
    "true",
    "\x00",
    "\n",
    "\r\n",
    "\ud800",
    "\u202e",
    "=1+1",
    "@SUM(A1)",
    "+1",
    "-1+2",
    "\t=1",
    "\uff1d1",
    "'=1",
    "<script>alert(1)</script>",
    "<img src=x onerror=a>",
    "![x](https://example.com/x.png)",
    "[x](javascript:a)",
    "`a`",
    "$x$",
    ":red[x]",
    "*a*",
    "|a|",
    "# a",
    "{{7*7}}",
    "../../../etc/passwd",
    "/etc/passwd",
    "..\\..\\x",
    "C:\\x",
    "%s%n",
    "a" * 300,
    "ä" * 130,
    "with_mask",
    "without_mask",
    "incorrect_mask",
    "Total",
    "é",
    "\U0001f637",
    "1,2",
    "1;2",
    '"',
    "&lt;",
    "&#0;",
    "9" * 400,
)
ODD_NUMBERS: Final = (
    0,
    1,
    -1,
    2,
    255,
    256,
    -128,
    65536,
    2**31,
    -(2**31) - 1,
    2**63,
    2**64,
    10**30,
    10**400,  # too large for a float
    0.5,
    -0.0,
    1e-320,
    1e308,
    -1e308,
    float("nan"),
    float("inf"),
    float("-inf"),
    1e9,
    1e10,
    0.1,
    149,
    150,
    151,
)
_TOKENS: Final = re.compile(rb"<[^<>]*>|[^<>]+|[<>]")
_XML_PARTS: Final = (
    b"<object>",
    b"</object>",
    b"<name>with_mask</name>",
    b"<bndbox>",
    b"</bndbox>",
    b"<xmin>1</xmin>",
    b"<xmax/>",
    b"<filename>photo.png</filename>",
    b"<annotation>",
    b"</annotation>",
    b"<!-- a -->",
    b"<![CDATA[a]]>",
    b"&amp;",
    b'<!DOCTYPE a [<!ENTITY b "c">]>',
    b"&b;",
    b'<?xml version="1.0" encoding="utf-16"?>',
    b"&#x0;",
    b"<a:b>",
    b'<?xml version="1.0" encoding="nonsense"?>',
    b'<a xmlns:a="b">',
    b"<!ENTITY % x SYSTEM 'file:///etc/passwd'>",
)


def raw(data: bytes, rng: random.Random) -> bytes:
    """Random bytes changed, taken away, put in or doubled."""
    content = bytearray(data or b"\0")
    for _ in range(1 << rng.randrange(4)):
        at = rng.randrange(len(content) + 1)
        size = min(1 << rng.randrange(8), len(content))
        what = rng.randrange(5)
        if what == 0 and content:
            content[at % len(content)] ^= 1 << rng.randrange(8)
        elif what == 1:
            content[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif what == 2:
            del content[at : at + size]
        elif what == 3:
            begin = rng.randrange(len(content) + 1)
            content[at : at + (0 if rng.random() < 0.5 else size)] = content[begin : begin + size]
        elif content:
            at %= len(content)
            content[at : at + 4] = struct.pack(rng.choice("<>") + "I", rng.choice((0, 1, 255, 2**31, 2**32 - 1)))
    return bytes(content)


def text(data: bytes, rng: random.Random) -> bytes:
    """A text with something odd put in, or in place of one of its words."""
    words = re.split(r"(\W)", data.decode("utf-8", errors="replace"))
    at = rng.randrange(len(words) + 1)
    odd = rng.choice(ODD_TEXTS)
    words[at : at + rng.randrange(2)] = [odd]
    return "".join(words).encode("utf-8", errors="surrogatepass")


def json_text(data: bytes, rng: random.Random) -> bytes:
    """JSON with a value or key changed, taken away or doubled."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return raw(data, rng)
    for _ in range(rng.randrange(1, 4)):
        value = _changed(value, rng)
    return json.dumps(value, ensure_ascii=rng.random() < 0.9).encode("utf-8", errors="surrogatepass")


def json_lines(data: bytes, rng: random.Random) -> bytes:
    """Lines of JSON with one changed, cut, doubled or taken away."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    what = rng.randrange(6)
    if what == 0:
        lines.insert(at, rng.choice(lines))
    elif what == 1:
        del lines[at]
    elif what == 2:
        lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]
    else:
        lines[at] = json_text(lines[at], rng)
    return b"\n".join(lines)


def csv_text(data: bytes, rng: random.Random) -> bytes:
    """A CSV with a cell, row or column changed, taken away or doubled, or written in another way."""
    known = data.decode("utf-8-sig", errors="replace").replace("\x00", "")
    delimiter = max(",;\t", key=known.split("\n", 1)[0].count)
    try:
        rows = list(csv.reader(io.StringIO(known, newline=""), delimiter=delimiter)) or [[""]]
    except csv.Error:
        return raw(data, rng)
    for _ in range(rng.randrange(1, 4)):
        row = rng.choice(rows)
        if not row:
            row.append("")
        at, what = rng.randrange(len(row)), rng.randrange(8)
        if what < 3:
            row[at] = rng.choice(ODD_TEXTS)
        elif what == 3:
            row[at] = str(rng.choice(ODD_NUMBERS))
        elif what == 4:
            row.insert(at, rng.choice(row))
        elif what == 5:
            del row[at]
        elif what == 6:
            rows.insert(rng.randrange(len(rows) + 1), list(row))
        else:
            row[at] = rng.choice(rng.choice(rows) or [""])
    written = io.StringIO()
    quoting = rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_MINIMAL))
    end = rng.choice(("\n", "\r\n", "\n", "\r"))
    csv.writer(
        written, delimiter=rng.choice((delimiter,) * 6 + (",", ";", "\t")), quoting=quoting, lineterminator=end
    ).writerows(rows)
    begin = b"\xef\xbb\xbf" if rng.random() < 0.1 else b""
    return begin + written.getvalue().encode("utf-8", errors="surrogatepass")


def xml_text(data: bytes, rng: random.Random) -> bytes:
    """XML with a tag or text changed, taken away, moved or doubled."""
    tokens: list[bytes] = _TOKENS.findall(data) or [b""]
    for _ in range(rng.randrange(1, 4)):
        at, what = rng.randrange(len(tokens)), rng.randrange(6)
        if what == 0:
            del tokens[at]
        elif what == 1:
            tokens.insert(at, rng.choice(tokens or [b""]))
        elif what == 2:
            tokens.insert(at, rng.choice(_XML_PARTS))
        elif what == 3:
            tokens[at] = str(rng.choice(ODD_NUMBERS)).encode()
        elif what == 4:
            tokens[at] = rng.choice(ODD_TEXTS).encode("utf-8", errors="surrogatepass")
        else:
            begin = rng.randrange(len(tokens))
            tokens[at:at] = tokens[begin : begin + rng.randrange(1, 12)]
        tokens = tokens or [b""]
    return b"".join(tokens)


def toml_text(data: bytes, rng: random.Random) -> bytes:
    """TOML with a line changed, taken away, moved or doubled."""
    lines = data.split(b"\n")
    at, what = rng.randrange(len(lines)), rng.randrange(6)
    odd = (
        json.dumps(rng.choice(ODD_TEXTS)),
        str(rng.choice(ODD_NUMBERS)),
        "true",
        "[]",
        "[1, 'a']",
        "{a = 1}",
        "1979-05-27",
        "{photos = 1, with_mask = 'a', without_mask = 2}",
    )
    if what == 0:
        lines.insert(at, rng.choice(lines))
    elif what == 1:
        del lines[at]
    elif what == 2:
        lines[at] = text(lines[at], rng)
    else:
        key = lines[at].partition(b"=")[0] or b"name"
        lines[at] = key + b"= " + rng.choice(odd).encode("utf-8", errors="replace")
    return b"\n".join(lines)


def _changed(value: Any, rng: random.Random) -> Any:
    """A JSON value with one of its parts changed."""
    places = list(_places(value))
    if not places:
        return odd_value(rng)
    container, key = rng.choice(places)
    what = rng.randrange(9)
    if what < 4:
        container[key] = odd_value(rng)
    elif what == 4:
        del container[key]
    elif what == 5:
        other, from_ = rng.choice(places)
        container[key] = json.loads(json.dumps(other[from_]))  # by value: a part of itself would never end
    elif what == 6 and isinstance(container, dict):
        container[rng.choice(ODD_TEXTS)] = container.pop(key)
    elif what == 6:
        container.insert(key, container[key])
    elif what == 7:
        container[key] = [container[key]] if rng.random() < 0.5 else {"a": container[key]}
    else:
        old = container[key]
        container[key] = _nudged(old, rng)
    return value


def _places(value: Any) -> Any:
    stack = [value]
    while stack:
        found = stack.pop()
        if isinstance(found, dict | list):
            keys = list(found) if isinstance(found, dict) else list(range(len(found)))
            for key in keys:
                yield found, key
                stack.append(found[key])


def _nudged(value: Any, rng: random.Random) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int) and abs(value) >= 10**300:
        return -value
    if isinstance(value, int | float):
        return rng.choice((value + 1, value - 1, -value, value * 2, value * 1e9, str(value), value / 3))
    if isinstance(value, str):
        return text(value.encode(errors="replace"), rng).decode(errors="replace")
    return odd_value(rng)


def odd_value(rng: random.Random) -> Any:
    """A JSON value that nobody expects."""
    kinds: tuple[Callable[[], Any], ...] = (
        lambda: None,
        lambda: rng.random() < 0.5,
        lambda: rng.choice(ODD_NUMBERS),
        lambda: rng.choice(ODD_TEXTS),
        lambda: rng.choice(([], {}, [None], [[]], {"a": None}, [1, 2, 3, 4], ["a", 1], [{}], {"": {}})),
        lambda: _nested(rng.choice((50, 2000))) if rng.random() < 0.05 else 0,
    )
    return rng.choice(kinds)()


def _nested(depth: int) -> Any:
    found: Any = []
    for _ in range(min(depth, 400)):
        found = [found]
    return found
