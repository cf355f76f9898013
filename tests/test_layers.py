"""The layers: the core knows no Streamlit, and TensorFlow is imported only when a network is needed."""

from pathlib import Path

import pytest
from fresh_python import run_python

PROJECT = Path(__file__).resolve().parents[1]
MODULES = sorted(
    path.relative_to(PROJECT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    for path in (PROJECT / "maskdet").rglob("*.py")
    if path.name != "__main__.py"
)


def test_no_module_of_the_core_imports_streamlit_or_tensorflow() -> None:
    assert len(MODULES) > 60
    code = f"import sys, importlib\nfor m in {MODULES}: importlib.import_module(m)\n"
    unwanted = "print([m for m in ('streamlit', 'tensorflow', 'keras', 'tf_keras_vis') if m in sys.modules])"
    assert run_python(code + unwanted) == "[]"


def test_home_paints_without_tensorflow(tmp_path: Path) -> None:
    code = f"""
import os, sys
os.environ["MASKDET_HOME"] = {str(tmp_path)!r}
from streamlit.testing.v1 import AppTest
page = AppTest.from_file("app.py", default_timeout=60).run()
assert not page.exception and page.title[0].value == "MaskDet", page
print([m for m in ("tensorflow", "keras") if m in sys.modules])
"""
    assert run_python(code).splitlines()[-1] == "[]"


def test_what_needs_no_network_imports_no_tensorflow(tmp_path: Path) -> None:
    """Options of a network, a training of the SVM, runs, and the shell, which start in a second so."""
    code = f"""
import sys
from pathlib import Path
from maskdet.models import MODELS, create_model
from maskdet.runs import list_runs, unfinished_runs
from maskdet.workspace import Workspace
models = [create_model(name) for name in MODELS]
home = Workspace(Path({str(tmp_path)!r}))
list_runs(home), unfinished_runs(home)
import maskdet.cli, maskdet.study, maskdet.bundle, maskdet.crossval, maskdet.train
from maskdet.training_data import Plan
Plan("cnn", {{"epochs": 3}}, limit=9)
print([m for m in ("tensorflow", "keras") if m in sys.modules])
"""
    assert run_python(code).splitlines()[-1] == "[]"


@pytest.mark.parametrize("folder", ["maskdet", "pages", "ui"])
def test_no_file_imports_tensorflow_at_its_top(folder: str) -> None:
    lines = [line for path in (PROJECT / folder).rglob("*.py") for line in path.read_text().splitlines()]
    assert len(lines) > 100
    unwanted = ("import tensorflow", "from tensorflow", "import keras", "from keras")
    assert not [line for line in lines if line.startswith(unwanted)]
