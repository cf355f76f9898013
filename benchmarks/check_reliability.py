"""How far can verdicts be believed? ``python -m benchmarks.check_reliability [--home DIR] [RUN ...]``.

Prints the tables in Markdown that stand in docs/reliability.md: what a run's reliability, fitted on its training and
validation faces, does on its test faces, on faces of the sources that it was not trained on, and on pictures that are
no faces (`benchmarks.nonfaces`). The workspace must hold the faces that the runs were trained on. Intervals of faces
are those of the cluster bootstrap, or Wilson's over photos where none or all of them are counted; those of other
pictures, each of which stands alone, are Wilson's.

``--choose`` prints instead what the space of the features was chosen by: the share of validation faces and of drawn
textures, noise and flat colours that are not like the training data, for some options.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from benchmarks import nonfaces
from maskdet.bootstrap import FEWEST_GROUPS, LEVEL, Values, measured
from maskdet.facetable import Faces, load_faces
from maskdet.images import StoredImages, batches, stored_images
from maskdet.labels import CLASSES
from maskdet.metrics import evaluate_predictions
from maskdet.models.base import Features, Logits, probability
from maskdet.photos import RgbImage
from maskdet.reliability import Reliability, ReliabilityOptions, fit_reliability
from maskdet.runs import Run, find_run
from maskdet.runtime import Runtime, open_runtime
from maskdet.split import load_split
from maskdet.workspace import Workspace

_RUNS = ("inceptionv3", "cnn", "cnn-transfer", "svm")
_BATCH = 128
#: How many pictures of each kind that is no training face; the first three are drawn and chose the space.
_DRAWN = {"textures": 400, "noise": 200, "flat colours": 200}
_PATCHES, _UPSIDE_DOWN, _SAMPLE = 600, 500, 200
_CHOICES = {"components": (16, 64), "length_weight": (0.0, 4.0, 8.0), "neighbour": (2, 5, 10)}

Cells = Iterable[object]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Seen:
    """A run on some pictures: a row each, its logits and its features."""

    rows: pd.DataFrame
    logits: Logits
    features: Features

    def where(self, chosen: "pd.Series[bool]") -> "Seen":
        """A part of them."""
        mask = chosen.to_numpy()
        return Seen(self.rows[mask].reset_index(drop=True), self.logits[mask], self.features[mask])


def see(runtime: Runtime, rows: pd.DataFrame, images: StoredImages | RgbImage) -> Seen:
    """Run a runtime over pictures in memory or in a workspace."""
    take = images.__getitem__ if isinstance(images, np.ndarray) else images.take
    parts = [runtime(take(at)) for at in batches(len(rows), _BATCH)]
    logits, features = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Seen(rows.reset_index(drop=True), logits, features)


def other_sources(workspace: Workspace, faces: Faces, run: Run) -> pd.DataFrame:
    """Faces of the run's split with a known label, of datasets that it was neither trained nor tested on."""
    table = load_split(workspace, faces, run.fingerprint).table
    return table[table["label"].isin(CLASSES) & ~table["dataset"].isin(run.predictions["dataset"].unique())]


def pictures(faces: Faces, test: StoredImages, count: int) -> dict[str, RgbImage]:
    """What is no training face, by kind."""
    turned = np.random.default_rng(0).permutation(count)[:_UPSIDE_DOWN]
    drawn = {"textures": nonfaces.textures, "noise": nonfaces.noise, "flat colours": nonfaces.flat}
    return {
        **{kind: draw(_DRAWN[kind]) for kind, draw in drawn.items()},
        "background of photos (3.2)": nonfaces.backgrounds(Path(faces.roots["3.2"]), faces, _PATCHES),
        "test faces upside down": np.ascontiguousarray(test.take(turned)[:, ::-1]),
        "faces of the sample set": nonfaces.drawn_faces(_SAMPLE),
    }


def calibration_row(run: Run, found: Reliability, test: Seen) -> Cells:
    """The calibration error before and after the temperature."""
    cells: list[object] = [run.model_name, len(test.rows), f"{found.temperature:.2f}"]
    for temperature in (1.0, found.temperature):
        logits = test.logits / temperature
        figures = evaluate_predictions(test.rows.assign(logit=logits, p_without_mask=probability(logits)))
        for name in ("ece", "brier"):
            low, high = figures["intervals"][name]
            cells.append(f"{figures[name]:.4f} ({low:.4f} to {high:.4f})")
    return cells


def band_rows(run: Run, found: Reliability, test: Seen) -> list[Cells]:
    """Verdicts in and outside the band, of all test faces and of each dataset."""
    rows: list[Cells] = []
    parts = {"all": test} | {name: test.where(test.rows["dataset"] == name) for name in _datasets(test)}
    for name, part in parts.items():
        unsure = found.not_sure(found.probability(part.logits))
        wrong = _wrong(part)
        everywhere = np.ones(len(wrong), bool)
        rows.append(
            [
                run.model_name, f"{found.low:.2f} to {found.high:.2f}", name, len(wrong),
                share(part, unsure, everywhere), share(part, wrong, everywhere), share(part, wrong, ~unsure),
                f"{int((wrong & unsure).sum())} of {int(wrong.sum())}",
            ]
        )  # fmt: skip
    return rows


def unlike_rows(run: Run, found: Reliability, test: Seen, others: dict[str, Seen]) -> list[Cells]:
    """The share that is not like the training data, of each kind of picture."""
    at_home = found.distance(test.features)
    rows: list[Cells] = []
    parts = {f"test faces of {name}": test.where(test.rows["dataset"] == name) for name in _datasets(test)}
    for name, part in ({"test faces": test} | parts | others).items():
        distances = found.distance(part.features)
        flagged = distances > found.distance_threshold
        believed = ~flagged & ~found.not_sure(found.probability(part.logits))
        strange = name in others
        auroc = roc_auc_score([0] * len(at_home) + [1] * len(distances), np.r_[at_home, distances]) if strange else None
        wrong = _wrong(part) if "label" in part.rows else None
        rows.append(
            [
                run.model_name, name, len(flagged),
                share(part, flagged, np.ones(len(flagged), bool)) if "group" in part.rows else wilson(flagged),
                "" if auroc is None else f"{auroc:.3f}", f"{100 * believed.mean():.1f} %",
                "" if wrong is None else f"{int((wrong & flagged).sum())} of {int(flagged.sum())}",
                "" if wrong is None else f"{int((wrong & ~flagged).sum())} of {int((~flagged).sum())}",
            ]
        )  # fmt: skip
    return rows


def share(part: Seen, hits: Mask, among: Mask) -> str:
    """The share of hits among some faces, with its interval by the cluster bootstrap."""

    def measure(weights: Values) -> dict[str, Values]:
        total = weights @ among.astype(float)
        return {"share": np.divide(weights @ (hits & among), total, where=total > 0, out=np.full(len(total), np.nan))}

    values, intervals = measured(part.rows["group"].to_numpy(), measure)
    if values["share"] is None or intervals["share"] is None:
        return "none"
    if part.rows["group"].nunique() < FEWEST_GROUPS:
        return f"{100 * values['share']:.2f} % (too few photos for an interval)"
    low, high = intervals["share"]
    if low == high:  # none or all of them: no sample of theirs can show how many there might be
        groups = part.rows.loc[among, "group"].nunique()
        interval = binomtest(round(values["share"]) * groups, groups).proportion_ci(LEVEL, method="wilson")
        low, high = interval.low, interval.high
    return f"{100 * values['share']:.2f} % ({100 * low:.2f} to {100 * high:.2f})"


def wilson(hits: Mask) -> str:
    """The share of hits among pictures that stand alone, with Wilson's interval (1927)."""
    interval = binomtest(int(hits.sum()), len(hits)).proportion_ci(LEVEL, method="wilson")
    return f"{100 * hits.mean():.1f} % ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def choice_rows(run: Run, train: Seen, validation: Seen, drawn: dict[str, Seen]) -> list[Cells]:
    """What the options of the space do to the validation faces and to drawn non-faces."""
    rows: list[Cells] = []
    labels = (validation.rows["label"] == CLASSES[1]).to_numpy().astype(np.int64)
    for values in product(*_CHOICES.values()):
        components, weight, neighbour = values
        options = ReliabilityOptions(components=int(components), length_weight=weight, neighbour=int(neighbour))
        found = fit_reliability(
            train.features, tuple(train.rows["face_id"]), validation.features, validation.logits, labels, options
        )
        flagged = [(found.distance(part.features) > found.distance_threshold).mean() for part in drawn.values()]
        rows.append([run.model_name, *values, *(f"{100 * value:.1f} %" for value in flagged)])
    return rows


def table(head: Cells, rows: Iterable[Cells]) -> str:
    """Rows in Markdown."""
    cells = [list(map(str, head))]
    cells += [["---"] * len(cells[0]), *(list(map(str, row)) for row in rows)]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells) + "\n"


def check(workspace: Workspace, runs: list[Run]) -> str:
    """The three tables."""
    faces = load_faces(workspace)
    calibration: list[Cells] = []
    band: list[Cells] = []
    unlike: list[Cells] = []
    for run in runs:
        found, runtime = run.reliability, open_runtime(run)
        if found is None:
            raise SystemExit(f"{run.id} has no reliability: `python -m maskdet calibrate {run.id}` fits it.")
        known = run.predictions[run.predictions["split"] == "test"].reset_index(drop=True)
        images = stored_images(workspace, faces, known["face_id"])
        test = see(runtime, known, images)
        strangers = other_sources(workspace, faces, run)
        others = {
            f"faces of {name}, not trained on": see(runtime, rows, stored_images(workspace, faces, rows["face_id"]))
            for name, rows in strangers.groupby("dataset")
        }
        for kind, drawn in pictures(faces, images, len(known)).items():
            others[kind] = see(runtime, pd.DataFrame(index=range(len(drawn))), drawn)
        calibration.append(calibration_row(run, found, test))
        band += band_rows(run, found, test)
        unlike += unlike_rows(run, found, test, others)
    before_after = ("ECE before", "Brier before", "ECE after", "Brier after")
    return "\n".join(
        [
            table(("run", "test faces", "temperature", *before_after), calibration),
            table(
                ("run", "band", "faces of", "n", "not sure", "wrong of all", "wrong of the sure", "errors caught"), band
            ),
            table(
                ("run", "pictures", "n", "not like the training data", "AUROC", "get a verdict", "wrong of those",
                 "wrong of the others"), unlike,
            ),
        ]
    )  # fmt: skip


def choose(workspace: Workspace, runs: list[Run]) -> str:
    """The table of `choice_rows`."""
    faces = load_faces(workspace)
    drawn = {"textures": nonfaces.textures(400), "noise": nonfaces.noise(200), "flat colours": nonfaces.flat(200)}
    rows: list[Cells] = []
    for run in runs:
        runtime, parts = open_runtime(run), []
        for name in ("train", "validation"):
            known = run.predictions[run.predictions["split"] == name]
            parts.append(see(runtime, known, stored_images(workspace, faces, known["face_id"])))
        seen = {kind: see(runtime, pd.DataFrame(index=range(len(each))), each) for kind, each in drawn.items()}
        rows += choice_rows(run, parts[0], parts[1], seen)
    return table(("run", *_CHOICES, *drawn), rows)


def main() -> None:
    """Parse the options and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check_reliability", description=__doc__)
    parser.add_argument("runs", nargs="*", default=_RUNS, metavar="RUN")
    parser.add_argument("--home", help="the workspace that holds the faces")
    parser.add_argument("--choose", action="store_true")
    options = parser.parse_args()
    workspace = Workspace.locate(options.home)
    runs = [find_run(workspace, name) for name in options.runs]
    print((choose if options.choose else check)(workspace, runs), end="")


def _datasets(seen: Seen) -> list[str]:
    return [str(name) for name in sorted(seen.rows["dataset"].unique())]


def _wrong(seen: Seen) -> Mask:
    wrong: Mask = (seen.logits > 0) != (seen.rows["label"] == CLASSES[1]).to_numpy()
    return wrong


if __name__ == "__main__":
    main()
