"""Outlines: points of a drawing as arrays of complex numbers x + iy, and how curves are laid through them."""

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

Outline = npt.NDArray[np.complex128]

_CIRCLE: Final = np.exp(2j * np.pi * np.arange(28) / 28)  # points of an ellipse
_STEPS: Final = np.arange(6) / 6  # from one point of a curve towards the next


@lru_cache(maxsize=512)
def outline(points: str, widen: float = 1.0) -> Outline:
    """Points written as ``0.5-0.1i``, their x multiplied by ``widen``."""
    given = np.array([complex(point.replace("i", "j")) for point in points.split()])
    return widen * given.real + 1j * given.imag


@lru_cache(maxsize=512)
def mirrored(points: str, widen: float = 1.0) -> Outline:
    """A closed curve through points, the first and last on the middle line, and their mirror images."""
    return whole(outline(points, widen))


def whole(half: Outline) -> Outline:
    """A closed curve through the points of a right half and their mirror images."""
    return curve(np.concatenate((half, -half[-2:0:-1].conj())))


def between(first: Outline, second: Outline) -> Outline:
    """The outline of what lies between two lines that run the same way."""
    return np.concatenate((first, second[::-1]))


def curve(points: Outline, *, closed: bool = True) -> Outline:
    """A smooth curve (Catmull-Rom) through points."""
    around = np.concatenate((points[-1:], points, points[:2]) if closed else (points[:1], points, points[-1:]))
    a, b, c, d = (around[k : len(around) - 3 + k, None] for k in range(4))
    bend, swing = 2 * a - 5 * b + 4 * c - d, 3 * (b - c) + d - a
    smooth: Outline = b + 0.5 * _STEPS * (c - a + _STEPS * (bend + _STEPS * swing))
    return smooth.ravel() if closed else np.concatenate((smooth.ravel(), points[-1:]))


def ellipse(centre: complex, across: float, down: float) -> Outline:
    """An ellipse around a centre, from its two radii."""
    around: Outline = centre + across * _CIRCLE.real + 1j * down * _CIRCLE.imag
    return around


def stroke(points: Outline, thick: float, *, taper: bool = True) -> Outline:
    """The outline of a line drawn through points, thinner at its ends if it tapers."""
    path = curve(points, closed=False) if len(points) < 8 else points
    along = np.concatenate((path[1:2], path[2:], path[-1:])) - np.concatenate((path[:1], path[:-2], path[-2:-1]))
    profile = np.sin(np.linspace(0.15, np.pi - 0.15, len(path))) ** 0.6 if taper else 1.0
    off = 0.5j * thick * profile * along / np.maximum(np.abs(along), 1e-9)
    return between(path + off, path - off)
