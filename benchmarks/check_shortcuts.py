"""Does the shortcut probe find what was planted, and only that? ``python -m benchmarks.check_shortcuts``.

Prints a table in Markdown: measurements of faces are drawn, with the label tied to the size, to the brightness, or to
nothing, and probed. Where size or brightness is tied, faces without mask have it higher by ``SHIFT`` standard
deviations, which is an AUC of 0.70. A third of the faces are near-duplicates, in groups of up to five that share label
and measurements: a probe that parted them would find a shortcut everywhere.
"""

import argparse

import numpy as np
import pandas as pd

from maskdet.bias.measurements import FAMILIES
from maskdet.bias.shortcuts import Probe, ProbeOptions, probe_shortcuts
from maskdet.intervals import share_interval
from maskdet.labels import CLASSES

#: What the label is tied to, and the families of measurements that may rightly be named for it.
PLANTED = {"size": {"size"}, "brightness": {"light", "colour"}, "nothing": set()}
SHIFT = 0.75
_FACES = (200, 1000)
_SEEDS = 20
_COLUMNS = ("label tied to", "faces", "tables", "shortcut found", "named rightly", "another kind found", "mean AUC")


def draw_measurements(planted: str, faces: int, seed: int, shift: float = SHIFT) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of a split, and the measurements of their photos, by one draw."""
    rng = np.random.default_rng(seed)
    groups = _groups(faces, rng)
    label = rng.permutation(np.arange(groups.max() + 1) % 2)

    def drawn(spread: float, mean: float, tied: bool = False) -> np.ndarray:
        """A value a group, nearly the same in all its faces."""
        values = rng.standard_normal(len(label)) + shift * (label if tied else 0)
        return mean + spread * (values[groups] + 0.02 * rng.standard_normal(faces))

    size, aspect = np.exp(drawn(0.5, 4.8, planted == "size")), np.exp(drawn(0.15, 0.1))
    width, height = np.round(size / np.sqrt(aspect)), np.round(size * np.sqrt(aspect))
    brightness, per_pixel = drawn(25, 120, planted == "brightness"), np.exp(drawn(0.4, -1.5))
    measurements = pd.DataFrame(
        {
            "face_id": [f"drawn/{number:05d}.jpg" for number in range(faces)],
            "width": width, "height": height, "sqrt_size": np.sqrt(width * height), "aspect_ratio": height / width,
            "bytes": np.round(width * height * per_pixel) + 600, "bytes_per_pixel": per_pixel,
            "format": np.where(drawn(1, 0) > 1, "PNG", "JPEG"), "jpeg_quantisation": np.round(drawn(6, 20)),
            "mean_red": brightness + drawn(15, 20), "mean_green": brightness + drawn(10, -5),
            "mean_blue": brightness + drawn(15, -15), "brightness": brightness, "contrast": drawn(10, 55),
            "sharpness": np.exp(drawn(1, 4)),
        }
    )  # fmt: skip
    table = measurements[["face_id"]].assign(dataset="drawn", label=np.array(CLASSES)[label[groups]], group=groups)
    return table, measurements


def probe(planted: str, faces: int, seed: int) -> Probe:
    """The probe of the label of one drawn table."""
    table, measurements = draw_measurements(planted, faces, seed)
    report = probe_shortcuts(table, measurements, ProbeOptions(repeats=1))
    return next(each for each in report.probes if each.target == "label" and each.scope == "drawn")


def check(seeds: int = _SEEDS, faces: tuple[int, ...] = _FACES) -> str:
    """The table, in Markdown."""
    lines = [_COLUMNS, ("---",) * len(_COLUMNS)]
    for planted, rightly in PLANTED.items():
        for count in faces:
            probes = [probe(planted, count, seed) for seed in range(seeds)]
            others = [any(each.families[name]["found"] for name in set(FAMILIES) - rightly) for each in probes]
            said = [_named(each) in rightly for each in probes]
            cells = [
                _share([each.verdict in ("strong", "weak") for each in probes]),
                _share(said) if rightly else "",
                _share(others),
                f"{np.mean([each.auc for each in probes]):.2f}",
            ]
            lines.append((planted, f"{count:,}", str(seeds), *cells))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Parse the options and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check_shortcuts", description=__doc__)
    parser.add_argument("--seeds", type=int, default=_SEEDS)
    print(check(parser.parse_args().seeds), end="")


def _groups(faces: int, rng: np.random.Generator) -> np.ndarray:
    """A group a face: two thirds stand alone, the others in groups of 2 to 5."""
    sizes: list[int] = []
    while sum(sizes) < faces // 3:
        sizes.append(int(rng.integers(2, 6)))
    sizes += [1] * (faces - sum(sizes))
    return np.repeat(np.arange(len(sizes)), sizes)


def _named(found: Probe) -> str:
    """The family that the sentence names, "" if none."""
    if found.verdict not in ("strong", "weak"):
        return ""
    begins = {title: family for family, title in FAMILIES.items()}
    return next((family for title, family in begins.items() if found.sentence.lower().startswith(f"{title} alone")), "")


def _share(flags: list[bool]) -> str:
    low, high = share_interval(np.array(flags), np.arange(len(flags)))
    return f"{sum(flags)} of {len(flags)} ({low:.0%} to {high:.0%})"


if __name__ == "__main__":
    main()
