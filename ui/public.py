"""An app that strangers visit: with ``MASKDET_PUBLIC=1`` it shows, judges photos, and changes nothing on its server.

No folder of the server is read for a visitor, nothing is downloaded, trained, measured, applied or decided. The shell
is not concerned: whoever runs the server prepares the workspace there.
"""

import os
import re
from typing import Final

from maskdet.catalog import DATA_DIR
from maskdet.errors import MaskDetError
from maskdet.workspace import Workspace

PUBLIC_VARIABLE: Final = "MASKDET_PUBLIC"
NOTE: Final = (
    "This MaskDet is open to the public: it reads no folder, trains nothing and stores no decision here. Run a copy of "
    "your own to do that."
)
#: The folder of a file that is named with its whole path; folders with a blank in their name are known by their roots.
_FOLDER: Final = re.compile(r"(?<![\w./:])/(?:[^/\s]+/)+")


def is_public() -> bool:
    """Whether strangers visit: the variable is set, and not to 0."""
    return os.environ.get(PUBLIC_VARIABLE, "").strip() not in ("", "0")


def require_private() -> None:
    """Raise MaskDetError where strangers visit: called before anything on the server is changed for a visitor."""
    if is_public():
        raise MaskDetError(NOTE)


def without_folders(text: str) -> str:
    """What may be said to whoever visits: to strangers, files have their name alone, and not the folder they lie in."""
    if not is_public():
        return text
    for root in (Workspace.locate().home, DATA_DIR):
        text = text.replace(str(root), "")
    return _FOLDER.sub("", text)
