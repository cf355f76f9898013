"""Near-duplicates: the banded search finds exactly what comparing all with all finds, and chains become clusters."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from factories import random_hashes
from hypothesis import given, settings
from hypothesis import strategies as st

from maskdet import duplicates
from maskdet.duplicates import FLAT_HASH, MAX_DISTANCE, clusters, join, near_pairs, parse_hashes

Pairs = list[tuple[int, int, int]]


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


@settings(deadline=None, max_examples=60)
@given(
    base=st.integers(0, 2**64 - 1),
    turns=st.lists(st.sets(st.integers(0, 63), max_size=12), max_size=25),
    distance=st.integers(0, MAX_DISTANCE),
)
def test_near_pairs_equal_brute_force_about_any_hash(base: int, turns: list[set[int]], distance: int) -> None:
    hashes = np.unique(np.array([base ^ sum(1 << bit for bit in bits) for bits in turns], np.uint64))
    assert found(hashes, distance) == brute_force(hashes, distance)


def test_near_pairs_are_the_same_when_dealt_in_small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = clustered_hashes(seed=3)
    whole = found(hashes, 8)
    monkeypatch.setattr(duplicates, "_PAIRS_AT_ONCE", 7)
    assert found(hashes, 8) == whole == brute_force(hashes, 8)


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
    """0 and 0b11, 0b11 and 0b1111 are 2 bits apart; 0 and 0b1111 are 4, but the chain joins them."""
    far = 0xFFFF << 40
    hashes = np.array([0b1111, far, 0, 0b11, far | 1, 0xFFFF << 20], np.uint64)
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


def test_flat_hash_is_that_of_an_even_image() -> None:
    import imagehash
    from PIL import Image

    shades = pd.Series([str(imagehash.phash(Image.new("RGB", (50, 60), (shade,) * 3))) for shade in (9, 128, 240)])
    assert (parse_hashes(shades) == FLAT_HASH).all()


def test_clusters_are_the_components_of_the_pairs() -> None:
    hashes = clustered_hashes(seed=1)
    number = clusters(hashes, 6)
    root = list(range(len(hashes)))
    for i, j, _ in brute_force(hashes, 6):
        old, new = root[i], root[j]
        root = [new if r == old else r for r in root]
    assert len(set(zip(number.tolist(), root, strict=True))) == len(set(root)) == number.max() + 1


def test_join() -> None:
    first, second = np.array([0, 3]), np.array([2, 4])
    assert join(6, first, second).tolist() == [0, 1, 0, 2, 2, 3]
    assert join(0, np.array([], np.int64), np.array([], np.int64)).tolist() == []


def test_parse_hashes() -> None:
    parsed = parse_hashes(pd.Series(["0000000000000001", "ffffffffffffffff", "8000000000000000"]))
    assert parsed.tolist() == [1, 2**64 - 1, 2**63]
    assert parsed.dtype == np.uint64
