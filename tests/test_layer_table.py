"""The layers of networks: outputs and parameters by hand."""

import pytest
from tiny_network import Tiny

from maskdet.cli import main
from maskdet.errors import MaskDetError
from maskdet.models import create_model
from maskdet.models.layers import layer_table


def test_layers_by_hand() -> None:
    """27 means of 9 places and 3 channels; 27 × 4 weights; 4 scales and shifts are trained, 8 statistics are not."""
    table = layer_table(Tiny()).set_index("kind")
    assert table.index.tolist() == [
        "InputLayer", "Rescaling", "AveragePooling2D", "Flatten", "Dense", "BatchNormalization", "Dropout", "Dense",
    ]  # fmt: skip
    assert table["output"].tolist() == ["150×150×3", "150×150×3", "3×3×3", "27", "4", "4", "4", "1"]
    assert table["parameters"].tolist() == [0, 0, 0, 0, 108, 16, 0, 5]
    assert table["trainable"].tolist() == [0, 0, 0, 0, 108, 8, 0, 5]


def test_the_cnn_has_the_maps_that_its_plan_says() -> None:
    outputs = layer_table(create_model("cnn")).set_index("layer")["output"]
    assert outputs["conv1"] == "38×38×32"  # 150 / 4, rounded up
    assert outputs["conv5_relu"] == "10×10×96"
    assert outputs["logit"] == "1"


def test_what_is_no_network_has_no_layers() -> None:
    with pytest.raises(MaskDetError, match="is no network: it has no layers"):
        layer_table(create_model("svm"))


def test_from_the_shell(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["layers", "cnn", "--set", "dropout=0.3"])
    out = capfd.readouterr().out
    assert ended.value.code in (0, None)
    assert out.splitlines()[0].split() == ["layer", "kind", "output", "parameters", "trainable"]
    assert out.splitlines()[-1].endswith("are trained")
