"""Occlusion (Zeiler & Fergus, 2014, section 4.2): how much of the score goes where a part of the face is hidden.

It needs nothing but logits, so that it explains any model.
"""

import numpy as np
import numpy.typing as npt

from maskdet.attribution.heatmap import RawMaps
from maskdet.attribution.options import GREY
from maskdet.attribution.subject import Request, Subject
from maskdet.photos import FACE_SIZE, RgbImage


def occlusion(subject: Subject, request: Request) -> RawMaps:
    """Mean fall of the score, in logits, over all grey patches that cover a cell; 0 where hiding it raises the score.

    A cell is one step of the patch wide, so that the maps are 10 by 10 at a step of 15. All copies of a face are
    judged in one call.
    """
    patch, stride = request.options.patch, request.options.stride
    side = FACE_SIZE // stride
    corners = patch_corners(patch, stride)
    covered = _coverage(corners, patch, stride, side)
    maps = np.empty((len(request.faces), side, side), np.float32)
    for number, face in enumerate(request.faces):
        logits = request.sign * np.asarray(subject.logits(occluded(face, corners, patch)), dtype=np.float64)
        falls = logits[0] - logits[1:]
        mean = np.tensordot(falls, covered, axes=1) / covered.sum(axis=0)
        maps[number] = np.maximum(mean, 0)
        request.progress(number + 1, len(request.faces), "occlusion")
    return maps


def patch_corners(patch: int, stride: int) -> list[tuple[int, int]]:
    """Top and left of every patch, in pixels, row by row."""
    steps = range(0, FACE_SIZE - patch + 1, stride)
    return [(top, left) for top in steps for left in steps]


def occluded(face: RgbImage, corners: list[tuple[int, int]], patch: int) -> RgbImage:
    """The face as it is, then a copy for each patch; shape (1 + patches, 150, 150, 3)."""
    copies = np.repeat(face[None], 1 + len(corners), axis=0)
    for copy, (top, left) in zip(copies[1:], corners, strict=True):
        copy[top : top + patch, left : left + patch] = GREY
    return copies


def _coverage(corners: list[tuple[int, int]], patch: int, stride: int, side: int) -> npt.NDArray[np.float64]:
    """1 where a patch covers a cell, shape (patches, side, side)."""
    covered = np.zeros((len(corners), side, side))
    for cells, (top, left) in zip(covered, corners, strict=True):
        cells[top // stride : (top + patch) // stride, left // stride : (left + patch) // stride] = 1
    return covered
