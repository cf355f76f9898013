"""What training shows a network: the copies of an epoch, in an order that follows from seed and epoch alone."""

import os
import sys
from collections.abc import Iterator
from queue import Queue
from threading import Event, Thread, get_native_id
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from maskdet.augment import AugmentOptions, Copy, draw_copy, epoch_copies
from maskdet.balance import resample
from maskdet.errors import MaskDetError
from maskdet.images import batches
from maskdet.models.base import LabelledImages
from maskdet.photos import FACE_SIZE

_PREFETCHED_BATCHES: Final = 4
_GIVES_WAY: Final = 10
Drawn = TypeVar("Drawn")
#: Images (uint8), labels (float32, shape (n, 1)), and how many images the batch has on all replicas together.
Batch = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], np.float32]


def steps_per_epoch(train: LabelledImages, augmentation: AugmentOptions, batch_size: int, of_replicas: int = 1) -> int:
    """How many batches an epoch has, without a last one of fewer images than there are replicas.

    Raises MaskDetError if none is left.
    """
    images = len(epoch_copies(train.datasets, augmentation))
    steps = sum(len(at) >= of_replicas for at in batches(images, batch_size))
    if not steps:
        raise MaskDetError(
            f"{of_replicas} devices that train together need batches of at least {of_replicas} images, not "
            f"{min(batch_size, images)}."
        )
    return steps


def drawn_copies(
    train: LabelledImages, augmentation: AugmentOptions, seed: int, epoch: int
) -> list[tuple[int, Copy, int]]:
    """All copies that one epoch shows, as (position of the face, copy, how often that came before).

    Where faces weigh differently, copies come about as often as their faces weigh, others in each epoch. There are as
    many in all.
    """
    copies = epoch_copies(train.datasets, augmentation)
    if train.weights is None:
        return [(position, copy, 0) for position, copy in copies]
    chosen = resample(train.weights[[position for position, _ in copies]], [seed, epoch, 2])
    before = np.arange(len(chosen)) - np.searchsorted(chosen, chosen)  # they ascend
    return [(*copies[i], int(repeat)) for i, repeat in zip(chosen, before, strict=True)]


def epoch_batches(
    train: LabelledImages, augmentation: AugmentOptions, batch_size: int, seed: int, epoch: int,
    replicas: range = range(1), of_replicas: int = 1,
) -> Iterator[Batch]:  # fmt: skip
    """The batches of one epoch.

    Parameters
    ----------
    epoch : int
        From 0.
    replicas : range
        Which replicas are fed here, of ``of_replicas``: each batch is cut into equal parts, one a replica, and the
        parts of these replicas come one after the other.
    """
    copies = drawn_copies(train, augmentation, seed, epoch)
    order = np.random.default_rng([seed, epoch]).permutation(len(copies))
    for at in batches(len(order), batch_size):
        if len(at) < of_replicas:
            continue  # a replica cannot do without an image
        for replica in replicas:
            mine = order[np.array_split(at, of_replicas)[replica]]
            chosen = [copies[i] for i in mine]
            positions = np.array([position for position, _, _ in chosen])
            images = train.images.take(positions)
            for i, (position, copy, repeat) in enumerate(chosen):
                face_id = train.face_ids[position] + f"|{repeat}" * bool(repeat)  # else both would look the same
                images[i] = draw_copy(images[i], copy, seed=seed, face_id=face_id, epoch=epoch, options=augmentation)
            yield images, train.labels[positions].astype(np.float32)[:, None], np.float32(len(at))


def drawn_ahead(batches: Iterator[Drawn]) -> Iterator[Drawn]:
    """The same batches, drawn ahead on a thread of their own that gives way to those of the network.

    The network computes on all cores and waits for its slowest thread: one that shares its core delays the whole step,
    while there is room for it wherever the network leaves a core idle.
    """
    drawn: Queue[Drawn | BaseException | None] = Queue(_PREFETCHED_BATCHES)
    over = Event()

    def draw() -> None:
        _give_way()
        try:
            for batch in batches:
                drawn.put(batch)
                if over.is_set():
                    return
            drawn.put(None)
        except BaseException as error:  # noqa: BLE001 - raised where the batches are used
            drawn.put(error)

    Thread(target=draw, daemon=True).start()
    try:
        while (item := drawn.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        over.set()
        while not drawn.empty():  # a thread that waits to put its last batch would stay forever
            drawn.get_nowait()


def _give_way() -> None:
    """Lower the priority of this thread, where a thread has one of its own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, get_native_id(), min(19, os.nice(0) + _GIVES_WAY))


def epoch_data(
    train: LabelledImages, augmentation: AugmentOptions, batch_size: int, seed: int, epoch: int, context: Any = None
) -> Any:
    """`epoch_batches` as a tf.data set, drawn ahead on a thread of its own while the network computes.

    Parameters
    ----------
    context : tf.distribute.InputContext, optional
        Which part of each batch is for this process.
    """
    import tensorflow as tf

    replicas, count = range(1), 1
    if context is not None:
        count = context.num_replicas_in_sync
        here = count // context.num_input_pipelines
        replicas = range(context.input_pipeline_id * here, (context.input_pipeline_id + 1) * here)
    signature = (
        tf.TensorSpec((None, FACE_SIZE, FACE_SIZE, 3), tf.uint8),
        tf.TensorSpec((None, 1), tf.float32),
        tf.TensorSpec((), tf.float32),
    )
    data = tf.data.Dataset.from_generator(
        lambda: epoch_batches(train, augmentation, batch_size, seed, epoch, replicas, count),
        output_signature=signature,
    )
    settings = tf.data.Options()
    settings.autotune.enabled = False  # with autotune, tearing an iterator down was seen to block for seconds
    return data.prefetch(_PREFETCHED_BATCHES).with_options(settings)
