"""Tables of docs/skin_tone.md: ``python -m benchmarks.check_appearance TABLE [HOME]``, with TABLE one of

drawn        drawn faces of known skin colour in light from dark to bright: how far off the measure is, and its ranks
stability    real faces changed a little (JPEG, light, flip, shift): how far the measure moves
masks        the same unmasked real faces before and after a mask is drawn on, which should not move it
left-out     whom the measure leaves out, by label and dataset, and why
labels       the distribution of the tone by label
landmarks    on how many faces the detector finds landmarks, by dataset and label

HOME is a workspace with scanned faces and a split; ``drawn`` needs none. Intervals are 95 % by the cluster bootstrap.
"""  # noqa: D400, D415 (a list)

import argparse
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from scipy.stats import spearmanr

from maskdet.bias.appearance import DETECTION, find_geometry, measure_appearance, not_measurable
from maskdet.bias.colour import to_lab
from maskdet.bias.skin_tone import SkinTone, measure_skin
from maskdet.bias.tones import TONES, tone_category
from maskdet.bootstrap import Values, measured
from maskdet.detection import FaceDetector
from maskdet.drawn_masks import MASK_COLOURS, draw_mask
from maskdet.facetable import Faces, load_faces
from maskdet.images import stored_images
from maskdet.labels import CLASSES
from maskdet.looks import SKINS, FaceLook, Rgb
from maskdet.photos import FACE_SIZE, RgbImage
from maskdet.portraits import draw_face
from maskdet.split import load_split
from maskdet.workspace import Workspace

_LOOKS: Final = 15
_EXPOSURES: Final = (0.08, 0.15, 0.3, 0.5, 0.75, 1.0, 1.15)
#: Real faces a label.
_SAMPLE: Final = 400
_LEAST_SIDE: Final = 20
Change = Callable[[RgbImage], RgbImage]


def drawn() -> None:
    """Drawn faces: the error against the colour that was drawn, and whether the order of skins is kept."""
    detector = FaceDetector(DETECTION)
    rows = pd.DataFrame([row for exposure in _EXPOSURES for row in _drawn_rows(exposure, detector)])
    table(["exposure", "faces", "not measurable", "L* off", "hue off", "ITA off", "rank correlation of L*"])
    for exposure, part in rows.groupby("exposure"):
        line(exposure, *_drawn_cells(part))
    for name, part in rows[rows["exposure"] == 1].groupby("masked"):
        line("1, with mask" if name else "1, without", *_drawn_cells(part))
    line("all", *_drawn_cells(rows))
    print("\nNot measurable by drawn skin (light to dark) and exposure, and the reasons:\n")
    out = rows.assign(out=rows["reason"] != "").pivot_table(index="skin", columns="exposure", values="out", sort=False)
    table(["skin", *map(str, out.columns)])
    for skin, shares in out.iterrows():
        line(skin, *(f"{value:.2f}" for value in shares))
    print("\n" + "; ".join(f"{name}: {count}" for name, count in rows["reason"].value_counts().items() if name))
    both = rows[rows["reason"] == ""].pivot_table(index=["skin", "exposure", "look"], columns="masked", values="l")
    print(f"\nL* of the same drawn face with a mask less without, n = {len(both.dropna())}: ", end="")
    print(f"{(both[True] - both[False]).mean():+.2f}")


def _drawn_rows(exposure: float, detector: FaceDetector) -> list[dict[str, object]]:
    rows = []
    for number in range(_LOOKS):
        for masked in (False, True):
            rng = np.random.default_rng(number)
            look = replace(FaceLook.random(rng, mask=masked), exposure=exposure, warmth=0.0)
            for skin in SKINS:
                face = draw_face(replace(look, skin=skin), (FACE_SIZE, FACE_SIZE))
                tone = measure_skin(face, find_geometry(face, detector))
                truth = _truth(skin, exposure)
                rows.append({
                    "exposure": exposure, "look": number, "masked": masked, "skin": bytes(skin).hex(),
                    "reason": tone.reason, "l": tone.lightness, "hue": tone.hue, "ita": tone.ita,
                    "true_l": truth.lightness, "true_hue": truth.hue, "true_ita": truth.ita,
                })  # fmt: skip
    return rows


def _truth(skin: Rgb, exposure: float) -> SkinTone:
    """What a pixel of this skin is in the photo, with no shade on it."""
    pixel = np.clip(np.array(skin) * exposure, 0, 255).astype(np.uint8)
    lightness, a, b = to_lab(pixel[None])[0].tolist()
    return SkinTone(lightness, a, b, 1.0)


def _drawn_cells(rows: pd.DataFrame) -> list[str]:
    good = rows[rows["reason"] == ""]
    cells = [str(len(rows)), f"{1 - len(good) / len(rows):.2f}"]
    for name in ("l", "hue", "ita"):
        off = good[name] - good[f"true_{name}"]
        cells.append(f"{off.median():+.1f} (half within {off.abs().median():.1f})" if len(off) else "-")
    rank = spearmanr(good["l"], good["true_l"]).statistic if len(good) > 2 else np.nan
    return [*cells, f"{rank:.3f}"]


CHANGES: Final[dict[str, Change]] = {
    "JPEG, quality 50": lambda face: _jpeg(face, 50),
    "light x 0.9": lambda face: _scaled(face, 0.9),
    "light x 1.1": lambda face: _scaled(face, 1.1),
    "flip": lambda face: np.ascontiguousarray(face[:, ::-1]),
    "shift by 1 px": lambda face: np.pad(face, ((1, 0), (1, 0), (0, 0)), mode="edge")[:FACE_SIZE, :FACE_SIZE],
}


def _jpeg(face: RgbImage, quality: int) -> RgbImage:
    file = io.BytesIO()
    Image.fromarray(face).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def _scaled(face: RgbImage, factor: float) -> RgbImage:
    return np.clip(face * factor + 0.5, 0, 255).astype(np.uint8)


def stability(workspace: Workspace, faces: Faces) -> None:
    """How far the measure of real faces moves under changes that leave the face what it is."""
    heads = ["change", "measurable before", "still", "L* moved: half, 95 %", "hue", "ITA", "same ITA category"]
    table(heads)
    _, images = _sample(workspace, faces, CLASSES)
    detector = FaceDetector(DETECTION)
    before = [measure_skin(face, find_geometry(face, detector)) for face in images]
    for name, change in CHANGES.items():
        changed = [change(face) for face in images]
        after = [measure_skin(face, find_geometry(face, detector)) for face in changed]
        line(name, *_moved(before, after))


def _moved(before: list[SkinTone], after: list[SkinTone]) -> list[str]:
    measurable = [(one, other) for one, other in zip(before, after, strict=True) if not one.reason]
    both = [(one, other) for one, other in measurable if not other.reason]
    cells = [str(len(measurable)), f"{len(both) / len(measurable):.3f}"]
    for name in ("lightness", "hue", "ita"):
        moved = np.abs([getattr(other, name) - getattr(one, name) for one, other in both])
        cells.append(f"{np.median(moved):.1f}, {np.percentile(moved, 95):.1f}")
    same = np.mean([tone_category(one.ita) == tone_category(other.ita) for one, other in both])
    return [*cells, f"{same:.3f}"]


def masks(workspace: Workspace, faces: Faces) -> None:
    """The shift that a mask makes where nothing but a mask is added."""
    rows, images = _sample(workspace, faces, CLASSES[1:])
    detector = FaceDetector(DETECTION)
    geometries = [find_geometry(face, detector) for face in images]
    before = [measure_skin(face, geometry) for face, geometry in zip(images, geometries, strict=True)]
    table(
        ["drawn on", "measurable before", "still", "mean shift of L*", "of the hue", "of ITA", "SD of the shift of L*"]
    )
    for colour in MASK_COLOURS:
        after = []
        for face, geometry in zip(images, geometries, strict=True):
            left, top, right, bottom = (round(edge) for edge in geometry.box)
            masked = draw_mask(face, geometry.landmarks, (left, top, right, bottom), colour)
            after.append(measure_skin(masked, find_geometry(masked, detector)))
        measurable = np.array([not tone.reason for tone in before])
        both = measurable & np.array([not tone.reason for tone in after])
        groups = rows["group"].to_numpy()[both]
        cells = [
            _mean([getattr(after[at], name) - getattr(before[at], name) for at in np.flatnonzero(both)], groups)
            for name in ("lightness", "hue", "ita")
        ]
        spread = np.std([after[at].lightness - before[at].lightness for at in np.flatnonzero(both)])
        line(colour, measurable.sum(), f"{both.sum() / measurable.sum():.3f}", *cells, f"{spread:.1f}")


def _mean(values: list[float], groups: npt.NDArray[np.int64]) -> str:
    figures = np.array(values)

    def mean(weights: Values) -> dict[str, Values]:
        return {"mean": weights @ figures / weights.sum(axis=1)}

    value, interval = measured(groups, mean)
    low, high = interval["mean"] or (np.nan, np.nan)
    return f"{value['mean']:+.2f} ({low:+.2f} to {high:+.2f})"


def _sample(workspace: Workspace, faces: Faces, labels: tuple[str, ...]) -> tuple[pd.DataFrame, list[RgbImage]]:
    """Rows of the split and their pixels: faces that are large enough, drawn with seed 0, as many a label."""
    rows = load_split(workspace, faces).table.merge(faces.table[["face_id", "width", "height"]], on="face_id")
    rows = rows[(rows[["width", "height"]].min(axis=1) >= _LEAST_SIDE) & rows["label"].isin(labels)]
    rows = rows.groupby("label").sample(_SAMPLE, random_state=0)
    return rows, list(stored_images(workspace, faces, rows["face_id"]).take(np.arange(len(rows))))


def left_out(workspace: Workspace, faces: Faces) -> None:
    """Whom the measures leave out, and why."""
    appearance = measure_appearance(workspace, faces)
    split = load_split(workspace, faces).table
    for what in ("skin", "mask"):
        print(f"\n{what}:\n")
        found = not_measurable(appearance, split, what)
        reasons = [name for name in found.columns[8:] if found[name].any()]
        table(["label", "dataset", "faces", "left out", *reasons])
        for row in found.to_dict("records"):
            interval = row["interval_reason"] or f"{row['low']:.3f} to {row['high']:.3f}"
            counts = [row[name] for name in reasons]
            line(row["label"], row["dataset"], row["faces"], f"{row['share']:.3f} ({interval})", *counts)


def labels(workspace: Workspace, faces: Faces) -> None:
    """The tone of the faces of the split that have one, by label and dataset."""
    appearance = measure_appearance(workspace, faces)
    rows = load_split(workspace, faces).table.merge(appearance, on="face_id")
    rows = rows[rows["skin_reason"] == ""].assign(tone=lambda known: known["skin_ita"].map(tone_category))
    table(["dataset", "label", "measured", "L*: quartiles", "hue: quartiles", *TONES])
    parts = [("all", rows), *((str(name), part) for name, part in rows.groupby("dataset"))]
    for dataset, part in parts:
        for label, few in part.groupby("label"):
            quartiles = [
                ", ".join(f"{value:.0f}" for value in few[name].quantile([0.25, 0.5, 0.75]))
                for name in ("skin_lightness", "skin_hue")
            ]
            line(dataset, label, len(few), *quartiles, *(f"{(few['tone'] == tone).mean():.2f}" for tone in TONES))


def landmarks(workspace: Workspace, faces: Faces) -> None:
    """The share of faces on which landmarks are found."""
    rows = measure_appearance(workspace, faces).merge(faces.table[["face_id", "dataset", "label"]], on="face_id")
    table(["dataset", "label", "faces", "landmarks found"])
    for (dataset, label), part in rows.groupby(["dataset", "label"]):
        line(dataset, label, len(part), f"{part['landmarks'].mean():.3f}")


def table(heads: list[str]) -> None:
    """Print the head of a table."""
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)


def line(*cells: object) -> None:
    """Print a row of a table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def main() -> None:
    """Print a table."""
    tables = {"stability": stability, "masks": masks, "left-out": left_out, "labels": labels, "landmarks": landmarks}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check_appearance", description=__doc__)
    parser.add_argument("table", choices=["drawn", *tables])
    parser.add_argument("home", type=Path, nargs="?", help="a workspace with scanned faces and a split")
    options = parser.parse_args()
    if options.table == "drawn":
        drawn()
        return
    workspace = Workspace.locate(options.home)
    tables[options.table](workspace, load_faces(workspace))


if __name__ == "__main__":
    main()
