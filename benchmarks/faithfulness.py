"""How far the heatmaps of a run can be trusted: ``python -m benchmarks.faithfulness HOME [RUN ...]``.

Prints two tables in Markdown, which stand in docs/explaining.md. Both are of a random sample of test faces of each
class, of the workspace HOME, and of the evidence for the verdict.

The first has a row a model and method. "Above random" is the area between the insertion and the deletion curve, less
the same of random maps of the same face (see `maskdet.attribution.faithfulness`), with its interval by cluster
bootstrap: above 0, the map shows more of what the model looks at than chance. "A spot in the middle" is the same map
for every face: what is not above it may show no more than that faces are in the middle. The other figures are the
shares of the heat on the lower half of the face.

The second asks whether a map depends on what was learned (Adebayo et al., 2018): Spearman's rank correlation of the
maps of a face by the model as it is, with weights of the last layer shuffled, and with fresh weights. The last column
is that of two different faces by the model as it is: a method above it everywhere shows the face or itself, not the
model.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from maskdet.attribution import METHODS, Explainer
from maskdet.attribution.faithfulness import (
    FaithfulnessOptions,
    area,
    curves,
    lower_half_shares,
    middle_spot,
    random_maps,
)
from maskdet.attribution.heatmap import EMPTY, resized, scaled
from maskdet.bootstrap import measured
from maskdet.facetable import load_faces
from maskdet.images import stored_images
from maskdet.labels import CLASSES
from maskdet.mistakes import judged_faces
from maskdet.photos import FACE_SIZE, RgbImage
from maskdet.quiet import import_tensorflow
from maskdet.runs import Run, find_run
from maskdet.runtime import open_runtime
from maskdet.workspace import Workspace

_OPTIONS = FaithfulnessOptions()
_RANDOM_MAPS = 5
_SANITY_FACES = 20
_SEED = 0
_SPOT = "spot"
_CHOICES = (*METHODS, _SPOT)


def sample(run: Run, workspace: Workspace, each: int) -> tuple[pd.DataFrame, RgbImage]:
    """Test faces of both classes, with the run's verdict, and their pixels."""
    judged = judged_faces(run)
    chosen = judged.groupby("label", group_keys=False).sample(each, random_state=_SEED).reset_index(drop=True)
    without = (chosen["label"] == CLASSES[1]) ^ chosen["wrong"]
    chosen["verdict"] = np.where(without, CLASSES[1], CLASSES[0])
    images = stored_images(workspace, load_faces(workspace), chosen["face_id"])
    return chosen, images.take(np.arange(len(chosen)))


def judge(run: Run, chosen: pd.DataFrame, faces: RgbImage, methods: list[str]) -> pd.DataFrame:
    """A row a face and method: label, group, evident, above_random, deletion, insertion (less random), lower."""
    runtime = open_runtime(run)

    def logits(images: RgbImage) -> Any:
        return runtime(images)[0]

    explainer = Explainer(run.load_model(), logits=logits)
    noise = random_maps(_OPTIONS, _RANDOM_MAPS)
    rows = []
    for number, face in enumerate(faces):
        label, group, verdict = chosen.loc[number, ["label", "group", "verdict"]]
        raws = {name: raw_map(explainer, name, face, verdict) for name in methods if name in explainer.methods}
        grown = [resized(scaled(raw, METHODS[name].cap), FACE_SIZE, FACE_SIZE) for name, raw in raws.items()]
        if _SPOT in methods:
            raws[_SPOT] = middle_spot()
            grown.append(raws[_SPOT])
        deletion, insertion = (
            area(found) for found in curves(logits, face, np.stack([*grown, *noise]), verdict, _OPTIONS)
        )
        count = len(raws)
        for at, (name, raw) in enumerate(raws.items()):
            less = deletion[at] - deletion[count:].mean(), insertion[at] - insertion[count:].mean()
            rows.append(
                {"method": name, "label": label, "group": group, "evident": raw.max() > EMPTY,
                 "above_random": less[1] - less[0], "deletion": less[0], "insertion": less[1],
                 "lower": lower_half_shares(raw[None])[0]}
            )  # fmt: skip
    return pd.DataFrame(rows)


def raw_map(explainer: Explainer, method: str, face: RgbImage, label: str) -> Any:
    """A method's map of a face, in its place, not scaled."""
    layer = explainer.default_layer if METHODS[method].uses_layer else None
    return explainer.on_face(explainer.raw(method, face[None], label), layer)[0]


def faithfulness_table(model: str, judged: pd.DataFrame) -> list[str]:
    """Lines of the first table."""
    lines = []
    for name, rows in judged.groupby("method", sort=False):
        title = METHODS[str(name)].title if name in METHODS else "*a spot in the middle*"
        evident = rows[rows["evident"]]
        lower = [evident[evident["label"] == label] for label in CLASSES]
        cells = [
            model, title, str(len(evident)), f"{1 - len(evident) / len(rows):.0%}",
            _interval(evident, "above_random"), _interval(evident, "deletion"), _interval(evident, "insertion"),
            *(_interval(part, "lower") for part in lower),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def sanity_table(run: Run, chosen: pd.DataFrame, faces: RgbImage) -> list[str]:
    """Lines of the second table."""
    model = run.load_model()
    network: Any = getattr(model, "network", None)
    if network is None:
        return []
    few = np.random.default_rng(_SEED).permutation(len(faces))[:_SANITY_FACES]
    verdicts, faces = chosen["verdict"].to_numpy()[few], faces[few]
    own = _maps(Explainer(model), faces, verdicts)
    rng, last = np.random.default_rng(_SEED), network.layers[-1]
    weights = last.get_weights()
    last.set_weights([rng.permutation(weights[0]), *weights[1:]])
    shuffled = _maps(Explainer(model), faces, verdicts)
    fresh = run.load_model()
    fresh._use(fresh.build())  # type: ignore[attr-defined]  # networks have both
    random = _maps(Explainer(fresh), faces, verdicts)
    return [
        f"| {run.model_name} | {METHODS[name].title} | {_alike(own[name], shuffled[name])} | "
        f"{_alike(own[name], random[name])} | {_alike(own[name], np.roll(own[name], 1, axis=0))} |"
        for name in own
    ]


def _maps(explainer: Explainer, faces: RgbImage, verdicts: Any) -> dict[str, Any]:
    pairs = list(zip(faces, verdicts, strict=True))
    return {
        name: np.stack([raw_map(explainer, name, face, label) for face, label in pairs]) for name in explainer.methods
    }


def _alike(some: Any, others: Any) -> str:
    pairs = zip(some, others, strict=True)
    found = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in pairs if a.max() > EMPTY and b.max() > EMPTY]
    return f"{np.mean(found):.2f} (n = {len(found)})" if found else "no evidence"


def _interval(rows: pd.DataFrame, name: str) -> str:
    values = rows[name].to_numpy(np.float64)
    if not len(values):
        return ""
    found, intervals = measured(
        rows["group"].to_numpy(), lambda times: {"mean": times @ values / times.sum(axis=1)}
    )  # fmt: skip
    low, high = intervals["mean"] or (np.nan, np.nan)
    return f"{found['mean']:.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faithfulness", description=__doc__)
    parser.add_argument("home", type=Path, help="a workspace with the faces of the runs")
    parser.add_argument("runs", nargs="*", help="runs or models' names; default: all four")
    parser.add_argument("--faces", type=int, default=100, help="test faces a class")
    parser.add_argument("--methods", nargs="+", choices=_CHOICES, help="these alone, in the first table alone")
    options = parser.parse_args()
    workspace = Workspace.locate(options.home)
    import_tensorflow()
    first = ["| model | method | faces | no evidence | above random | deletion | insertion | lower half, with mask | "
             "lower half, without mask |", "|" + "---|" * 9]  # fmt: skip
    second = ["| model | method | last layer shuffled | fresh weights | another face |", "|" + "---|" * 5]
    for name in options.runs or ["inceptionv3", "cnn", "cnn-transfer", "svm"]:
        run = find_run(workspace, name)
        chosen, faces = sample(run, workspace, options.faces)
        first += faithfulness_table(run.model_name, judge(run, chosen, faces, options.methods or [*_CHOICES]))
        second += [] if options.methods else sanity_table(run, chosen, faces)
    print("\n".join([*first, "", *second]))


if __name__ == "__main__":
    main()
