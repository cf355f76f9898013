"""What the study published of its models: figures to compare with, from other photos and another machine."""

from dataclasses import dataclass
from typing import Final

#: Test faces of the study, by label (section 5).
STUDY_TEST_FACES: Final = {"with_mask": 2448, "without_mask": 1654}
#: Test images among which the study counts its errors (section 6.2): 8 more than it has test faces, unexplained.
STUDY_ERRORS_AMONG: Final = 4110
#: What a reader must know of these figures.
STUDY_NOTE: Final = (
    f"The study's figures are from its own test set (section 5: {sum(STUDY_TEST_FACES.values()):,} faces, "
    f"{STUDY_TEST_FACES['with_mask']:,} with and {STUDY_TEST_FACES['without_mask']:,} without mask; section 6.2 counts "
    f"errors among {STUDY_ERRORS_AMONG:,} images), to two decimals in Table 3 and three for macro F1 in section 5; it "
    "publishes no intervals."
)


@dataclass(frozen=True)
class PublishedLabel:
    """A label's row of the study's Table 3."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Published:
    """What the study reports of one model.

    Attributes
    ----------
    macro_f1 : float
        Section 5, first paragraph.
    with_mask, without_mask : PublishedLabel
        Table 3.
    errors : int
        Wrong predictions among `STUDY_ERRORS_AMONG` images (section 6.2).
    relative_time : float
        Running time as a multiple of the SVM's (section 5.1: the SVM is 3.4, 5 and 8.7 times faster than InceptionV3,
        CNN and transfer CNN). The transfer CNN's holds the training of its base model. Figure 14 has the times
        themselves, as a picture without numbers.
    """

    macro_f1: float
    with_mask: PublishedLabel
    without_mask: PublishedLabel
    errors: int
    relative_time: float

    def label(self, name: str) -> PublishedLabel:
        """The row of a label: "with_mask" or "without_mask"."""
        return {"with_mask": self.with_mask, "without_mask": self.without_mask}[name]


#: By the names of `maskdet.models.MODELS`.
STUDY: Final[dict[str, Published]] = {
    "cnn": Published(0.981, PublishedLabel(0.99, 0.98, 0.98), PublishedLabel(0.97, 0.98, 0.98), 76, 5.0),
    "cnn-transfer": Published(0.969, PublishedLabel(0.98, 0.97, 0.97), PublishedLabel(0.96, 0.96, 0.96), 123, 8.7),
    "inceptionv3": Published(0.993, PublishedLabel(0.99, 1.00, 0.99), PublishedLabel(0.99, 0.99, 0.99), 27, 3.4),
    "svm": Published(0.927, PublishedLabel(0.94, 0.94, 0.94), PublishedLabel(0.91, 0.92, 0.91), 288, 1.0),
}
