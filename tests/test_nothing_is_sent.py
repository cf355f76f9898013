"""Libraries that would tell their makers how they are used do not: see "What happens to a photo" in the documents."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from streamlit import config

PROJECT = Path(__file__).resolve().parents[1]
_FACE = "np.zeros((1, 150, 150, 3), np.uint8)"
_VERDICT = f"""
import numpy as np
from maskdet.detection import FaceDetector
from maskdet.predict import open_judge
from maskdet.runs import BUNDLED, open_run
FaceDetector()(np.zeros((200, 200, 3), np.uint8))
print(open_judge(open_run(sorted(BUNDLED.glob("cnn-*"))[0]))({_FACE})[0].verdict)
"""


def left_by(code: str, folder: Path) -> list[str]:
    """What a fresh interpreter leaves in the home and temporary folders of somebody who set nothing."""
    environment = {"PATH": os.environ["PATH"]}  # and no more: under CI=true ONNX Runtime is quiet of its own accord
    for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        (folder / name).mkdir()
        environment[name] = str(folder / name)
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, env=environment, check=True, capture_output=True)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.skipif(sys.platform != "linux", reason="where ONNX Runtime's statistics are kept is known for Linux only")
def test_onnx_runtime_tells_nobody_how_it_is_used(tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    (tmp_path / "ours").mkdir()
    assert left_by("import onnxruntime", tmp_path / "alone")  # its session: else the next line proves nothing
    assert left_by(_VERDICT, tmp_path / "ours") == []


def test_streamlit_tells_nobody_how_it_is_used() -> None:
    assert config.get_option("browser.gatherUsageStats") is False
