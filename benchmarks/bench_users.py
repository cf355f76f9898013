"""Many visitors at one server: how long each waits, and what the server's memory does.

The app runs in a process of its own on this machine, with the real photos scanned (the synthetic sample set where there
are none). Visitors speak Streamlit's own protocol (`benchmarks.streamlit_client`), since twenty browsers on these cores
would measure the browsers: each has a session, a websocket and a JPEG of 12 million pixels of its own, drawn, with one
face. A response is from the message sent until the page has run and its new pictures are fetched. All that a first
visitor makes the server load, TensorFlow with it, is loaded before. The visitors' own work shares the cores.

Alone: one visitor goes through all actions, several times. At once: all visitors do, each in an order of its own and
without ever pausing, which is the worst they can do. The baseline is alone; if the server lost nothing by having many
visitors, twenty at once would wait twenty times as long on one core. Goal: all of them together take at most as long as
they would one after the other. People: they come within half a minute, and stop for 2 to 6 seconds after each action,
with the page open. Goal: 95 % of the responses within 3 seconds. Looking on: all have the Datasets page open, which
looks for new jobs by itself, and do nothing. Goal: that takes at most half a core.

Memory is what only the server's process holds (unique set size). A session: the slope of a line through it with 0, 1,
5, 10 and 20 visitors connected, each with a photo judged. Left: some seconds after the last has closed the page. Flat:
1,000 photos of 640 x 480 pixels, no two alike, are uploaded, judged and explained by four visitors, each taking the
place of the one before; Theil and Sen's slope with its 95 % interval, without the first 200. Goal: at most 10 kB a
photo.
"""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from scipy.stats import theilslopes

from benchmarks.app_server import Server
from benchmarks.framework import Row, SkipError, duration, fresh, shared_data
from benchmarks.streamlit_client import Visitor

_VISITORS = (1, 5, 10, 20)
_PHONE = (4000, 3000)
_SMALL = (640, 480)
_PAUSE = (2.0, 6.0)
_SECONDS_TO_COME = 30.0
_PREDICTIONS, _AT_ONCE, _WARM_UP, _EVERY = 1000, 4, 200, 20
_REPEATS = 3
_RESPONSE_GOAL = 3.0
_GROWTH_GOAL = 10.0
_SECONDS_TO_LOOK, _IDLE_GOAL = 15.0, 0.5
#: Streamlit drops who left after so many seconds, the app after half of it.
_SECONDS_TO_LEAVE = 10
_UPLOADER = "explain_files_some"
_PAGES = {
    "datasets": "Datasets", "quality": "Quality", "augmentation": "Augmentation", "training": "Training",
    "results": "Results", "bias": "Bias", "": "Home",
}  # fmt: skip
Record = Callable[[str, float], None]


@dataclass
class Responses:
    """Seconds by action, from any thread."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, action: str, seconds: float) -> None:
        """One response."""
        with self._lock:
            self.seconds[action].append(seconds)

    @property
    def every(self) -> list[float]:
        """All of them."""
        return [one for many in self.seconds.values() for one in many]


def run(quick: bool) -> list[Row]:
    """The rows of the table; quick: three visitors, 40 predictions, and the sample set."""
    with TemporaryDirectory() as folder:
        home = Path(folder) / "workspace"
        if not quick:
            with suppress(SkipError):  # then the server draws the sample set
                fresh(scanned, home)
        with Server(home, options={"server.disconnectedSessionTTL": str(_SECONDS_TO_LEAVE)}) as server:
            idle = server.memory()
            warm_up(server)
            visitors = (1, 3) if quick else _VISITORS
            rows = visiting(server, idle, visitors, _PAUSE if not quick else (0.2, 0.5))
            return [*rows, flat(server, 40 if quick else _PREDICTIONS)]


def scanned(home: Path) -> None:
    """A workspace with the real photos, filtered and split."""
    from maskdet.catalog import load_catalog
    from maskdet.facetable import scan
    from maskdet.quality import apply_filters, save_filtered
    from maskdet.split import save_split, split_faces
    from maskdet.workspace import Workspace

    workspace, data = Workspace(home), shared_data()
    faces = scan(workspace, data)
    filtered = apply_filters(faces)
    save_filtered(workspace, filtered)
    save_split(workspace, split_faces(faces, filtered, load_catalog()))


def drawn_photo(seed: int, size: tuple[int, int] = _SMALL) -> bytes:
    """A JPEG file with one drawn face; another seed is another face."""
    from maskdet.looks import FaceLook
    from maskdet.portraits import draw_face

    look = FaceLook.random(np.random.default_rng(seed), mask=bool(seed % 2))
    face = Image.fromarray(draw_face(replace(look, scale=0.6, shift=(0.0, 0.0)), (800, 600)))
    file = BytesIO()
    face.resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=92)
    return file.getvalue()


def warm_up(server: Server) -> None:
    """Have all loaded that stays with the server: every page, the models, and TensorFlow for the heatmaps."""
    with Visitor(server.address) as visitor:
        visitor.open()
        for _ in range(2):
            visit(visitor, drawn_photo(0, _PHONE), random.Random(0), lambda action, seconds: None)
    time.sleep(_SECONDS_TO_LEAVE)


def visit(
    visitor: Visitor, photo: bytes, order: random.Random, record: Record, pause: Callable[[], float] | None = None
) -> None:
    """All actions of a visitor: the pages in some order, then a photo."""

    def done(action: str, seconds: float) -> None:
        record(action, seconds)
        if pause is not None:
            visitor.stay(pause())

    pages = list(_PAGES)
    order.shuffle(pages)
    for page in pages:
        done(f"{_PAGES[page]} page", visitor.go(page).complete)
        if page == "quality":
            for distance in (6, 4):
                done("Quality: a threshold moved", visitor.choose("quality_hash_distance", distance).complete)
    done("Explain page", visitor.go("explain").complete)
    sent, judged = visitor.upload(_UPLOADER, {"photo.jpg": photo})
    record("upload of a photo", sent)
    done("verdict on it", judged.complete)
    visitor.wait(lambda one: one.has("Evidence for"))  # at once, but for the very first
    for methods in (["LayerCAM"], ["Grad-CAM++"]):
        done("another heatmap", visitor.choose("explain_methods", methods).complete)
    more = visitor.upload(_UPLOADER, {"another.jpg": another(small_photo(), order.randrange(10**6))})
    done("verdict on a second photo", more[1].complete)
    seconds, table = visitor.download("All faces as CSV")
    if b"photo.jpg" not in table:
        raise RuntimeError("the CSV lacks the photo")
    done("CSV of verdicts", seconds)


class Crowd:
    """Visitors who come one group after the other, then do everything at once.

    Attributes
    ----------
    alone, at_once, people : Responses
        Of one visitor, of all without a pause, and of all with pauses.
    held : dict of int to float
        MB that the server holds, by visitors connected.
    """

    def __init__(self, server: Server, most: int) -> None:
        self.server, self.most = server, most
        self.alone, self.at_once, self.people = Responses(), Responses(), Responses()
        self.held = {0: settled(server)}
        self._photos = [drawn_photo(seed, _PHONE) for seed in range(most)]
        self._orders = [random.Random(seed) for seed in range(most)]
        self._visitors: dict[int, Visitor] = {}

    def come(self, count: int) -> None:
        """Have as many visitors as that, each with a photo judged."""
        self._all_do(self._come, range(len(self._visitors), count))
        self.held[count] = settled(self.server)

    def go_through(self, found: Responses, count: int, pause: tuple[float, float] | None = None) -> float:
        """The first so many go through all actions, at once; seconds until the last is through."""

        def go(number: int) -> None:
            order = self._orders[number]
            waits = None if pause is None else lambda: order.uniform(*pause)
            if pause is not None:
                self._visitors[number].stay(order.uniform(0, _SECONDS_TO_COME))
            visit(self._visitors[number], self._photos[number], order, found.add, waits)

        return self._all_do(go, range(count))

    def look_on(self, page: str, seconds: float) -> float:
        """All leave a page open and do nothing; seconds of the processor that the server takes in each second."""
        self._all_do(lambda number: self._visitors[number].go(page), range(self.most))
        cpu, begin = self.server.cpu(), time.perf_counter()
        self._all_do(lambda number: self._visitors[number].stay(seconds), range(self.most))
        return (self.server.cpu() - cpu) / (time.perf_counter() - begin)

    def leave(self) -> float:
        """All close the page; MB that the server holds then."""
        for visitor in self._visitors.values():
            visitor.close()
        time.sleep(_SECONDS_TO_LEAVE)
        return settled(self.server)

    def _come(self, number: int) -> None:
        begin = time.perf_counter()
        visitor = self._visitors[number] = Visitor(self.server.address)
        visitor.open()
        (self.at_once if number else self.alone).add("first visit", time.perf_counter() - begin)
        visit(visitor, self._photos[number], self._orders[number], lambda action, seconds: None)

    def _all_do(self, task: Callable[[int], object], numbers: Sequence[int]) -> float:
        begin = time.perf_counter()
        with ThreadPoolExecutor(self.most) as pool:
            list(pool.map(task, numbers))
        return time.perf_counter() - begin


def visiting(server: Server, idle: float, counts: Sequence[int], pause: tuple[float, float]) -> list[Row]:
    """Memory by number of visitors, then responses of one and of all."""
    most = counts[-1]
    crowd = Crowd(server, most)
    crowd.come(1)
    cpu = server.cpu()
    alone = min(crowd.go_through(crowd.alone, 1) for _ in range(_REPEATS))
    cpu = (server.cpu() - cpu) / _REPEATS
    for count in counts[1:]:
        crowd.come(count)
    together = crowd.go_through(crowd.at_once, most)
    crowd.go_through(crowd.people, most, pause)
    after, looking_on = settled(server), crowd.look_on("datasets", _SECONDS_TO_LOOK)
    return [
        *response_rows(crowd.alone, crowd.at_once, crowd.people, most),
        throughput_row(alone, together, cpu, most),
        people_row(crowd.people, most),
        Row(
            f"{most} people with the Datasets page open, doing nothing",
            f"{looking_on:.0%} of a core",
            goal=f"at most {_IDLE_GOAL:.0%}",
            met=looking_on <= _IDLE_GOAL,
        ),
        *memory_rows(idle, crowd.held, after, crowd.leave()),
    ]


def response_rows(alone: Responses, at_once: Responses, people: Responses, most: int) -> Iterator[Row]:
    """A row an action."""
    for action, seconds in at_once.seconds.items():
        bare = alone.seconds[action]
        paced = f"; with pauses {spread(people.seconds[action])}" if people.seconds[action] else ""
        yield Row(
            f"{action}, {most} at once", f"{spread(seconds)}{paced}", f"alone: {spread(bare)}",
            median(bare) / median(seconds),
        )  # fmt: skip


def throughput_row(alone: float, together: float, cpu: float, most: int) -> Row:
    """All visitors at once against one after the other."""
    return Row(
        f"all actions, {most} visitors at once",
        duration(together),
        f"one after the other: {most} times {duration(alone)} (CPU {duration(cpu)}) = {duration(most * alone)}",
        most * alone / together,
        "no longer than one after the other",
        together <= most * alone,
    )


def people_row(people: Responses, most: int) -> Row:
    """What people wait for, who stop to look."""
    worst = float(np.percentile(people.every, 95))
    return Row(
        f"any response, {most} people", spread(people.every), goal=f"95 % within {_RESPONSE_GOAL:g} s",
        met=worst <= _RESPONSE_GOAL,
    )  # fmt: skip


def memory_rows(idle: float, held: dict[int, float], after: float, left: float) -> Iterator[Row]:
    """What the server holds, by visitors."""
    counts, sizes = np.array(list(held)), np.array(list(held.values()))
    slope = float(np.polyfit(counts, sizes, 1)[0])
    by_count = ", ".join(f"{count}: {size:,.0f}" for count, size in held.items())
    yield Row(
        "memory of a session", f"{slope:.1f} MB (MB with so many visitors: {by_count})",
        f"a server that has just started: {idle:,.0f} MB",
    )  # fmt: skip
    yield Row(
        "memory once all have left", f"{left:,.0f} MB", f"with all of them: {after:,.0f} MB; before: {held[0]:,.0f} MB"
    )


def flat(server: Server, count: int) -> Row:
    """The slope of memory over many predictions."""
    base, before = small_photo(), settled(server)
    samples: list[tuple[int, float]] = []
    responses, lock = Responses(), threading.Lock()

    def predict(number: int) -> None:
        with Visitor(server.address) as visitor:
            visitor.open("explain")
            for at in range(number, count, _AT_ONCE):
                _, judged = visitor.upload(_UPLOADER, {f"photo-{at}.jpg": another(base, at)}, replace=True)
                if not visitor.has(f"photo-{at}.jpg") or not visitor.has("Evidence for"):
                    raise RuntimeError("no verdict with a heatmap")
                responses.add("verdict", judged.complete)
                with lock:
                    done = len(responses.every)
                    if done % _EVERY == 0 and done not in dict(samples):
                        samples.append((done, server.memory()))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(predict, range(_AT_ONCE)))
    steady = [sample for sample in samples if sample[0] >= min(_WARM_UP, count // 5)]
    numbers, sizes = (np.array(column) for column in zip(*steady, strict=True))
    slope, _, low, high = (1000 * float(value) for value in theilslopes(sizes, numbers))
    return Row(
        f"memory over {count:,} predictions",
        f"{slope:+.1f} kB a photo (95 % interval {low:+.1f} to {high:+.1f}): {before:,.0f} MB before, {sizes[0]:,.0f} "
        f"after {numbers[0]:,}, {sizes[-1]:,.0f} at the end; verdict and heatmap {spread(responses.every)}",
        f"a photo's file: {len(another(base, 0)) / 1000:.0f} kB",
        goal=f"at most {_GROWTH_GOAL:g} kB a photo",
        met=slope <= _GROWTH_GOAL,
    )


@lru_cache(maxsize=1)
def small_photo() -> Image.Image:
    """A photo that is drawn once, since visitors share the cores with the server."""
    return Image.open(BytesIO(drawn_photo(5))).convert("RGB")


def another(photo: Image.Image, number: int) -> bytes:
    """The same photo with another corner, so that it is another file."""
    changed = photo.copy()
    changed.paste(tuple(number // 256**place % 256 for place in range(3)), (0, 0, 16, 16))
    file = BytesIO()
    changed.save(file, "JPEG", quality=95)
    return file.getvalue()


def settled(server: Server) -> float:
    """MB once the server has nothing to do."""
    time.sleep(2)
    return server.memory()


def spread(seconds: Sequence[float]) -> str:
    """Median and 95th percentile."""
    return (
        f"{duration(median(seconds))}, 95 % within {duration(float(np.percentile(seconds, 95)))} (n = {len(seconds)})"
    )
