"""Names of apparent skin tones, by the angle, lightness and hue that `maskdet.bias.skin_tone` measures.

Apart from the measuring, which loads libraries for pixels that those who only group faces do not need.
"""

from typing import Final

import numpy as np

#: Thresholds of Thong, Joniak and Xiang (2023): light tones have an L* above 60, yellow hues an angle above 55 degrees.
LIGHT_ABOVE: Final = 60.0
YELLOW_ABOVE: Final = 55.0
#: Categories of the individual typology angle and the degrees above which each begins, from light to dark.
TONES: Final[dict[str, float]] = {
    "very light": 55.0, "light": 41.0, "intermediate": 28.0, "tan": 10.0, "brown": -30.0, "dark": -90.0,
}  # fmt: skip


def typology_angle(lightness: float, b: float) -> float:
    """Individual typology angle, atan((L* - 50) / b*) in degrees, -90..90: the higher, the lighter.

    Skin is yellow rather than blue, so b* is above 0; a b* of 0 or less is taken as just above 0.

    References
    ----------
    Chardon, Cretois and Hourseau, Skin colour typology and suntanning pathways, Int. J. Cosmetic Science 13 (1991).
    """
    return float(np.degrees(np.arctan2(lightness - 50.0, max(b, 1e-6)))) if np.isfinite(lightness) else float("nan")


def tone_category(ita: float) -> str:
    """The name of a typology angle, "" for NaN; each begins above its degrees (`TONES`).

    References
    ----------
    Chardon et al. (1991), with the six groups of Del Bino and Bernerd, Variations in skin colour and the biological
    consequences of ultraviolet radiation exposure, British J. Dermatology 169, suppl. 3 (2013).
    """
    if np.isnan(ita):
        return ""
    return next((name for name, above in TONES.items() if ita > above), "dark")
