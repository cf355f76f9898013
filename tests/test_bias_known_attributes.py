"""What is known of the faces of a split: own, filled up by what ships, with the guesses of the shortcut probe."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from factories import make_faces, prepared

from maskdet.bias import store
from maskdet.bias.attributes import ATTRIBUTES, face_attributes, save_attributes
from maskdet.bias.known_attributes import attributes_of
from maskdet.errors import MaskDetError
from maskdet.facetable import load_faces
from maskdet.split import load_split
from maskdet.workspace import Workspace

FINGERPRINT = "0123456789abcdef"


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the one that ships."""
    monkeypatch.setattr(store, "SHIPPED", tmp_path / "shipped")
    return tmp_path / "shipped"


def test_a_bundled_run_needs_no_photo(workspace: Workspace, shipped: Path) -> None:
    table = make_faces({"face_id": "f0"}, {"face_id": "f1"}, {"face_id": "f2"}).table
    with pytest.raises(MaskDetError, match=f"Nothing is known of the faces of split {FINGERPRINT}"):
        attributes_of(workspace, FINGERPRINT)
    save_attributes(shipped / FINGERPRINT / "attributes.parquet", face_attributes(table))
    assert attributes_of(workspace, FINGERPRINT)["face_id"].tolist() == ["f0", "f1", "f2"]


def test_own_faces_are_filled_up_by_what_ships(
    workspace: Workspace, tmp_path: Path, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = prepared(workspace, tmp_path / "photos", {"with_mask": 12, "without_mask": 12})
    fingerprint = load_split(workspace, faces).fingerprint
    ids = faces.table["face_id"].tolist()
    own = attributes_of(workspace, fingerprint)
    assert own["face_id"].tolist() == ids
    assert (own["skin_tone"] == "").all()
    kept = own.head(2).assign(skin_tone=["dark", "tan"], size=1.0, club="x")
    save_attributes(shipped / fingerprint / "attributes.parquet", kept)
    found = attributes_of(workspace, fingerprint)
    assert found["face_id"].tolist() == ids
    assert found["skin_tone"].tolist() == ["dark", "tan", *[""] * (len(ids) - 2)]
    assert found["size"].tolist() == own["size"].tolist()  # what is measured here goes before what ships
    with pytest.raises(MaskDetError, match="Nothing is known"):
        attributes_of(workspace, FINGERPRINT)  # of another split than the workspace has
    appearance = pd.DataFrame({"face_id": ids, "skin_ita": 60.0})
    monkeypatch.setattr("maskdet.bias.known_attributes.load_appearance", lambda *_: appearance)
    assert set(attributes_of(workspace, fingerprint)["skin_tone"]) == {"very light"}
    assert load_faces(workspace).fingerprint == faces.fingerprint


def test_the_shortcut_comes_from_the_probe(
    workspace: Workspace, tmp_path: Path, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = prepared(workspace, tmp_path / "photos", {"with_mask": 12, "without_mask": 12})
    fingerprint = load_split(workspace, faces).fingerprint

    class Report:
        scores = faces.table[["face_id", "label"]].assign(p_without_mask=0.9)

    path = store.own_path(workspace, fingerprint, "shortcuts.json")
    path.parent.mkdir(parents=True)
    path.touch()
    monkeypatch.setattr("maskdet.bias.known_attributes.load_shortcuts", lambda found: Report if found == path else None)
    found = attributes_of(workspace, fingerprint)
    without = faces.table["label"] == "without_mask"
    assert found["shortcut"].tolist() == np.where(without, "aligned", "conflicting").tolist()
    assert ATTRIBUTES["shortcut"].groups == ("aligned", "conflicting")
