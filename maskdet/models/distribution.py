"""Training on more than one device, through `tf.distribute`.

Several GPUs of one machine are used as they are found; several machines where each process is told its place through
TF_CONFIG, as TensorFlow documents it. Every worker trains on its part of each batch and ends with the same weights;
the first one (the chief) writes the run.
"""

import json
import os
from functools import lru_cache
from typing import Any, Final

from maskdet.errors import MaskDetError

#: TensorFlow's environment variable that tells a process the cluster and its place in it.
CLUSTER_VARIABLE: Final = "TF_CONFIG"


def is_chief() -> bool:
    """True for the one process that writes the run: the only one, or the first worker of a cluster."""
    task = _cluster().get("task", {})
    return bool(task.get("type", "worker") == "chief" or (not _has_chief() and int(task.get("index", 0)) == 0))


@lru_cache(maxsize=1)
def current_strategy() -> Any:
    """How this process trains: with the workers of its cluster, on all its GPUs, or on the one device it has."""
    import tensorflow as tf

    if _cluster():
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def _has_chief() -> bool:
    return "chief" in _cluster().get("cluster", {})


def _cluster() -> dict[str, Any]:
    text = os.environ.get(CLUSTER_VARIABLE, "")
    if not text:
        return {}
    try:
        found = json.loads(text)
        return dict(found) if found.get("cluster") else {}
    except (ValueError, TypeError, AttributeError) as error:
        raise MaskDetError(f"{CLUSTER_VARIABLE} is no cluster description ({error}).") from error
