"""Training on more than one device, through `tf.distribute`.

Several GPUs of one machine are used as they are found; several machines where each process is told its place through
TF_CONFIG, as TensorFlow documents it. Every worker trains on its part of each batch and ends with the same weights;
the first one (the chief) writes the run. TensorFlow is imported inside the functions only.
"""

import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from maskdet.errors import MaskDetError, reason_of

#: TensorFlow's environment variable that tells a process the cluster and its place in it.
CLUSTER_VARIABLE: Final = "TF_CONFIG"
#: In the order in which TensorFlow numbers the processes.
_ROLES: Final = ("chief", "worker")
_JOIN_MINUTES: Final = 5.0
_RETRY_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Place:
    """Which of the processes of a cluster this one is: the first (0) is the chief; without a cluster, the only one."""

    index: int = 0
    addresses: tuple[str, ...] = ("",)

    @property
    def workers(self) -> int:
        """How many processes train together."""
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        """True for the one process that writes the run."""
        return self.index == 0


def place() -> Place:
    """The place of this process, by TF_CONFIG.

    Raises
    ------
    MaskDetError
        If TF_CONFIG describes no cluster of a chief and workers with this process in it.
    """
    text = os.environ.get(CLUSTER_VARIABLE, "").strip()
    try:
        found = json.loads(text or "{}")
        if not found.get("cluster"):
            return Place()
        return _place(found["cluster"], found["task"]["type"], found["task"]["index"])
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise MaskDetError(
            f"{CLUSTER_VARIABLE} describes no cluster ({reason_of(error)}); it should be like "
            '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}.'
        ) from error


def is_chief() -> bool:
    """True for the one process that writes the run: the only one, or the first of a cluster."""
    return place().is_chief


@lru_cache(maxsize=1)
def current_strategy() -> Any:
    """How this process trains: with the workers of its cluster, on all its GPUs, or on the one device it has.

    Raises
    ------
    MaskDetError
        If TF_CONFIG is malformed, or the other workers are not there within five minutes.
    """
    import tensorflow as tf

    here = place()
    if here.workers > 1:
        _await_workers(here)
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def sum_over_workers(strategy: Any, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The sum of an array over the processes of a cluster, the same to the bit on each; without one, as it is."""
    import tensorflow as tf

    workers = place().workers
    if workers == 1:
        return values
    replicas_here = strategy.num_replicas_in_sync // workers

    def part(context: Any) -> Any:  # once for each process
        return tf.constant(values if context.replica_id_in_sync_group % replicas_here == 0 else np.zeros_like(values))

    parts = strategy.experimental_distribute_values_from_function(part)
    return np.asarray(strategy.reduce(tf.distribute.ReduceOp.SUM, parts, axis=None))


def require_agreement(strategy: Any, *facts: Any) -> None:
    """Raise MaskDetError, on every worker, unless all workers of a cluster were given the same facts.

    Otherwise they would wait for each other forever, or train on something else than they say.
    """
    here = place()
    digest = int.from_bytes(blake2b(repr(facts).encode(), digest_size=6).digest(), "big")  # exact as a float64
    digests = np.zeros(here.workers)
    digests[here.index] = digest
    if (sum_over_workers(strategy, digests) != digest).any():
        raise MaskDetError(
            "The workers of the cluster were not given the same training: start each with the same command, options "
            "and faces, and, to resume, with the workspace that the chief writes to."
        )


def synchronise_batch_statistics(network: Any, strategy: Any) -> None:
    """Let batch normalisation see the whole batch instead of a replica's part of it.

    Then a step does what it does on one device, and all replicas keep the same moving statistics.
    """
    if strategy.num_replicas_in_sync > 1:
        for layer in network.layers:
            if hasattr(layer, "synchronized"):
                layer.synchronized = True


def draw_apart(network: Any, strategy: Any) -> None:
    """Let each replica drop other inputs, after all were seeded alike."""
    here = place()
    first = here.index * (strategy.num_replicas_in_sync // here.workers)
    for layer in network.layers:
        if hasattr(layer, "seed_generator"):
            states = strategy.experimental_local_results(layer.seed_generator.state.value)
            for number, state in enumerate(states, start=first):
                state.assign_add(np.array([number, 0], dtype=state.dtype.as_numpy_dtype))


@contextmanager
def cluster_failures() -> Iterator[None]:
    """Say in one sentence what TensorFlow says in many where another worker of a cluster is gone.

    Raises
    ------
    MaskDetError
        In the place of TensorFlow's errors of a cluster.
    """
    import tensorflow as tf

    if place().workers == 1:
        yield
        return
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.InternalError,
            tf.errors.DeadlineExceededError) as error:  # fmt: skip
        raise MaskDetError(
            "Another worker of the cluster is gone or cannot be reached: see what each says, then start all of them "
            "again with `resume`."
        ) from error


def _place(cluster: dict[str, list[str]], role: str, index: int) -> Place:
    unknown = sorted(set(cluster) - set(_ROLES))
    if unknown:
        raise ValueError(f"only {' and '.join(_ROLES)} are known, not {unknown[0]!r}")
    for addresses in cluster.values():
        if not isinstance(addresses, list) or not all(re.fullmatch(r".+:\d{1,5}", str(a)) for a in addresses):
            raise ValueError(f"addresses must be a list of host:port, not {addresses!r}")
    if len(cluster.get("chief", [])) > 1:
        raise ValueError("there can be one chief only")
    if role not in cluster or not isinstance(index, int) or not 0 <= index < len(cluster[role]):
        raise ValueError(f"the cluster has no task {role!r} with the index {index!r}")
    before = sum(len(cluster.get(earlier, [])) for earlier in _ROLES[: _ROLES.index(role)])
    return Place(before + index, tuple(address for known in _ROLES for address in cluster.get(known, [])))


def _await_workers(here: Place, minutes: float = _JOIN_MINUTES) -> None:
    """Return once all processes of the cluster have started.

    TensorFlow alone would wait for an hour, holding Python so that nothing can stop it. So this process listens at
    its own address until every other one's answers: that of a process that waits too, or TensorFlow's in one that
    went on.
    """
    ends = time.monotonic() + 60 * minutes
    missing = [address for number, address in enumerate(here.addresses) if number != here.index]
    port = _host_and_port(here.addresses[here.index])[1]
    try:
        listener = socket.create_server(("", port))
    except OSError as error:
        raise MaskDetError(
            f"This worker cannot listen at port {port} ({error.strerror}); give another one in {CLUSTER_VARIABLE}."
        ) from error
    with listener:
        while missing := [address for address in missing if not _answers(address)]:
            if time.monotonic() > ends:
                raise MaskDetError(
                    f"No worker of the cluster answers at {', '.join(missing)} after {minutes:g} minutes; start all of "
                    "them, and check that each can reach the others' addresses."
                )
            time.sleep(_RETRY_SECONDS)


def _answers(address: str) -> bool:
    try:
        socket.create_connection(_host_and_port(address), timeout=_RETRY_SECONDS).close()
    except OSError:
        return False
    return True


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
