"""MaskDet: face-mask image classification that one can check.

The core library behind the Streamlit app and ``python -m maskdet``. It imports no Streamlit, and TensorFlow only
inside the functions that need it, so that reading a face table, a run or a metric stays quick.
"""

import os

__version__ = "0.1.0"

# Official builds of ONNX Runtime tell Microsoft how they are used, unless this is set before they are imported (their
# Privacy.md). Here nothing is sent anywhere.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
