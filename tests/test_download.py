"""Downloads: handles, ids, the sentence for each way to fail, and the scan of what came."""

import time
from pathlib import Path

import kagglehub
import pytest
import requests
from conftest import write_class_folders
from kagglehub.exceptions import KaggleApiHTTPError, UnauthenticatedError

from maskdet.catalog import Dataset, load_catalog
from maskdet.cli import main
from maskdet.download import dataset_id, download, download_and_scan, parse_handle
from maskdet.errors import MaskDetError
from maskdet.facetable import has_faces, load_faces
from maskdet.workspace import Workspace


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))


def fails_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(handle: str) -> str:
        raise error

    monkeypatch.setattr(kagglehub, "dataset_download", fail)


def gives(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a download returns; the list gets the handles asked for."""
    asked: list[str] = []

    def fetch(handle: str) -> str:
        asked.append(handle)
        return str(folder)

    monkeypatch.setattr(kagglehub, "dataset_download", fetch)
    return asked


@pytest.mark.parametrize(
    "text",
    [
        "owner/some-name",
        "  owner/some-name ",
        "https://www.kaggle.com/datasets/owner/some-name",
        "https://www.kaggle.com/datasets/owner/some-name/data?select=x",
        "kaggle.com/owner/some-name",
    ],
)
def test_a_handle_and_the_address_of_its_page(text: str) -> None:
    assert parse_handle(text) == "owner/some-name"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "owner/",
        "/name",
        "owner name/x",
        "../../etc",
        "-o/name",
        "https://example.org/owner/name",
        "a/b\n/c",
    ],
)
def test_what_is_no_handle(text: str) -> None:
    with pytest.raises(MaskDetError, match="has the form owner/name"):
        parse_handle(text)


def test_the_id_is_the_catalogs_else_the_name_else_with_the_owner() -> None:
    catalog = load_catalog()
    assert dataset_id("ashishjangra27/face-mask-12k-images-dataset", catalog, {}) == "2.1"
    assert dataset_id("andrewmvd/face-mask-detection", catalog, {"3.2": Path("/here/3.2")}) == "3.2"
    assert dataset_id("owner/masks", catalog, {}) == "masks"
    assert dataset_id("owner/masks", catalog, {"masks": Path("/home/me/masks")}) == "owner-masks"
    assert dataset_id("owner/masks", catalog, {"masks": Path("/c/datasets/owner/masks/versions/1")}) == "masks"
    assert dataset_id("owner/masks", {"masks": Dataset("masks", "Others")}, {}) == "owner-masks"


def answer(status: int) -> KaggleApiHTTPError:
    response = requests.Response()
    response.status_code = status
    return KaggleApiHTTPError(f"{status} Client Error.\n\nlines\nof it", response=response)


PAGE = "https://www.kaggle.com/datasets/owner/masks"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (requests.ConnectionError("no name"), f"Kaggle cannot be reached .*by hand from {PAGE}, unpack it, and scan"),
        (requests.ConnectTimeout(), "Kaggle cannot be reached"),
        (answer(403), f"without an account: put an API token .*by hand from {PAGE}"),
        (answer(401), "without an account"),
        (UnauthenticatedError(), "without an account"),
        (answer(404), f"Kaggle has no dataset owner/masks: look up its handle at {PAGE}"),
        (answer(500), r"answered with an error \(500\)"),
        (requests.exceptions.ChunkedEncodingError(), "broke off: try again"),
        (OSError(28, "No space left on device", "/cache/x"), r"/cache/x cannot be written \(No space left on device\)"),
        (ValueError("Unsupported archive type."), r"failed \(ValueError\): try again, or download it by hand"),
    ],
)
def test_each_way_to_fail_is_one_sentence(error: Exception, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fails_with(error, monkeypatch)
    with pytest.raises(MaskDetError, match=sentence) as caught:
        download("owner/masks")
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_a_download_reports_how_much_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "cache" / "datasets" / "owner" / "masks" / "versions" / "1.archive"

    def fetch(handle: str) -> str:
        archive.parent.mkdir(parents=True)
        archive.write_bytes(bytes(3_000_000))
        time.sleep(0.3)
        return "/there"

    monkeypatch.setattr(kagglehub, "dataset_download", fetch)
    monkeypatch.setattr("maskdet.download._SECONDS_BETWEEN_REPORTS", 0.05)
    said: list[str] = []
    assert download("owner/masks", lambda done, total, text: said.append(text)) == Path("/there")
    assert said[0] == "downloading owner/masks"
    assert "downloading and unpacking owner/masks: 3 MB so far" in said


def test_what_came_is_scanned_under_the_catalogs_id_however_deep_it_lies(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "versions" / "1"
    counts = {"Face Mask Dataset/Train/WithMask": 3, "Face Mask Dataset/Train/WithoutMask": 2}
    write_class_folders(folder, counts)
    asked = gives(folder, monkeypatch)
    page = "https://www.kaggle.com/datasets/ashishjangra27/face-mask-12k-images-dataset"
    name, faces = download_and_scan(workspace, page, load_catalog())
    assert asked == ["ashishjangra27/face-mask-12k-images-dataset"]
    assert name == "2.1"
    assert faces.roots == {"2.1": folder}
    assert faces.table["label"].value_counts().to_dict() == {"with_mask": 3, "without_mask": 2}


def test_nothing_is_downloaded_into_a_workspace_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").write_text("a file")
    asked = gives(tmp_path, monkeypatch)
    with pytest.raises(MaskDetError, match="cannot be written"):
        download_and_scan(Workspace(tmp_path / "home"), "owner/masks", {})
    assert asked == []


def test_the_shell_downloads_and_forgets(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["--home", str(workspace.home), *arguments])
        return int(ended.value.code or 0), *capsys.readouterr()

    folder = write_class_folders(tmp_path / "masks", {"with_mask": 2, "without_mask": 1})
    gives(folder, monkeypatch)
    status, out, err = run("download", "owner/masks")
    assert status == 0, err
    assert out.splitlines()[1].split() == ["masks", "3", "3", "2", "1", "0"]
    assert set(load_faces(workspace).roots) == {"masks"}
    status, _, err = run("forget", "other")
    assert status == 1
    assert err.splitlines() == ["Error: There is no dataset 'other' here; there are: masks."]
    assert run("forget", "masks")[0] == 0
    assert not has_faces(workspace)
    assert len(list(folder.rglob("*.png"))) == 3
    fails_with(requests.ConnectionError("no name"), monkeypatch)
    status, _, err = run("download", "owner/masks")
    assert (status, len(err.splitlines())) == (1, 1)
