"""Prediction without a training: bright faces are without mask, and a face is where a test says."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from maskdet.detection import DetectedFace
from maskdet.models.base import Features, Logits
from maskdet.photos import RgbImage

DARK, BRIGHT, GREY = (16, 16, 16), (240, 240, 240), (128, 128, 128)


class Bright:
    """Logit = (mean brightness - 128) / 32; the one feature is the logit."""

    engine = "test"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, faces: RgbImage) -> tuple[Logits, Features]:
        self.batches.append(len(faces))
        logits = (faces.mean(axis=(1, 2, 3)) - 128) / 32
        return logits, logits[:, None].astype(np.float32)


class Believed:
    """Not sure between 0.2 and 0.8; faces more than 3 from grey are unlike the training data."""

    low, high, distance_threshold = 0.2, 0.8, 3.0
    record: ClassVar[dict[str, Any]] = {}

    def probability(self, logits: Logits) -> Logits:
        return 1 / (1 + np.exp(-logits))

    def not_sure(self, probabilities: Logits) -> np.ndarray:
        return (probabilities > 0.2) & (probabilities < 0.8)

    def distance(self, features: Features) -> Logits:
        return np.abs(features[:, 0].astype(np.float64))


def detector(*boxes: tuple[int, int, int, int]) -> Any:
    """A detector that finds the same boxes in every photo."""
    landmarks = np.zeros((5, 2), np.float32)

    def detect(photo: RgbImage) -> Sequence[DetectedFace]:
        return [DetectedFace(box, 0.9, landmarks) for box in boxes]

    return detect
