"""Import TensorFlow without its greeting."""

import os
import sys
import tempfile

#: Parts of the lines that TensorFlow's C++ code writes to stderr before any setting of its log level counts.
_GREETING = (
    "absl::InitializeLog",
    "cudart_stub",
    "cuda_platform",
    "computation_placer",
    "port.cc",
    "cpu_feature_guard",
)


def import_tensorflow() -> None:
    """Import TensorFlow and Keras, holding stderr back meanwhile; all but the greeting is passed on afterwards."""
    if "tensorflow" in sys.modules:
        return
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            import keras  # noqa: F401 - its import is what greets
            import tensorflow  # noqa: F401 - as above
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            os.close(real)
            held.seek(0)
            for line in held.read().decode(errors="replace").splitlines():
                if not any(part in line for part in _GREETING):
                    print(line, file=sys.stderr)
