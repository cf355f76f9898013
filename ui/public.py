"""An app that strangers visit: with ``MASKDET_PUBLIC=1`` it shows, judges photos, and changes nothing on its server.

No folder of the server is read for a visitor, nothing is downloaded, trained, measured, applied or decided. The shell
is not concerned: whoever runs the server prepares the workspace there.
"""

import os
from typing import Final

from maskdet.errors import MaskDetError

PUBLIC_VARIABLE: Final = "MASKDET_PUBLIC"
NOTE: Final = (
    "This MaskDet is open to the public: it reads no folder, trains nothing and stores no decision here. Run a copy of "
    "your own to do that."
)


def is_public() -> bool:
    """Whether strangers visit: the variable is set, and not to 0."""
    return os.environ.get(PUBLIC_VARIABLE, "").strip() not in ("", "0")


def require_private() -> None:
    """Raise MaskDetError where strangers visit: called before anything on the server is changed for a visitor."""
    if is_public():
        raise MaskDetError(NOTE)
