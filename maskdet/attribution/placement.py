"""Where on the face a cell of a layer's maps lies.

Maps are usually stretched over the whole picture. But convolutions without padding cut off a border: the outermost
cells of InceptionV3's mixed7 are centred 21 and 117 pixels into the 150 of a face, and would be shown at 10 and 139,
heat of the mouth on the neck. So each cell is put at the centre of its receptive field (Araujo et al., 2019).
"""

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from maskdet.attribution.heatmap import RawMaps
from maskdet.photos import FACE_SIZE


@dataclass(frozen=True)
class Axis:
    """Centres of the receptive fields of one axis of a layer's maps: first, first + step, ..., in pixels from 0."""

    first: float
    step: float


def receptive_axes(network: Any, layer: str) -> tuple[Axis, Axis]:
    """Centres of a layer's cells from top to bottom, and from left to right.

    Of a layer that joins branches, the first is followed: those of InceptionV3's blocks all have the same centres.
    """
    first, step = np.zeros(2), np.ones(2)
    for each in _path(network, layer):
        kernel = getattr(each, "kernel_size", getattr(each, "pool_size", None))
        if kernel is None:
            continue
        size, strides = np.array(kernel), np.array(each.strides)
        before, after = (np.array(tensor.shape[1:3]) for tensor in (each.input, each.output))
        padding = np.maximum((after - 1) * strides + size - before, 0) // 2 if each.padding == "same" else 0
        first = first + step * ((size - 1) / 2 - padding)
        step = step * strides
    return Axis(float(first[0]), float(step[0])), Axis(float(first[1]), float(step[1]))


def placed(raw: RawMaps, axes: tuple[Axis, Axis]) -> RawMaps:
    """Maps over the whole face, each cell in its place: shape (n, H, W), with as many cells as steps fit into a face.

    Between centres values are interpolated linearly; beyond the outermost they stay as they are there.
    """
    down, across = (_weights(size, axis) for size, axis in zip(raw.shape[1:], axes, strict=True))
    return np.asarray(np.einsum("Hh,nhw,Ww->nHW", down, raw, across), dtype=np.float32)


def _weights(cells: int, axis: Axis) -> npt.NDArray[np.float64]:
    """What each cell adds to each place: shape (places, cells), rows adding up to 1."""
    count = ceil(FACE_SIZE / axis.step)
    middles = (np.arange(count) + 0.5) * FACE_SIZE / count - 0.5
    centres = axis.first + axis.step * np.arange(cells)
    return np.stack([np.interp(middles, centres, one) for one in np.eye(cells)], axis=1)


def _path(network: Any, name: str) -> list[Any]:
    """Layers from the input to a layer, that one included."""
    makers = {id(layer.output): layer for layer in network.layers}
    inputs = {id(tensor) for tensor in network.inputs}
    path = [network.get_layer(name)]
    while id(path[-1].output) not in inputs:
        source = path[-1].input
        path.append(makers[id(source[0] if isinstance(source, list) else source)])
    return path[::-1]
