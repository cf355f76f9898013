"""The report: whole and self-contained, whatever a file is called."""

import base64
import re
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import pytest
from html_page import Page
from PIL import Image

from maskdet import __version__
from maskdet.photo_report import COUNTED, ReportFace, ReportModel, ReportPhoto, counts, photo_report
from maskdet.photos import Box

EVIL = '<script>alert("x")</script><img src=https://example.org/x onerror=alert(1)>.jpg'
MODEL = ReportModel("InceptionV3", "inceptionv3-20261124", (0.08, 0.93), "Grad-CAM, layer mixed8", "YuNet, from 40 px")
WHEN = datetime(2026, 11, 24, 21, 5, tzinfo=UTC)


def face(number: int, verdict: str | None, label: str | None = None, **more: object) -> ReportFace:
    box: Box = (10 * number, 20, 10 * number + 60, 90)
    crop = np.full((70, 60, 3), 20 * number, np.uint8)
    probability = None if verdict is None else 0.125 * number
    return ReportFace(number, box, crop, label or verdict, verdict, probability, **more)  # type: ignore[arg-type]


PHOTOS = (
    ReportPhoto(
        "group.jpg",
        "ok",
        np.full((1000, 2000, 3), 90, np.uint8),
        (
            face(1, "with_mask", heatmap=np.full((150, 150, 3), 200, np.uint8)),
            face(2, "without_mask"),
            face(3, "with_mask"),
            face(4, "not_sure", "without_mask", remark="Its probability is close to a coin toss."),
            face(5, "not_like_training_data", "with_mask", remark="It is far from the training faces."),
            face(6, None),
        ),
    ),
    ReportPhoto(EVIL, "damaged image: image file is truncated", None),
    ReportPhoto("b & c.png", "no face found: the whole photo was taken as one face", np.zeros((80, 60, 3), np.uint8),
                (face(1, "without_mask"),)),
)  # fmt: skip


@pytest.fixture(scope="module")
def html() -> str:
    return photo_report(PHOTOS, MODEL, WHEN)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_counts() -> None:
    assert counts(PHOTOS) == {
        "with_mask": 2, "without_mask": 2, "not_sure": 1, "not_like_training_data": 1, "too_small": 1, "unreadable": 1
    }  # fmt: skip
    assert counts(()) == dict.fromkeys(COUNTED, 0)


def test_it_is_whole_and_says_what_it_is_of(page: Page) -> None:
    assert page.open == []
    text = " ".join(page.text.split())
    for said in (
        "7 faces in 3 files", "InceptionV3, run inceptionv3-20261124", "2026-11-24 21:05 UTC", "YuNet, from 40 px",
        "between 0.08 and 0.93", "Grad-CAM, layer mixed8", f"MaskDet {__version__}", "faces, not people",
        "Do not use these verdicts",
    ):  # fmt: skip
        assert said in text, said
    assert [int(count) for count in re.findall(r"(\d+)\s*(?:With|Not|Too|Unreadable)", page.text)][:6] == [
        2,
        2,
        1,
        1,
        1,
        1,
    ]


def test_nothing_is_fetched_and_nothing_runs(html: str, page: Page) -> None:
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    for tag, attributes in page.elements:
        assert tag not in ("script", "link", "iframe", "object", "form", "a", "base")
        assert not any(name.startswith("on") or name == "href" for name in attributes)
        assert attributes.get("src", "data:image/jpeg;base64,").startswith("data:image/jpeg;base64,")
    assert not re.search(r"url\(|@import", html)


def test_names_are_shown_as_they_are(html: str, page: Page) -> None:
    assert "<script" not in html
    assert page.text.count(EVIL) == 2  # in the table and above the photo
    assert "b & c.png" in page.text
    assert [image["alt"] for image in page.all("img")][-2:] == ["b & c.png", "Face 1"]


def test_every_face_with_its_pictures(page: Page) -> None:
    images = page.all("img")
    assert len(images) == 2 + 7 + 1  # photos, faces, and a heatmap
    sizes = []
    for image in images:
        decoded = Image.open(BytesIO(base64.b64decode(image["src"].split(",")[1])))
        decoded.load()
        sizes.append(decoded.size)
    assert sizes[0] == (960, 480)
    assert sizes[1] == (60, 70)
    assert sizes[2] == (150, 150)
    assert len(page.all("rect")) == 3 * 7
    frame = page.all("rect")[0]
    assert [frame[name] for name in ("x", "y", "width", "height")] == ["10", "20", "60", "70"]


def test_the_table_has_a_row_a_face_and_one_for_what_cannot_be_read(page: Page) -> None:
    assert len(page.all("tr")) == 1 + 7 + 1
    text = " ".join(page.text.split())
    assert "Its probability is close to a coin toss." in text
    assert "the model leans to “without mask”" in text
    assert text.count("damaged image: image file is truncated") == 2
    assert text.count("no face found: the whole photo was taken as one face") == 2


@pytest.mark.parametrize(
    ("probability", "shown"),
    [(0.0, "< 0.001"), (0.0006, "0.001"), (0.25, "0.250"), (0.9994, "0.999"), (1.0, "> 0.999")],
)
def test_no_model_is_wholly_sure(probability: float, shown: str) -> None:
    certain = ReportFace(1, (0, 0, 9, 9), np.zeros((9, 9, 3), np.uint8), "with_mask", "with_mask", probability)
    page = Page(photo_report((ReportPhoto("a.jpg", "ok", np.zeros((20, 20, 3), np.uint8), (certain,)),), MODEL))
    assert f"Probability of no mask {shown}" in page.text


def test_a_report_on_nothing() -> None:
    page = Page(photo_report((), ReportModel("SVM", "svm-1", None, "", "the whole photo")))
    assert page.open == []
    text = " ".join(page.text.split())
    assert "0 faces in 0 files" in text
    assert "between" not in text
    assert "Heatmaps show" in text
