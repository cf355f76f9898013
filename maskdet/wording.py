"""Numbers and times as they are put into sentences, tables and reports."""

from typing import Final

#: What is nearer to 1 than this, or in percent to 100, is that but for rounding.
_ROUNDING: Final = 1e-9


def capital(text: str) -> str:
    """A text that begins with a capital; the rest stays, so that names and abbreviations in it do."""
    return text[:1].upper() + text[1:]


def duration(seconds: float) -> str:
    """A time in words: 5 s, 3 min 20 s, 2 h 5 min."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def telling_digits(value: float, digits: int) -> int:
    """Digits behind the point with which a number below 1, or below 100 (of a percentage), is not rounded up to that.

    An area under the curve of 0.99985 is not perfect, so it is 0.9999 or 0.99985 and never 1.000. As many as are asked
    for where that is not so, or where they are 0.
    """
    for whole in (1, 100):
        if digits and abs(value) <= whole * (1 - _ROUNDING):
            while float(f"{abs(value):.{digits}f}") >= whole:
                digits += 1
    return digits


def number(value: float, digits: int, *, plus: bool = False) -> str:
    """A number, rounded, with a minus as long as a plus, none before what is rounded to 0, and 1 for what is 1 alone.

    Parameters
    ----------
    digits : int
        Behind the point.
    plus : bool
        Put a plus before what is rounded to more than 0, as of a change.
    """
    text = f"{abs(value):.{telling_digits(value, digits)}f}"
    if not float(text):
        return text
    return f"−{text}" if value < 0 else f"+{text}" if plus else text
