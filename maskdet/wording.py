"""Numbers and times as they are put into sentences, tables and reports."""


def capital(text: str) -> str:
    """A text that begins with a capital; the rest stays, so that names and abbreviations in it do."""
    return text[:1].upper() + text[1:]


def duration(seconds: float) -> str:
    """A time in words: 5 s, 3 min 20 s, 2 h 5 min."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def number(value: float, digits: int, *, plus: bool = False) -> str:
    """A number, rounded, with a minus as long as a plus, and none before what is rounded to 0.

    Parameters
    ----------
    digits : int
        Behind the point.
    plus : bool
        Put a plus before what is rounded to more than 0, as of a change.
    """
    text = f"{abs(value):.{digits}f}"
    if not float(text):
        return text
    return f"−{text}" if value < 0 else f"+{text}" if plus else text
