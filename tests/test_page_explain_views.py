"""The Explain page: one face in detail, reports, videos, and where a model looks on the mean."""

import re
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from app_page import fine
from bundled import BUNDLED_IDS
from explain_page import captions, chips, drop, press, texts, use_quick_heatmaps, visit
from factories import prepared
from PIL import Image
from streamlit.testing.v1 import AppTest

import ui.explain_models
from maskdet.errors import MaskDetError
from maskdet.predict import Verdict
from maskdet.sample_photos import sample_photo
from maskdet.workspace import Workspace
from ui.explain_photo import with_boxes
from ui.explain_state import Picture
from ui.explain_verdict import sureness, verdict_html

SVM = BUNDLED_IDS["svm"]
TABS = ["Heatmaps", "Trust in the heatmap", "What would change it?", "Nearest training faces"]


@pytest.fixture(autouse=True)
def _quick_heatmaps(monkeypatch: pytest.MonkeyPatch) -> None:
    use_quick_heatmaps(monkeypatch)


def look(home: Path, monkeypatch: pytest.MonkeyPatch, tab: str, sample: str = "astronaut") -> AppTest:
    """A sample's face with a tab of its details open, and heatmaps ready."""
    app = press(visit(home, monkeypatch), f"explain_sample_{sample}")
    app.session_state["explain_tabs"] = tab
    return app.run()


def view(app: AppTest, name: str) -> AppTest:
    return app.button_group(key="explain_view").set_value(name).run()


def video(path: Path, seconds: int = 3) -> bytes:
    """Three drawn portraits a second, the face hidden in the second half."""
    face = np.asarray(Image.open(BytesIO(sample_photo("drawn"))).convert("RGB"))[:, :, ::-1]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 3, (face.shape[1], face.shape[0]))
    for number in range(3 * seconds):
        writer.write(np.ascontiguousarray(face if number < 3 * seconds / 2 else np.full_like(face, 200)))
    writer.release()
    return path.read_bytes()


def test_heatmaps_of_several_methods_and_models_for_either_label(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = fine(look(drawn, monkeypatch, TABS[0]))
    app.multiselect(key="explain_methods").set_value(["grad-cam", "occlusion"]).run()
    assert {"**Grad-CAM**, layer conv5_relu", "**Occlusion**"} <= set(captions(app))
    app.multiselect(key="explain_others").set_value([SVM]).run()
    assert "**PCA + SVM**" in texts(fine(app))
    assert sum("Occlusion" in caption for caption in captions(app)) == 2
    app.button_group(key="explain_label").set_value("with_mask").run()
    assert "No evidence found for “with mask”" in texts(fine(app))


def test_a_layer_is_chosen_where_there_is_one_model(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = look(drawn, monkeypatch, TABS[0])
    layers = next(box for box in app.selectbox if box.label == "Layer")
    fine(layers.set_value("conv2_relu").run())
    assert any("conv2" in caption for caption in captions(app))


def test_the_svm_is_explained_by_occlusion(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # with its real explainer, which needs no network
    monkeypatch.setattr(ui.explain_models, "_made", type(ui.explain_models._made)())
    app = press(visit(drawn, monkeypatch), "explain_sample_astronaut")
    app.selectbox(key="explain_model").set_value(SVM).run()
    ui.explain_models._future(next(iter(ui.explain_models._made))).result(60)
    for future in ui.explain_models._made.values():
        future.result(60)
    fine(app.run())
    assert any("Occlusion" in caption for caption in captions(app))


def test_trust_is_measured_on_request(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = fine(look(drawn, monkeypatch, TABS[1]))
    assert {metric.label: metric.value for metric in app.metric}["Heat on the lower half"] == "100 %"
    assert not app.get("plotly_chart")
    asked = next(button for button in app.button if button.label == "Test this heatmap")
    fine(asked.click().run())
    assert len(app.get("plotly_chart")) == 2
    said = texts(app)
    assert "random maps of this face" in said
    assert "n = 1" in said


def test_without_evidence_there_is_nothing_to_trust(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = fine(look(drawn, monkeypatch, TABS[1], "astronaut-mask"))
    assert next(button for button in app.button if button.label == "Test this heatmap").disabled


def test_what_would_change_it_draws_masks_and_sweeps(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = fine(look(drawn, monkeypatch, TABS[2]))
    assert [caption for caption in captions(app) if "mask" in caption and caption.startswith("A ")] == [
        "A white mask", "A blue mask", "A black mask", "A skin-coloured mask",
    ]  # fmt: skip
    assert "changes its choice for 4 of 4 masks" in texts(app)
    assert len(app.get("plotly_chart")) == 6


def test_masks_are_drawn_on_a_photo_that_is_one_face_too(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = look(drawn, monkeypatch, TABS[2], "drawn")
    fine(app.toggle(key="explain_whole").set_value(True).run())
    assert "where its eyes and mouth are is a guess" in texts(app)


def test_a_face_on_which_no_mask_can_be_drawn_says_so(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise MaskDetError("The landmarks lie on one another.")

    monkeypatch.setattr("ui.explain_whatif.draw_mask", fail)
    app = fine(look(drawn, monkeypatch, TABS[2]))
    assert any("The landmarks lie on one another" in info.value for info in app.info)
    assert len(app.get("plotly_chart")) == 6


class Reliable:
    """What tells how far verdicts can be believed, for some faces of a workspace."""

    low, high, distance_threshold, neighbour = 0.3, 0.7, 0.5, 5

    def __init__(self, face_ids: list[str], p: float = 0.9, distance: float = 0.1) -> None:
        self.record = {"options": {"least": (0.4, 0.6), "quantile": 0.99}}
        self.face_ids, self._p, self._distance = tuple(face_ids), p, distance

    def probability(self, logits: Any) -> Any:
        return np.full(len(np.atleast_1d(logits)), self._p)

    def not_sure(self, p: Any) -> Any:
        return (np.asarray(p) > self.low) & (np.asarray(p) < self.high)

    def distance(self, features: Any) -> Any:
        return np.full(len(features), self._distance)

    def nearest(self, features: Any, k: int) -> Any:
        return np.array([self.face_ids[:k]], dtype=object), np.linspace(0.1, 0.2, len(self.face_ids[:k]))[None]


def judge_with(reliability: Reliable, monkeypatch: pytest.MonkeyPatch) -> None:
    from maskdet.predict import open_judge

    def opened(run: Any) -> Any:
        judge = open_judge(run)
        judge.reliability = reliability
        return judge

    monkeypatch.setattr(ui.explain_models, "open_judge", opened)


def test_nearest_faces_are_shown_where_their_photos_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Workspace(tmp_path / "home")
    faces = prepared(home, tmp_path / "data", {"with_mask": 10, "without_mask": 10})
    ids = list(faces.table["face_id"][:3])
    judge_with(Reliable([*ids, "2.1/elsewhere.jpg"]), monkeypatch)
    app = fine(look(home.home, monkeypatch, TABS[3]))
    assert "The photos of 1 of them are not on this computer" in texts(app)
    assert app.dataframe[-1].value["face_id"].tolist() == [*ids, "2.1/elsewhere.jpg"]
    assert sum("label unknown" in caption for caption in captions(app)) == 3


def test_without_an_index_nearest_faces_are_not_guessed(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge_with(None, monkeypatch)  # type: ignore[arg-type]  # as of a run that an earlier version trained
    app = fine(look(drawn, monkeypatch, TABS[3]))
    assert any("no index of its training faces" in info.value for info in app.info)


def test_a_verdict_that_is_not_sure_says_why(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge_with(Reliable(["a"], p=0.6), monkeypatch)
    app = fine(press(visit(drawn, monkeypatch), "explain_sample_astronaut"))
    assert chips(app) == ["Not sure"]
    assert "between 0.30 and 0.70, too many verdicts on validation faces were wrong" in texts(app)


def test_a_face_unlike_the_training_faces_says_so(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge_with(Reliable(["a"], distance=1.0), monkeypatch)
    app = fine(press(visit(drawn, monkeypatch), "explain_sample_astronaut"))
    assert chips(app) == ["Not like the training data"]
    assert "2.00 times as far from the training faces as the limit that 99 %" in texts(app)


def test_the_scale_marks_the_probability_and_the_band() -> None:
    html = verdict_html(Verdict("with_mask", "not_sure", -0.4, 0.4, 0.1), Reliable([]))  # type: ignore[arg-type]
    assert "left: 40.0%" in html
    assert 'class="unsure" style="flex: 0.4000"' in html
    assert "leans to with mask, 60.0 %" in html


@pytest.mark.parametrize(
    ("p", "words"), [(0.98, "98.0 % sure"), (0.99999, "more than 99.9 % sure"), (0.02, "98.0 % sure")]
)
def test_no_model_is_wholly_sure(p: float, words: str) -> None:
    label = "without_mask" if p > 0.5 else "with_mask"
    assert sureness(Verdict(label, label, 0.0, p, None)) == words


def test_boxes_tell_verdicts_apart_by_colour_and_small_faces_by_dashes() -> None:
    picture = Picture(Image.new("RGB", (400, 300), "black"), 0.5, ())
    verdicts = [Verdict("with_mask", "with_mask", -3, 0.05, None), None]
    drawn = np.asarray(with_boxes(picture, [(100, 200, 300, 500), (500, 200, 700, 500)], verdicts))
    assert tuple(drawn[150, 50]) == (0, 0x72, 0xB2)  # the left edge, at half the photo's size
    dashed = drawn[105:245, 250]
    shown = (dashed == (0x66, 0x71, 0x7A)).all(axis=1)
    assert 0.2 < shown.mean() < 0.9


def test_a_report_is_made_on_request_and_belongs_to_its_photos(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(drawn, monkeypatch)
    photo = sample_photo("drawn")
    drop(app, [("a<b>.jpg", photo, "image/jpeg"), ("broken.jpg", photo[:200], "image/jpeg")])
    make = next(button for button in app.button if button.label == "Make a report")
    fine(make.click().run())
    html = app.session_state["explain_report"][1].decode()
    assert "a&lt;b&gt;.jpg" in html
    assert "broken.jpg" in html
    assert html.count("data:image/jpeg") == 3  # the photo, its face, and the heatmap
    fine(app.slider(key="explain_opacity").set_value(0.2).run())
    assert "Make a report" in [button.label for button in app.button]


def test_csv_is_what_the_shell_gives(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[pd.DataFrame] = []
    monkeypatch.setattr("ui.explain_table.csv_bytes", lambda table: saved.append(table) or b"")
    photo = sample_photo("group")
    drop(visit(drawn, monkeypatch), [("a.jpg", photo, "image/jpeg"), ("b.jpg", b"", "image/jpeg")])
    from maskdet.detection import FaceDetector
    from maskdet.predict import open_judge, predict_photos
    from maskdet.runs import find_run

    judge = open_judge(find_run(Workspace(drawn)))
    pd.testing.assert_frame_equal(saved[-1], predict_photos([("a.jpg", photo), ("b.jpg", b"")], judge, FaceDetector()))


def test_a_video_is_counted_over_time(drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = fine(view(visit(drawn, monkeypatch), "Video"))
    app.file_uploader[0].set_value(("v.mp4", video(tmp_path / "v.mp4"), "video/mp4")).run()
    fine(app)
    assert "2 faces in 3 frames of v.mp4" in texts(app)
    assert len(app.get("plotly_chart")) == 1
    assert app.dataframe[0].value["Verdict"].tolist() == ["Without mask"]
    slider = app.select_slider(key="explain_video_frame")
    fine(slider.set_value(2.0).run())
    assert "No face found in this frame." in texts(app)


def test_a_file_that_is_no_video_says_so(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = view(visit(drawn, monkeypatch), "Video")
    app.file_uploader[0].set_value(("v.mp4", b"no video", "video/mp4")).run()
    assert not app.exception
    assert "not a video that can be read" in app.error[0].value


@pytest.mark.parametrize("run", [BUNDLED_IDS["inceptionv3"], BUNDLED_IDS["cnn"]])
def test_where_a_model_looks_has_n_and_an_interval(run: str, drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = view(visit(drawn, monkeypatch), "How the models look")
    app.selectbox(key="explain_analysed").set_value(run).run()
    said = texts(fine(app))
    assert "n = 500 of 1,880" in said
    assert re.search(r"Share on the lower half: \d+ % \(\d+–\d+\)", said)
    assert len(app.get("plotly_chart")) == 6
    assert "not on this computer" in said


def test_the_svm_has_no_grad_cam(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = view(visit(drawn, monkeypatch), "How the models look")
    fine(app.selectbox(key="explain_analysed").set_value(SVM).run())
    assert "no Grad-CAM of it" in app.info[0].value


def test_faces_a_model_is_surest_of_are_shown_where_their_photos_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from maskdet.attribution.analysis import ExtremeFace, GradCamAnalysis, Heatmap, load_analysis
    from maskdet.runs import find_run

    home = Workspace(tmp_path / "home")
    ids = list(prepared(home, tmp_path / "data", {"with_mask": 10, "without_mask": 10}).table["face_id"][:2])
    stored = load_analysis(find_run(home))
    assert stored is not None
    heat = Heatmap(np.ones((4, 4), np.float32), "without_mask", "mixed7")
    low = ExtremeFace(ids[0], "tiny", "with_mask", -9.0, heat)
    high = ExtremeFace(ids[1], "tiny", "with_mask", 8.0, heat)
    analysis = GradCamAnalysis(stored.run, stored.layer, stored.options, stored.cells, (low,), (high,))
    monkeypatch.setattr("maskdet.attribution.analysis.load_analysis", lambda run: analysis)
    app = fine(view(visit(home.home, monkeypatch), "How the models look"))
    assert [caption for caption in captions(app) if "logit" in caption] == [
        "logit −9.0, with mask", "logit 8.0, with mask",
    ]  # fmt: skip


def test_a_run_without_an_analysis_can_be_analysed_once(
    sample: Workspace, begun: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskdet.attribution.analysis.load_analysis", lambda run: None)
    app = view(visit(sample.home.parent, monkeypatch), "How the models look")
    press = next(button for button in app.button if button.label == "Analyse it")
    fine(press.click().run())
    assert begun == [["gradcam", BUNDLED_IDS["inceptionv3"]]]
    assert next(button for button in app.button if button.label == "Analyse it").disabled


def test_a_row_of_the_table_chooses_its_photo_and_face(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    import ui.explain_table
    from maskdet.runs import find_run
    from ui.explain_state import Options, Upload, face_key

    state: dict[str, Any] = {"explain_table": SimpleNamespace(selection=SimpleNamespace(rows=[2]))}
    monkeypatch.setattr(ui.explain_table.st, "session_state", state)
    uploads = [Upload("a", "1", b""), Upload("b", "2", b"")]
    options = Options(find_run(Workspace(Path("nowhere"))), whole=False, min_size=20)
    ui.explain_table._choose_row(uploads, [(0, 1), (1, 1), (1, 2)], options)
    assert (state["explain_photo"], state[face_key(uploads[1], options)]) == (("2", 0), 2)
