"""What the tests of the Explain page share: a visit, what is said on the page, and heatmaps without a network."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

import ui.explain_models
from maskdet.attribution import Heatmap
from maskdet.photos import RgbImage

PROJECT = Path(__file__).resolve().parents[1]
Uploads = list[tuple[str, bytes, str]]


class FakeExplainer:
    """Finds evidence in the lower half for one label and none for the other, at once."""

    methods = ("grad-cam", "occlusion")
    layers = ("conv5_relu", "conv2_relu")
    default_layer = "conv5_relu"

    def heatmap(
        self, method: str, face: RgbImage, label: str, layer: str | None = None, progress: Any = None
    ) -> Heatmap:
        values = np.zeros((4, 4), np.float32)
        values[2:] = label == "without_mask"
        return Heatmap(values, label, (layer or self.default_layer) if method == "grad-cam" else None, method)


def visit(home: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("MASKDET_HOME", str(home))
    app = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
    return app.switch_page("pages/explain.py").run()


def drop(app: AppTest, uploads: Uploads) -> AppTest:
    app.file_uploader[0].set_value(uploads).run()
    assert not app.exception, app.exception
    return app


def press(app: AppTest, key: str) -> AppTest:
    return app.button(key=key).click().run()


def texts(app: AppTest) -> str:
    """All that is said on the page, in one text."""
    said = [*app.markdown, *app.caption, *app.info, *app.success, *app.warning, *app.error]
    html = [str(element.proto.body) for element in app.get("html")]
    return "\n".join([*(str(one.value) for one in said), *html])


def chips(app: AppTest) -> list[str]:
    """The verdicts of the cards, in their order."""
    bodies = [str(element.proto.body) for element in app.get("html")]
    return [body.split('class="chip"')[1].split(">")[1].split("<")[0] for body in bodies if 'class="chip"' in body]


def captions(app: AppTest) -> list[str]:
    """The captions of all pictures."""
    return [image.caption for images in app.get("image") for image in images.proto.imgs]


def png(size: tuple[int, int] = (40, 50), seed: int = 0) -> bytes:
    file = BytesIO()
    levels = np.random.default_rng(seed).integers(0, 256, (5, 4, 3)).astype(np.uint8)
    Image.fromarray(levels).resize(size).save(file, "PNG")
    return file.getvalue()


def use_quick_heatmaps(patch: pytest.MonkeyPatch) -> None:
    """Put `FakeExplainer` in the place of every run's explainer."""
    patch.setattr(ui.explain_models, "_made", type(ui.explain_models._made)())
    patch.setattr(ui.explain_models, "_make", lambda folder: FakeExplainer())
