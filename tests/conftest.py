"""What the tests share: a workspace, the real data where there is some, and tiny photos and datasets drawn on the spot.

The functions are imported by name: ``from conftest import write_photo``.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before anything imports TensorFlow

import json
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maskdet.facetable import Faces, scan
from maskdet.starter import sample_of, sample_workspace
from maskdet.workspace import Workspace

Boxes = Iterable[tuple[str, tuple[Any, Any, Any, Any]]]
Colour = str | tuple[int, int, int]
Shell = Callable[..., tuple[int, str, str]]
ShellOn = Callable[..., tuple[str, str]]


#: No test outlives a power cut, and waiting for the disk takes most of the time of some.
os.fsync = lambda descriptor: None


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user's own environment says of MaskDet is none of a test's business."""
    for name in ("MASKDET_HOME", "MASKDET_JOB"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _fresh_caches() -> Iterator[None]:
    """What the app keeps for all visitors is none of the next test's business."""
    yield
    if "streamlit" in sys.modules:
        import streamlit

        streamlit.cache_data.clear()
        streamlit.cache_resource.clear()


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with nothing but the sample set, drawn once for all tests; not to be changed."""
    home = tmp_path_factory.mktemp("drawn")
    sample_workspace(Workspace(home))
    return home


@pytest.fixture
def sample(drawn: Path, tmp_path: Path) -> Workspace:
    """The sample set's own workspace, in a copy for one test: 59 training faces, one dataset of simulated masks."""
    shutil.copytree(drawn, tmp_path / "home")
    return sample_of(Workspace(tmp_path / "home"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real datasets: ``data/`` below MASKDET_SHARED, or below ``shared/`` beside the checkout."""
    shared = Path(os.environ.get("MASKDET_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    data = shared / "data"
    if not data.is_dir():
        pytest.skip(f"no real data: {data} is not there; name the folder that contains data/ in MASKDET_SHARED")
    return data


@pytest.fixture(scope="session")
def real_home(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with four of the real datasets, scanned once for all tests; not to be changed."""
    home = tmp_path_factory.mktemp("real")
    for name in ("2.2", "3.1", "3.2", "maskedface-net"):
        scan(Workspace(home), shared_data / name, jobs=1)
    return home


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty workspace; its folder is not made yet."""
    return Workspace(tmp_path / "home")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def blotches(seed: int, size: tuple[int, int] = (32, 40)) -> Image.Image:
    """A picture of soft random blotches: the same for the same seed, unlike that of any other."""
    cells = np.random.default_rng(seed).integers(0, 256, (5, 4, 3)).astype(np.uint8)
    return Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC)


def touch(folder: Path, *names: str) -> Path:
    """Empty files: a reader looks at names and annotations only."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def write_photo(
    path: Path, size: tuple[int, int] = (32, 40), colour: Colour | None = None, *, seed: int = 0, **save: Any
) -> Path:
    """Write a photo of one colour, or of `blotches` if none is given; ``save`` goes to Pillow. Returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    photo = blotches(seed, size) if colour is None else Image.new("RGB", size, colour)
    photo.save(path, **save)
    return path


def write_class_folders(
    folder: Path, counts: Mapping[str, int], size: tuple[int, int] = (32, 40), *, seed: int = 0, suffix: str = ".png"
) -> Path:
    """Write photos ``0.png``, ``1.png`` ... into folders such as ``with_mask`` or ``Train/WithMask``; no two alike."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in counts.items():
        for number in range(count):
            write_photo(folder / name / f"{number}{suffix}", size, seed=seed)
            seed += 1
    return folder


def write_voc(
    folder: Path, photos: Mapping[str, Boxes], size: tuple[int, int] = (80, 60), *, seed: int = 100, draw: bool = True
) -> Path:
    """Write a PASCAL VOC dataset: for each photo its boxes as (class name, (xmin, ymin, xmax, ymax))."""
    annotations = folder / "annotations"
    annotations.mkdir(parents=True, exist_ok=True)
    for number, (name, boxes) in enumerate(photos.items()):
        if draw:
            write_photo(folder / "images" / name, size, seed=seed + number)
        text = f"<annotation><filename>{name}</filename>"
        for label, box in boxes:
            corners = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
            inner = "".join(f"<{corner}>{value}</{corner}>" for corner, value in corners)
            text += f"<object><name>{label}</name><bndbox>{inner}</bndbox></object>"
        (annotations / f"{Path(name).stem}.xml").write_text(text + "</annotation>", encoding="utf-8")
    return folder


def write_json_boxes(
    folder: Path, photos: Mapping[str, Boxes], size: tuple[int, int] = (80, 60), *, seed: int = 200, draw: bool = True
) -> Path:
    """Write a dataset with a JSON file for each photo, as Dataset 3.1 has them."""
    annotations = folder / "annotations"
    annotations.mkdir(parents=True, exist_ok=True)
    for number, (name, boxes) in enumerate(photos.items()):
        if draw:
            write_photo(folder / "images" / name, size, seed=seed + number)
        entries = [{"classname": label, "BoundingBox": list(box)} for label, box in boxes]
        record = {"FileName": name, "NumOfAnno": len(entries), "Annotations": entries}
        (annotations / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def write_csv_boxes(
    folder: Path,
    rows: Iterable[Iterable[Any]],
    header: str = "name,x1,x2,y1,y2,classname",
    *,
    size: tuple[int, int] = (80, 60),
    draw: Iterable[str] = (),
) -> Path:
    """Write ``train.csv`` and the photos named in ``draw``."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(draw):
        write_photo(folder / "images" / name, size, seed=300 + number)
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    (folder / "train.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def datasets(tmp_path: Path) -> Path:
    """A folder of three tiny datasets, one a layout: 9 faces with a mask, 8 without, 1 incorrect, in 14 photos.

    ``web``: 4 + 4 photos in nested splits; ``group``: 5 faces in 3 photos, one box cut by the edge; ``medical``: 5
    faces in 3 photos, and one box of a class that says nothing of a mask.
    """
    root = tmp_path / "datasets"
    splits = {"Train": 2, "Validation": 1, "Test": 1}
    write_class_folders(root / "web", {f"{s}/{k}": n for s, n in splits.items() for k in ("WithMask", "WithoutMask")})
    write_voc(
        root / "group",
        {
            "a.png": [("with_mask", (2, 3, 22, 33)), ("without_mask", (30, 5, 60, 45))],
            "b.png": [("mask_weared_incorrect", (0, 0, 40, 40))],
            "c.png": [("with_mask", (10, 10, 50, 50)), ("without_mask", (55, 10, 90, 50))],
        },
    )
    write_json_boxes(
        root / "medical",
        {
            "0001.jpg": [("face_with_mask", (5, 5, 35, 45)), ("face_no_mask", (40, 5, 70, 45))],
            "0002.jpg": [("face_with_mask", (1, 2, 31, 42)), ("hijab_niqab", (0, 0, 10, 10))],
            "0003.jpg": [("face_with_mask", (8, 8, 48, 58)), ("face_no_mask", (50, 8, 78, 58))],
        },
    )
    return root


@pytest.fixture
def scanned(workspace: Workspace, datasets: Path) -> Faces:
    """The faces of `datasets`, scanned into `workspace`."""
    return scan(workspace, datasets, jobs=1)


@pytest.fixture
def own(workspace: Workspace, datasets: Path) -> Workspace:
    """A workspace with the three tiny datasets."""
    scan(workspace, datasets, jobs=1)
    return workspace


@pytest.fixture
def face() -> np.ndarray:
    """A drawn face with a mask, as models take it."""
    from factories import draw_faces

    return draw_faces([0], seed=3)[0]


@pytest.fixture(scope="session")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small study that is done: ``data``, ``home`` and what was said of it; not to be changed."""
    from factories import STUDY, small_study

    from maskdet.study import run_study

    folder = tmp_path_factory.mktemp("study")
    said: list[str] = []
    with small_study(folder / "data") as data:
        run_study(Workspace(folder / "home"), data, STUDY, say=said.append)
    (folder / "said.txt").write_text("\n".join(said))
    return folder


@pytest.fixture(scope="session")
def full_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a file of every kind; not to be changed."""
    from faulty import fill

    folder = tmp_path_factory.mktemp("full")
    return fill(Workspace(folder / "home"), folder / "data").home


@pytest.fixture
def shell(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    """Run a command on a workspace of its own; returns status, stdout and stderr."""
    from maskdet.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments), "--home", str(tmp_path / "home")])
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run


@pytest.fixture
def shell_on(capfd: pytest.CaptureFixture[str]) -> ShellOn:
    """Run a command, which must succeed, on a workspace; returns stdout and stderr."""
    from maskdet.cli import main

    def run(workspace: Workspace, *arguments: object) -> tuple[str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments), "--home", str(workspace.home)])
        out, err = capfd.readouterr()
        assert ended.value.code in (0, None), err
        return out, err

    return run


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The trainings that a page launched, as commands; nothing is started."""
    started: list[list[str]] = []

    def launch(workspace: Workspace, command: Sequence[str], queue: str) -> None:
        assert queue == "training"
        started.append(list(command))

    monkeypatch.setattr("ui.training_jobs.launch", launch)
    return started


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that buttons launched; each leaves the folder of a job that is about to start, and no process."""
    commands: list[list[str]] = []

    def launch(workspace: Workspace, command: Sequence[str], queue: str) -> None:
        folder = workspace.path("jobs", f"{len(commands)}-{command[0]}")
        folder.mkdir(parents=True)
        record = {
            "command": list(command), "created": "2026-01-01T00:00:00Z", "began": time.time(), "queue": queue,
            "pid": None, "process_started": 0.0,
        }  # fmt: skip
        (folder / "job.json").write_text(json.dumps(record))
        commands.append(list(command))

    monkeypatch.setattr("ui.jobs.launch", launch)
    return commands


@pytest.fixture
def no_bundled_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is not there in the place of the runs that ship with MaskDet."""
    monkeypatch.setattr("maskdet.runs.BUNDLED", tmp_path / "bundled")


@pytest.fixture(scope="session")
def sources_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Datasets a and b with both labels, ``only`` with one, and sim of simulated masks; not to be changed."""
    from factories import scanned_and_split, write_tiny

    folder = tmp_path_factory.mktemp("sources")
    for seed, name in enumerate(("a", "b", "sim"), start=1):
        write_tiny(folder / "data" / name, {"with_mask": 15, "without_mask": 15}, seed)
    write_tiny(folder / "data/only", {"with_mask": 10}, 4)
    scanned_and_split(Workspace(folder / "home"), folder / "data")
    return folder / "home"


@pytest.fixture
def sources(workspace: Workspace, sources_home: Path) -> Workspace:
    """A copy of `sources_home`, which may be changed."""
    shutil.copytree(sources_home, workspace.home)
    return workspace
