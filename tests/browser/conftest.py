"""A Chromium for all tests, a server for each state of a workspace, and a watched page for each test."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from browser.driver import PATIENCE
from browser.server import Server, serve
from browser.visit import Watch

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS: Final = (
    "--disable-background-networking",
    "--disable-gpu",
    # Whoever asks for another host gets no answer, so that what leaves the machine is noticed twice.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)
_FAILED: Final = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(900))  # on a busy machine a test may wait several times for `PATIENCE`


def find_chromium() -> str:
    """The system's browser. Fails where none is found."""
    found = os.environ.get("MASKDET_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if not found:
        pytest.fail("No Chromium is found: install it (Debian: apt-get install chromium), or name it in "
                    "MASKDET_CHROMIUM.")  # fmt: skip
    return found


def browser_arguments() -> list[str]:
    """How Chromium is started."""
    return [*_ARGUMENTS, *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else [])]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The system's browser."""
    return find_chromium()


@pytest.fixture(scope="session")
def profile(chromium: str) -> Iterator[BrowserContext]:
    """A running browser, shared, so that it loads the app's scripts once; Streamlit knows a visit by its page."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=browser_arguments())
        context = running.new_context(accept_downloads=True, reduced_motion="reduce")
        context.set_default_timeout(PATIENCE)
        yield context
        running.close()


@pytest.fixture(scope="session")
def study(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app as a clean clone shows it once the sample set is drawn: no test may change its workspace."""
    home = tmp_path_factory.mktemp("study")
    shutil.copytree(drawn, home, dirs_exist_ok=True)
    with serve(home, tmp_path_factory.mktemp("log") / "study.log") as server:
        yield server


@pytest.fixture(scope="session")
def workshop(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same in a workspace that tests change: each leaves the split that was in force, and trainings."""
    home = tmp_path_factory.mktemp("workshop")
    shutil.copytree(drawn, home, dirs_exist_ok=True)
    with serve(home, tmp_path_factory.mktemp("log") / "workshop.log") as server:
        yield server


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Server]:
    """The app as a clean clone starts it: nothing was scanned, drawn or trained; for one test."""
    with serve(tmp_path / "home", tmp_path / "server.log") as server:
        yield server


@pytest.fixture
def page(profile: BrowserContext, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A visitor's page: at its end nothing has gone wrong in the browser, and nothing has left the machine."""
    if "fresh" in request.fixturenames:
        request.getfixturevalue("fresh")  # begun before the page, so that it ends after it
    opened = profile.new_page()
    opened.set_viewport_size({"width": 1440, "height": 900})
    opened.emulate_media(color_scheme="light")
    watch = Watch(opened)
    yield opened
    if request.node.stash.get(_FAILED, True):
        picture = tmp_path / "failed.png"
        opened.screenshot(path=picture)
        print(f"\nscreenshot: {picture}\nthe browser's complaints: {watch.wrong or 'none'}")
        for name in ("study", "workshop", "fresh"):
            if name in request.fixturenames:
                print(f"the server's log: {request.getfixturevalue(name).log}")
    opened.close()
    watch.assert_clean()
