"""What would change a verdict: one property of a face's crop is varied, and the model asked at every step.

A sweep answers for one face and one model. A curve that turns at a small change says that the verdict hangs on that
property, not that the model is wrong. Changes are made at the crop's own size, before it is normalised.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from maskdet.errors import MaskDetError
from maskdet.labels import CLASSES
from maskdet.models.base import Logits, probability
from maskdet.photos import FACE_SIZE, RgbImage, normalise

#: From normalised faces, shape (n, 150, 150, 3), to their logits, shape (n,); above 0 is without mask.
JudgeLogits = Callable[[RgbImage], Logits]
Floats = npt.NDArray[np.float64]

#: Columns of a sweep's table.
COLUMNS: Final = ("value", "logit", "p_without_mask", "label")
#: The patch is mid-grey, as in the occlusion heatmap, and covers this share of the height.
PATCH: Final = 0.25
_GREY: Final = 127
#: A larger crop is shrunk to this side before it is changed: no change is finer than what a model sees of it.
_LARGEST: Final = 300
_FEWEST_STEPS, _MOST_STEPS = 3, 101


@dataclass(frozen=True)
class Sweep:
    """One property and how to vary it.

    Attributes
    ----------
    name, title : str
        The key in `SWEEPS`, and the name for people.
    unit : str
        Of the value, "" if it has none.
    low, high : float
        The range of values.
    neutral : float
        The value that leaves the crop as it is.
    explanation : str
        What the value does, one sentence.
    change : callable
        From a crop of any size, uint8 of shape (height, width, 3), and a value to the changed crop; pure.
    in_ratios : bool
        True where equal steps are equal ratios: twice as bright is as far from neutral as half as bright.
    """

    name: str
    title: str
    unit: str
    low: float
    high: float
    neutral: float
    explanation: str
    change: Callable[[RgbImage, float], RgbImage]
    in_ratios: bool = False

    def apply(self, crop: RgbImage, value: float) -> RgbImage:
        """The crop, changed; the crop itself at the neutral value.

        Raises
        ------
        MaskDetError
            If the value is out of range.
        """
        if not self.low <= value <= self.high:
            raise MaskDetError(f"{self.title} must be {self.low:g} to {self.high:g}, not {value:g}.")
        return crop if value == self.neutral else self.change(crop, value)

    def values(self, steps: int) -> Floats:
        """So many values from low to high in even steps, and the neutral one if it is not among them.

        Raises
        ------
        MaskDetError
            If there are fewer than 3 steps or more than 101.
        """
        if not _FEWEST_STEPS <= steps <= _MOST_STEPS:
            raise MaskDetError(f"A sweep has {_FEWEST_STEPS} to {_MOST_STEPS} steps, not {steps}.")
        even = np.geomspace if self.in_ratios else np.linspace
        values = np.clip(even(self.low, self.high, steps), self.low, self.high)
        near = np.isclose(values, self.neutral, rtol=1e-9, atol=1e-9 * (self.high - self.low))
        return np.unique(np.append(values[~near], self.neutral))


def sweep(judge_logits: JudgeLogits, face: RgbImage, name: str, steps: int = 21) -> pd.DataFrame:
    """Vary one property of a face and ask the model at each step, all in one call.

    Parameters
    ----------
    judge_logits : callable
        The model: called once, with all steps.
    face : array of uint8, shape (height, width, 3)
        The face's crop at its own size; it need not be normalised.
    name : str
        A key of `SWEEPS`.
    steps : int
        3 to 101. The neutral value comes on top if it is not among them.

    Returns
    -------
    DataFrame
        `COLUMNS`, a row a value, ascending. ``p_without_mask`` is the logistic function of the logit, without
        calibration.

    Raises
    ------
    MaskDetError
        If there is no such sweep or the steps are too few or too many.
    """
    if name not in SWEEPS:
        raise MaskDetError(f"What can be varied is {', '.join(SWEEPS)}, not {name!r}.")
    what = SWEEPS[name]
    values = what.values(steps)
    logits = np.asarray(judge_logits(varied(face, what, values)), dtype=np.float64)
    labels = [CLASSES[int(logit > 0)] for logit in logits]
    return pd.DataFrame(dict(zip(COLUMNS, (values, logits, probability(logits), labels), strict=True)))


def varied(face: RgbImage, what: Sweep, values: Floats) -> RgbImage:
    """The face at each value, normalised: shape (n, 150, 150, 3). What a sweep shows a model, also for people."""
    small = Image.fromarray(face)
    small.thumbnail((_LARGEST, _LARGEST), Image.Resampling.BILINEAR)
    crop = np.asarray(small, dtype=np.uint8)
    # At the neutral value it is the crop as it came, so that the logit there is the verdict's.
    return np.stack([
        normalise(Image.fromarray(face if value == what.neutral else what.apply(crop, float(value))))
        for value in values
    ])  # fmt: skip


def flips_at(table: pd.DataFrame, name: str) -> float | None:
    """The value nearest to the neutral one at which the verdict is another; None if it stays the same.

    Of a sweep in ratios the nearest is that of the smallest ratio. It is one of the table's values, so that it is known
    to one step.
    """
    what = SWEEPS[name]
    own = table.loc[table["value"] == what.neutral, "label"].iloc[0]
    other = table.loc[table["label"] != own, "value"].to_numpy(dtype=np.float64)
    if not len(other):
        return None
    away = np.abs(np.log(other / what.neutral)) if what.in_ratios else np.abs(other - what.neutral)
    return float(other[int(away.argmin())])


def _brightness(crop: RgbImage, factor: float) -> RgbImage:
    levels = np.clip(np.arange(256) * factor + 0.5, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(crop, levels), dtype=np.uint8)


def _blur(crop: RgbImage, deviation: float) -> RgbImage:
    height, width = crop.shape[:2]
    across, down = (deviation * side / FACE_SIZE for side in (width, height))
    blurred = cv2.GaussianBlur(crop, (0, 0), sigmaX=across, sigmaY=down, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, dtype=np.uint8)


def _size(crop: RgbImage, side: float) -> RgbImage:
    height, width = crop.shape[:2]
    share = side / min(height, width)
    if share >= 1:
        return crop
    image = Image.fromarray(crop)
    small = image.resize((max(1, round(width * share)), max(1, round(height * share))), Image.Resampling.BILINEAR)
    return np.asarray(small.resize((width, height), Image.Resampling.BILINEAR), dtype=np.uint8)


def _rotation(crop: RgbImage, degrees: float) -> RgbImage:
    height, width = crop.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, 1)
    mean = cv2.mean(crop)  # in the corners, as in the augmentation, so that they are no cue of their own
    return np.asarray(cv2.warpAffine(crop, turn, (width, height), flags=cv2.INTER_LINEAR, borderValue=mean), np.uint8)


def _patch_down(crop: RgbImage, middle: float) -> RgbImage:
    return _covered(crop, middle / 100 - PATCH / 2, middle / 100 + PATCH / 2)


def _patch_up(crop: RgbImage, share: float) -> RgbImage:
    return _covered(crop, 1 - share / 100, 1)


def _covered(crop: RgbImage, top: float, bottom: float) -> RgbImage:
    height = len(crop)
    covered = crop.copy()
    covered[max(0, round(top * height)) : max(0, round(bottom * height))] = _GREY
    return covered


_ALL: Final = (
    Sweep(
        "brightness", "Brightness", "×", 0.125, 4.0, 1.0,
        "All pixels are multiplied by this factor.", _brightness, in_ratios=True,
    ),
    Sweep(
        "blur", "Blur", "px", 0.0, 12.0, 0.0,
        "Standard deviation of a Gaussian blur, in pixels of the 150 px that a model sees.", _blur,
    ),
    Sweep(
        "size", "Size", "px", 8.0, float(FACE_SIZE), float(FACE_SIZE),
        "The face is shrunk until its shorter side has so many pixels, and enlarged again; "
        "a face that is smaller already stays as it is.", _size, in_ratios=True,
    ),
    Sweep(
        "rotation", "Rotation", "°", -90.0, 90.0, 0.0,
        "The crop is turned clockwise around its middle; the corners take its mean colour.", _rotation,
    ),
    Sweep(
        "patch-place", "Place of a grey patch", "%", -100 * PATCH / 2, 100 + 100 * PATCH / 2, -100 * PATCH / 2,
        f"A grey band of {100 * PATCH:.0f} % of the height lies with its middle so far down the face.", _patch_down,
    ),
    Sweep(
        "patch-size", "Size of a grey patch", "%", 0.0, 100.0, 0.0,
        "A grey patch covers this share of the face, from the lower edge up.", _patch_up,
    ),
)  # fmt: skip
#: What can be varied, by name.
SWEEPS: Final[dict[str, Sweep]] = {what.name: what for what in _ALL}
