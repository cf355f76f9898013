"""The machine, and the versions of the packages, that a result was made with: written beside it."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import psutil

from maskdet import __version__

_PACKAGES: Final = (
    *("numpy", "pandas", "pillow", "imagehash"),
    *("scikit-learn", "tensorflow", "keras", "opencv-python-headless", "onnxruntime"),
)


def environment() -> dict[str, Any]:
    """The machine and versions that a result was made with."""
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    return {
        "maskdet": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "packages": packages,
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
