"""Decisions by hand on the Quality page: their buttons, their effect, undo, and a table that is imported."""

from pathlib import Path

import pytest
from app_page import fine, press
from quality_page import numbers, opened_page, show, status, visit
from streamlit.testing.v1 import AppTest

from maskdet.decisions import load_decisions, save_decisions, to_csv
from maskdet.facetable import load_faces
from maskdet.quality import apply_filters, load_filtered
from maskdet.split import load_split
from maskdet.workspace import Workspace


def buttons_for(home: str, face_id: str) -> None:
    """A page of its own with the buttons of the large face."""
    from pathlib import Path

    from maskdet.workspace import Workspace
    from ui.decisions import decision_buttons

    decision_buttons(Workspace(Path(home)), face_id, "with_mask")


def decide(workspace: Workspace, face_id: str, *titles: str) -> AppTest:
    app = AppTest.from_function(buttons_for, args=(str(workspace.home), face_id)).run()
    for title in titles:
        app.button(key=f"decide_{title}").click().run()
    assert not app.exception
    return app


def test_keep_drop_and_take_back(workspace: Workspace) -> None:
    app = decide(workspace, "a/1.jpg")
    assert app.caption[0].value == "The filters decide."
    app = decide(workspace, "a/1.jpg", "Keep")
    assert app.caption[0].value == "Now kept by hand."
    decide(workspace, "a/2.jpg", "Keep", "Drop")
    assert load_decisions(workspace) == {"a/1.jpg": "keep", "a/2.jpg": "drop"}
    decide(workspace, "a/1.jpg", "Take back")
    assert load_decisions(workspace) == {"a/2.jpg": "drop"}


def test_labels_are_confirmed_and_given(workspace: Workspace) -> None:
    app = decide(workspace, "a/1.jpg", "confirm")
    assert app.caption[0].value == "Now label confirmed by hand."
    labels = [button.label for button in app.button][3:]
    assert labels == ["Label is right", "Relabel: without mask", "Relabel: incorrect mask"]  # published: with mask
    app = decide(workspace, "a/1.jpg", "without_mask")
    assert app.caption[0].value == "Now relabelled by hand: without mask. The filters judge it by this label."
    decide(workspace, "a/2.jpg", "Keep", "incorrect_mask")
    assert load_decisions(workspace) == {"a/1.jpg": "without_mask", "a/2.jpg": "incorrect_mask"}
    decide(workspace, "a/1.jpg", "confirm")
    decide(workspace, "a/2.jpg", "Take back")
    assert load_decisions(workspace) == {"a/1.jpg": "confirm"}


def test_a_decision_that_cannot_be_stored_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the workspace should be")
    app = decide(Workspace(tmp_path / "home"), "a/1.jpg", "Keep")
    assert "cannot be written" in app.error[0].value


def test_damaged_decisions_can_be_given_up(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    sample.path("decisions.json").write_text('{"a": "maybe"}')
    app = opened_page(sample, monkeypatch)
    assert "holds no decisions" in app.error[0].value
    app.button(key="decisions_mend").click().run()
    assert load_decisions(sample) == {}
    assert int(numbers(fine(app))["Kept"]) + int(numbers(app)["Removed"]) == 143


def by_hand(app: AppTest) -> list[str]:
    starts = ("**Kept by hand**", "**Dropped by hand**", "**Label confirmed by hand**", "**Relabelled by hand:")
    return [text.value for text in app.markdown if text.value.startswith(starts)]


def test_decisions_by_hand_with_their_effect_and_undo(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    table = apply_filters(load_faces(sample)).table
    anomaly = table.loc[table["removed_by"] == "rgb", "face_id"].iloc[0]
    fine_face = table.loc[table["removed_by"] == "", "face_id"].iloc[0]
    app = show(visit(sample, monkeypatch), "By hand")
    assert "Nothing is decided by hand yet" in app.info[-1].value
    save_decisions(sample, {anomaly: "keep", fine_face: "drop", "gone/1.jpg": "keep"})
    fine(app.run())
    assert sorted(by_hand(app)) == [
        "**Dropped by hand** · the filters would keep it",
        "**Kept by hand** · not in this workspace now",
        "**Kept by hand** · the filters would remove it: “RGB anomaly”",
    ]
    assert any(caption.value.startswith("1 face of these are in no dataset") for caption in app.caption)
    assert numbers(app)["Removed"] == "12"  # one more, one less
    app.button(key="decisions_clear").click().run()
    assert load_decisions(sample) == {}
    assert by_hand(fine(app)) == []
    press(app, "decisions_undo")
    assert len(by_hand(app)) == 3
    assert app.button(key="decisions_undo").disabled
    position = sorted([anomaly, fine_face, "gone/1.jpg"]).index(fine_face)
    press(app, f"take_back_{position}")
    assert fine_face not in load_decisions(sample)
    save_decisions(sample, load_decisions(sample) | {"other/2.jpg": "drop"})  # from a shell, say
    fine(app.run())
    press(app, "decisions_undo")
    assert load_decisions(sample) == {
        anomaly: "keep", fine_face: "drop", "gone/1.jpg": "keep", "other/2.jpg": "drop"
    }  # fmt: skip


def test_labels_by_hand_with_their_effect(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_split(sample, load_faces(sample)).fingerprint
    table = apply_filters(load_faces(sample)).table
    kept = table.loc[(table["removed_by"] == "") & (table["label"] == "with_mask"), "face_id"].tolist()
    anomaly = table.loc[table["removed_by"] == "rgb", "face_id"].iloc[0]
    app = show(visit(sample, monkeypatch), "By hand")
    save_decisions(sample, {kept[0]: "without_mask", kept[1]: "incorrect_mask", kept[2]: "with_mask"})
    fine(app.run())
    assert sorted(by_hand(app)) == [
        "**Relabelled by hand: incorrect mask** · the publisher says with mask; it is removed as “Mask worn "
        "incorrectly”",
        "**Relabelled by hand: with mask** · no effect, since the publisher says so too",
        "**Relabelled by hand: without mask** · the publisher says with mask; it stays",
    ]
    assert any(text.value.startswith("**By hand: 3 relabelled.**") for text in app.markdown)
    save_decisions(sample, {kept[0]: "confirm", anomaly: "confirm", kept[1]: "drop"})
    fine(app.run())
    assert {"**Label confirmed by hand** · the filters decide as before: it stays"} < set(by_hand(app))
    assert any("as before: it is removed as “RGB anomaly”" in text for text in by_hand(app))
    assert any(text.value.startswith("**By hand: 1 dropped, 2 confirmed.**") for text in app.markdown)
    assert status(app).startswith("**1 setting differs from the set in force:** decisions by hand on 1 face")
    save_decisions(sample, {kept[0]: "confirm"})  # which alone changes nothing
    assert before in status(fine(app.run()))
    save_decisions(sample, {kept[0]: "without_mask"})
    press(fine(app.run()), "quality_apply")
    split = load_split(sample, load_faces(sample))
    assert split.table.set_index("face_id").loc[kept[0], "label"] == "without_mask"
    assert split.fingerprint != before


def test_undo_brings_the_decisions_of_then_back(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = load_faces(sample)
    before = load_split(sample, faces).fingerprint
    kept = load_filtered(sample, faces).kept["face_id"].iloc[0]
    app = visit(sample, monkeypatch)
    save_decisions(sample, {kept: "drop"})
    fine(app.run())
    assert status(app) == "**1 setting differs from the set in force:** decisions by hand on 1 face"
    press(app, "quality_apply")
    assert len(load_split(sample, faces).table) == 130
    press(app, "quality_undo")
    assert load_split(sample, faces).fingerprint == before
    assert load_decisions(sample) == {kept: "drop"}


def test_import_says_what_it_adds(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = load_faces(sample)
    first, second = faces.table["face_id"].iloc[:2]
    save_decisions(sample, {first: "drop"})
    app = show(visit(sample, monkeypatch), "By hand")
    assert not load_decisions(sample).get(second)
    added = to_csv({first: "keep", second: "drop", "gone/1.jpg": "keep"}).encode()
    app.file_uploader[0].set_value(("decisions.csv", added, "text/csv")).run()
    sentence = next(text.value for text in fine(app).markdown if "3 decisions" in text.value)
    assert "2 new, 1 replace another one, 1 on faces that are not in this workspace" in sentence
    press(app, "decisions_import")
    assert load_decisions(sample) == {first: "keep", second: "drop", "gone/1.jpg": "keep"}
    assert app.file_uploader[0].value is None
    press(app, "decisions_undo")
    assert load_decisions(sample) == {first: "drop"}


def test_a_bad_import_is_a_sentence(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = show(visit(sample, monkeypatch), "By hand")
    app.file_uploader[0].set_value(("decisions.csv", b"face_id,decision\na,perhaps\n", "text/csv")).run()
    assert not app.exception
    assert "'perhaps' is none of keep, drop, confirm" in app.error[0].value
    assert load_decisions(sample) == {}
