"""The errors a person can act on. The text of each is one clear sentence, shown as it is by the app and the shell."""

from typing import Final

_LONGEST_REASON: Final = 300
_LONGEST_NAME: Final = 1000


class MaskDetError(Exception):
    """Something the user can put right: a missing folder, a broken file, a step that comes first."""


class PhotoError(MaskDetError):
    """A file that is not a photo one can look at: broken, truncated, too large, or no image at all."""


class WorkspaceError(MaskDetError):
    """The workspace cannot be read or written, or lacks what an earlier step makes."""


class LaterVersionError(WorkspaceError):
    """A later version of MaskDet wrote the file: it is whole, and nothing may take its place unasked."""


class RunError(MaskDetError):
    """A run is unknown, unfinished, or its files are damaged."""


#: What the values of a damaged file raise where they are put to use. JSON knows numbers that no ``int`` can hold.
ODD_VALUES: Final = (KeyError, TypeError, ValueError, OverflowError, AttributeError, MaskDetError)


def printable(text: str, longest: int = _LONGEST_NAME) -> str:
    """A name or reason as it is put into a sentence: on one line, shortened; what no page can show is its code."""
    line = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def reason_of(error: BaseException) -> str:
    """Why something failed, to be put into a sentence: the first line of what a library says, at most 300 characters.

    Whatever a file holds may stand in it, over many lines, and halves of a character, which no file or page takes. An
    error without a text is called by its kind.
    """
    text = f"missing {error}" if isinstance(error, KeyError) else str(error)
    text = text.encode(errors="backslashreplace").decode()
    line = next((line.strip().rstrip(".") for line in text.splitlines() if line.strip(" .\t")), type(error).__name__)
    return line if len(line) <= _LONGEST_REASON else f"{line[: _LONGEST_REASON - 1]}…"
