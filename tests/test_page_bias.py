"""The Bias page: every view with results and without, what it launches, uploaded attributes, names of all kinds."""

from pathlib import Path

import pandas as pd
import pytest
import written_findings
from app_page import fine
from bias_page import APP, choose, measured, two_runs, visit
from factories import prepared
from streamlit.testing.v1 import AppTest
from written_runs import predictions, write_run

from maskdet import jobs
from maskdet.bias import store
from maskdet.bias.attributes import save_attributes
from maskdet.bias.store import ATTRIBUTES_FILE, SHORTCUTS, own_path
from maskdet.compare import own_faces
from maskdet.workspace import Workspace, read_json

VIEWS = [
    "Shortcuts", "Cross-dataset", "Groups", "Skin tone and mask colour", "Counterfactuals", "Attention", "What to do",
    "Model card",
]  # fmt: skip
HOSTILE = "![x](https://a.b)<b>"


@pytest.fixture(autouse=True)
def _alone(no_bundled_runs: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No bundled runs and nothing that ships."""
    monkeypatch.setattr(store, "SHIPPED", tmp_path / "shipped")


@pytest.fixture
def home(tmp_path: Path) -> Workspace:
    """A workspace of a few photos, which are not those that the written runs were tested on."""
    workspace = Workspace(tmp_path / "home")
    prepared(workspace, tmp_path / "data", {"with_mask": 20, "without_mask": 20})
    return workspace


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], str]]:
    """Commands that would have been launched, with their queue."""
    commands: list[tuple[list[str], str]] = []
    monkeypatch.setattr("ui.jobs.launch", lambda workspace, command, queue="": commands.append((command, queue)))
    return commands


def texts(app: AppTest) -> str:
    return "\n".join(str(text.value) for text in [*app.markdown, *app.caption, *app.info, *app.warning, *app.success])


def charts(app: AppTest) -> int:
    return len(app.get("plotly_chart"))


def buttons(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


@pytest.mark.parametrize("view", VIEWS)
def test_without_runs_and_data_each_view_is_a_sentence_with_a_way_on(
    view: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = visit(Workspace(tmp_path / "fresh"), monkeypatch, view)
    assert app.title[0].value == "Bias"
    assert len(app.info) == 1
    assert not charts(app)
    assert not buttons(app)


@pytest.mark.parametrize("view", ["Shortcuts", "Cross-dataset", "Skin tone and mask colour"])
def test_what_was_not_measured_of_the_data_is_a_button(
    view: str, home: Workspace, monkeypatch: pytest.MonkeyPatch, launched: list[tuple[list[str], str]]
) -> None:
    app = visit(home, monkeypatch, view)
    assert "was not measured for this data yet" in app.info[0].value
    fine(app.button[0].click().run())
    part = {"Shortcuts": "shortcuts", "Cross-dataset": "cross-dataset"}.get(view, "appearance")
    assert launched == [(["bias", "data", "--part", part], "bias")]


def test_what_was_not_measured_of_a_run_is_a_button_only_where_its_faces_are(
    home: Workspace, monkeypatch: pytest.MonkeyPatch, launched: list[tuple[list[str], str]]
) -> None:
    table = pd.read_parquet(home.path("split.parquet")).drop(columns="pool").assign(logit=1.0, p_without_mask=0.7)
    fingerprint = read_json(home.path("split.json"))["fingerprint"]
    write_run(home, "svm-1", "svm", table=table, data={"fingerprint": fingerprint})
    app = visit(home, monkeypatch, "Counterfactuals")
    fine(app.button[0].click().run())
    assert launched == [(["bias", "svm-1", "--part", "counterfactuals"], "bias")]
    write_run(home, "cnn-1", "cnn")  # of faces that are not here
    app = visit(home, monkeypatch, "Attention")
    choose(app, "bias_focus", "cnn-1")
    assert "Where it looks was not measured for CNN yet" in texts(app)
    assert "needs its test faces, which are not all in this workspace" in texts(app)
    assert not buttons(app)


def test_the_answer_comes_first(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(home, two_runs(home))
    app = visit(home, monkeypatch)
    assert app.markdown[0].value == f"**The data.** {written_findings.STRONG}"
    none = "No gap between groups is more than chance explains; 2 were looked for. 14 more could not be tested."
    assert app.markdown[1].value == f"**CNN.** {none}"
    faces = predictions(300)["face_id"]
    write_run(home, "svm-1", "svm", table=predictions(300, [n for n in range(100) if n % 8 in (0, 1)]))
    tone = ["dark" if n // 3 % 4 < 2 else "light" for n in range(300)]  # half of the dark ones are judged wrongly
    save_attributes(own_path(home, "abc", ATTRIBUTES_FILE), pd.DataFrame({"face_id": faces, "skin_tone": tone}))
    choose(fine(app.run()), "results_runs", ["svm-1"])
    assert app.markdown[1].value.startswith("**PCA + SVM, by apparent skin tone.** ")
    assert "Of group dark, 48.0 %" in app.markdown[1].value
    assert "that chance hardly explains" in app.markdown[1].value


def test_shortcuts_show_verdicts_charts_and_carriers(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(home, two_runs(home))
    app = visit(home, monkeypatch)
    said = texts(app)
    assert ":red-badge[:material/warning: strong] Size alone predicts the label" in said
    assert ":green-badge[:material/check: none] No shortcut was found" in said
    assert charts(app) == 3  # no source was predicted
    assert "The photos of these faces are not on this computer" in said
    assert app.dataframe[0].value["face_id"].tolist() == ["a/0001.png"]
    choose(app, "bias_importance_scope", "b")


def test_cross_dataset_shows_the_matrix_beside_the_pooled_score_and_the_runs(
    home: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(home, two_runs(home))
    app = visit(home, monkeypatch, "Cross-dataset")
    said = texts(app)
    assert "Trained on all and tested on all: macro F1 **0.970 (0.940–0.990), n = 90**." in said
    assert "from **0.610 (0.550–0.670), n = 300** (trained on a, tested on b)" in said
    assert "Too few to say: 8 faces." in said
    assert charts(app) == 2
    table = app.dataframe[0].value
    assert table["train"].tolist()[5:] == ["CNN"] * 3 + ["CNN transfer"] * 3


def test_groups_of_two_runs_side_by_side(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = two_runs(home)
    measured(home, runs)
    app = visit(home, monkeypatch, "Groups")
    assert len(app.dataframe[0].value) == 16  # four attributes with at least two groups, four metrics
    choose(app, "bias_beside", "cnn-transfer-1")
    choose(app, "bias_attribute", "skin_tone")
    assert charts(app) == 1
    assert len(app.dataframe[1].value) == 16
    figures = app.dataframe[2].value
    assert figures["run"].tolist() == ["CNN", "CNN", "CNN transfer", "CNN transfer"]
    assert figures["group"].tolist() == ["light", "dark"] * 2
    assert "In no group, since it is not known of them" not in texts(app)  # the first face is no test face
    choose(app, "bias_fewest", 90)
    assert "too few to say" in texts(app)


def test_a_group_opens_its_errors_and_its_mean_heatmap(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = two_runs(home)
    measured(home, runs)
    app = visit(home, monkeypatch, "Groups")
    choose(app, "bias_focus", "cnn-transfer-1")
    choose(app, "bias_attribute", "dataset")
    choose(app, "bias_group", "a")
    faces = own_faces(runs[1])
    wrong = faces[(faces["dataset"] == "a") & ((faces["logit"] > 0) != (faces["label"] == "without_mask"))]
    assert f"**CNN transfer: {len(wrong)} wrong verdicts in group a**" in texts(app)
    assert "Mean heatmap for its own verdicts" in texts(app)
    assert charts(app) == 2


def test_uploaded_attributes_with_unknown_ids(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = two_runs(home)
    app = visit(home, monkeypatch, "Groups")
    ids = own_faces(runs[0])["face_id"]
    rows = [f"{face},{'left' if n % 2 else '=cmd|x'}" for n, face in enumerate(ids)]
    text = "\n".join(["face_id,<b>side</b>", *rows, "nobody.png,left"])
    monkeypatch.setattr("ui.bias_data._reports", lambda *about: pytest.fail("a cache of all visitors holds an upload"))
    fine(app.file_uploader(key="bias_upload").set_value([("mine.csv", text.encode(), "text/csv")]).run())
    assert "100 faces have" in app.success[0].value
    assert "Unknown: 1 of the names" in texts(app)
    assert not any("names none" in warning.value for warning in app.warning)
    assert app.dataframe[0].value["name"].tolist() == ["nobody.png"]
    assert "<b>side</b>" in app.selectbox(key="bias_attribute").options
    choose(app, "bias_attribute", "<b>side</b>")
    assert app.dataframe[2].value["group"].tolist() == ["=cmd|x", "left"]
    monkeypatch.undo()
    monkeypatch.setenv("MASKDET_HOME", str(home.home))
    fine(app.button(key="bias_forget").click().run())
    assert app.selectbox(key="bias_attribute").options == ["Dataset"]


def test_an_upload_that_is_no_csv_is_a_sentence(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    two_runs(home)
    app = visit(home, monkeypatch, "Groups")
    app.file_uploader(key="bias_upload").set_value([("mine.csv", b"\x89PNG\x00\xff", "text/csv")]).run()
    assert [error.value for error in app.error] == ["The file is no text in UTF-8: save the table as CSV (UTF-8)."]
    assert app.selectbox(key="bias_attribute").options == ["Dataset"]


def test_skin_tone_says_whom_it_leaves_out(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(home, two_runs(home))
    app = visit(home, monkeypatch, "Skin tone and mask colour")
    said = texts(app)
    assert "no property of a person" in said
    assert "n = 300 faces: 150 with mask, 150 without mask" in said
    assert "n = 150 of 150 masked faces" in said
    assert charts(app) == 4


def test_counterfactuals_of_runs_beside_each_other(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(home, two_runs(home))
    app = visit(home, monkeypatch, "Counterfactuals")
    choose(app, "bias_change_label", "with_mask")
    assert charts(app) == 3
    table = app.dataframe[0].value
    share = table[(table["label"] == "with_mask")].set_index("run")["flipped"]
    assert share.to_dict() == pytest.approx({"cnn-1": 0.5, "cnn-transfer-1": 0.5}, abs=0.1)
    assert "**The verdict should stay.**" in texts(app)
    assert "light patches" not in texts(app)  # the runs were not asked about them


def test_what_flips_comes_before_what_it_says_of_white_masks(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(home, two_runs(home))
    monkeypatch.setattr("ui.bias_change.claim_sentences", lambda found, labels: ["said"])
    app = visit(home, monkeypatch, "Counterfactuals")
    headings = [text.value for text in app.markdown if text.value.startswith("## ")]
    assert headings[:2] == [
        "## What flips a verdict, and how far the logit moves",
        "## Does training on white masks make a model look for light patches?",
    ]


def test_attention_by_group_and_outcome(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(home, two_runs(home))
    app = visit(home, monkeypatch, "Attention")
    assert charts(app) == 3
    table = app.dataframe[1].value
    assert set(table["group_name"]) == {"all", "light", "dark"}
    assert "grad-cam of layer conv5" in texts(app)
    assert "The photos of these faces are not all on this computer" in texts(app)


def test_before_and_after_begin_with_a_balanced_run(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(home, two_runs(home))
    write_run(
        home, "cnn-2", "cnn", table=predictions(300), created="2026-03-01T00:00:00Z",
        balance={"attribute": "skin_tone", "target": "independent"},
    )  # fmt: skip
    app = visit(home, monkeypatch, "What to do")
    assert (app.selectbox(key="bias_before").value, app.selectbox(key="bias_after").value) == ("cnn-1", "cnn-2")
    assert app.selectbox(key="bias_remedy_attribute").value == "skin_tone"
    assert "Macro F1 changes by +0.020" in texts(app)
    assert charts(app) == 2
    assert app.dataframe[0].value["Metric"].tolist() == [
        "Accuracy", "Macro F1", "Unmasked judged masked", "Masked judged unmasked"
    ]  # fmt: skip
    choose(app, "bias_remedy_metric", "macro_f1")


def test_the_card_and_its_files(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = two_runs(home)
    measured(home, runs)
    app = visit(home, monkeypatch, "Model card")
    assert any(text.value.startswith("## Model card: CNN") for text in app.markdown)
    labels = [button.label for button in app.get("download_button")]
    assert labels == ["Card (Markdown)", "Card (HTML)", "Bias report of data and runs (HTML)"]


@pytest.mark.parametrize("view", VIEWS)
def test_names_are_shown_as_they_are(view: str, home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = two_runs(home, datasets=(HOSTILE, "b"))
    measured(home, runs)
    app = visit(home, monkeypatch, view)
    assert "![x](" not in texts(app).replace(r"\!\[x\](", "")
    figures = "".join(str(chart.proto) for chart in app.get("plotly_chart"))
    assert "<b>" not in figures.replace("<b>light, ", "").replace("<b>dark, ", "")


def test_other_data_in_force_can_be_chosen(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(home, two_runs(home))
    force = read_json(home.path("split.json"))["fingerprint"]
    app = visit(home, monkeypatch)
    assert app.segmented_control(key="bias_data").value == "abc"
    choose(app, "bias_data", force)
    assert "was not measured for this data yet" in texts(app)
    assert buttons(app) == ["Measure shortcuts"]


def test_a_damaged_result_is_a_sentence_and_other_views_remain(
    home: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(home, two_runs(home))
    own_path(home, "abc", SHORTCUTS).write_text("{}")
    monkeypatch.setenv("MASKDET_HOME", str(home.home))
    app = AppTest.from_file(APP, default_timeout=120).run().switch_page("pages/bias.py").run()
    assert not app.exception
    assert "shortcuts.json" in app.error[0].value
    choose(app, "bias_view", "Counterfactuals")
    assert "shortcuts.json" in app.markdown[0].value
    assert charts(app)


def test_jobs_are_shown_while_they_work_or_failed(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    two_runs(home)
    folder = home.path("jobs", "20260101-000000-000000-bias")
    folder.mkdir(parents=True)
    record = {
        "command": ["bias", "data"], "created": "2026-01-01T00:00:00Z", "began": 1.0, "queue": "bias", "pid": None,
        "process_started": 0.0,
    }  # fmt: skip
    jobs.write_json(folder / "job.json", record)
    (folder / "events.jsonl").write_text('{"event": "failed", "time": 2.0, "reason": "There is no split."}\n')
    monkeypatch.setenv("MASKDET_HOME", str(home.home))
    app = AppTest.from_file(APP, default_timeout=120).run().switch_page("pages/bias.py").run()
    assert [error.value for error in app.error] == ["There is no split."]
