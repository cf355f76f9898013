"""Model cards: what a run is, what it is for and not for, what it was measured to do, and what was not measured.

After Mitchell et al., Model Cards for Model Reporting (FAT* 2019): details, intended use, factors, metrics, evaluation
and training data, analyses by group, ethical considerations, caveats. A card gathers what lies in the run's folder and
what the bias lab found (`maskdet.bias.analysis`), and says which command measures the rest.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from maskdet import __version__
from maskdet.bias.attributes import attribute_title
from maskdet.bias.cells import label_title
from maskdet.bias.data_sections import cross_blocks, shortcut_blocks, tone_blocks
from maskdet.bias.run_sections import (
    attention_blocks,
    counterfactual_blocks,
    found_gaps,
    group_blocks,
    worst_flip,
)
from maskdet.bootstrap import FEWEST_GROUPS
from maskdet.card_sections import (
    data_blocks,
    grad_cam_blocks,
    left_out_figures,
    limits_blocks,
    metrics_blocks,
    model_blocks,
    reliability_blocks,
    training_blocks,
    use_blocks,
)
from maskdet.catalog import load_catalog
from maskdet.compare import marks
from maskdet.document import Document, Figure, KeyFigure, Section, in_words, to_html, to_markdown
from maskdet.intervals import exact_interval
from maskdet.labels import CLASSES
from maskdet.workspace import Workspace

if TYPE_CHECKING:
    from maskdet.bias.findings import DataFindings, RunFindings
    from maskdet.runs import Run

CITATION: Final = (
    "After M. Mitchell, S. Wu, A. Zaldivar, P. Barnes, L. Vasserman, B. Hutchinson, E. Spitzer, I. D. Raji and "
    "T. Gebru: Model Cards for Model Reporting, FAT* 2019, pages 220 to 229."
)
_GAPS_SHOWN: Final = 3
#: Attributes that are named.
_NAMED: Final = 2


@dataclass(frozen=True, kw_only=True)
class ModelCard(Document):
    """A run's card, as plain data.

    Attributes
    ----------
    run : str
        The run's id.
    """

    run: str


def card_of(workspace: Workspace, run: "Run") -> ModelCard:
    """The card of a run, of all that is known in this workspace; only metrics by group are computed now.

    Raises
    ------
    MaskDetError
        If the run or a result of the bias lab is damaged.
    """
    from maskdet.bias.findings import data_findings, run_findings

    return card_from(workspace, data_findings(workspace, run.fingerprint), run_findings(workspace, run))


def card_from(workspace: Workspace, data: "DataFindings", found: "RunFindings") -> ModelCard:
    """The card of a run, of what was found of its data and of itself; the workspace's catalog names datasets."""
    run = found.run
    created = str(run.record["created"])
    sections = _sections(workspace, data, found)
    missing = [block for section in sections for block in section.blocks if block.kind == "not_measured"]
    return ModelCard(
        run=run.id,
        title=f"Model card: {run.title}",
        subtitle=f"Run {run.id}, trained {created[:10]}; card by MaskDet {__version__}",
        lede=_lede(run),
        warnings=tuple(marks(run)),
        figures=tuple(_figures(found, data)),
        points=tuple(_points(found, data, [block.what for block in missing if block.command])),
        sections=sections,
        footer=CITATION,
    )


def _sections(workspace: Workspace, data: "DataFindings", found: "RunFindings") -> tuple[Section, ...]:
    run = found.run
    catalog = load_catalog(workspace.path("datasets.toml"))
    return (
        Section("model", "Model", model_blocks(run)),
        Section("use", "Intended use, and misuse", use_blocks(run)),
        Section("data", "Data", data_blocks(run, catalog)),
        Section("training", "Training", training_blocks(run)),
        Section("metrics", "Metrics on test faces", metrics_blocks(run)),
        Section("groups", "Groups", group_blocks(found)),
        Section("skin-tone", "Whose apparent skin tone is not measurable", tone_blocks(data)),
        Section("shortcuts", "Shortcuts in the data", shortcut_blocks(data)),
        Section("cross-dataset", "From one dataset to another", cross_blocks(data, (run,))),
        Section("counterfactuals", "What flips a verdict", counterfactual_blocks(found)),
        Section("attention", "Where it looks", (*attention_blocks(found), *grad_cam_blocks(run))),
        Section("reliability", "When it says that it does not know", reliability_blocks(run)),
        Section("limits", "Limits", limits_blocks(run)),
    )


def _lede(run: "Run") -> str:
    faces, wrong = run.metrics["faces"], _wrong(run.metrics)
    share = f" ({100 * wrong / faces:.1f} %)" if faces else ""
    return (
        "A model that looks at a picture of one face and says whether the face wears a mask: a guess from pixels, not "
        f"a fact about a person. Of {faces:,} test faces that training did not see, it judged {wrong:,} wrong{share}. "
        "They are from the same sources as the training faces: on photos from elsewhere expect more errors. "
        "Do not use it to decide about people, nor to watch them."
    )


def _figures(found: "RunFindings", data: "DataFindings") -> list[KeyFigure]:
    metrics = found.run.metrics
    return [
        KeyFigure(
            "Macro F1", Figure(metrics["macro_f1"], *(metrics["intervals"].get("macro_f1") or (None, None))),
            f"Both labels count alike; 1 is perfect. n = {metrics['faces']:,} test faces",
        ),
        _error(metrics, 1, "Unmasked judged masked"),
        _error(metrics, 0, "Masked judged unmasked"),
        *_weakest(metrics),
        _elsewhere(found.run),
        _gaps(found),
    ]  # fmt: skip


def _error(metrics: dict[str, Any], index: int, title: str) -> KeyFigure:
    label = CLASSES[index]
    low, high = metrics["intervals"].get(f"recall {label}") or (None, None)
    recall = metrics["labels"][label]["recall"]
    low, high = (None, None) if low is None or high is None else (1 - high, 1 - low)
    wrong, faces = metrics["confusion"][index][1 - index], metrics["labels"][label]["faces"]
    groups = faces * metrics["groups"] / max(1, metrics["faces"])
    if low is None and not wrong and groups >= FEWEST_GROUPS:  # figures of an earlier version have none then
        low, high = exact_interval(0, groups)
    share = Figure(None if recall is None else 1 - recall, low, high, "percent")
    return KeyFigure(title, share, f"{wrong:,} of {faces:,} test faces {label_title(label)}")


def _weakest(metrics: dict[str, Any]) -> list[KeyFigure]:
    """The dataset on which it does worst, of those that have faces enough to say so."""
    known = {name: of for name, of in metrics["datasets"].items() if of["intervals"]["macro_f1"]}
    if len(known) < 2:
        return []
    name, of = min(known.items(), key=lambda item: float(item[1]["macro_f1"]))
    about = f"Macro F1 on the weakest dataset that has faces enough to say; n = {of['faces']:,}"
    return [KeyFigure(f"On dataset {name}", Figure(of["macro_f1"], *of["intervals"]["macro_f1"]), about)]


def _elsewhere(run: "Run") -> KeyFigure:
    """The lowest macro F1 on a dataset that was left out of training."""
    title = "On a source it was not trained on"
    known = [row for row in left_out_figures(run) if row["figure"].low is not None]
    if not known:
        return KeyFigure(title, "not measured", "Expect less than on the test faces")
    lowest = f"; the lowest of {len(known)}" if len(known) > 1 else ""
    worst = min(known, key=lambda row: row["figure"].value)
    about = f"Macro F1 on dataset {worst['dataset']}, {worst['how']}{lowest}; n = {worst['faces']:,}"
    return KeyFigure(title, worst["figure"], about)


def _gaps(found: "RunFindings") -> KeyFigure:
    title = "Gaps between groups"
    verdicts = [verdict for report in found.groups.values() for verdict in report.gaps["verdict"]]
    if not verdicts:
        return KeyFigure(title, "not measured", "Whether it treats groups of faces alike is not known")
    unknown = sum(verdict == "too few to say" for verdict in verdicts)
    names = [attribute_title(name).lower() for name in found.groups]
    by = in_words(names) if len(names) <= _NAMED else f"{len(names)} attributes such as {in_words(names[:_NAMED])}"
    about = (
        f"of {len(verdicts)} looked for, by {by}; {unknown} with too few faces to say; n = {len(found.predictions):,}"
    )
    return KeyFigure(title, str(sum(verdict == "gap" for verdict in verdicts)), about)


def _points(found: "RunFindings", data: "DataFindings", missing: list[str]) -> list[str]:
    points = [
        "The study that it comes from warns of governments that might abuse such a model to ban religious headwear "
        "(section 7); to watch people with it is misuse too.",
    ]
    points += _shortcut(found.run, data)
    gaps = found_gaps(found)
    points += gaps[:_GAPS_SHOWN]
    if len(gaps) > _GAPS_SHOWN:
        points.append(f"{len(gaps) - _GAPS_SHOWN} more gaps between groups stand below.")
    points += filter(None, [worst_flip(found)])
    if missing:
        points.append(f"Not measured: {'; '.join(missing)}. What measures it stands below.")
    return points


def _shortcut(run: "Run", data: "DataFindings") -> list[str]:
    """The strongest shortcut in the photos of the run's data: of all its datasets together, else of one of them."""
    probes = data.shortcuts.probes if data.shortcuts is not None else ()
    scopes = [*(["pooled"] if run.pool == "main" else []), *run.record["data"]["datasets"]]
    strong = [
        probe
        for probe in probes
        if (probe.target, probe.stage, probe.verdict) == ("label", "photo", "strong") and probe.scope in scopes
    ]
    strong.sort(key=lambda probe: (probe.scope != "pooled", -(probe.auc or 0)))
    return [probe.sentence for probe in strong[:1]]


def _wrong(metrics: dict[str, Any]) -> int:
    (_, first), (second, _) = metrics["confusion"]
    return int(first + second)


__all__ = ["ModelCard", "card_from", "card_of", "to_html", "to_markdown"]
