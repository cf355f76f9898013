"""What training shows a network: which copies, in which order, in which batches, on which replica."""

import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from factories import labelled

from maskdet.augment import METHODS, AugmentOptions, augment, random_variant
from maskdet.errors import MaskDetError
from maskdet.images import ArrayImages
from maskdet.models.base import LabelledImages
from maskdet.models.feeding import Batch, drawn_ahead, drawn_copies, epoch_batches, epoch_data, steps_per_epoch

TRAIN = labelled(48, seed=1)
NONE = AugmentOptions(plan="none")
STUDY = AugmentOptions(plan="study")


def epoch_of(options: AugmentOptions, seed: int, epoch: int, batch_size: int = 20) -> tuple[np.ndarray, np.ndarray]:
    batches = list(epoch_batches(TRAIN, options, batch_size, seed, epoch))
    return np.concatenate([images for images, _, _ in batches]), np.concatenate([labels for _, labels, _ in batches])


def sorted_faces(images: np.ndarray) -> list[bytes]:
    return sorted(image.tobytes() for image in images)


def test_batches() -> None:
    batches = list(epoch_batches(TRAIN, NONE, 20, 3, 0))
    assert [len(images) for images, _, _ in batches] == [20, 20, 8]
    for images, labels, count in batches:
        assert (images.dtype, labels.dtype, count.dtype) == (np.uint8, np.float32, np.float32)
        assert (images.shape[1:], labels.shape) == ((150, 150, 3), (len(images), 1))
        assert count == len(images)


@pytest.mark.parametrize(("options", "steps"), [(NONE, 3), (AugmentOptions(), 3), (STUDY, 15)])
def test_steps_per_epoch(options: AugmentOptions, steps: int) -> None:
    """48 faces in batches of 20; with the study's plan 48 x 6 = 288."""
    assert steps_per_epoch(TRAIN, options, 20) == steps
    assert len(list(epoch_batches(TRAIN, options, 20, 0, 0))) == steps


def test_epochs_are_repeatable_and_differ() -> None:
    images, labels = epoch_of(AugmentOptions(), 3, 0)
    again, labels_again = epoch_of(AugmentOptions(), 3, 0)
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(labels, labels_again)
    assert labels.sum() == 24
    for seed, epoch in ((3, 1), (4, 0)):
        other, _ = epoch_of(AugmentOptions(), seed, epoch)
        assert (images != other).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize(
    "options", [NONE, AugmentOptions(probability=0), AugmentOptions(plan="study", not_augmented=("2.1", "a"))]
)
def test_without_augmentation_each_face_comes_once_in_another_order(options: AugmentOptions) -> None:
    images, labels = epoch_of(options, 3, 0)
    stock = TRAIN.images.take(np.arange(48))
    assert sorted_faces(images) == sorted_faces(stock)
    assert (images != stock).any()
    bright = images[:, 75:].mean(axis=(1, 2, 3)) > images[:, :75].mean(axis=(1, 2, 3))
    assert (bright == (labels[:, 0] == 1)).all()  # labels moved with their faces


def test_augmentation_leaves_the_stock_alone() -> None:
    before = TRAIN.images.take(np.arange(48))
    images, _ = epoch_of(AugmentOptions(probability=1), 3, 0)
    np.testing.assert_array_equal(TRAIN.images.take(np.arange(48)), before)
    assert not set(sorted_faces(images)) & set(sorted_faces(before))


@pytest.mark.parametrize("batch_size", [7, 64])
def test_training_sees_the_very_copies_of_the_preview(batch_size: int) -> None:
    """What the Augmentation page shows is what training yields, whatever the batch and the order of the faces."""
    options = AugmentOptions(methods=("flip", "rotate", "noise"))
    few = labelled(10, seed=4)
    previewed = {
        random_variant(image, seed=9, face_id=face_id, epoch=2, options=options).tobytes()
        for image, face_id in zip(few.images.take(np.arange(10)), few.face_ids, strict=True)
    }
    assert len(previewed) == 10
    order = np.random.default_rng(1).permutation(10)
    shuffled = LabelledImages(
        ArrayImages(few.images.take(order)), few.labels[order], few.groups[order],
        tuple(few.face_ids[i] for i in order), few.datasets,
    )  # fmt: skip
    for faces in (few, shuffled):
        batches = list(epoch_batches(faces, options, batch_size, 9, 2))
        assert {image.tobytes() for images, _, _ in batches for image in images} == previewed


def test_study_plan_shows_each_face_and_its_copies_but_leaves_2_1_alone() -> None:
    four = labelled(4, seed=4)
    data = LabelledImages(four.images, four.labels, four.groups, four.face_ids, ("2.2", "2.1", "3.1", "2.1"))
    expected: Counter[tuple[bytes, int]] = Counter()
    for i, image in enumerate(four.images.take(np.arange(4))):
        copies = [augment(image, m, seed=3, face_id=four.face_ids[i], options=STUDY) for m in METHODS if i in (0, 2)]
        expected.update((copy.tobytes(), int(four.labels[i])) for copy in (image, *copies))
    assert expected.total() == 14  # 2 faces x (1 + 5), and 2 alone

    def shown(epoch: int) -> list[tuple[bytes, int]]:
        batches = list(epoch_batches(data, STUDY, 8, 3, epoch))
        assert [len(images) for images, _, _ in batches] == [8, 6]
        return [(image.tobytes(), int(label)) for batch in batches for image, (label,) in zip(*batch[:2], strict=True)]

    assert Counter(shown(0)) == Counter(shown(1)) == expected  # the copies are the same in every epoch,
    assert shown(0) != shown(1)  # in another order


def weighed(values: np.ndarray) -> LabelledImages:
    return replace(TRAIN, weights=values.astype(np.float64))


def test_faces_that_weigh_more_come_more_often() -> None:
    """24 faces of weight 1.5 and 24 of 0.5, in each epoch others; as many images in all."""
    heavy = TRAIN.labels == 1
    train = weighed(np.where(heavy, 1.5, 0.5))
    epochs = [drawn_copies(train, AugmentOptions(), 3, epoch) for epoch in range(2)]
    for copies in epochs:
        assert len(copies) == 48
        count = np.bincount([position for position, _, _ in copies], minlength=48)
        assert abs(count[heavy].sum() - 36) <= 1
        assert set(count[heavy]) == {1, 2}
        assert set(count[~heavy]) == {0, 1}
        assert Counter(copies).most_common(1)[0][1] == 1  # the second time a face comes, it says so
    assert epochs[0] != epochs[1]
    assert drawn_copies(train, AugmentOptions(), 3, 1) == epochs[1]
    assert steps_per_epoch(train, AugmentOptions(), 20) == len(list(epoch_batches(train, AugmentOptions(), 20, 3, 0)))


def test_a_face_that_comes_twice_comes_in_two_variants() -> None:
    train = weighed(np.where(np.arange(48) == 0, 5.0, 43 / 47))
    batches = list(epoch_batches(train, AugmentOptions(probability=1), 20, 3, 0))
    images = np.concatenate([images for images, _, _ in batches])
    assert len({image.tobytes() for image in images}) == len(images) == 48
    without = list(epoch_batches(train, NONE, 20, 3, 0))
    assert len({image.tobytes() for images, _, _ in without for image in images}) <= 44


def test_of_the_study_plan_copies_are_drawn_by_the_weight_of_their_face() -> None:
    data = replace(weighed(np.where(np.arange(48) < 24, 1.5, 0.5)), datasets=("a", "2.1") * 24)
    copies = drawn_copies(data, STUDY, 3, 0)
    assert len(copies) == 24 * 6 + 24
    assert abs(sum(position < 24 for position, _, _ in copies) - 126) <= 1


def test_equal_weights_show_what_no_weights_show() -> None:
    weighing = list(epoch_batches(weighed(np.ones(48)), AugmentOptions(), 20, 3, 0))
    for one, other in zip(weighing, epoch_batches(TRAIN, AugmentOptions(), 20, 3, 0), strict=True):
        np.testing.assert_array_equal(one[0], other[0])


def test_replicas_share_a_batch() -> None:
    """Each gets its part of the very batches that one device would get, and divides by the size of the whole."""
    alone = list(epoch_batches(TRAIN, NONE, 20, 3, 0))
    parts = [list(epoch_batches(TRAIN, NONE, 20, 3, 0, range(r, r + 1), 3)) for r in range(3)]
    assert [[len(images) for images, _, _ in part] for part in parts] == [[7, 7, 3], [7, 7, 3], [6, 6, 2]]
    for number, whole in enumerate(alone):
        together = np.concatenate([part[number][0] for part in parts])
        np.testing.assert_array_equal(together, whole[0])
        assert {float(part[number][2]) for part in parts} == {float(whole[2])}


def test_replicas_of_one_process_come_one_after_the_other() -> None:
    both = list(epoch_batches(TRAIN, NONE, 20, 3, 0, range(2), 2))
    assert [len(images) for images, _, _ in both] == [10, 10, 10, 10, 4, 4]


def test_a_last_batch_too_small_for_all_replicas_is_passed_over() -> None:
    """41 faces in batches of 20 leave one face, and of two replicas one would have nothing to compute with."""
    few = labelled(41, seed=1)
    assert len(list(epoch_batches(few, NONE, 20, 3, 0))) == 3
    for replica in range(2):
        shares: list[Batch] = list(epoch_batches(few, NONE, 20, 3, 0, range(replica, replica + 1), 2))
        assert [len(images) for images, _, _ in shares] == [10, 10]


def test_epoch_data_is_the_batches_as_tensors() -> None:
    drawn = list(epoch_data(TRAIN, AugmentOptions(), 20, 3, 1))
    wanted = list(epoch_batches(TRAIN, AugmentOptions(), 20, 3, 1))
    assert len(drawn) == len(wanted) == 3
    for tensors, arrays in zip(drawn, wanted, strict=True):
        for tensor, array in zip(tensors, arrays, strict=True):
            np.testing.assert_array_equal(tensor.numpy(), array)


# --- drawn ahead -----------------------------------------------------------------------------------------------------


def test_what_is_drawn_ahead_is_the_same_in_the_same_order() -> None:
    assert list(drawn_ahead(iter(range(50)))) == list(range(50))
    assert list(drawn_ahead(iter(()))) == []


def test_an_error_while_drawing_reaches_the_training() -> None:
    def faces() -> Iterator[int]:
        yield 1
        raise MaskDetError("The measured faces are incomplete.")

    drawn = drawn_ahead(faces())
    assert next(drawn) == 1
    with pytest.raises(MaskDetError, match="measured faces are incomplete"):
        next(drawn)


def test_a_training_that_stops_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    drawn = drawn_ahead(itertools.count())
    assert next(drawn) == 0
    started = set(threading.enumerate()) - before
    assert len(started) == 1
    drawn.close()  # type: ignore[attr-defined]  # a generator
    for thread in started:
        thread.join(timeout=10)
        assert not thread.is_alive()
