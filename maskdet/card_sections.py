"""The parts of a model card that a run's own folder tells: model, use, data, training, metrics, reliability, limits."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from maskdet.bias.cells import INTERVALS, SHARES, figure, figure_or_few, label_title, reasons_of
from maskdet.catalog import Dataset, lookup
from maskdet.compare import LEFT_OUT, RETRAINED, WATCHED, JudgedRun, other_sources, own_faces
from maskdet.curves import actual_of
from maskdet.differences import flattened, spoken, without_folders
from maskdet.document import Block, Cell, Facts, Figure, NotMeasured, Points, Table, Text, without_empty
from maskdet.intervals import share_interval
from maskdet.labels import CLASSES
from maskdet.metrics import BY_LABEL, ECE_NOTE, FIGURE_TITLES
from maskdet.models import MODELS
from maskdet.published import STUDY, STUDY_NOTE
from maskdet.reliability import FITTED_TWICE
from maskdet.wording import capital, duration

if TYPE_CHECKING:
    from maskdet.runs import Run

_HOW: Final = {
    LEFT_OUT: "left out of its training",
    WATCHED: "not trained on, but watched to choose the epoch",
    RETRAINED: "judged by a model of its kind that was trained without it",
}
_SPLITS: Final = ("train", "validation", "test")
_INCORRECT: Final = {
    "drop": "Faces whose mask is worn incorrectly were left out: what it says of them is not known.",
    "without_mask": "Faces whose mask is worn incorrectly count as without mask.",
    "class": "Faces whose mask is worn incorrectly are a class of their own that it was not taught.",
}


def model_blocks(run: "Run") -> tuple[Block, ...]:
    """What it is, and where it comes from."""
    record, environment = run.record, run.record.get("environment", {})
    folder = run.folder / "weights"
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
    packages = environment.get("packages", {})
    facts = [
        ("Model", f"{run.title} ({run.model_name})"),
        ("Run", run.id + (", bundled with MaskDet" if run.is_bundled else "")),
        ("Created", str(record["created"])),
        ("Version", f"MaskDet {environment.get('maskdet', 'not recorded')}, run format {record['format']}"),
        ("Takes", "a picture of one face, cropped and resized to 150×150 px, RGB"),
        ("Gives", "a logit; above 0 it says without mask. Divided by a temperature, a calibrated probability"),
        (
            "Weights",
            f"{size / 1e6:.1f} MB, {record.get('bundle', {}).get('precision', 'as trained')}" if size else "none",
        ),
        ("Began with", f"run {record['base']}" if record.get("base") else "no other run"),
        ("Machine", ", ".join(_machine(environment)) or "not recorded"),
        ("Packages", ", ".join(f"{name} {version}" for name, version in packages.items()) or "not recorded"),
        ("Licence", "MaskDet's code: Apache-2.0. That of the photos it learned from stands under Data"),
    ]
    return (Facts(tuple(facts)),)


def use_blocks(run: "Run") -> tuple[Block, ...]:
    """What it is for and who may use it, and what it is not for."""
    incorrect = _INCORRECT.get(run.record["data"].get("filter", {}).get("incorrect_mask", ""), "")
    return (
        Text("It is made for people who study, teach or check such models, and for analysts who count."),
        Points((
            "To find out how such a model comes to its verdicts, and where it fails.",
            "To count faces with and without masks as a statistic of many photos (the study, section 1), where its "
            "errors were measured on labelled photos of the same place and camera first, and stand beside the counts.",
            "To sort one's own photos, where a person looks at each verdict that matters.",
        )),
        Text("It is not made for, and must not be used for:"),
        Points((
            "Deciding about people: to identify, admit, refuse, report, judge or sanction anybody.",
            "Surveillance, and bans of religious headwear: the study's conclusion (section 7) warns of governments "
            "that might abuse such a model for them. What it says of a veil, a scarf or a hand was not measured.",
            "Telling whether a mask protects, fits or is worn rightly. " + incorrect,
            "Pictures that are no faces, or faces unlike those it learned from: it has a verdict for every picture.",
        )),
    )  # fmt: skip


def data_blocks(run: "Run", catalog: Mapping[str, Dataset]) -> tuple[Block, ...]:
    """What it was trained and tested on."""
    data = run.record["data"]
    facts = [
        ("Fingerprint", run.fingerprint),
        ("Pool", f"{run.pool} ({'simulated' if run.pool == 'pre-training' else 'all but simulated'} masks)"),
        ("Faces", ", ".join(f"{name} {count:,}" for name, count in data["faces"].items())),
        ("Left out of training", spoken(list(data.get("left_out", [])))),
        ("Watched while training", spoken(list(data.get("watched", [])))),
        ("Limited to", "all training faces" if run.record.get("limit") is None else f"{run.record['limit']:,} of them"),
        ("Filters", _options(data.get("filter", {}))),
        ("Split", _options(data.get("split", {}))),
    ]
    known = sorted({*data["datasets"], *data.get("left_out", []), *data.get("watched", [])})
    described = tuple(
        (name, of.name, of.type, of.source or "not stated", of.licence)
        for name, of in ((name, lookup(catalog, name)) for name in known)
    )
    return (
        Facts(tuple(facts)),
        Table(("Dataset", "Name", "Masks", "Source", "Licence"), described, "Datasets",
              "SMFD: simulated masks; RMFD: real masks. Where a licence is not stated, ask before you pass photos on."),
        _counts(run.predictions),
        Text(
            "Whose faces these are was never recorded: neither age, nor sex, nor origin is known, and none is guessed. "
            "What of the label can be told from sizes, colours and files stands under Shortcuts."
        ),
    )  # fmt: skip


def training_blocks(run: "Run") -> tuple[Block, ...]:
    """How it was trained."""
    record = run.record
    facts = [
        ("Seed", spoken(record.get("seed"))),
        ("Time to fit", duration(float(record["seconds"]["fit"]))),
        *_history(run.history),
        *((name, spoken(value)) for name, value in flattened(without_folders(record["options"])).items()),
    ]
    blocks: list[Block] = [Facts(tuple(facts)), *_balance(record.get("balance"))]
    return (*blocks, Text(f"Of its times: {run.remark}")) if run.remark else tuple(blocks)


def metrics_blocks(run: "Run") -> tuple[Block, ...]:
    """Metrics with intervals and numbers of faces: both labels, each label, each dataset; calibration, confusion."""
    metrics = run.metrics
    faces = int(metrics["faces"])
    n = f"n = {faces:,} test faces in {metrics['groups']:,} groups of related ones"
    overall = tuple(
        (capital(title), _metric(metrics, name)) for name, title in FIGURE_TITLES.items() if name in metrics
    )
    said = tuple(dict.fromkeys([*metrics.get("reasons", {}).values(), *metrics.get("cautions", [])]))
    return (
        Text(
            "None of the test faces chose anything. A face counts as without mask where its logit is above 0, and that "
            f"is the positive class. {INTERVALS}"
        ),
        *((Points(said),) if said else ()),
        Table(("Metric", "Value"), overall, f"Both labels, {n}", f"{_study_note(run)} {ECE_NOTE}".strip()),
        _by_label(metrics),
        _by_dataset(metrics),
        *_left_out(run),
        _confusion(metrics),
        *_calibration(metrics),
    )


def reliability_blocks(run: "Run") -> tuple[Block, ...]:
    """How often it says "not sure" or "not like the training data"."""
    reliability = run.reliability
    if reliability is None:
        return (NotMeasured("when not to believe a verdict", f"python -m maskdet calibrate {run.id}"),)
    faces = own_faces(run)
    unsure = reliability.not_sure(reliability.probability(faces["logit"]))
    wrong = (faces["logit"].to_numpy() > 0) != (actual_of(faces) == 1)
    rows = (
        ("Said to be not sure", len(faces), _share(faces, unsure, np.ones(len(faces), bool))),
        ("Wrong, of all verdicts", len(faces), _share(faces, wrong, np.ones(len(faces), bool))),
        ("Wrong, of the sure ones", int((~unsure).sum()), _share(faces, wrong, ~unsure)),
    )
    facts = (
        ("Temperature", f"{reliability.temperature:.2f}{_about_temperature(run)}"),
        ("Not sure", f"probability of no mask between {reliability.low:.2f} and {reliability.high:.2f}"),
    )
    return (
        Text(
            "A verdict is “not sure” where the calibrated probability lies in a band around one half, and “not like "
            "the training data” where the face is far from all training faces. Both were fitted on training and "
            "validation faces."
        ),
        Facts(facts),
        Table(("Test faces", "n", "Share"), rows, note=SHARES, bars=True),
        *_unlike(reliability.record),
    )


def _about_temperature(run: "Run") -> str:
    kind = MODELS.get(run.model_name)
    return f", {FITTED_TWICE}" if kind is not None and kind.logit_is_fitted else ""


def grad_cam_blocks(run: "Run") -> tuple[Block, ...]:
    """The study's Grad-CAM analysis, where it was made."""
    from maskdet.attribution.analysis import load_analysis

    analysis = load_analysis(run)
    if analysis is None:
        return ()
    table = analysis.table()
    rows = tuple(
        (label_title(row["label"]), row["outcome"], row["evident"], figure_or_few(row, "lower_half_share", "percent"),
         row["faces"] - row["evident"])
        for row in table.to_dict("records")
    )  # fmt: skip
    note = " ".join([INTERVALS, *reasons_of(table)])
    text = (
        f"Where Grad-CAM (layer {analysis.layer}) finds evidence for “{label_title(analysis.options.label)}”: the "
        "share of the heat on the lower half of the face, where even heat gives 50 %. n counts the faces with any "
        "heat, which the means are of. Wrong faces beyond the random sample were looked at too, so that right and "
        "wrong ones don't add up to all."
    )
    columns = ("Label", "Verdict", "n", "Heat on the lower half", "Maps without any")
    return Text(text), Table(columns, rows, "The study's Grad-CAM analysis", note, bars=True)


def limits_blocks(run: "Run") -> tuple[Block, ...]:
    """What these figures don't say."""
    return (
        Points((
            "The figures are of these test faces. Other cameras, places, light, masks and people give others; see what "
            "it is worth on datasets that were left out of training.",
            "Labels are the publishers', and some are wrong: `python -m maskdet suspects` lists those to be looked at.",
            "Related faces are kept in one split as far as perceptual hashes find them or a table of related photos "
            "names them; copies that both miss make the figures too good: see `python -m maskdet leaks`.",
            "Groups are made by measures of pixels and files. Apparent skin tone is what a photo shows in its light, "
            "not a person's; sex, age and origin are not measured, so no gap by them can be found or ruled out.",
            "A face that lies in no group, since it could not be measured, is in none of the figures by group.",
            "The verdict of a face says nothing of the next: counts of many photos need the error rates above.",
        )),
    )  # fmt: skip


def left_out_figures(run: "Run") -> list[dict[str, Any]]:
    """Macro F1 on each dataset that was left out of training: dataset, how, faces, figure, reason."""
    sources = other_sources([JudgedRun(run, run.id, run.metrics, None, run.fingerprint)])
    rows = sources[sources["how"].isin(_HOW)].to_dict("records")
    return [
        {"dataset": str(row["dataset"]), "how": _HOW[row["how"]], "faces": int(row["faces"]),
         "figure": figure(row, "macro_f1", "ratio", ("low", "high")), "reason": str(row["reason"] or "")}
        for row in rows
    ]  # fmt: skip


def _machine(environment: Mapping[str, Any]) -> list[str]:
    parts = [str(environment[name]) for name in ("system", "processor") if environment.get(name)]
    parts += [f"{environment['cores']} cores"] if environment.get("cores") else []
    parts += [f"{environment['memory_gb']} GB"] if environment.get("memory_gb") else []
    return parts + ([f"Python {environment['python']}"] if environment.get("python") else [])


def _options(options: Mapping[str, Any]) -> str:
    return "; ".join(f"{name} {spoken(value)}" for name, value in flattened(options).items()) or "not recorded"


def _counts(predictions: pd.DataFrame) -> Table:
    """Faces by dataset, label and split."""
    rows: list[tuple[Cell, ...]] = []
    for (dataset, label), faces in predictions.groupby(["dataset", "label"], sort=True, observed=True):
        rows.append((str(dataset), label_title(label), *(int((faces["split"] == split).sum()) for split in _SPLITS)))
    columns = ("Dataset", "Label", "Training", "Validation", "Test")
    return Table(columns, tuple(rows), f"Faces by dataset, label and split, n = {len(predictions):,}")


def _history(history: pd.DataFrame) -> list[tuple[str, str]]:
    if "epoch" in history and len(history):
        kept = history[history["kept"] == 1] if "kept" in history else history.iloc[:0]
        last = f", of which number {int(kept['epoch'].iloc[-1])} is kept" if len(kept) else ""
        return [("Epochs trained", f"{int(history['epoch'].max())}{last}")]
    return [("Grid points searched", f"{len(history)}")] if len(history) else []


def _balance(balance: Mapping[str, Any] | None) -> list[Block]:
    """How training faces were balanced, if they were."""
    if not balance:
        return [Text("Training faces were not balanced by any attribute.")]
    rows = [
        (str(cell["group"]) or "not known", label_title(cell["label"]), int(cell["faces"]), f"{cell['counted']:,.1f}")
        for cell in balance["cells"]
    ]
    text = (
        f"Training faces were balanced by {balance['attribute']} (target: {balance['target']}; a face counts at most "
        f"{spoken(balance['cap'])} times). {' '.join(balance['notes'])}"
    )
    return [Text(text.strip()), Table(("Group", "Label", "Faces", "Count as"), tuple(rows), "Balance")]


def _metric(
    metrics: Mapping[str, Any], name: str, key: str | None = None, of: Mapping[str, Any] | None = None
) -> Figure:
    return Figure((of or metrics).get(name), *(metrics["intervals"].get(key or name) or (None, None)))


def _by_label(metrics: Mapping[str, Any]) -> Table:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (label_title(label), int(metrics["labels"][label]["faces"]),
         *(_metric(metrics, name, f"{name} {label}", metrics["labels"][label]) for name in BY_LABEL))
        for label in CLASSES
    )  # fmt: skip
    columns = ("Label", "n", "Precision", "Recall", "F1")
    return Table(columns, rows, "By label", bars=True, one_axis=True)


def _by_dataset(metrics: Mapping[str, Any]) -> Table:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (str(name), int(of["faces"]), *(_metric(of, key) for key in ("macro_f1", "accuracy")), of.get("reason", ""))
        for name, of in metrics["datasets"].items()
    )
    columns = ("Dataset", "n", "Macro F1", "Accuracy", "Remark")
    return Table(*without_empty(columns, rows), "By dataset", bars=True, one_axis=True)


def _left_out(run: "Run") -> tuple[Block, ...]:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (row["dataset"], row["faces"], row["figure"], ": ".join(filter(None, [row["how"], row["reason"]])))
        for row in left_out_figures(run)
    )
    if not rows:
        what = "what it is worth on a dataset that was left out of training"
        return (NotMeasured(what, f"python -m maskdet train {run.model_name} --leave-out ID"),)
    columns = ("Dataset", "n", "Macro F1", "How it was left out")
    return (Table(columns, rows, "On sources left out of training", bars=True),)


def _confusion(metrics: Mapping[str, Any]) -> Table:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (label_title(label), *(int(count) for count in counts))
        for label, counts in zip(CLASSES, metrics["confusion"], strict=True)
    )
    columns = ("Label", *(f"judged {label_title(label)}" for label in CLASSES))
    return Table(columns, rows, f"Confusion, n = {metrics['faces']:,}")


def _calibration(metrics: Mapping[str, Any]) -> tuple[Block, ...]:
    """How often faces of a probability really are without mask."""
    bins = metrics.get("calibration")
    if not bins:
        return (NotMeasured("calibration"),)
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (f"{row['bin_low']:.2f} to {row['bin_high']:.2f}", int(row["faces"]), f"{100 * row['mean_probability']:.1f} %",
         figure(row, "share", "percent"))
        for row in bins
    )  # fmt: skip
    columns = ("Probability of no mask", "n", "Mean", "Really without mask")
    note = "Before calibration. Intervals by Wilson (1927), which takes faces for independent."
    return (Table(columns, rows, "Calibration", note, bars=True),)


def _study_note(run: "Run") -> str:
    study = STUDY.get(run.model_name)
    return f"The study reports a macro F1 of {study.macro_f1:.3f} for its {run.title}. {STUDY_NOTE}" if study else ""


def _share(faces: pd.DataFrame, hit: np.ndarray[Any, Any], among: np.ndarray[Any, Any]) -> Figure:
    """The share of some of the faces that is hit, with its interval; none where they are in too few groups."""
    if not among.any():
        return Figure(None, unit="percent")
    low, high = share_interval(hit[among], faces["group"].to_numpy()[among])
    return Figure(float(hit[among].mean()), low, high, "percent")


def _unlike(record: Mapping[str, Any]) -> tuple[Block, ...]:
    found = record.get("validation", {})
    faces = record.get("faces", {}).get("validation")
    if not faces or "not_like_training_data" not in found:
        return (NotMeasured("how often a face is said to be not like the training data"),)
    unlike = found["not_like_training_data"]
    share = Figure(unlike / faces, unit="percent").text
    text = f"Not like the training data: {unlike:,} of {faces:,} validation faces ({share}); so it is by construction."
    where = "a run's folder does not hold it; docs/reliability.md has it for the bundled runs"
    return Text(text), NotMeasured("how many test faces are not like the training data", why=where)
