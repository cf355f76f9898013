"""Home: what it says is loaded, which figure it calls the best, and what it leaves out for strangers."""

from pathlib import Path

import pytest
from factories import prepared
from streamlit.testing.v1 import AppTest
from written_runs import predictions, write_run

from maskdet.facetable import load_faces
from maskdet.split import load_split
from maskdet.workspace import Workspace
from ui.public import PUBLIC_VARIABLE

APP = str(Path(__file__).resolve().parents[1] / "app.py")


def visit(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("MASKDET_HOME", str(home.home))
    app = AppTest.from_file(APP, default_timeout=120).run()
    assert not app.exception
    return app


def best(app: AppTest) -> tuple[str, str, str, str]:
    """Title, figure, what it rests on, and the remark on it."""
    metric = next(each for each in app.metric if each.label.startswith("Best macro F1"))
    return metric.label, metric.value, metric.delta, metric.help


def test_the_best_figure_is_of_whole_runs_on_one_set_of_test_faces(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Synthetic runs, quick tries, balanced runs and those of other data have figures that do not compare."""
    prepared(workspace, tmp_path / "data", {"with_mask": 10, "without_mask": 10})
    bundled = best(visit(workspace, monkeypatch))
    assert bundled[1:3] == ("0.993", "(0.989–0.996), 3,303 test faces")
    assert "it is on the test faces of the bundled study" in bundled[3]
    data = {"fingerprint": load_split(workspace, load_faces(workspace)).fingerprint}
    write_run(workspace, "cnn-1", limit=20, data=data)
    write_run(workspace, "cnn-2", table=predictions(datasets=("sample-web",)), data=data)
    write_run(workspace, "cnn-3", balance={"attribute": "skin_tone", "target": "equal"}, data=data)
    write_run(workspace, "cnn-4", data=data | {"left_out": ["b"]})
    write_run(workspace, "cnn-5", data={"fingerprint": "other"})
    assert best(visit(workspace, monkeypatch)) == bundled, "each of these five would be without an error"
    write_run(workspace, "svm-1", "svm", table=predictions(wrong=[0, 1, 2, 3]), data=data)
    write_run(workspace, "svm-2", "svm", table=predictions(wrong=range(6)), data=data)
    title, figure, rests_on, remark = best(visit(workspace, monkeypatch))
    assert title.startswith("Best macro F1: ")
    assert "SVM" in title
    assert figure == "0.800"
    assert rests_on.endswith(", 20 test faces")
    assert "it is on the test faces of the data in force" in remark


def test_strangers_are_told_nothing_that_they_cannot_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Workspace(tmp_path / "fresh")
    own = visit(home, monkeypatch)
    assert "Do it again yourself" in [each.value for each in own.header]
    assert own.metric[0].delta == "the pages show synthetic ones until you scan a dataset"
    own.switch_page("pages/datasets.py").run()
    assert "Scan a dataset on the Datasets page" in own.info[0].value
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    app = visit(Workspace(tmp_path / "other"), monkeypatch)
    assert [each.value for each in app.header] == ["What is loaded"]
    assert app.metric[0].delta == "the pages show synthetic ones"
    app.switch_page("pages/datasets.py").run()
    assert app.info[0].value.endswith("say nothing about real masks.")
    texts = [str(each.value) for each in (*app.info, *app.caption, *app.markdown)]
    assert not [text for text in texts if "can a dataset" in text]
