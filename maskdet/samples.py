"""A small synthetic sample set, drawn here, for a machine without any dataset.

Both classes are drawn from the same distributions of people, sizes, aspect ratios, light and backgrounds; only the
mask tells them apart. Real sets differ: there size, background or age often give the class away, and a score on the
sample set says nothing of a score on photos. Everything follows from the seed, to the byte for one Pillow version.
"""

import itertools
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from PIL import ExifTags, Image

from maskdet.looks import MASKS, SKINS, FaceLook, MaskLook, Worn, check, pick
from maskdet.outlines import Outline
from maskdet.portraits import develop, draw_backdrop, draw_face, draw_person
from maskdet.progress import Progress, silent


@dataclass(frozen=True)
class SampleOptions:
    """What `write_sample` writes.

    Attributes
    ----------
    seed : int
        At least 0; the same seed gives the same files.
    faces_per_class : int
        Photos of each class in ``sample-web`` before its oddities are added, 6 to 2000; ``sample-simulated`` gets
        half as many pairs.
    group_photos : int
        Photos in ``sample-group``, 1 to 200.

    Raises
    ------
    ValueError
        If a value is out of range.

    """

    seed: int = 0
    faces_per_class: int = 36
    group_photos: int = 3

    def __post_init__(self) -> None:
        check("seed", self.seed, 0, 2**63)
        check("faces_per_class", self.faces_per_class, 6, 2000)
        check("group_photos", self.group_photos, 1, 200)


#: What `write_sample` writes unless told otherwise.
DEFAULT_OPTIONS: Final = SampleOptions()
_ODDITIES: Final = 10  # photos that `_write_oddities` adds


def write_sample(root: Path, options: SampleOptions = DEFAULT_OPTIONS, progress: Progress = silent) -> None:
    """Write the sample set as three datasets, each in the layout of a published one.

    ``sample-simulated`` holds pairs of one face without and with a flat drawn mask; ``sample-web`` nested splits with
    near-duplicates (one of them leaks from Train to Test), a copy, a black, a white, two elongated, a turned and a
    truncated photo; ``sample-group`` photos of six to ten people with PASCAL VOC boxes. They are written into a
    folder beside ``root`` and moved when complete, so that ``root`` never holds half a set.

    Parameters
    ----------
    root : Path
        Folder to make; its parents are made too.
    options : SampleOptions
        Seed and counts.
    progress : callable
        Called after each photo with photos done, all photos and the file's name; may raise to cancel.

    Raises
    ------
    FileExistsError
        If ``root`` exists; it is left as it is.
    OSError
        If the folder cannot be written.

    """
    if os.path.lexists(root):
        raise FileExistsError(f"{root} exists already: expected the name of a folder yet to be made")
    root.parent.mkdir(parents=True, exist_ok=True)
    total = 2 * (options.faces_per_class // 2) + 2 * options.faces_per_class + _ODDITIES + options.group_photos
    with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as temporary:
        folder = Path(temporary) / root.name
        written = itertools.chain(
            _write_simulated(folder / "sample-simulated", options),
            _write_web(folder / "sample-web", options),
            _write_groups(folder / "sample-group", options),
        )
        for done, path in enumerate(written, start=1):
            progress(done, total, path.name)
        folder.rename(root)


def _write_simulated(folder: Path, options: SampleOptions) -> Iterator[Path]:
    rng = np.random.default_rng((options.seed, 1))
    for number in range(options.faces_per_class // 2):
        bare = replace(FaceLook.random(rng, mask=False), skin=SKINS[number % len(SKINS)])
        masked = replace(bare, mask=MaskLook((247, 247, 245), "flat"))
        side = int(rng.integers(96, 225))
        for look, name in ((bare, "without_mask/{:03}.jpg"), (masked, "with_mask/{:03}-with-mask.jpg")):
            yield _save(folder / name.format(number), _picture(look, (side, side)))


def _write_web(folder: Path, options: SampleOptions) -> Iterator[Path]:
    rng = np.random.default_rng((options.seed, 2))
    count = options.faces_per_class
    held = max(1, count // 6)
    splits = ["Train"] * (count - 2 * held) + ["Validation"] * held + ["Test"] * held
    for kind in ("WithMask", "WithoutMask"):
        # Both classes get the same spread of sizes, dealt at random so that no split gets the small ones.
        for number, rank in enumerate(rng.permutation(count)):
            look = replace(FaceLook.random(rng, mask=kind == "WithMask"), skin=SKINS[number % len(SKINS)])
            side = 40 * 16 ** (((rank + 0.5) / count) ** 1.6)
            stretch = np.exp(rng.uniform(-0.2, 0.2))
            suffix = "png" if number % 9 == 4 and side < 200 else "jpg"
            size = (round(side / stretch), round(side * stretch))
            yield _save(folder / splits[number] / kind / f"{number:04}.{suffix}", _picture(look, size))
    yield from _write_oddities(folder, rng)


def _write_oddities(folder: Path, rng: np.random.Generator) -> Iterator[Path]:
    masked, bare = folder / "Train/WithMask", folder / "Train/WithoutMask"
    # The second and third largest: the largest would make the set needlessly large.
    for kind in (masked, bare):
        _, first, second, *_ = sorted(kind.glob("*.jpg"), key=lambda path: (-path.stat().st_size, path.name))
        if kind == masked:
            yield _save_again(first, masked / "near-duplicate-smaller.jpg", 0.7, 80)
            yield _save_again(second, folder / "Test/WithMask/near-duplicate-leak.jpg", 0.85, 70)
        else:
            yield _save_again(first, bare / "near-duplicate-coarser.jpg", 1.0, 35)
            (bare / "exact-duplicate.jpg").write_bytes(second.read_bytes())
            yield bare / "exact-duplicate.jpg"

    def portrait(size: tuple[int, int], *, mask: bool) -> Image.Image:
        return _picture(FaceLook.random(rng, mask=mask), size)

    yield _save(masked / "nearly-black.jpg", portrait((180, 200), mask=True).point(lambda value: value * 0.018))
    yield _save(bare / "nearly-white.jpg", portrait((190, 180), mask=False).point(lambda value: 251 + value * 0.015))
    yield _save(masked / "elongated-tall.jpg", portrait((56, 270), mask=True))
    yield _save(bare / "elongated-wide.jpg", portrait((280, 60), mask=False))
    turned, exif = portrait((200, 260), mask=True).transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # "turn by 90 degrees clockwise to see it upright"
    turned.save(masked / "exif-rotated.jpg", quality=88, exif=exif)
    yield masked / "exif-rotated.jpg"
    cut = _save(folder / "Validation/WithoutMask/truncated.jpg", portrait((220, 220), mask=False))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    yield cut


def _write_groups(folder: Path, options: SampleOptions) -> Iterator[Path]:
    for number in range(options.group_photos):
        rng = np.random.default_rng((options.seed, 3, number))
        size = (int(rng.integers(860, 941)), int(rng.integers(570, 631)))
        room = replace(FaceLook.random(rng, mask=False), exposure=rng.uniform(0.75, 1.15), blur=1.0)
        canvas = draw_backdrop(room, size)
        grow = canvas.width / size[0]
        faces = []
        for place, (centre, unit) in enumerate(_seats(rng, size, last=number == options.group_photos - 1)):
            look = FaceLook.random(rng, mask=bool(rng.random() < 0.55))
            careless = rng.random() < 0.12 or (number == 0 and place == 2)
            if careless:
                worn: Worn = pick(rng, ("below_nose", "below_chin"))
                look = replace(look, mask=MaskLook(pick(rng, MASKS[:6]), "surgical", worn))
            look = replace(look, light=room.light, contrast=room.contrast)
            outline = draw_person(canvas, look, centre * grow, unit * grow) / grow
            name = "mask_weared_incorrect" if careless else "with_mask" if look.mask else "without_mask"
            faces.append((name, outline))
        path = _save(folder / f"images/group{number}.jpg", Image.fromarray(develop(canvas, room, size)))
        _save_boxes(folder / f"annotations/group{number}.xml", path.name, size, faces)
        yield path


def _seats(rng: np.random.Generator, size: tuple[int, int], *, last: bool) -> Iterator[tuple[complex, float]]:
    """Middle and head unit, in pixels, of the people in a group photo, the farthest first."""
    width, height = size
    yield complex(width * rng.uniform(0.1, 0.9), 0.10 * height), 9.0  # somebody far behind
    back, front = int(rng.integers(2, 5)), int(rng.integers(3, 6))
    for people, down, least, most in ((back, 0.30, 42, 58), (front, 0.66, 62, 82)):
        room = width / people
        for seat in range(people):
            unit = min(rng.uniform(least, most), 0.4 * room)
            across = room * (seat + 0.5 + rng.uniform(-0.1, 0.1))
            if last and down > 0.5 and seat == people - 1:
                across = width - 0.3 * unit  # the photo's edge cuts this face, as in real annotations
            yield complex(across, height * (down + rng.uniform(-0.03, 0.03))), unit


def _save_boxes(path: Path, photo: str, size: tuple[int, int], faces: Sequence[tuple[str, Outline]]) -> None:
    lines = ["<annotation>", "  <folder>images</folder>", f"  <filename>{photo}</filename>"]
    lines.append(f"  <size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>")
    for label, outline in faces:
        x, y = outline.real, outline.imag
        edges = {"xmin": x.min(), "ymin": y.min(), "xmax": x.max(), "ymax": y.max()}
        box = "".join(f"<{name}>{round(edge)}</{name}>" for name, edge in edges.items())
        lines.append(f"  <object><name>{label}</name><bndbox>{box}</bndbox></object>")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, "</annotation>\n"]), encoding="utf-8", newline="\n")


def _picture(look: FaceLook, size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(draw_face(look, size))


def _save(path: Path, photo: Image.Image) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    photo.save(path, quality=88)  # PNG has no quality and ignores it
    return path


def _save_again(source: Path, path: Path, shrink: float, quality: int) -> Path:
    with Image.open(source) as photo:
        photo.resize((round(photo.width * shrink), round(photo.height * shrink))).save(path, quality=quality)
    return path
