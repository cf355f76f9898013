"""Findings of the bias lab, written by hand: what a test says was found, and nothing is measured."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from maskdet.attribution.analysis import AnalysisOptions, Cell, GradCamAnalysis
from maskdet.bias.attention import Attention, AttentionOptions
from maskdet.bias.counterfactuals import CounterfactualOptions, Counterfactuals
from maskdet.bias.cross_dataset import CrossDataset
from maskdet.bias.findings import DataFindings, RunFindings
from maskdet.bias.groups import judge_all
from maskdet.bias.judged import GroupOptions
from maskdet.bias.shortcuts import Probe, ProbeOptions, ShortcutReport
from maskdet.compare import own_faces
from maskdet.runs import Run

STRONG = "Size alone predicts the label of dataset a with AUC 0.87 (0.84 to 0.90, n = 1,006): a model can score so."
NONE = "No shortcut was found: all measurements together tell the label of dataset b with AUC 0.52 (0.47 to 0.57)."
QUICK = GroupOptions(fewest=5, resamples=100, permutations=100)


def probe(scope: str = "a", auc: float | None = 0.9, sentence: str = STRONG, **more: object) -> Probe:
    """A probe of the label."""
    values: dict[str, object] = {
        "target": "label", "scope": scope, "stage": "photo", "faces": 1006, "groups": 1000, "auc": auc,
        "low": None if auc is None else auc - 0.03, "high": None if auc is None else auc + 0.03,
        "families": {"size": {"auc": 0.87, "low": 0.84, "high": 0.9, "found": True}},
        "importance": {"sqrt_size": {"mean": 0.2, "sd": 0.01}, "brightness": {"mean": 0.01, "sd": 0.002}},
        "verdict": "strong", "sentence": sentence,
    }  # fmt: skip
    return Probe(**(values | more))  # type: ignore[arg-type]


def shortcuts(*probes: Probe, face_ids: Sequence[str] = ("a/0001.png",)) -> ShortcutReport:
    """A report of these probes, whose carriers are these faces."""
    carriers = pd.DataFrame(
        [{"face_id": face, "dataset": "a", "label": "without_mask", "p_without_mask": 0.991} for face in face_ids]
    )
    found = probes or (
        probe(), probe("b", 0.52, NONE, verdict="none"), probe("pooled", 0.8, "Pooled.", verdict="strong"),
    )  # fmt: skip
    scores = carriers[["face_id", "label", "p_without_mask"]]
    return ShortcutReport("abc", ProbeOptions(), found, carriers, scores)


def cross(model: str = "svm") -> CrossDataset:
    """A matrix of datasets a and b, one cell of which is not known."""
    rows = [
        ("a", "a", 100, 40, 40, 0.95, 0.9, 0.99, ""), ("a", "b", 100, 300, 290, 0.61, 0.55, 0.67, ""),
        ("b", "a", 90, 8, 8, None, None, None, "Too few to say: 8 faces."), ("b", "b", 90, 50, 50, 0.9, 0.85, 0.95, ""),
        ("all", "pooled", 190, 90, 90, 0.97, 0.94, 0.99, ""),
    ]  # fmt: skip
    columns = ["train", "test", "train_faces", "faces", "groups", "macro_f1", "low", "high", "reason"]
    return CrossDataset(model, {}, 0, "abc", pd.DataFrame(rows, columns=columns))


def data(**more: object) -> DataFindings:
    """Everything that can be found of the data."""
    left_out = pd.DataFrame(
        [("with_mask", "a", 200, 50, 0.25, 0.19, 0.31)],
        columns=["label", "dataset", "faces", "not_measurable", "share", "low", "high"],
    )
    values = {"shortcuts": shortcuts(), "cross": (cross(),), "not_measurable": left_out}
    return DataFindings("abc", 300, **(values | more))  # type: ignore[arg-type]


def run(of: Run, attributes: pd.DataFrame | None = None, whole: bool = True) -> RunFindings:
    """What was found of a run on its own test faces; nothing but its predictions where not ``whole``."""
    faces = own_faces(of)
    if not whole:
        return RunFindings(of, faces)
    known = tones(faces) if attributes is None else attributes
    return RunFindings(of, faces, judge_all(faces, known, QUICK), counterfactuals(of), attention(of), known)


def tones(faces: pd.DataFrame) -> pd.DataFrame:
    """Attributes of faces: their dataset, and an apparent skin tone of all but the first."""
    tone = np.where(np.arange(len(faces)) % 4 < 2, "light", "dark")
    tone[:1] = ""
    return pd.DataFrame({"face_id": faces["face_id"], "dataset": faces["dataset"], "skin_tone": tone})


def counterfactuals(of: Run) -> Counterfactuals:
    """Faces of which every fourth one flips, if it is with mask, when it is darkened."""
    faces = own_faces(of)
    darker = faces["logit"].where((np.arange(len(faces)) % 4 != 0) | (faces["label"] != "with_mask"), -faces["logit"])
    table = faces[["face_id", "dataset", "label", "group"]].assign(found=True, logit=faces["logit"], darken=darker)
    return Counterfactuals(of.id, of.fingerprint, CounterfactualOptions(names=("darken",)), table)


def attention(of: Run) -> Attention:
    """Three quarters of the heat on the lower half of every face."""
    faces = own_faces(of)
    table = faces[["face_id", "dataset", "label", "group", "logit"]].assign(
        wrong=(faces["logit"] > 0) != (faces["label"] == "without_mask"), sampled=True,
        lower_half_share=np.linspace(0.7, 0.8, len(faces)), lower_face_share=0.6, lower_face_area=0.3,
    )  # fmt: skip
    maps = np.ones((len(faces), 4, 4), np.float16)
    return Attention(of.id, of.fingerprint, "grad-cam", "conv5", AttentionOptions(), table, maps)


def gradcam(of: Run) -> GradCamAnalysis:
    """Heat on all of the faces with mask, in equal measure."""
    cell = Cell("with_mask", "all", 3, 9, 1, (0.1, 0.5), np.ones((2, 2), np.float32), 0.6, (0.5, 0.7), 0.2, None)
    return GradCamAnalysis(of.id, "conv5", AnalysisOptions(), (cell,), (), ())
