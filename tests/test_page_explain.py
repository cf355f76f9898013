"""The Explain page's photos: verdicts on drawn faces, hostile files, many at once, sessions, and no TensorFlow."""

import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import Future
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from app_page import fine
from bundled import BUNDLED_IDS
from explain_page import (
    PROJECT,
    FakeExplainer,
    Uploads,
    captions,
    chips,
    drop,
    png,
    press,
    texts,
    use_quick_heatmaps,
    visit,
)
from PIL import Image

import ui.explain_models
from maskdet.errors import RunError
from maskdet.runs import BUNDLED
from maskdet.sample_photos import SAMPLE_PHOTOS, sample_photo
from ui.explain_state import digest_of


@pytest.fixture(autouse=True)
def _quick_heatmaps(monkeypatch: pytest.MonkeyPatch) -> None:
    use_quick_heatmaps(monkeypatch)


def hostile() -> Uploads:
    """Files that are no photo, damaged, or far too large, by names that mean something elsewhere."""
    photo = sample_photo("drawn")
    archive, bomb, gif = BytesIO(), BytesIO(), BytesIO()
    zipfile.ZipFile(archive, "w").writestr("a.txt", "x" * 1000)
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    Image.open(BytesIO(photo)).save(gif, "GIF")
    return [
        ("truncated.jpg", photo[: len(photo) // 3], "image/jpeg"),
        ("empty.jpg", b"", "image/jpeg"),
        ("bomb.png", bomb.getvalue(), "image/png"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "image/svg+xml"),
        ("![x](https://e.vil/a)<b>.txt", b"hello", "text/plain"),
        ("archive.jpg", archive.getvalue(), "image/jpeg"),
        ("moving.gif", gif.getvalue(), "image/gif"),
        ("good.jpg", photo, "image/jpeg"),
    ]


def test_one_click_on_a_sample_leads_to_verdicts(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(drawn, monkeypatch)
    assert "nothing is written to disk" in texts(app)
    fine(press(app, "explain_sample_group"))
    truth = ["With mask", "Without mask", "Without mask", *["With mask"] * 3, "Without mask"]
    given = [(said, true) for said, true in zip(chips(app), truth, strict=True) if said in truth]
    assert len(given) >= 5  # a drawn face may well be unlike the training faces
    assert all(said == true for said, true in given)
    assert not app.dataframe  # one photo needs no table


@pytest.mark.parametrize("name", SAMPLE_PHOTOS)
def test_every_sample_gets_a_card_for_each_face(name: str, drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = fine(press(visit(drawn, monkeypatch), f"explain_sample_{name}"))
    assert len(chips(app)) == (7 if name == "group" else 1)


def test_a_sample_gives_way_to_another_and_to_own_photos(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = press(press(visit(drawn, monkeypatch), "explain_sample_group"), "explain_sample_drawn")
    assert len(chips(app)) == 1
    drop(app, [("mine.jpg", sample_photo("group"), "image/jpeg")])
    assert len(chips(app)) == 7
    assert any("mine.jpg" in caption for caption in captions(app))


def test_pasted_photos_stay_until_they_are_removed(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(drawn, monkeypatch)
    app.chat_input[0].upload("image.png", sample_photo("drawn-mask"), "image/png").run()
    assert chips(fine(app)) == ["With mask"]
    assert chips(app.run()) == ["With mask"]
    assert chips(press(app, "explain_forget")) == []


def test_the_photo_that_is_looked_at_stays_where_another_comes_before_it(
    drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = drop(visit(drawn, monkeypatch), [(name, png(seed=n), "image/png") for n, name in enumerate("abc")])
    app.selectbox(key="explain_photo").select_index(1).run()
    for key, at in (("explain_sample_drawn", 3), ("explain_forget", 2)):
        app = fine(press(app, key))
        assert app.selectbox(key="explain_photo").value[0] == digest_of(png(seed=1))
        assert app.selectbox(key="explain_photo").options[at - 1] == f"{at}. b"


def test_of_one_photo_given_twice_either_is_looked_at(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = drop(visit(drawn, monkeypatch), [(name, png(), "image/png") for name in "ab"])
    app = fine(app.selectbox(key="explain_photo").select_index(1).run())
    assert app.selectbox(key="explain_photo").value == (digest_of(png()), 1)


def test_a_photo_of_the_webcam_is_judged(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(drawn, monkeypatch)
    assert not app.camera_input  # it asks the browser for the camera, so only once somebody wants it
    app.toggle(key="explain_webcam").set_value(True).run()
    app.camera_input[0].set_value(("shot.jpg", sample_photo("drawn-mask"), "image/jpeg")).run()
    assert chips(fine(app)) == ["With mask"]


def test_of_a_folder_all_photos_are_taken(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(drawn, monkeypatch)
    app.toggle(key="explain_folder").set_value(True).run()
    photo = sample_photo("drawn")
    fine(drop(app, [("a/1.jpg", photo, "image/jpeg"), ("a/b/2.jpg", photo, "image/jpeg")]))
    assert len(app.dataframe[0].value) == 2


def test_hostile_files_are_rows_that_say_why_and_the_others_go_on(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = fine(drop(visit(drawn, monkeypatch), hostile()))
    table = app.dataframe[0].value.set_index("Photo")
    said = {
        "truncated.jpg": "damaged", "empty.jpg": "the file is empty", "bomb.png": "million pixels",
        "drawing.svg": "not an image file", "![x](https://e.vil/a)<b>.txt": "not an image file",
        "archive.jpg": "not an image file",
    }  # fmt: skip
    for name, why in said.items():
        assert why in table.loc[name, "Remark"]
        assert table.loc[name, "Verdict"] == "—"
    assert table.loc[["moving.gif", "good.jpg"], "Verdict"].tolist() == ["Without mask"] * 2
    counts = {metric.label: metric.value for metric in app.metric}
    assert (counts["Without mask"], counts["Not readable"]) == ("2", "6")
    assert "2 faces in 2 photos" in texts(app)


def test_a_name_means_nothing_in_markdown(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = drop(visit(drawn, monkeypatch), [("![x](https://e.vil/a).txt", b"hello", "text/plain")])
    assert app.error[0].value.startswith(r"\!\[x\](https\://e.vil/a).txt")


def test_five_hundred_at_once(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(drawn, monkeypatch)
    app.selectbox(key="explain_model").set_value(BUNDLED_IDS["cnn"]).run()
    fine(drop(app, [(f"{n:03d}.png", png(seed=n), "image/png") for n in range(500)]))
    table = app.dataframe[0].value
    assert table["Photo"].tolist() == [f"{n:03d}.png" for n in range(500)]
    assert (table["Verdict"] != "—").all()
    assert "500 faces in 500 photos" in texts(app)


def test_a_photo_that_is_one_face_is_not_searched(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = press(visit(drawn, monkeypatch), "explain_sample_group")
    fine(app.toggle(key="explain_whole").set_value(True).run())
    assert len(chips(app)) == 1


def test_faces_that_are_too_small_are_said_to_be(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = press(visit(drawn, monkeypatch), "explain_sample_group")
    fine(app.slider(key="explain_size").set_value(200).run())
    assert chips(app) == []
    assert "7 of 7 faces are smaller than 200 px" in texts(app)
    assert "No face here is large enough" in app.info[0].value


def test_no_rerun_judges_again(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = press(visit(drawn, monkeypatch), "explain_sample_drawn")

    def fail(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("judged again")

    monkeypatch.setattr("ui.explain_state.find_faces", fail)
    monkeypatch.setattr("ui.explain_state.judge_photos", fail)
    fine(app.slider(key="explain_opacity").set_value(0.3).run())
    fine(app.selectbox(key="explain_colours").set_value("viridis").run())


def test_another_model_judges_the_faces_that_were_found(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = press(visit(drawn, monkeypatch), "explain_sample_drawn")

    def fail(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("searched again")

    monkeypatch.setattr("ui.explain_state.find_faces", fail)
    fine(app.selectbox(key="explain_model").set_value(BUNDLED_IDS["svm"]).run())
    assert len(chips(app)) == 1


def test_what_belongs_to_a_removed_file_is_forgotten(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = press(visit(drawn, monkeypatch), "explain_sample_drawn")
    assert len(app.session_state["explain_memory"]._kept) == 1
    press(app, "explain_forget")
    assert app.session_state["explain_memory"]._kept == {}


def test_one_visitor_sees_nothing_of_another(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = visit(drawn, monkeypatch), visit(drawn, monkeypatch)
    drop(first, [("mine.jpg", sample_photo("drawn"), "image/jpeg")])
    second.run()
    assert chips(first)
    assert not chips(second)
    assert second.session_state["explain_memory"]._kept == {}


def test_nothing_of_a_photo_reaches_the_disk(drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.stat().st_mtime_ns for path in drawn.rglob("*")}
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # it is looked up once in a process
    app = drop(visit(drawn, monkeypatch), [("mine.jpg", sample_photo("drawn"), "image/jpeg")])
    assert chips(app)
    assert {path: path.stat().st_mtime_ns for path in drawn.rglob("*")} == before
    assert not list(tmp_path.iterdir())


def test_heatmaps_are_made_behind_the_first_paint_and_then_fill_in(
    drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending: list[Future[Any]] = []

    class Pool:
        def submit(self, make: Any, folder: Path) -> "Future[Any]":
            pending.append(Future())
            return pending[-1]

    monkeypatch.setattr(ui.explain_models, "_pool", Pool())
    app = visit(drawn, monkeypatch)
    assert not pending  # the browser has not painted the page yet
    press(app, "explain_sample_drawn")
    assert len(pending) == 1
    assert chips(app) == ["Without mask"]
    assert "The heatmap is coming" in texts(app)
    pending[0].set_result(FakeExplainer())
    assert "The heatmap is coming" not in texts(app.run())
    assert "Evidence for “without mask”" in captions(app)


def test_a_model_whose_heatmaps_fail_gives_verdicts_all_the_same(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path) -> None:
        raise RunError("The weights cannot be read.")

    monkeypatch.setattr(ui.explain_models, "_make", fail)
    app = press(visit(drawn, monkeypatch), "explain_sample_drawn").run()
    assert chips(app) == ["Without mask"]
    assert "The weights cannot be read" in texts(app)


def test_no_evidence_is_said_and_not_drawn(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = press(visit(drawn, monkeypatch), "explain_sample_drawn-mask").run()
    assert "No evidence found for “with mask”" in texts(app)


@pytest.mark.parametrize("run", [BUNDLED_IDS["inceptionv3"], BUNDLED_IDS["svm"]])
def test_a_verdict_needs_no_tensorflow(run: str, drawn: Path) -> None:
    assert (BUNDLED / run).is_dir()
    script = f"""
import sys, time
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({str(PROJECT / "app.py")!r}, default_timeout=120).run()
import ui.explain_models
ui.explain_models._make = lambda folder: time.sleep(0)
app.switch_page("pages/explain.py").run()
app.selectbox(key="explain_model").set_value({run!r}).run()
app.button(key="explain_sample_drawn").click().run()
assert not app.exception, app.exception
assert any("chip" in str(element.proto.body) for element in app.get("html"))
print([name for name in ("tensorflow", "keras", "tf_keras_vis") if name in sys.modules])
"""
    environment = {"MASKDET_HOME": str(drawn), "PATH": "", "PYTHONPATH": str(PROJECT)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().endswith("[]")
