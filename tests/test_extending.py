"""The examples of docs/extending.md, run as they stand: each joins its family and is used like what ships."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import Shell
from factories import draw_faces, fit_data, labelled, make_faces
from PIL import Image

from maskdet.attribution import METHODS, Explainer
from maskdet.catalog import DATA_DIR
from maskdet.dataset_folders import LAYOUTS
from maskdet.facetable import load_faces
from maskdet.further_filters import FURTHER
from maskdet.models import MODELS, create_model
from maskdet.models.onnx_graph import INPUT, OUTPUTS, open_session
from maskdet.quality import FilterOptions, apply_filters, filter_titles
from maskdet.readers import READERS, read_dataset
from maskdet.workspace import Workspace

DOCUMENT = (DATA_DIR.parent / "docs" / "extending.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?```python\n(.*?)```", DOCUMENT, re.MULTILINE | re.DOTALL)
FAMILIES: tuple[dict[str, Any], ...] = (LAYOUTS, READERS, MODELS, METHODS, FURTHER)


@pytest.fixture(autouse=True)
def _families_as_they_were() -> Iterator[None]:
    before = [dict(family) for family in FAMILIES]
    yield
    for family, entries in zip(FAMILIES, before, strict=True):
        family.clear()
        family.update(entries)


def run(title: str) -> dict[str, Any]:
    """Run an example; what it defines."""
    names: dict[str, Any] = {"__name__": "example"}
    exec(dict(EXAMPLES)[title], names)
    return names


def test_each_family_has_an_example_of_about_ten_lines() -> None:
    assert [title for title, _ in EXAMPLES] == [
        "A dataset layout", "A model", "An explanation method", "A filter"
    ]  # fmt: skip
    for title, code in EXAMPLES:
        statements = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.stmt)]
        own = [node for node in statements if not isinstance(node, ast.Import | ast.ImportFrom)]
        assert len(own) <= 13, title


def test_the_files_that_the_document_names_are_there() -> None:
    named = set(re.findall(r"`((?:maskdet|tests|ui)/[\w/.]+\.py)`", DOCUMENT))
    assert len(named) > 8
    assert [name for name in sorted(named) if not (DATA_DIR.parent / name).is_file()] == []


def test_each_layout_has_a_reader() -> None:
    assert set(LAYOUTS) == set(READERS)


def test_a_layout_is_scanned(tmp_path: Path, workspace: Workspace, shell: Shell) -> None:
    run("A dataset layout")
    folder = tmp_path / "photos" / "flat"
    folder.mkdir(parents=True)
    for number, name in enumerate(("with_mask_1", "with_mask_2", "without_mask_1", "holiday")):
        Image.fromarray(draw_faces([number % 2], seed=number)[0]).save(folder / f"{name}.png")
    reading = read_dataset(folder)
    assert [(face.photo, face.label) for face in reading.faces] == [
        ("with_mask_1.png", "with_mask"), ("with_mask_2.png", "with_mask"), ("without_mask_1.png", "without_mask"),
    ]  # fmt: skip
    assert [reject.photo for reject in reading.rejects] == ["holiday.png"]
    status, out, _ = shell("scan", tmp_path / "photos", "--jobs", 1)
    faces = load_faces(workspace)
    assert faces.table["label"].value_counts().to_dict() == {"with_mask": 2, "without_mask": 1}
    assert status == 0
    assert "has a name that says nothing of a mask" in out


def test_layouts_that_ship_are_told_as_before(tmp_path: Path) -> None:
    """The one that is added is asked first, and must leave the others alone."""
    run("A dataset layout")
    for name in ("with_mask", "without_mask"):
        (tmp_path / "set" / name).mkdir(parents=True)
        Image.fromarray(draw_faces([0])[0]).save(tmp_path / "set" / name / "with_mask_1.png")
    assert {face.label for face in read_dataset(tmp_path / "set").faces} == {"with_mask", "without_mask"}


def test_a_model_learns_is_kept_and_explained(tmp_path: Path) -> None:
    run("A model")
    options = {"epochs": 40, "learning_rate": 0.05, "batch_size": 8, "precision": "float32", "dropout": 0.0,
               "augmentation": {"plan": "none"}}  # fmt: skip
    model, test = create_model("small", options), labelled(20, seed=3)
    history = model.fit(fit_data(32, 12), seed=1)
    assert len(history) == 40
    logits = model.predict_logit(test.images)
    assert ((logits > 0) == test.labels).mean() > 0.9
    model.save(tmp_path)
    again = create_model("small", options)
    again.load(tmp_path)
    np.testing.assert_allclose(again.predict_logit(test.images), logits, atol=1e-5)
    without_tensorflow = open_session(tmp_path).run([OUTPUTS[0]], {INPUT: test.images.take(np.arange(20))})[0]
    np.testing.assert_allclose(without_tensorflow[:, 0], logits, atol=1e-4)
    heatmap = Explainer(model).heatmap("grad-cam", test.images.take(np.arange(1))[0], "with_mask")
    assert (heatmap.layer, heatmap.values.shape) == ("conv1_relu", (25, 25))  # a cell for each step of 6 px


def test_an_explanation_method_finds_where_the_logit_comes_from() -> None:
    run("An explanation method")
    face = np.zeros((1, 150, 150, 3), np.uint8)
    face[:, 75:] = 255
    model = SimpleNamespace(name="lower half")  # not a network: its logit is the brightness below
    explainer = Explainer(model, logits=lambda faces: faces[:, 75:].mean((1, 2, 3)) - 128)  # type: ignore[arg-type]
    assert explainer.methods == ("occlusion", "rows")
    maps = explainer.raw("rows", face, "without_mask")
    assert (maps.shape, maps.dtype) == ((1, 10, 10), np.float32)
    np.testing.assert_allclose(maps[0, :5], 0)
    np.testing.assert_allclose(maps[0, 5:], (255 - 127) * 15 / 75, rtol=1e-5)
    assert not explainer.heatmap("rows", face[0], "with_mask").has_evidence


def test_a_filter_is_an_option_and_removes() -> None:
    run("A filter")
    faces = make_faces({"brightness": 19.9}, {"brightness": 20.0}, {"brightness": 35.0})
    assert filter_titles()["brightness"] == "Too dark"
    assert apply_filters(faces).table["removed_by"].tolist() == ["", "", ""]
    at_its_own = apply_filters(faces, FilterOptions(further=(("brightness", 20.0),)))
    assert at_its_own.table["removed_by"].tolist() == ["brightness", "", ""]
    stricter = apply_filters(faces, FilterOptions(further=(("brightness", 40.0),)))
    assert stricter.table["removed_by"].tolist() == ["brightness"] * 3
