"""Near-duplicates: pairs of 64-bit perceptual hashes within a Hamming distance, and the clusters they chain into.

The study compares every hash with every other (4.2.1). Here the same pairs are found by multi-index hashing (Norouzi,
Punjani, Fleet: Fast search in Hamming space with multi-index hashing, CVPR 2012). Hashes are cut into m bands. Two
that differ in few bits can't differ much in every band, so it is enough to look up, band by band, the hashes that
differ from a hash in a few bits of that band, and to count the bits of those candidates. Nothing is missed and
nothing is guessed: the pairs are exactly those of the comparison of all with all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise
from math import comb
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from maskdet.errors import MaskDetError

#: Largest distance that is offered. Beyond it, hashes of unrelated faces begin to meet.
MAX_DISTANCE: Final = 10
#: Every evenly coloured image has this DCT hash, unless it is wholly black.
FLAT_HASH: Final = np.uint64(0x8000000000000000)
#: What each kind of hash is of evenly coloured images: it says nothing about likeness.
FLAT_HASHES: Final[dict[str, tuple[int, ...]]] = {
    "phash": (int(FLAT_HASH), 0),  # 0 is wholly black: all coefficients are 0, so none is above their median
    "dhash": (0,),
    "ahash": (0,),
    "whash": (0,),
}
#: `near_pairs` returns at most this many pairs; so many take about 1 GB while it works, and 180 MB after.
MAX_PAIRS: Final = 20_000_000
_BITS: Final = 64
#: How many candidates are compared, or pairs merged, at once: it bounds the memory.
_PAIRS_AT_ONCE: Final = 1_000_000

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]
#: Positions in an array of hashes; half the memory matters where there are millions of pairs.
Positions = npt.NDArray[np.int32]
Distances = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Pairs = tuple[Positions, Positions, Distances]


def parse_hashes(hexadecimal: "pd.Series[str]") -> Hashes:
    """Hashes of the face table (16 hexadecimal digits each) as unsigned 64-bit integers."""
    return np.array([int(text, 16) for text in hexadecimal], dtype=np.uint64)


@dataclass(frozen=True, eq=False)
class NearPairs:
    """The near pairs of faces, searched once and good for every distance up to ``max_distance``.

    Attributes
    ----------
    values : array of uint64, shape (u,)
        Each hash once, whatever the number of faces that share it; then the flat ones, one a face: a flat hash says
        nothing, so it is in no pair and equals no other.
    inverse : array of int64, shape (n,)
        Position of each face's hash in ``values``.
    first, second : array of int32, shape (p,)
        Positions in ``values`` of the two hashes of each pair, ``first < second``.
    distance : array of uint8, shape (p,)
        Hamming distance of each pair in bits, 1 to ``max_distance``, in ascending order.
    max_distance : int
        The distance that was searched.
    """

    values: Hashes
    inverse: Indices
    first: Positions
    second: Positions
    distance: Distances
    max_distance: int

    def clusters(self, distance: int) -> Indices:
        """Cluster number of each face, as `clusters` gives it, for any distance from 0 to ``max_distance``."""
        if not 0 <= distance <= self.max_distance:
            raise ValueError(f"distance must be 0 to {self.max_distance} bits, not {distance}")
        return self._components[distance][self.inverse]

    def nearest(self, targets: Mask, sources: Mask) -> Indices:
        """Least distance of each target, such as a test face, to any source, such as a training face.

        Parameters
        ----------
        targets, sources : array of bool, shape (n,)
            Which faces are which. A face may be neither, but not both.

        Returns
        -------
        array of int64, shape (n,)
            0 to ``max_distance`` bits; -1 for targets without a source that near, and for all other faces.
        """
        if (targets & sources).any():
            raise ValueError("a face is both target and source")
        none = self.max_distance + 1
        is_source = np.zeros(len(self.values), bool)
        is_source[self.inverse[sources]] = True
        least = np.where(is_source, 0, none).astype(np.uint8)
        for here, there in ((self.first, self.second), (self.second, self.first)):
            near_source = is_source[there]
            np.minimum.at(least, here[near_source], self.distance[near_source])
        of_face = least[self.inverse].astype(np.int64)
        return np.where(targets & (of_face < none), of_face, -1)

    @cached_property
    def _components(self) -> list[Indices]:
        """For each distance, the component of each value. Those of one distance are joined from those of the last."""
        number = np.arange(len(self.values))
        components = []
        for distance in range(self.max_distance + 1):
            start, stop = np.searchsorted(self.distance, np.array([distance, distance + 1], np.uint8))
            number = _merge(number, self.first[start:stop], self.second[start:stop])
            components.append(number)
        return components


def near_pairs_of(
    hashes: Hashes, max_distance: int = MAX_DISTANCE, flat: Sequence[int] = FLAT_HASHES["phash"]
) -> NearPairs:
    """Search the faces' hashes once, for many thresholds.

    Parameters
    ----------
    hashes : array of uint64, shape (n,)
        The hash of each face; several may share one.
    max_distance : int
        0 to `MAX_DISTANCE`, in bits.
    flat : sequence of int
        Hashes that join nothing: `FLAT_HASHES` of the kind of hash.

    Raises
    ------
    MaskDetError
        If there are more than `MAX_PAIRS` pairs.
    """
    values, inverse, informative = _values(hashes, flat)
    return NearPairs(values, inverse, *near_pairs(values[:informative], max_distance), max_distance)


def near_pairs(hashes: Hashes, distance: int) -> Pairs:
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
        Positions in ``hashes``, ``first < second``, and the Hamming distance of each pair, the nearest pairs first.

    Raises
    ------
    MaskDetError
        If there are more than `MAX_PAIRS` pairs.
    """
    found, count = [], 0
    for pairs in _search(hashes, distance):
        found.append(pairs)
        count += len(pairs[0])
        if count > MAX_PAIRS:
            raise MaskDetError(
                f"More than {MAX_PAIRS:,} pairs of hashes differ in at most {distance} bits; lower the distance."
            )
    first, second, apart = _concatenate(found)
    order = np.argsort(apart, kind="stable")
    return first[order], second[order], apart[order]


def clusters(hashes: Hashes, distance: int, flat: Sequence[int] = FLAT_HASHES["phash"]) -> Indices:
    """Cluster number of each hash: two faces share one if a chain of near pairs joins them.

    Evenly coloured images, whose hash says nothing, stay alone. Pairs are merged as they are found, so that memory
    grows with the number of hashes, however many pairs there are.

    Parameters
    ----------
    hashes, distance, flat
        As for `near_pairs_of`.

    Returns
    -------
    array of int64
        Same length as ``hashes``; numbers from 0 without gaps.
    """
    values, inverse, informative = _values(hashes, flat)
    number = np.arange(len(values))
    for first, second, _ in _in_batches(_search(values[:informative], distance)):
        number = _merge(number, first, second)
    return number[inverse]


def join(count: int, first: npt.NDArray[np.integer[Any]], second: npt.NDArray[np.integer[Any]]) -> Indices:
    """Connected components of ``count`` things, some of them joined in pairs: the component of each."""
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _values(hashes: Hashes, flat: Sequence[int]) -> tuple[Hashes, Indices, int]:
    """``values`` and ``inverse`` of `NearPairs`, and how many of the values, the first ones, are not flat."""
    is_flat = np.isin(hashes, np.array(flat, np.uint64))
    values, position = np.unique(hashes[~is_flat], return_inverse=True)
    inverse = np.empty(len(hashes), np.int64)
    inverse[~is_flat] = position
    inverse[is_flat] = len(values) + np.arange(is_flat.sum())
    return np.r_[values, hashes[is_flat]], inverse, len(values)


def _merge(number: Indices, first: Positions, second: Positions) -> Indices:
    """Component of each value once these pairs are joined too; the pairs need not be kept after."""
    one, other = number[first], number[second]
    apart = one != other
    if not apart.any():
        return number
    return join(int(number.max()) + 1, one[apart], other[apart])[number]


def _concatenate(portions: Sequence[Pairs]) -> Pairs:
    none = np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.uint8)
    first, second, distance = map(np.concatenate, zip(none, *portions, strict=True))
    return first, second, distance


def _in_batches(portions: Iterator[Pairs]) -> Iterator[Pairs]:
    """The same pairs in portions of some size: merging costs as much as there are values, even for few pairs."""
    waiting, count = [], 0
    for portion in portions:
        waiting.append(portion)
        count += len(portion[0])
        if count >= _PAIRS_AT_ONCE:
            yield _concatenate(waiting)
            waiting, count = [], 0
    yield _concatenate(waiting)


class _Band(NamedTuple):
    """Bits ``low`` to ``low + width - 1`` of a hash. Hashes that differ in at most ``radius`` of them are compared."""

    low: int
    width: int
    radius: int

    def bits(self, hashes: Hashes) -> Hashes:
        return (hashes >> np.uint64(self.low)) & np.uint64((1 << self.width) - 1)

    def cost(self, count: int) -> float:
        """What it takes to search ``count`` evenly spread hashes, in comparisons of two hashes (measured roughly).

        Each way to turn up to ``radius`` bits takes a look-up for every other hash, at 4 comparisons, and some calls of
        numpy, at 10,000; it meets half of the count² pairs in one of 2^width places. The table of places is made once.
        """
        ways = sum(comb(self.width, turned) for turned in range(self.radius + 1))
        places = 1 << self.width
        return ways * (10_000 + 2 * count + count * count / 2 / places) + places


def _cut(bands: int, distance: int) -> list[_Band]:
    """Bands such that two hashes within the distance are within the radius of at least one.

    With ``distance = bands * radius + spare``, it is enough to look within ``radius`` in the first ``spare + 1`` bands
    and within ``radius - 1`` in the others: hashes that differ in more bits in every band differ in at least
    ``(spare + 1) * (radius + 1) + (bands - spare - 1) * radius = distance + 1`` bits (Norouzi et al., section 3.1).
    """
    radius, spare = divmod(distance, bands)
    edges = np.linspace(0, _BITS, bands + 1).astype(int).tolist()
    cut = [_Band(a, b - a, radius if i <= spare else radius - 1) for i, (a, b) in enumerate(pairwise(edges))]
    return [band for band in cut if band.radius >= 0]


def _best_cut(count: int, distance: int) -> list[_Band]:
    """The cheapest cut for this many hashes. With fewer than 3 bands, tables of places outgrow the memory."""
    return min((_cut(bands, distance) for bands in range(3, 17)), key=lambda cut: sum(b.cost(count) for b in cut))


def _search(hashes: Hashes, distance: int) -> Iterator[Pairs]:
    """The pairs within the distance, each once, in small portions and no order."""
    if not 0 <= distance <= MAX_DISTANCE:
        raise ValueError(f"distance must be 0 to {MAX_DISTANCE} bits, not {distance}")
    cut = _best_cut(len(hashes), distance)
    for number, band in enumerate(cut):
        order = np.argsort(band.bits(hashes), kind="stable").astype(np.int32)
        ordered = hashes[order]
        for left, right in _candidates(band.bits(ordered).astype(np.int64), band):
            differ = ordered[left] ^ ordered[right]
            apart = np.bitwise_count(differ)
            near = np.flatnonzero(apart <= distance)
            for earlier in cut[:number]:  # which would have found the pair already
                near = near[np.bitwise_count(earlier.bits(differ[near])) > earlier.radius]
            if len(near):
                one, other = order[left[near]], order[right[near]]
                yield np.minimum(one, other), np.maximum(one, other), apart[near]


def _candidates(key: Indices, band: _Band) -> Iterator[tuple[Indices, Indices]]:
    """Positions of the pairs of keys, which are sorted, that differ in at most ``band.radius`` of their bits."""
    start = np.searchsorted(key, np.arange((1 << band.width) + 1))  # where each possible key begins
    everyone = np.arange(len(key))
    yield from _portions(everyone, everyone + 1, start[key + 1])
    for highest in range(band.width if band.radius else 0):
        left = np.flatnonzero((key >> highest) & 1 == 0)  # each pair once: from the key without the highest bit turned
        for lower in (bits for size in range(band.radius) for bits in combinations(range(highest), size)):
            turned = key[left] ^ sum(1 << bit for bit in (*lower, highest))
            yield from _portions(left, start[turned], start[turned + 1])


def _portions(left: Indices, begin: Indices, end: Indices) -> Iterator[tuple[Indices, Indices]]:
    """Each ``left[i]`` with everything from ``begin[i]`` up to ``end[i]``, a bounded number of pairs at a time."""
    some = np.flatnonzero(end > begin)
    left, begin, size = left[some], begin[some], (end - begin)[some]
    ahead = np.cumsum(size)
    done = 0
    while done < len(left):
        before = ahead[done] - size[done]
        stop = max(done + 1, int(np.searchsorted(ahead, before + _PAIRS_AT_ONCE, side="right")))
        now = slice(done, stop)
        shift = begin[now] - (ahead[now] - size[now] - before)
        right = np.arange(ahead[stop - 1] - before) + np.repeat(shift, size[now])
        yield np.repeat(left[now], size[now]), right
        done = stop
