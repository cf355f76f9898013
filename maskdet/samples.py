"""A small synthetic sample set, drawn here, for a machine without any dataset.

The portraits are drawn from a `FaceLook`, which says everything about one picture: a head in flat colours, part by
part, then lit by the relief of a face, so that nose, cheeks and sockets cast what a model trained on photos expects.
Both classes are drawn from the same distributions of people, sizes, aspect ratios, light and backgrounds; only the
mask tells them apart. Real sets differ: there size, background or age often give the class away, and a score on the
sample set says nothing of a score on photos. Everything follows from the seed, to the byte for one Pillow version.

Outlines are arrays of complex numbers x + iy in *head units*: the crown lies at -1i, the eyes at 0, the chin at +1i.
"""

import itertools
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Final, Literal, get_args
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Rgb = tuple[int, int, int]
Outline = npt.NDArray[np.complex128]
Paint = Rgb | Callable[[tuple[int, int]], Image.Image]
HairStyle = Literal["bald", "short", "parted", "fringe", "long", "curly", "bun", "hat", "scarf"]
Backdrop = Literal["plain", "soft", "panels", "busy"]
MaskKind = Literal["surgical", "cloth", "respirator", "flat"]
Pattern = Literal["plain", "dots", "stripes", "checks"]
Worn = Literal["right", "below_nose", "below_chin"]
Beard = Literal["none", "stubble", "moustache", "full"]
Glasses = Literal["none", "thin", "thick", "dark"]


def _palette(colours: str) -> tuple[Rgb, ...]:
    return tuple((n >> 16, n >> 8 & 255, n & 255) for n in (int(colour, 16) for colour in colours.split()))


#: Skin tones from light to dark; `write_sample` deals them out evenly over both classes.
SKINS: Final = _palette("f3cfb8 e6b596 d29c78 b47c56 8c5a3c 5e3b28")
_HAIRS: Final = _palette("1a1512 2c1d15 46301f 6b4a2c 8f3f22 b8925a d9c089 9a9894 dcd9d4")
_EYES: Final = _palette("3a2415 54361d 6d5a30 4d6b4a 58809c 7d93a1")
_FABRICS: Final = _palette("e9e6df 27282c 24385e 7b2430 2f5a4a c9a13b 8d8f96 b9577a 4f7fb5 d8c3a5 5a4a7a a34d2c")
_WALLS: Final = _palette("e8e4dc c9d3da 9fb0a2 b79f86 5c6670 3a3f4a 86754f 4f6b58 d7c0ad 6f86a8 a05f4d f4f4f2")
_MASKS: Final = _palette("f4f5f3 a8cfe6 9fd3cf 1d1e22 efb6c4 d6d9de 32456e 8fbf8a 7a2c3d e8dcc0")

# Relief of a face: x, y, width and height of a swelling in head units, and how far it stands out. Each with x > 0
# stands on both sides.
_BUMPS: Final = (
    *((0.0, 0.14, 0.055, 0.17, 0.060), (0.0, 0.35, 0.085, 0.075, 0.085), (0.12, 0.40, 0.045, 0.045, 0.030)),
    *((0.30, -0.03, 0.15, 0.09, -0.060), (0.28, -0.21, 0.20, 0.06, 0.030), (0.30, 0.0, 0.10, 0.06, 0.028)),
    *((0.40, 0.26, 0.16, 0.13, 0.030), (0.0, 0.55, 0.16, 0.03, 0.014), (0.0, 0.68, 0.13, 0.04, 0.022)),
    *((0.0, 0.77, 0.12, 0.04, -0.020), (0.0, 0.88, 0.15, 0.09, 0.035), (0.27, 0.47, 0.035, 0.11, -0.012)),
)
# How a mask stands away from the face instead: a tent over the nose and a dome over the mouth.
_TENT: Final = ((0.0, 0.22, 0.16, 0.20, 0.10), (0.0, 0.55, 0.38, 0.30, 0.09))
_CELLS: Final = 44  # of the relief, in a head unit
_SPAN: Final = (1.5, 1.8)  # head units from the middle to the relief's border, across and down


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
        _check("seed", self.seed, 0, 2**63)
        _check("faces_per_class", self.faces_per_class, 6, 2000)
        _check("group_photos", self.group_photos, 1, 200)


@dataclass(frozen=True)
class MaskLook:
    """A mask: its RGB colour in 0..255, kind, how it is worn, and a printed pattern (cloth).

    A ``flat`` mask is a white shape laid over the photo without light or folds, as in simulated sets.
    """

    colour: Rgb
    kind: MaskKind = "surgical"
    worn: Worn = "right"
    pattern: Pattern = "plain"

    def __post_init__(self) -> None:
        _check_colour("mask colour", self.colour)
        for name, value, known in (
            ("mask kind", self.kind, MaskKind),
            ("worn", self.worn, Worn),
            ("pattern", self.pattern, Pattern),
        ):
            _check_choice(name, value, get_args(known))


@dataclass(frozen=True)
class FaceLook:
    """Everything about one drawn face. Colours are RGB in 0..255, lengths are head units (half a head's height).

    Attributes
    ----------
    backdrop, walls : str, (RGB, RGB)
        Kind of background and the colours it runs through.
    scale : float
        Size of the head, 0.2 to 1.5; at 1 it just fits the frame.
    shift : (float, float)
        Of the head from the middle, right and down, -1 to 1.
    tilt, turn : float
        Tilt of the head in degrees, clockwise, -45 to 45; turn to the side, -1 to 1.
    light, contrast, exposure, warmth : float
        Where the light comes from in degrees, -80 (left) to 80 (right); how hard it is, 0 to 1; brightness of the
        photo, 0.02 to 2 with 1 as usual; -1 (blue) to 1 (yellow).
    width, jaw, eyes, nose, lips, smile : float
        Half the head's width, 0.6 to 0.85; the others relative: jaw 0 to 1, eyes, nose and lips around 1, from 0.5
        to 1.5, smile -1 to 1 (above 0.6 it shows teeth).
    blur, noise : float
        Softness in thousandths of the shorter side, 0 to 20; standard deviation of the grain in 0..255 steps, 0 to 40.
    grain : int
        Seed of all texture and noise, at least 0.
    mask : MaskLook or None
        The mask, if one is worn.

    Raises
    ------
    ValueError
        If a value is out of range or unknown.
    """

    skin: Rgb
    hair_colour: Rgb = _HAIRS[1]
    hair_style: HairStyle = "short"
    eye_colour: Rgb = _EYES[0]
    clothes: Rgb = _FABRICS[2]
    backdrop: Backdrop = "soft"
    walls: tuple[Rgb, Rgb] = (_WALLS[0], _WALLS[1])
    scale: float = 0.9
    shift: tuple[float, float] = (0.0, 0.0)
    tilt: float = 0.0
    turn: float = 0.0
    light: float = 30.0
    contrast: float = 0.5
    exposure: float = 1.0
    warmth: float = 0.0
    width: float = 0.73
    jaw: float = 0.5
    eyes: float = 1.0
    nose: float = 1.0
    lips: float = 1.0
    smile: float = 0.2
    beard: Beard = "none"
    glasses: Glasses = "none"
    blur: float = 2.0
    noise: float = 4.0
    grain: int = 0
    mask: MaskLook | None = None

    def __post_init__(self) -> None:
        for name, least, most in _RANGES:
            _check(name, getattr(self, name), least, most)
        for name in ("skin", "hair_colour", "eye_colour", "clothes"):
            _check_colour(name, getattr(self, name))
        for number, colour in enumerate(self.walls):
            _check_colour(f"walls[{number}]", colour)
        for number, value in enumerate(self.shift):
            _check(f"shift[{number}]", value, -1, 1)
        for name, known in _CHOICES:
            _check_choice(name, getattr(self, name), get_args(known))

    @classmethod
    def random(cls, rng: np.random.Generator, *, mask: bool) -> "FaceLook":
        """A look drawn at random; all but the mask is drawn the same way whether ``mask`` is true or not."""
        style: HairStyle = _pick(rng, get_args(HairStyle))
        bearded = style not in ("long", "bun", "scarf", "fringe") and rng.random() < 0.5
        close = rng.random() < 0.7  # most crops are tight, some show more of the background
        look = cls(
            skin=_pick(rng, SKINS),
            hair_colour=_pick(rng, _HAIRS),
            hair_style=style,
            eye_colour=_pick(rng, _EYES),
            clothes=_pick(rng, _FABRICS),
            backdrop=_pick(rng, get_args(Backdrop)),
            walls=(_pick(rng, _WALLS), _pick(rng, _WALLS)),
            scale=rng.uniform(0.88, 1.12) if close else rng.uniform(0.6, 0.85),
            shift=(rng.uniform(-0.12, 0.12), rng.uniform(-0.08, 0.12)),
            tilt=rng.normal(0, 6).clip(-20, 20),
            turn=rng.uniform(-0.5, 0.5),
            light=rng.uniform(-70, 70),
            contrast=rng.uniform(0.25, 0.9),
            exposure=float(np.exp(rng.uniform(np.log(0.38), np.log(1.25)))),
            warmth=rng.uniform(-0.6, 0.8),
            width=rng.uniform(0.68, 0.79),
            jaw=rng.uniform(0.1, 1),
            eyes=rng.uniform(0.85, 1.15),
            nose=rng.uniform(0.8, 1.25),
            lips=rng.uniform(0.7, 1.35),
            smile=rng.uniform(-0.3, 1),
            beard=_pick(rng, get_args(Beard)[1:]) if bearded else "none",
            glasses=_pick(rng, get_args(Glasses)[1:]) if rng.random() < 0.3 else "none",
            blur=rng.uniform(0.5, 6),
            noise=rng.uniform(1, 8),
            grain=int(rng.integers(2**31)),
        )
        kind: MaskKind = _pick(rng, ("surgical", "surgical", "cloth", "cloth", "respirator"))
        colour = _pick(rng, _MASKS[:6] if kind == "surgical" else _MASKS)
        pattern: Pattern = _pick(rng, get_args(Pattern)) if kind == "cloth" else "plain"
        return replace(look, mask=MaskLook(colour, kind, "right", pattern)) if mask else look
