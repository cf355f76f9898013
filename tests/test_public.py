"""An app that strangers visit changes nothing on its server; an app of one's own does all it did."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets_page import APP
from factories import prepared
from streamlit.testing.v1 import AppTest
from training_page import HISTORY, add_job, add_unfinished

from maskdet.errors import MaskDetError
from maskdet.facetable import load_faces
from maskdet.jobs import list_jobs
from maskdet.workspace import Workspace
from ui.jobs import start
from ui.public import NOTE, PUBLIC_VARIABLE, is_public, require_private
from ui.sources import folder_named
from ui.text import sentence
from ui.training_jobs import start_trainings

UI = Path(__file__).resolve().parents[1] / "ui"
#: Functions of the core that change a workspace, or read what a visitor names on the server.
CHANGING = {
    "cancel", "change_decisions", "check_folder", "discard_unfinished", "forget", "forget_uploaded", "keep_uploaded",
    "launch", "remove_job", "save_decisions", "save_filtered", "save_split",
}  # fmt: skip


def functions(folder: Path) -> list[tuple[str, set[str]]]:
    """Each function of a folder's modules, with the names of what it calls."""
    return [
        (f"{path.name}: {node.name}", {each.func.id for each in ast.walk(node) if _is_plain_call(each)})
        for path in sorted(folder.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    ]


def _is_plain_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)


@pytest.mark.parametrize(("value", "expected"), [("", False), ("0", False), ("1", True), ("yes", True)])
def test_the_variable(value: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, value)
    assert is_public() == expected
    if expected:
        with pytest.raises(MaskDetError, match="open to the public"):
            require_private()
    else:
        require_private()


def test_whatever_changes_the_server_asks_first() -> None:
    found = [(name, calls & CHANGING, "require_private" in calls) for name, calls in functions(UI) if calls & CHANGING]
    assert set().union(*(changing for _, changing, _ in found)) == CHANGING
    assert [name for name, _, asks in found if not asks] == []


def test_no_page_changes_the_server_by_itself() -> None:
    assert not [name for name, calls in functions(UI.parent / "pages") if calls & CHANGING]


def test_no_folder_of_the_server_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folder_named(str(tmp_path)) == tmp_path
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    with pytest.raises(MaskDetError, match="open to the public"):
        folder_named(str(tmp_path))


@pytest.fixture
def visit(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], AppTest]:
    """Open a page as the public sees it; it says that it is open to strangers."""
    monkeypatch.setenv("MASKDET_HOME", str(sample.home.parent))
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")

    def opened(page: str) -> AppTest:
        app = AppTest.from_file(APP, default_timeout=120).run().switch_page(page).run()
        assert not app.exception
        assert NOTE in [info.value for info in app.info]
        return app

    return opened


def test_the_datasets_page_offers_no_folder(visit: Callable[[str], AppTest]) -> None:
    app = visit("pages/datasets.py")
    assert not [field for field in app.text_input if field.label == "Folder"]


def test_the_training_page_offers_nothing(visit: Callable[[str], AppTest]) -> None:
    app = visit("pages/training.py")
    assert not [button for button in app.button if button.key in ("training_start", "training_try")]


def test_the_training_page_says_nothing_of_the_server(
    sample: Workspace, visit: Callable[[str], AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_unfinished(sample, "cnn-1", "cnn", HISTORY)
    add_job(sample, "0", ["train", "cnn"], {"event": "run", "run": "cnn-1"}, {"event": "cancelled"})
    command = ["train", "inceptionv3", "--weights=/home/operator/w.h5"]
    failed = add_job(sample, "1", command, {"event": "failed", "reason": "/home/operator cannot be read."})
    (failed / "output.log").write_text("File /home/operator/maskdet.py, line 1\n")
    app = visit("pages/training.py")
    assert [error.value for error in app.error] == ["It failed; whoever runs this server can see why."]
    assert "/home/operator" not in everything(app)
    assert not [button.key for button in app.button]
    monkeypatch.delenv(PUBLIC_VARIABLE)
    app.run()
    assert everything(app).count("/home/operator") == 3  # else the test proves nothing
    assert {"resume_0-train", "remove_1-train"} <= {button.key for button in app.button}


def test_an_error_names_no_folder_of_the_server(
    sample: Workspace, visit: Callable[[str], AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    sample.path("faces.parquet").write_bytes(b"damaged")
    app = visit("pages/datasets.py")
    (said,) = [error.value for error in app.error]
    assert "faces.parquet cannot be read" in said
    assert str(sample.home) not in said
    monkeypatch.delenv(PUBLIC_VARIABLE)
    app.run()
    assert any(str(sample.home) in error.value for error in app.error)  # else the test proves nothing


def test_a_sentence_on_a_page_names_no_folder_of_the_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "my data"
    monkeypatch.setenv("MASKDET_HOME", str(home))
    said = f"{home}/runs/x/predictions.parquet cannot be read (it is damaged), and /srv/a/b.json neither."
    assert str(home) in sentence(said)  # as the own user sees it
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    assert sentence(said) == sentence("predictions.parquet cannot be read (it is damaged), and b.json neither.")
    assert sentence("The file a/b.json is on https://example.org/a/b.") == (
        r"The file a/b.json is on https\://example.org/a/b."
    )


def everything(app: AppTest) -> str:
    return "\n".join(str(one.value) for one in (*app.markdown, *app.caption, *app.error, *app.warning, *app.code))


def test_a_face_says_where_its_photo_lies_in_its_dataset_alone(
    sample: Workspace, visit: Callable[[str], AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = load_faces(sample)
    face = faces.table.iloc[0]
    app = visit("pages/datasets.py")
    app.button(key="open_explorer_0").click().run()
    assert [code.value for code in app.code] == [f"{face['dataset']}/{face['photo']}"]
    monkeypatch.delenv(PUBLIC_VARIABLE)
    app.button(key="open_explorer_0").click().run()
    assert [code.value for code in app.code] == [str(faces.roots[face["dataset"]] / face["photo"])]


def test_a_dataset_that_is_gone_is_named_without_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visit: Callable[[str], AppTest]
) -> None:
    home = Workspace(tmp_path / "own")
    prepared(home, tmp_path / "data", {"with_mask": 10, "without_mask": 10})
    (tmp_path / "data/tiny").rename(tmp_path / "away")
    monkeypatch.setenv("MASKDET_HOME", str(home.home))
    app = visit("pages/datasets.py")
    assert app.warning[0].value.startswith("The folder of tiny is gone. Its faces")
    assert str(tmp_path) not in everything(app)
    monkeypatch.delenv(PUBLIC_VARIABLE)
    app.run()
    assert str(tmp_path / "data/tiny") in app.warning[0].value


def test_no_job_is_started(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    with pytest.raises(MaskDetError, match="open to the public"):
        start(sample, ["scan", "/"])
    with pytest.raises(MaskDetError, match="open to the public"):
        start_trainings(sample, [["train", "svm"]])
    assert list_jobs(sample) == []
