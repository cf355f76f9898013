"""Near-duplicates: pairs of perceptual hashes within a Hamming distance, and the clusters they chain into.

The study compares every hash with every other (4.2.1). Here, hashes are cut into ``distance + 1`` bands: two hashes
within the distance agree in at least one band (the pigeonhole principle), so only hashes that share a band are
compared. The result is exactly that of the comparison of all with all.
"""

from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

#: Largest distance that is offered. Beyond it, hashes of unrelated faces begin to meet.
MAX_DISTANCE: Final = 10
#: Every evenly coloured image has this DCT hash, so it says nothing about likeness.
FLAT_HASH: Final = np.uint64(0x8000000000000000)
#: The hash of every evenly coloured image, by kind: it says nothing about likeness.
FLAT_HASHES: Final = {"phash": FLAT_HASH, "dhash": np.uint64(0), "ahash": np.uint64(0), "whash": np.uint64(0)}
_BITS: Final = 64
_PAIRS_AT_ONCE: Final = 4_000_000

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]


def parse_hashes(hexadecimal: "pd.Series[str]") -> Hashes:
    """Hashes of the face table (16 hexadecimal digits each) as unsigned 64-bit integers."""
    return np.array([int(text, 16) for text in hexadecimal], dtype=np.uint64)


def near_pairs(hashes: Hashes, distance: int) -> tuple[Indices, Indices, npt.NDArray[np.uint8]]:
    """All pairs of *different* hashes within a Hamming distance.

    Parameters
    ----------
    hashes : array of uint64
        Each value once (`numpy.unique` of the faces' hashes): equal ones would pair up without bound.
    distance : int
        0 to `MAX_DISTANCE`, in bits.

    Returns
    -------
    first, second, distances
        Positions in ``hashes``, ``first < second``, and the Hamming distance of each pair.
    """
    if not 0 <= distance <= MAX_DISTANCE:
        raise ValueError(f"distance must be 0 to {MAX_DISTANCE} bits, not {distance}")
    found: list[npt.NDArray[np.int64]] = []
    edges = np.linspace(0, _BITS, distance + 2).astype(int)
    for low, high in pairwise(edges):
        mask = np.uint64(((1 << int(high - low)) - 1) << int(low))
        found.extend(_pairs_in_band(hashes, hashes & mask, distance))
    if not found:
        empty = np.empty(0, np.int64)
        return empty, empty, np.empty(0, np.uint8)
    pairs = np.unique(np.concatenate(found), axis=0)
    first, second = pairs[:, 0], pairs[:, 1]
    return first, second, np.bitwise_count(hashes[first] ^ hashes[second])


def clusters(hashes: Hashes, distance: int, flat: np.uint64 = FLAT_HASH) -> Indices:
    """Cluster number of each hash: two faces share one if a chain of near pairs joins them.

    Evenly coloured images, whose hash says nothing, stay alone.

    Returns
    -------
    array of int64
        Same length as ``hashes``; numbers from 0 without gaps.
    """
    values, inverse = np.unique(hashes, return_inverse=True)
    first, second, _ = near_pairs(values, distance)
    informative = (values[first] != flat) & (values[second] != flat)
    number = join(len(values), first[informative], second[informative])[inverse]
    alone = np.flatnonzero(hashes == flat)
    number[alone] = number.max(initial=0) + 1 + np.arange(len(alone))
    return np.unique(number, return_inverse=True)[1].astype(np.int64)


def join(count: int, first: Indices, second: Indices) -> Indices:
    """Connected components of ``count`` things, some of them joined in pairs: the component of each."""
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _pairs_in_band(hashes: Hashes, band: Hashes, distance: int) -> list[npt.NDArray[np.int64]]:
    """Pairs within the distance among the hashes that are equal in one band, a bounded number at a time."""
    order = np.argsort(band, kind="stable")
    sorted_band = band[order]
    starts = np.flatnonzero(np.r_[True, sorted_band[1:] != sorted_band[:-1]])
    sizes = np.diff(np.r_[starts, len(order)])
    # Each element is compared with those that follow it in its group.
    following = np.repeat(starts + sizes, sizes) - np.arange(len(order)) - 1
    found, begin = [], 0
    while begin < len(order):
        ahead = np.cumsum(following[begin:])
        end = begin + max(1, int(np.searchsorted(ahead, _PAIRS_AT_ONCE)))
        counts = following[begin:end]
        left = np.repeat(np.arange(begin, begin + len(counts)), counts)
        right = left + 1 + np.arange(len(left)) - np.repeat(np.cumsum(counts) - counts, counts)
        near = np.bitwise_count(hashes[order[left]] ^ hashes[order[right]]) <= distance
        if near.any():
            found.append(np.sort(np.stack([order[left[near]], order[right[near]]], axis=1), axis=1))
        begin = end
    return found
