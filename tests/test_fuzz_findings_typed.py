"""What fuzzing found in what people type, and in names (see ``docs/fuzzing.md``)."""

import pytest
from markdown_it import MarkdownIt

from maskdet.errors import MaskDetError
from maskdet.markdown import sentence
from maskdet.models import create_model
from maskdet.models.inception import check_weights
from maskdet.workspace import Workspace
from ui.sources import folder_named
from ui.training_command import weights_file


def test_a_name_that_is_too_long_for_a_file_is_refused() -> None:
    with pytest.raises(MaskDetError):
        weights_file("a" * 400 + ".h5")


@pytest.mark.parametrize("typed", ["~nobody-of-this-name/weights.h5", "~r~ux", "~]\r\ninf"])
def test_the_home_of_nobody_is_refused(typed: str) -> None:
    for read in (weights_file, check_weights, folder_named, Workspace.locate):
        with pytest.raises(MaskDetError, match="Nobody here has the home folder of ~"):
            read(typed)


@pytest.mark.parametrize("name", ["(0`a``b <i> `", "``", "a` `b", "`<b>``![x](https://x.test)`<i>` ` c"])
def test_backticks_of_a_name_free_nothing_from_its_code(name: str) -> None:
    tokens = MarkdownIt("commonmark").parse(sentence(f"{name}` and `{name}"))
    assert {child.type for token in tokens for child in token.children or ()} <= {"text", "text_special", "code_inline"}


def test_options_are_numbers_and_told_in_a_text_that_can_be_shown() -> None:
    with pytest.raises(MaskDetError, match="C and gamma need at least one value each"):
        create_model("svm", {"C": [True]})
    with pytest.raises(MaskDetError, match=r"cannot be made with these options: .*\\ud800") as refused:
        create_model("cnn", {"\ud800": 1})
    assert str(refused.value).encode()
