"""When not to believe a verdict, by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit

from maskdet.errors import MaskDetError, RunError, WorkspaceError
from maskdet.reliability import (
    INDEX_FILE,
    RELIABILITY_FILE,
    FeatureSpace,
    Reliability,
    ReliabilityOptions,
    fit_reliability,
    fit_temperature,
    load_reliability,
    save_reliability,
)

#: Features of two numbers, all but their length lost along the second axis.
PLAIN = FeatureSpace(np.zeros(2, np.float32), np.array([[1], [0]], np.float32), stretch=10.0)


def made(index: Any = ((0, 0, 0),), **fields: Any) -> Reliability:
    rows = np.array(index, np.float32)
    values: dict[str, Any] = {
        "temperature": 1.0, "low": 0.4, "high": 0.6, "distance_threshold": 1.0, "space": PLAIN, "index": rows,
        "face_ids": tuple(f"a/{n}" for n in range(len(rows))), "step": 1, "neighbour": 1,
    }  # fmt: skip
    return Reliability(**values | fields)


def band(probabilities: list[float], labels: list[int], **options: Any) -> tuple[float, float]:
    """The band of validation faces whose probabilities are calibrated: fitted at a temperature of 1."""
    features = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("maskdet.reliability.fit_temperature", lambda logits, labels: 1.0)
        found = fit_reliability(
            features, [str(n) for n in range(40)], features[: len(labels)], logit(probabilities), np.array(labels),
            ReliabilityOptions(**options),
        )  # fmt: skip
    return found.low, found.high


def drawn_logits(count: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn with the probabilities that they stand for."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, count)
    return logits, (rng.random(count) < expit(logits)).astype(np.int64)


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_made_the_logits_too_certain(factor: float) -> None:
    logits, labels = drawn_logits()
    assert fit_temperature(factor * logits, labels) == pytest.approx(factor, rel=0.08)


def test_a_few_faces_that_are_all_right_do_not_make_certain() -> None:
    """Twenty faces at -5 and 5, all right: -0.158 is where the slope of their likelihood is that of the prior."""
    logits, labels = np.repeat([-5.0, 5.0], 10), np.repeat([0, 1], 10)
    found = np.log(fit_temperature(logits, labels))
    scaled = 5 * np.exp(-found)
    assert 20 * scaled * expit(-scaled) == pytest.approx(-found / np.log(2) ** 2, rel=1e-3)
    assert found == pytest.approx(-0.158, abs=0.005)


def test_probabilities_keep_the_sign() -> None:
    found = made(temperature=2.0)
    np.testing.assert_allclose(found.probability([0.0, 2.0, -4.0]), [0.5, expit(1), expit(-2)])


def test_the_edges_of_the_band_are_sure() -> None:
    assert made(low=0.3, high=0.8).not_sure([0.3, 0.31, 0.79, 0.8]).tolist() == [False, True, True, False]


def test_the_band_ends_where_errors_become_too_many() -> None:
    """Below 0.5 a fifth of the first five is wrong, of the first six a third; above, the one wrong face is the last."""
    probabilities = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.55, 0.7, 0.8, 0.9]
    labels = [0, 0, 0, 0, 1, 1, 0, 1, 1, 1]
    assert band(probabilities, labels, target=0.2) == pytest.approx((0.25, 0.7))
    assert band(probabilities, labels, target=0.1) == pytest.approx((0.2, 0.7))


def test_without_errors_the_band_is_the_narrowest() -> None:
    assert band([0.1, 0.45, 0.55, 0.9], [0, 0, 1, 1]) == (0.4, 0.6)
    assert band([0.1, 0.2, 0.3], [0, 0, 0]) == (0.4, 0.6)  # nothing is said to be without mask


def test_an_error_without_any_doubt_does_not_swallow_all() -> None:
    """A wrong label: no band within the widest can leave it out."""
    probabilities, labels = [0.001, 0.01, 0.2, 0.9, 0.99, 0.999], [1, 0, 0, 1, 1, 0]
    assert band(probabilities, labels) == pytest.approx((0.02, 0.98))
    assert band(probabilities, labels, most=(0.1, 0.95)) == pytest.approx((0.1, 0.95))


def test_the_space_by_hand() -> None:
    """(3, 4) has the length 5: 0.6 along the component, 0.8 is lost, and ten times log(5)."""
    np.testing.assert_allclose(PLAIN(np.array([[3, 4]], np.float32)), [[0.6, 0.8, 10 * np.log(5)]], rtol=1e-6)
    with pytest.raises(ValueError, match=r"features must be of shape \(n, 2\), not \(1, 3\)"):
        PLAIN(np.zeros((1, 3), np.float32))
    assert np.isfinite(PLAIN(np.zeros((1, 2), np.float32))).all()


def test_distances_and_nearest_by_hand() -> None:
    """(1, 0) lies at (1, 0, 0)."""
    found = made([(1, 0, 1), (1, 0, 3), (1, 2, 0), (1, 0, 4)], neighbour=2)
    feature = np.array([[1, 0]], np.float32)
    np.testing.assert_allclose(found.distance(feature), [2])
    np.testing.assert_allclose(replace(found, step=2).distance(feature), [2])  # of 1 and 2
    np.testing.assert_allclose(replace(found, step=2, neighbour=9).distance(feature), [2])  # the last there is
    ids, distances = found.nearest(feature, 3)
    assert ids.tolist() == [["a/0", "a/2", "a/1"]]
    np.testing.assert_allclose(distances, [[1, 2, 3]])
    assert found.nearest(feature, 99)[0].shape == (1, 4)
    assert found.distance(np.empty((0, 2), np.float32)).shape == (0,)


def clouds(seed: int, count: int) -> np.ndarray:
    """Features of one direction, with some scatter."""
    rng = np.random.default_rng(seed)
    return (np.array([5, 5, 0, 0, 0, 0]) + rng.standard_normal((count, 6)) * [1, 1, 0.3, 0.3, 0.3, 0.3]).astype(
        np.float32
    )


def test_fit_knows_faces_from_others() -> None:
    train, validation = clouds(0, 600), clouds(1, 300)
    logits, labels = drawn_logits(300)
    ids = [f"a/{n}" for n in range(600)]
    found = fit_reliability(train, ids, validation, logits, labels, ReliabilityOptions(components=3, sample=200))
    assert found.index.shape == (600, 5)
    assert (found.step, found.neighbour) == (3, 5)
    assert (found.distance(validation) > found.distance_threshold).sum() == 3  # 1 % of them
    others = np.array([[-5, 5, 0, 0, 0, 0], [0, 0, 5, 5, 5, 0], [0.05, 0.05, 0, 0, 0, 0]], np.float32)
    assert (found.distance(others) > found.distance_threshold).all()  # another direction, another, and no length
    assert [row[0] for row in found.nearest(train[:20], 1)[0]] == ids[:20]


def test_means_of_groups_take_the_place_of_faces() -> None:
    """Two clouds of 60 are their two means; three faces apart from all are too few for a mean of their own."""
    clouds_of = np.repeat([[9.0, 0, 0], [0, 6, 0], [0, 0, 3]], [60, 60, 3], axis=0)
    train = (clouds_of + np.random.default_rng(0).normal(0, 0.001, clouds_of.shape)).astype(np.float32)
    logits, labels = drawn_logits(60)
    options = ReliabilityOptions(components=2, centres=3)
    found = fit_reliability(train, [str(n) for n in range(123)], train[:60], logits, labels, options)
    assert (found.face_ids, found.step, found.neighbour) == ((), 1, 1)
    np.testing.assert_allclose(found.distance(train[:120]), 0, atol=0.05)
    assert (found.distance(train[120:]) > 0.5).all()
    with pytest.raises(RunError, match="its features show the faces"):
        found.nearest(train[:1], 1)


def test_means_are_saved_without_ids(tmp_path: Path) -> None:
    logits, labels = drawn_logits(50)
    found = fit_reliability(
        clouds(0, 60), [""] * 60, clouds(1, 50), logits, labels, ReliabilityOptions(centres=4)
    )  # fmt: skip
    save_reliability(tmp_path, found)
    again = load_reliability(tmp_path)
    assert again is not None
    assert again.face_ids == ()
    np.testing.assert_array_equal(again.distance(clouds(2, 9)), found.distance(clouds(2, 9)))


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_handful_of_faces_is_enough(count: int) -> None:
    features = clouds(0, count)
    found = fit_reliability(features, ["x"] * count, features, np.arange(count) - 0.5, np.arange(count) % 2)
    assert found.neighbour == 1
    assert np.isfinite([found.temperature, found.low, found.high, found.distance_threshold]).all()


def test_features_that_are_all_alike() -> None:
    found = fit_reliability(
        np.ones((9, 4), np.float32), ["x"] * 9, np.ones((3, 4), np.float32), np.ones(3), np.ones(3, int)
    )
    assert found.distance(np.ones((1, 4), np.float32))[0] <= found.distance_threshold


def test_saved_and_read_again_it_is_the_same(tmp_path: Path) -> None:
    logits, labels = drawn_logits(50)
    ids = [f"dataset é/{n}.jpg@1,2" for n in range(60)]
    found = fit_reliability(clouds(0, 60), ids, clouds(1, 50), logits, labels)
    found = replace(found, record={"options": {"target": 0.005}})
    save_reliability(tmp_path, found)
    again = load_reliability(tmp_path)
    assert again is not None
    others = clouds(2, 9)
    np.testing.assert_array_equal(again.distance(others), found.distance(others))
    np.testing.assert_array_equal(again.nearest(others, 4)[0], found.nearest(others, 4)[0])
    np.testing.assert_array_equal(again.probability(logits), found.probability(logits))
    assert (again.low, again.high, again.distance_threshold, again.record) == (
        found.low, found.high, found.distance_threshold, found.record,
    )  # fmt: skip


def test_nothing_there_is_none(tmp_path: Path) -> None:
    assert load_reliability(tmp_path) is None


@pytest.mark.parametrize("name", [RELIABILITY_FILE, INDEX_FILE])
@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"PK\x03\x04 cut", None])
def test_damaged_files_are_one_sentence(name: str, content: bytes | None, tmp_path: Path) -> None:
    save_reliability(tmp_path, made())
    if content is None:
        (tmp_path / INDEX_FILE).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(MaskDetError, match=r"reliability\.\w+ cannot be read \(") as error:
        load_reliability(tmp_path)
    assert "\n" not in str(error.value)


def test_parts_that_do_not_belong_together(tmp_path: Path) -> None:
    save_reliability(tmp_path, replace(made(), face_ids=("a/0", "a/1")))
    with pytest.raises(RunError, match="do not belong together"):
        load_reliability(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": 0.0}, r"target and quantile must be between 0 and 1, not 0\.0 and 0\.99"),
        ({"quantile": 1.0}, r"target and quantile .* not 0\.005 and 1\.0"),
        ({"least": (0.6, 0.7)}, "band must lie around 0.5"),
        ({"most": (0.45, 0.98)}, "band must lie around 0.5"),
        ({"components": 0}, "components must be at least 1, not 0"),
        ({"sample": 0}, "sample must be at least 1, not 0"),
        ({"neighbour": 0}, "neighbour must be at least 1, not 0"),
        ({"centres": 0}, "centres must be at least 1, not 0"),
        ({"length_weight": -1.0}, r"length_weight must be at least 0, not -1\.0"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskDetError, match=message):
        ReliabilityOptions(**options)


def test_a_photo_may_be_called_anything(tmp_path: Path) -> None:
    """Such names are valid UTF-8, and end a line for str.splitlines."""
    ids = tuple(f"a/1{end}.jpg" for end in "\n\r\x0b\x1c\x85\u2028")
    save_reliability(tmp_path, made(index=[(0, 0, n) for n in range(6)], face_ids=ids))
    again = load_reliability(tmp_path)
    assert again is not None
    assert again.face_ids == ids


def test_ids_as_earlier_versions_stored_them(tmp_path: Path) -> None:
    ids = ("a/1\x85.jpg", "a/2.jpg")
    save_reliability(tmp_path, made(index=[(0, 0, 0), (0, 0, 1)], face_ids=ids))
    with np.load(tmp_path / INDEX_FILE) as stored:
        arrays = dict(stored)
    arrays["face_ids"] = np.frombuffer("\n".join(ids).encode(), np.uint8)
    np.savez(tmp_path / INDEX_FILE, **arrays)
    again = load_reliability(tmp_path)
    assert again is not None
    assert again.face_ids == ids


def test_an_index_that_unpacks_to_more_than_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_reliability(tmp_path, made())
    monkeypatch.setattr("maskdet.reliability._MOST_BYTES", 100)
    with pytest.raises(WorkspaceError, match="it unpacks to 0 MB, more than 0"):
        load_reliability(tmp_path)
