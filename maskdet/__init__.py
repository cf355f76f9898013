"""MaskDet: face-mask image classification that one can check.

The core library behind the Streamlit app and ``python -m maskdet``. It imports no Streamlit, and TensorFlow only
inside the functions that need it, so that reading a face table, a run or a metric stays quick.
"""

__version__ = "0.1.0"
