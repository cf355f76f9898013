"""Does the bias lab find a planted bias, and only that? ``python -m benchmarks.check_groups [--seeds 20] [--drawn]``.

Prints a table in Markdown, which stands in docs/bias.md. Predictions on 3,000 faces are drawn, with three datasets of
different error rates, one of which has several faces a photo whose verdicts go wrong together, and eight attributes.
In some worlds the model is blind on dark faces: it judges more of the unmasked ones masked. In some, dark faces come
mostly from the dataset that is hard for everyone, which is no bias of the model: it must not be taken for one.

A gap is *found* if the report calls the false mask rate by apparent skin tone a gap, after correction for all tests,
with dark faces as the highest. A *false alarm* is a test on anything else with p < 0.05 before the correction (share of
tests; 5 % are to be expected), and a report with any gap that was not planted after it (share of reports).

``--drawn`` goes the whole way instead: portraits are drawn (`maskdet.portraits`), their apparent skin tone is measured
from pixels, and a model that is blind on the ones drawn with dark skin is judged by the tone that was measured.
"""

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.stats import binomtest

from maskdet.bias.appearance import measure_appearance
from maskdet.bias.attributes import face_attributes, group_of
from maskdet.bias.groups import GroupOptions, GroupReport, judge_all, judge_groups
from maskdet.bias.tones import TONES
from maskdet.facetable import scan
from maskdet.labels import CLASSES
from maskdet.looks import SKINS, FaceLook
from maskdet.portraits import draw_face
from maskdet.workspace import Workspace

_FACES = 3000
#: Of each dataset: share of the faces, share of errors (unmasked faces, masked ones) and most faces a photo.
_DATASETS = {"one": (0.7, 0.012, 0.008, 1), "two": (0.1, 0.03, 0.01, 2), "three": (0.2, 0.06, 0.02, 10)}
_TONE_SHARES = (0.25, 0.30, 0.20, 0.12, 0.08, 0.05)
#: The same in the dataset that is hard, where tone and dataset go together.
_DARK_SHARES = (0.05, 0.10, 0.15, 0.20, 0.25, 0.25)
_DARK = ("brown", "dark")
#: Share of unmasked dark faces that a blind model judges masked beside its other errors.
_BLIND = 0.20
#: In photos of several faces, this share of verdicts is drawn once a photo and label.
_TOGETHER = 0.3
#: Intervals are not looked at here.
_OPTIONS = GroupOptions(resamples=100)
_PLANTED = ("skin_tone", "false_mask_rate")


@dataclass(frozen=True)
class World:
    """What is planted."""

    title: str
    blind: float = 0.0
    confounded: bool = False
    opposite: bool = False


WORLDS = (
    World("nothing planted"),
    World("nothing planted, dark faces in the hard dataset", confounded=True),
    World("half as blind on dark faces", _BLIND / 2),
    World("blind on dark faces", _BLIND),
    World("blind on dark faces, which are in the hard dataset", _BLIND, confounded=True),
    World("blind on dark faces, which are in the easy dataset", _BLIND, opposite=True),
)


def world_of(world: World, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions and attributes of some drawn faces."""
    rng = np.random.default_rng(seed)
    faces = _photos(rng)
    count = len(faces)
    hard = (faces["dataset"] == "three").to_numpy()
    dark_ones = hard if world.confounded else ~hard if world.opposite else np.zeros(count, bool)
    shares = np.where(dark_ones[:, None], _DARK_SHARES, _TONE_SHARES)
    tone = np.array(list(TONES))[(rng.random((count, 1)) > shares.cumsum(axis=1)).sum(axis=1).clip(0, 5)]
    rate = np.array(
        [
            _DATASETS[name][1 + (label == CLASSES[0])]
            for name, label in zip(faces["dataset"], faces["label"], strict=True)
        ]
    )
    luck, shared = rng.random(count), rng.random((faces["group"].max() + 1, 2))
    together = shared[faces["group"], (faces["label"] == CLASSES[1]).astype(int)]
    wrong = np.where(rng.random(count) < _TOGETHER, together, luck) < rate
    wrong |= (rng.random(count) < world.blind) & np.isin(tone, _DARK) & (faces["label"] == CLASSES[1])
    says_without = (faces["label"] == CLASSES[1]) != wrong
    predictions = faces.assign(logit=np.where(says_without, 3.0, -3.0))
    size = rng.lognormal(5 - 1.2 * hard, 0.3 + 0.3 * hard)
    masked = faces["label"] == CLASSES[0]
    attributes = faces[["face_id", "dataset"]].assign(
        skin_tone=tone,
        size=size,
        aspect_ratio=rng.normal(1.1, 0.1, count),
        brightness=rng.normal(120, 30, count) + rng.normal(0, 20, faces["group"].max() + 1)[faces["group"]],
        sharpness=rng.lognormal(4, 1, count) * size / 150,
        skin_hue=rng.normal(50, 10, count),
        mask_colour=np.where(
            masked, rng.choice(["white", "blue", "black", "other"], count, p=[0.4, 0.4, 0.1, 0.1]), ""
        ),
    )
    return predictions, attributes


def _photos(rng: np.random.Generator) -> pd.DataFrame:
    """Faces by dataset, in photos of one or several, with their labels."""
    rows: list[tuple[str, int]] = []
    photo = 0
    for name, (share, _, _, most) in _DATASETS.items():
        while sum(row[0] == name for row in rows) < share * _FACES:
            rows += [(name, photo)] * int(rng.integers(1, most + 1))
            photo += 1
    table = pd.DataFrame(rows, columns=["dataset", "group"])
    unmasked = rng.random(len(table)) < np.where(table["dataset"] == "three", 0.3, 0.5)
    return table.assign(
        face_id=[f"{i:05d}" for i in range(len(table))], label=np.where(unmasked, CLASSES[1], CLASSES[0])
    )


@dataclass(frozen=True)
class Outcome:
    """What one report says: found, false gaps after the correction, tests on what was not planted and their alarms."""

    found: bool
    false_gaps: int
    tests: int
    alarms: int


def outcome(reports: dict[str, GroupReport], world: World) -> Outcome:
    """Count what a report found. Datasets do differ, so gaps between them are no false alarm."""
    found, false_gaps, tests, alarms = False, 0, 0, 0
    for name, report in reports.items():
        if name == "dataset":
            continue
        for gap in report.gaps.itertuples():
            if (name, gap.metric) == _PLANTED:
                found = gap.verdict == "gap" and gap.highest in _DARK
            # A rate that is raised raises what it is part of.
            if world.blind and name == "skin_tone" and gap.metric != "false_no_mask_rate":
                continue
            false_gaps += gap.verdict == "gap"
            if not np.isnan(gap.p_value):
                tests, alarms = tests + 1, alarms + (gap.p_value < 0.05)
    return Outcome(found, false_gaps, tests, alarms)


def row_of(world: World, seeds: int) -> str:
    """A line of the table."""
    outcomes = [outcome(judge_all(*world_of(world, seed), _OPTIONS), world) for seed in range(seeds)]
    tests = sum(one.tests for one in outcomes)
    found = _share(sum(one.found for one in outcomes), seeds) if world.blind else "–"
    alarms = _share(sum(one.alarms for one in outcomes), tests)
    return f"| {world.title} | {found} | {alarms} | {_share(sum(one.false_gaps > 0 for one in outcomes), seeds)} |"


def _share(part: int, whole: int) -> str:
    interval = binomtest(part, whole).proportion_ci(method="wilson")
    return f"{part} of {whole} ({interval.low:.0%}–{interval.high:.0%})"


def judge_drawn(folder: Path, blind: float, count: int = 600, seed: int = 0) -> tuple[GroupReport, float]:
    """Draw portraits, measure their tone, judge a model that is blind on dark ones.

    Returns
    -------
    report : GroupReport
        By the apparent skin tone that was measured.
    measured : float
        Share of the faces whose tone could be measured.
    """
    rng = np.random.default_rng(seed)
    dark = {}
    for number in range(count):
        masked, skin = bool(number % 2), int(rng.integers(len(SKINS)))
        look = replace(FaceLook.random(rng, mask=masked), skin=SKINS[skin])
        path = folder / "drawn" / (CLASSES[0] if masked else CLASSES[1]) / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_face(look, (150, 150))).save(path)
        dark[f"drawn/{path.parent.name}/{path.name}"] = skin >= 4
    workspace = Workspace(folder / "home")
    faces = scan(workspace, folder / "drawn", dataset_id="drawn")
    attributes = face_attributes(faces.table, measure_appearance(workspace, faces))
    without = (faces.table["label"] == CLASSES[1]).to_numpy()
    drawn_dark = faces.table["face_id"].map(dark).to_numpy(dtype=bool)
    wrong = rng.random(len(without)) < np.where(drawn_dark & without, 0.02 + blind, 0.02)
    predictions = faces.table[["face_id", "dataset", "label"]].assign(
        group=np.arange(len(without)), logit=np.where(without != wrong, 3.0, -3.0)
    )
    known = attributes["skin_tone"] != ""
    return judge_groups(predictions, group_of(attributes, "skin_tone"), "skin_tone"), float(known.mean())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Does the bias lab find a planted bias, and nothing else?")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--drawn", action="store_true")
    options = parser.parse_args()
    if options.drawn:
        for blind in (0.0, 0.3):
            with tempfile.TemporaryDirectory() as folder:
                report, measured = judge_drawn(Path(folder), blind)
            print(f"Blind on {blind:.0%} of dark unmasked faces, tone measured of {measured:.0%}:")
            print(report.gap("false_mask_rate")["sentence"])
        return
    print("| planted | gap found | false alarms, tests | false alarms, reports |\n|---|---|---|---|")
    for world in WORLDS:
        print(row_of(world, options.seeds), flush=True)


if __name__ == "__main__":
    main()
