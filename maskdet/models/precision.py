"""bfloat16 where the machine computes with it: half the memory traffic, and matrix units on newer processors."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

Precision = Literal["auto", "float32", "bfloat16"]

_CPU_INFO: Final = Path("/proc/cpuinfo")
#: On processors that only have avx512_bf16's predecessors, TensorFlow emulates bfloat16, which is slower than float32.
_CPU_FLAGS: Final = {"amx_bf16", "avx512_bf16"}
#: NVIDIA's GPUs compute with bfloat16 from this compute capability on (Ampere).
_GPU_CAPABILITY: Final = 8


def best_precision() -> Literal["float32", "bfloat16"]:
    """bfloat16 on a GPU or processor that has it in hardware, else float32."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
        return "bfloat16" if capability[0] >= _GPU_CAPABILITY else "float32"
    return "bfloat16" if _CPU_FLAGS & _cpu_flags() else "float32"


@contextmanager
def precision_of_layers(precision: str) -> Iterator[None]:
    """Layers built within compute in this precision; their weights, and so what is saved, are float32 in any case."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _cpu_flags() -> set[str]:
    if not _CPU_INFO.is_file():
        return set()
    lines = (line for line in _CPU_INFO.read_text().splitlines() if line.startswith("flags"))
    return set(next(lines, "").split())
