"""``make screenshots``: the pictures of each main page in the README, taken of the running app.

Every face in them is drawn, or NASA's public-domain portrait that scikit-image carries: the workspace is a new one with
the synthetic sample set, and the photo on the Explain page is a sample. What the server takes in memory is printed.
"""

import os
import sys
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import psutil
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from browser.conftest import browser_arguments, find_chromium
from browser.driver import PAGES, PATIENCE, open_page, settle
from browser.driver import main as main_part
from browser.server import PROJECT, Server, serve
from maskdet.starter import sample_workspace
from maskdet.workspace import Workspace

FOLDER: Final = PROJECT / "docs" / "images"
SIZE: Final = {"width": 1440, "height": 1000}
#: Where a page begins in its picture, where that is not its top.
BEGINS: Final = {"Datasets": "Explore", "Augmentation": "Previews"}
#: Enough for a page's few colours and for a face.
COLOURS: Final = 128


def take(page: Page, server: Server, title: str) -> bytes:
    """A screenshot of a page as PNG, after what makes it worth seeing."""
    open_page(page, server, title)
    if title in BEGINS:
        heading = main_part(page).get_by_role("heading", name=BEGINS[title], exact=True)
        heading.evaluate("heading => heading.scrollIntoView()")
        settle(page)
    if title == "Explain":
        main_part(page).get_by_role("button", name="Portrait, mask drawn on").click()
        page.mouse.move(0, 0)  # else the button's remark stays in the picture
        settle(page)
        expect(main_part(page).get_by_text("The heatmap is coming")).to_have_count(0, timeout=PATIENCE)
        settle(page)
    return page.screenshot()


def save(png: bytes, path: Path) -> int:
    """Write a screenshot with a palette that keeps the colours of small marks apart; its size in bytes."""
    image = Image.open(BytesIO(png)).convert("RGB")
    image = image.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    image.save(path, optimize=True)
    return path.stat().st_size


def main(titles: list[str]) -> None:
    """Take the screenshots of these pages, by default of all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as temporary, sync_playwright() as playwright:
        home = Path(temporary) / "home"
        sample_workspace(Workspace(home))
        with serve(home, Path(temporary) / "server.log") as server:
            browser = playwright.chromium.launch(executable_path=find_chromium(), args=browser_arguments())
            page = browser.new_context(viewport=SIZE, color_scheme="light", reduced_motion="reduce").new_page()
            page.set_default_timeout(PATIENCE)
            for title in titles or PAGES:
                size = save(take(page, server, title), FOLDER / f"{title.lower()}.png")
                print(f"{title}: {size / 1000:.0f} kB; the server takes {_memory(server):.0f} MiB", flush=True)
            browser.close()


def _memory(server: Server) -> float:
    """Resident memory of a server, in MiB."""
    port = server.url.rsplit(":", 1)[1]
    (process,) = (
        child for child in psutil.Process(os.getpid()).children() if any(port in part for part in child.cmdline())
    )
    return float(process.memory_info().rss / 2**20)


if __name__ == "__main__":
    main(sys.argv[1:])
