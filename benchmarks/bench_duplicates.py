"""Near-duplicates among random hashes, a tenth of which are copies of others with up to 12 turned bits.

The baseline is the comparison of all with all, in numpy and in blocks that fit the cache. On 20,000 hashes its pairs
must be exactly those of the search at every distance from 0 to 10. For 1,000,000 hashes its time is scaled up
from 40,000 by the number of pairs. There, every copy with at most as many turned bits as the distance must share the
cluster of its original. The goals: clusters of 1,000,000 hashes at distance 4 in less than 15 s and 1 GB (peak of the
whole process, with Python and the hashes), and clusters of 40,000 faces at another distance in less than 20 ms once
their pairs are known.
"""

from functools import partial

import numpy as np

from benchmarks.framework import Row, duration, fresh, measure
from maskdet.duplicates import MAX_DISTANCE, Hashes, Pairs, clusters, near_pairs, near_pairs_of

_BLOCK = 256


def run(quick: bool) -> list[Row]:
    """The rows of the table; quick: a tenth of the hashes."""
    few, some, many = (n // 10 if quick else n for n in (20_000, 40_000, 1_000_000))
    all_with_all = fresh(brute_force_seconds, some)
    wanted = [(some, distance) for distance in range(MAX_DISTANCE + 1)] + [(many, d) for d in (4, 6, 8, 10)]
    return [
        fresh(agreement, few),
        fresh(other_distances, some),
        *(fresh(chained, count, distance, all_with_all, some) for count, distance in wanted),
    ]


def make_hashes(count: int, seed: int = 0) -> tuple[Hashes, Hashes]:
    """``count`` hashes, of which the first tenth are copies, and how often a bit of each copy was turned."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, count, dtype=np.uint64)
    copies = count // 10
    turns = rng.integers(0, 13, copies, dtype=np.uint64)
    hashes[:copies] = hashes[copies : 2 * copies]
    for turn in range(12):
        bit = np.uint64(1) << rng.integers(0, 64, copies, dtype=np.uint64)
        hashes[:copies] ^= np.where(turn < turns, bit, np.uint64(0))
    return hashes, turns


def brute_force(hashes: Hashes, distance: int) -> Pairs:
    """All pairs within the distance, as `near_pairs` finds them but in order of position, by comparing all."""
    found = []
    for start in range(0, len(hashes), _BLOCK):
        apart = np.bitwise_count(hashes[start : start + _BLOCK, None] ^ hashes[None, start:])
        first, second = np.nonzero(apart <= distance)
        later = second > first
        first, second = first[later], second[later]
        found.append((first + start, second + start, apart[first, second]))
    first, second, apart = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return first.astype(np.int32), second.astype(np.int32), apart


def brute_force_seconds(count: int) -> float:
    """What comparing all with all takes."""
    hashes, _ = make_hashes(count)
    return measure(lambda: brute_force(hashes, MAX_DISTANCE))[1].wall


def agreement(count: int) -> Row:
    """Whether both find the same pairs at every distance, and what each takes at the largest."""
    hashes = np.unique(make_hashes(count)[0])
    pairs, slow = measure(lambda: brute_force(hashes, MAX_DISTANCE))
    expected, same = np.stack(pairs), True
    for distance in range(MAX_DISTANCE + 1):
        (first, second, apart), quick = measure(partial(near_pairs, hashes, distance), repeats=3)
        order = np.lexsort((second, first))
        found = np.stack([first[order], second[order], apart[order]])
        same &= np.array_equal(found, expected[:, expected[2] <= distance])
    return Row(
        f"pairs of {count:,} hashes at every distance to {MAX_DISTANCE}; cost at {MAX_DISTANCE}",
        f"{expected.shape[1]:,} pairs in {quick}",
        f"all with all: {slow}",
        slow.wall / quick.wall,
        "the same pairs",
        same,
    )


def other_distances(count: int) -> Row:
    """What moving the slider takes: the slowest distance, each asked for the first time."""
    hashes, _ = make_hashes(count)
    pairs, search = measure(lambda: near_pairs_of(hashes))
    slowest = max(measure(partial(pairs.clusters, d))[1].wall for d in reversed(range(MAX_DISTANCE + 1)))
    return Row(
        f"clusters of {count:,} hashes at another distance",
        duration(slowest),
        f"searching again: {search}",
        search.wall / slowest,
        "< 20 ms",
        slowest < 0.02,
    )


def chained(count: int, distance: int, all_with_all: float, compared: int) -> Row:
    """What the clusters of many hashes take, and whether each copy is in that of its original.

    The baseline is what comparing all with all took for ``compared`` hashes.
    """
    hashes, turns = make_hashes(count)
    number, cost = measure(lambda: clusters(hashes, distance), repeats=1 if count > 100_000 else 3)
    copies = np.flatnonzero(turns <= distance)
    complete = bool((number[copies] == number[copies + len(turns)]).all())
    in_bounds = cost.wall < 15 and cost.peak < 1000
    baseline = all_with_all * (count / compared) ** 2
    bounded = count == 1_000_000 and distance == 4
    return Row(
        f"clusters of {count:,} hashes at distance {distance}",
        str(cost),
        f"all with all{', scaled up' if count != compared else ''}: {duration(baseline)}",
        baseline / cost.wall,
        "< 15 s, < 1 GB, all copies found" if bounded else "all copies found",
        complete and (in_bounds or not bounded),
    )
