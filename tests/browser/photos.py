"""Photos that a visitor drops: drawn ones, NASA's astronaut, and files that mean no good."""

from typing import Final

from playwright.sync_api import FilePayload

from maskdet.sample_photos import sample_photo
from maskdet.workspace import Workspace

#: A name that would run as HTML, and one that a spreadsheet would run as a formula.
HOSTILE: Final = ("<img src=x onerror=window.hacked=1>.jpg", "=1+1.jpg")
#: Names of files that are no photos.
BROKEN: Final = ("cut.jpg", "notes.txt")


def portrait() -> FilePayload:
    """NASA's portrait of Eileen Collins, without a mask."""
    return {"name": "portrait.jpg", "mimeType": "image/jpeg", "buffer": sample_photo("astronaut")}


def thirty(sample: Workspace) -> list[FilePayload]:
    """Thirty drawn faces of the sample set, half of them masked; two have a hostile name."""
    found = sorted(sample.path("photos", "sample-simulated").rglob("*.jpg"))[3:33]
    names = [*HOSTILE, *(f"{path.parent.name}-{path.name}" for path in found[2:])]
    return [
        {"name": name, "mimeType": "image/jpeg", "buffer": path.read_bytes()}
        for name, path in zip(names, found, strict=True)
    ]


def broken() -> list[FilePayload]:
    """A photo that ends in its middle, and a text."""
    photo = sample_photo("drawn")
    contents = (photo[: len(photo) // 3], b"no photo at all\n")
    return [
        {"name": name, "mimeType": "application/octet-stream", "buffer": data}
        for name, data in zip(BROKEN, contents, strict=True)
    ]
