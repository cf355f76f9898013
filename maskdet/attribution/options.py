"""What a person may set of the methods."""

from dataclasses import dataclass

from maskdet.errors import MaskDetError
from maskdet.photos import FACE_SIZE

#: Level of the patch that hides a part of a face: the middle of 0..255 (Zeiler & Fergus, 2014, use grey too).
GREY = 127


@dataclass(frozen=True)
class AttributionOptions:
    """Options of the methods that have some; the defaults are our choice, see ``docs/explaining.md``.

    Attributes
    ----------
    patch, stride : int
        Occlusion: side of the square patch and its step, in pixels of the normalised face of 150 by 150. The step
        must divide both, so that the map is a grid of whole cells of one step.
    samples : int
        SmoothGrad: noisy copies of a face (Smilkov et al., 2017, find little change above 50).
    noise : float
        SmoothGrad: standard deviation of the noise, as a share of the face's range of levels (theirs: 0.1 to 0.2).
    channels : int
        Score-CAM: channels of the layer that are tried, those whose maps vary most (Faster Score-CAM); each costs a
        forward pass. A layer with fewer has all tried.
    seed : int
        Of the noise.
    """

    patch: int = 30
    stride: int = 15
    samples: int = 32
    noise: float = 0.1
    channels: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= self.patch < FACE_SIZE or FACE_SIZE % self.stride or self.patch % self.stride:
            raise MaskDetError(
                f"The patch must be below {FACE_SIZE} pixels and its step must divide it and {FACE_SIZE}, not "
                f"{self.patch} and {self.stride}."
            )
        if self.samples < 1 or self.channels < 1:
            raise MaskDetError(f"samples and channels must be at least 1, not {self.samples} and {self.channels}.")
        if not 0 < self.noise <= 1:
            raise MaskDetError(f"noise must be above 0 and at most 1, not {self.noise}.")
