"""What a drawn face looks like: everything about one portrait, in two checked dataclasses.

Lengths are *head units*: the crown lies at -1, the eyes at 0, the chin at +1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar, get_args

import numpy as np

Rgb = tuple[int, int, int]
T = TypeVar("T")
HairStyle = Literal["bald", "short", "parted", "fringe", "long", "curly", "bun", "hat", "scarf"]
Backdrop = Literal["plain", "soft", "panels", "busy"]
MaskKind = Literal["surgical", "cloth", "respirator", "flat"]
Pattern = Literal["plain", "dots", "stripes", "checks"]
Worn = Literal["right", "below_nose", "below_chin"]
Beard = Literal["none", "stubble", "moustache", "full"]
Glasses = Literal["none", "thin", "thick", "dark"]


def _palette(colours: str) -> tuple[Rgb, ...]:
    return tuple((n >> 16, n >> 8 & 255, n & 255) for n in (int(colour, 16) for colour in colours.split()))


def check(name: str, value: float, least: float, most: float) -> None:
    """Raise ValueError unless a value lies in its range, both ends included; NaN lies in none."""
    if not least <= value <= most:
        raise ValueError(f"{name}: expected {least} to {most}, got {value!r}")


def _check_choice(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"{name}: expected one of {', '.join(known)}, got {value!r}")


def _check_colour(name: str, colour: Rgb) -> None:
    if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
        raise ValueError(f"{name}: expected three values from 0 to 255, got {colour!r}")


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """Draw one of some choices, each as likely as the next."""
    return choices[int(rng.integers(len(choices)))]


#: Skin tones from light to dark; `write_sample` deals them out evenly over both classes.
SKINS: Final = _palette("f3cfb8 e6b596 d29c78 b47c56 8c5a3c 5e3b28")
_HAIRS: Final = _palette("1a1512 2c1d15 46301f 6b4a2c 74381f b8925a d9c089 9a9894 dcd9d4")
_EYES: Final = _palette("3a2415 54361d 6d5a30 4d6b4a 58809c 7d93a1")
_FABRICS: Final = _palette("e9e6df 27282c 24385e 7b2430 2f5a4a c9a13b 8d8f96 b9577a 4f7fb5 d8c3a5 5a4a7a a34d2c")
_WALLS: Final = _palette("e8e4dc c9d3da 9fb0a2 b79f86 5c6670 3a3f4a 86754f 4f6b58 d7c0ad 6f86a8 a05f4d f4f4f2")
#: Colours of masks; the first six are those of surgical ones.
MASKS: Final = _palette("f4f5f3 a8cfe6 9fd3cf 1d1e22 efb6c4 d6d9de 32456e 8fbf8a 7a2c3d e8dcc0")
_PALETTES: Final = {"skin": SKINS, "hair_colour": _HAIRS, "eye_colour": _EYES, "clothes": _FABRICS}
_CHOICES: Final = {"hair_style": HairStyle, "backdrop": Backdrop, "beard": Beard, "glasses": Glasses}
# Numbers of a look: what is allowed, from and to, and what `FaceLook.random` draws, from and to.
_NUMBERS: Final = (
    *(("scale", 0.2, 1.5, 0.88, 1.12), ("tilt", -45, 45, -14, 14), ("turn", -1, 1, -0.5, 0.5)),
    *(("light", -80, 80, -70, 70), ("contrast", 0, 1, 0.2, 0.8), ("exposure", 0.02, 2, 0.5, 1.3)),
    *(("warmth", -1, 1, -0.6, 0.8), ("width", 0.6, 0.85, 0.64, 0.74), ("jaw", 0, 1, 0.1, 1)),
    *(("eyes", 0.5, 1.5, 0.85, 1.15), ("nose", 0.5, 1.5, 0.8, 1.25), ("lips", 0.5, 1.5, 0.7, 1.35)),
    *(("smile", -1, 1, -0.3, 1), ("blur", 0, 20, 0.5, 6), ("noise", 0, 40, 1, 5)),
)


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
    width: float = 0.69
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
        for name, least, most, *_ in _NUMBERS:
            check(name, getattr(self, name), least, most)
        check("grain", self.grain, 0, 2**63)
        for value in self.shift:
            check("shift", value, -1, 1)
        for name in _PALETTES:
            _check_colour(name, getattr(self, name))
        for colour in self.walls:
            _check_colour("walls", colour)
        for name, known in _CHOICES.items():
            _check_choice(name, getattr(self, name), get_args(known))

    @classmethod
    def random(cls, rng: np.random.Generator, *, mask: bool) -> "FaceLook":
        """A look drawn at random; all but the mask is drawn the same way whether ``mask`` is true or not."""
        drawn: dict[str, Any] = {name: float(rng.uniform(low, high)) for name, _, _, low, high in _NUMBERS}
        drawn |= {name: pick(rng, colours) for name, colours in _PALETTES.items()}
        drawn |= {name: pick(rng, get_args(known)) for name, known in _CHOICES.items()}
        drawn["walls"] = (pick(rng, _WALLS), pick(rng, _WALLS))
        drawn["shift"] = (float(rng.uniform(-0.12, 0.12)), float(rng.uniform(-0.08, 0.12)))
        drawn["grain"] = int(rng.integers(2**31))
        bare_eyes, shaved, near = (rng.random(3) < (0.65, 0.5, 0.7)).tolist()
        if bare_eyes:
            drawn["glasses"] = "none"
        if shaved or drawn["hair_style"] in ("long", "bun", "scarf", "fringe"):
            drawn["beard"] = "none"
        if not near:  # most crops are tight, some show more of the background
            drawn["scale"] *= 0.72
        kind: MaskKind = pick(rng, ("surgical", "surgical", "cloth", "cloth", "respirator"))
        colour = pick(rng, MASKS[:6] if kind == "surgical" else MASKS)
        pattern: Pattern = pick(rng, get_args(Pattern)) if kind == "cloth" else "plain"
        return cls(**drawn, mask=MaskLook(colour, kind, "right", pattern) if mask else None)
