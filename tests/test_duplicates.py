"""Near-duplicates: the search finds exactly what comparing all with all finds, and chains become clusters."""

from itertools import combinations

import imagehash
import numpy as np
import pandas as pd
import pytest
from factories import random_hashes
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskdet import duplicates
from maskdet.duplicates import (
    FLAT_HASH,
    FLAT_HASHES,
    MAX_DISTANCE,
    clusters,
    join,
    near_pairs,
    near_pairs_of,
    parse_hashes,
)
from maskdet.errors import MaskDetError
from maskdet.measure import face_hashes

Pairs = list[tuple[int, int, int]]
hashes_about_one = st.builds(
    lambda base, turns: np.array([base ^ sum(1 << bit for bit in bits) for bits in turns], np.uint64),
    base=st.integers(0, 2**64 - 1),
    turns=st.lists(st.sets(st.integers(0, 63), max_size=12), max_size=25),
)
#: Most bits are the same in all of them, so that they share all bands but one or two.
hashes_in_shared_bands = st.builds(
    lambda base, low, varied: np.array([base ^ (value << low) & (2**64 - 1) for value in varied], np.uint64),
    base=st.integers(0, 2**64 - 1),
    low=st.integers(0, 56),
    varied=st.lists(st.integers(0, 2**16 - 1), max_size=40),
)


def brute_force(hashes: np.ndarray, distance: int) -> Pairs:
    apart = ((i, j, (int(hashes[i]) ^ int(hashes[j])).bit_count()) for i, j in combinations(range(len(hashes)), 2))
    return [pair for pair in apart if pair[2] <= distance]


def found(hashes: np.ndarray, distance: int) -> Pairs:
    first, second, apart = near_pairs(hashes, distance)
    return sorted(zip(first.tolist(), second.tolist(), apart.tolist(), strict=True))


def clustered_hashes(seed: int) -> np.ndarray:
    """Six centres, and about each 20 hashes with 0 to 12 bits turned, in any place."""
    rng = np.random.default_rng(seed)
    hashes = []
    for centre in random_hashes(6, seed):
        for _ in range(20):
            turned = rng.choice(64, rng.integers(0, 13), replace=False)
            hashes.append(int(centre) ^ sum(1 << int(bit) for bit in turned))
    return np.unique(np.array(hashes, np.uint64))


@pytest.mark.parametrize("distance", range(MAX_DISTANCE + 1))
def test_near_pairs_equal_brute_force(distance: int) -> None:
    close, far = clustered_hashes(seed=distance), random_hashes(150, seed=distance)
    assert found(close, distance) == brute_force(close, distance)
    assert found(far, distance) == brute_force(far, distance)
    if distance:
        assert len(found(close, distance)) > 10  # there was something to find


@pytest.mark.parametrize("distance", range(MAX_DISTANCE + 1))
def test_near_pairs_equal_brute_force_in_thousands(distance: int) -> None:
    """A quarter of 2,000 hashes are copies of the others with up to 12 turned bits."""
    rng = np.random.default_rng(distance)
    hashes = random_hashes(2000, seed=distance)
    for _ in range(12):
        turned = np.uint64(1) << rng.integers(0, 64, 500).astype(np.uint64)
        hashes[:500] = np.where(rng.random(500) < 0.5, hashes[:500], hashes[500:1000] ^ turned)
    hashes = np.unique(hashes)
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
    first, second = np.nonzero(np.triu(apart <= distance, k=1))
    expected = sorted(zip(first.tolist(), second.tolist(), apart[first, second].tolist(), strict=True))
    assert found(hashes, distance) == expected
    assert len(expected) > 0 or distance == 0


@pytest.mark.parametrize("bands", range(3, 17))
def test_every_cut_is_exact(bands: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever the cost model picks: more bands than the distance, fewer, or a divisor of it."""
    hashes = clustered_hashes(seed=bands)[:60]
    for distance in (1, 4, 5, 9, 10) if bands > 4 else (4, 6):  # wide bands have many ways to turn bits
        monkeypatch.setattr(duplicates, "_best_cut", lambda _, d: duplicates._cut(bands, d))
        assert found(hashes, distance) == brute_force(hashes, distance)


def test_more_hashes_get_wider_bands() -> None:
    widths = [max(band.width for band in duplicates._best_cut(count, 10)) for count in (100, 40_000, 1_000_000)]
    assert widths == sorted(set(widths))


@settings(deadline=None, max_examples=100)
@given(hashes=hashes_about_one | hashes_in_shared_bands, distance=st.integers(0, MAX_DISTANCE))
def test_near_pairs_equal_brute_force_about_any_hash(hashes: np.ndarray, distance: int) -> None:
    hashes = np.unique(hashes)
    assert found(hashes, distance) == brute_force(hashes, distance)


def test_near_pairs_are_the_same_when_dealt_in_small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = clustered_hashes(seed=3)
    whole = found(hashes, 8)
    together = clusters(hashes, 8)
    monkeypatch.setattr(duplicates, "_PAIRS_AT_ONCE", 7)
    assert found(hashes, 8) == whole == brute_force(hashes, 8)
    assert clusters(hashes, 8).tolist() == together.tolist()


def test_near_pairs_come_nearest_first() -> None:
    first, second, apart = near_pairs(clustered_hashes(seed=4), 10)
    assert apart.tolist() == sorted(apart.tolist())
    assert (first < second).all()


def test_too_many_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """50 hashes, each 2 bits from every other: 1,225 pairs."""
    hashes = np.array([1 << bit for bit in range(50)], np.uint64)
    monkeypatch.setattr(duplicates, "MAX_PAIRS", 1225)
    assert len(near_pairs(hashes, 2)[0]) == 1225
    monkeypatch.setattr(duplicates, "MAX_PAIRS", 1224)
    with pytest.raises(MaskDetError, match=r"^More than 1,224 pairs .* at most 2 bits; lower the distance\.$"):
        near_pairs_of(hashes, 2)
    assert len(near_pairs_of(hashes, 1).first) == 0
    assert clusters(hashes, 2).tolist() == [0] * 50  # needs no list of the pairs


def test_each_bit_counts_the_same() -> None:
    for bit in range(64):
        assert found(np.array([0, 1 << bit], np.uint64), 1) == [(0, 1, 1)]


@pytest.mark.parametrize("distance", [-1, MAX_DISTANCE + 1])
def test_distance_out_of_range(distance: int) -> None:
    with pytest.raises(ValueError, match=f"distance must be 0 to 10 bits, not {distance}"):
        near_pairs(random_hashes(3), distance)
    with pytest.raises(ValueError, match="distance must be"):
        clusters(random_hashes(3), distance)


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare(count: int) -> None:
    hashes = random_hashes(count)
    first, second, apart = near_pairs(hashes, 4)
    assert len(first) == len(second) == len(apart) == 0
    assert clusters(hashes, 4).tolist() == [0] * count


def test_clusters_chain() -> None:
    """..00 and ..11, ..0011 and ..1111 are 2 bits apart; ..0000 and ..1111 are 4, but the chain joins them."""
    near, far = 0xFF << 56, 0xFFFF << 40
    hashes = np.array([near | 0b1111, far, near, near | 0b11, far | 1, 0xFFFF << 20], np.uint64)
    number = clusters(hashes, 2)
    assert number[0] == number[2] == number[3]
    assert number[1] == number[4]
    assert sorted(set(number.tolist())) == [0, 1, 2]
    # At a distance of 1 the chain falls apart, at 0 everything does.
    assert len(set(clusters(hashes, 1).tolist())) == 5
    assert len(set(clusters(hashes, 0).tolist())) == 6


def test_equal_hashes_share_a_cluster_even_at_distance_0() -> None:
    assert clusters(np.array([7, 9, 7, 7, 9], np.uint64), 0).tolist() == [0, 1, 0, 0, 1]


def test_the_flat_hash_stays_alone() -> None:
    """Also where it would link two others: 1 bit from each of them, which are 2 apart."""
    flat = int(FLAT_HASH)
    number = clusters(np.array([flat, flat | 1, flat, flat | 2], np.uint64), 1)
    assert len(set(number.tolist())) == 4
    assert sorted(number.tolist()) == [0, 1, 2, 3]
    assert clusters(np.array([flat, flat], np.uint64), 10).tolist() == [0, 1]


@pytest.mark.parametrize("kind", FLAT_HASHES)
@pytest.mark.parametrize("colour", ["black", "white", "grey", "red", (1, 1, 1), (13, 77, 200)])
def test_flat_hashes_are_those_of_even_images(kind: str, colour: str | tuple[int, int, int]) -> None:
    even = Image.new("RGB", (50, 60), colour)
    function = {"ahash": "average_hash"}.get(kind, kind)
    assert int(str(getattr(imagehash, function)(even)), 16) in FLAT_HASHES[kind]
    assert int(face_hashes(even.convert("L"))[kind], 16) in FLAT_HASHES[kind]


def test_flat_hashes_depend_on_the_kind() -> None:
    """Two black images and a hash one bit from theirs; the DCT hash of even images is no special dhash."""
    hashes = np.array([0, 0, 1, FLAT_HASH, FLAT_HASH], np.uint64)
    assert len(set(clusters(hashes, 1).tolist())) == 5
    assert sorted(clusters(hashes, 0, FLAT_HASHES["dhash"]).tolist()) == [0, 1, 1, 2, 3]
    assert sorted(clusters(hashes, 1, flat=()).tolist()) == [0] * 5
    pairs = near_pairs_of(hashes, 2, FLAT_HASHES["dhash"])
    assert sorted(pairs.clusters(2).tolist()) == [0, 0, 0, 1, 2]
    assert pairs.values.tolist() == [1, FLAT_HASH, 0, 0]
    assert pairs.values[pairs.inverse].tolist() == hashes.tolist()


def test_clusters_are_the_components_of_the_pairs() -> None:
    hashes = clustered_hashes(seed=1)
    number = clusters(hashes, 6)
    root = list(range(len(hashes)))
    for i, j, _ in brute_force(hashes, 6):
        old, new = root[i], root[j]
        root = [new if r == old else r for r in root]
    assert len(set(zip(number.tolist(), root, strict=True))) == len(set(root)) == number.max() + 1


def test_one_search_serves_every_distance() -> None:
    hashes = np.r_[clustered_hashes(seed=2), clustered_hashes(seed=2)[::3], np.uint64(0), FLAT_HASH, FLAT_HASH]
    pairs = near_pairs_of(hashes)
    for distance in range(MAX_DISTANCE + 1):
        assert pairs.clusters(distance).tolist() == clusters(hashes, distance).tolist()
    assert pairs.clusters(0).max() > pairs.clusters(4).max() > pairs.clusters(10).max()


@pytest.mark.parametrize("distance", [-1, 5])
def test_a_search_serves_no_distance_beyond_its_own(distance: int) -> None:
    with pytest.raises(ValueError, match=f"distance must be 0 to 4 bits, not {distance}"):
        near_pairs_of(random_hashes(3), 4).clusters(distance)


def test_nearest() -> None:
    """Targets: a copy of a source; 1, 4 (and 3 from a target) and 2 bits from sources; flat, as a source is."""
    base, flat = 0xFF << 20, int(FLAT_HASH)
    hashes = np.array(
        [base, base ^ 0b1, base ^ 0b1111, base ^ (0b11 << 60), flat, base, base ^ 0b110000, flat], np.uint64
    )
    targets = np.arange(8) < 5
    sources = np.array([False] * 5 + [True, False, True])
    assert near_pairs_of(hashes, 3).nearest(targets, sources).tolist() == [0, 1, -1, 2, -1, -1, -1, -1]
    assert near_pairs_of(hashes, 4).nearest(targets, sources).tolist() == [0, 1, 4, 2, -1, -1, -1, -1]
    assert near_pairs_of(hashes, 4).nearest(sources, targets).tolist() == [-1] * 5 + [0, -1, -1]
    assert near_pairs_of(hashes, 4).nearest(sources, targets).dtype == np.int64
    nobody = np.zeros(8, bool)
    assert near_pairs_of(hashes, 4).nearest(targets, nobody).tolist() == [-1] * 8
    with pytest.raises(ValueError, match=r"^a face is both target and source$"):
        near_pairs_of(hashes, 4).nearest(targets, targets)


@settings(deadline=None, max_examples=60)
@given(
    hashes=hashes_about_one | hashes_in_shared_bands,
    distance=st.integers(0, MAX_DISTANCE),
    seed=st.integers(0, 2**32 - 1),
)
def test_nearest_equals_brute_force(hashes: np.ndarray, distance: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    hashes = np.r_[hashes, hashes[: len(hashes) // 3], FLAT_HASH]
    side = rng.integers(0, 3, len(hashes))  # 0 neither, 1 target, 2 source
    expected = []
    for here, one in zip(side, hashes, strict=True):
        apart = [
            (int(one) ^ int(other)).bit_count()
            for there, other in zip(side, hashes, strict=True)
            if (here, there) == (1, 2) and not {int(one), int(other)} & set(FLAT_HASHES["phash"])
        ]
        expected.append(min((d for d in apart if d <= distance), default=-1))
    assert near_pairs_of(hashes, distance).nearest(side == 1, side == 2).tolist() == expected


def test_join() -> None:
    first, second = np.array([0, 3]), np.array([2, 4])
    assert join(6, first, second).tolist() == [0, 1, 0, 2, 2, 3]
    assert join(6, first, second).dtype == np.int64
    assert join(0, np.array([], np.int64), np.array([], np.int64)).tolist() == []


def test_parse_hashes() -> None:
    parsed = parse_hashes(pd.Series(["0000000000000001", "ffffffffffffffff", "8000000000000000"]))
    assert parsed.tolist() == [1, 2**64 - 1, 2**63]
    assert parsed.dtype == np.uint64
