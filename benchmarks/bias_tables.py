"""The tables of docs/bias.md from what ships with the bundled study: ``python -m benchmarks.bias_tables [HOME]``.

Prints them in Markdown, in the document's order; `tests/test_bundled_study.py` holds the document to them. Nothing is
measured; HOME is a workspace with results of its own, which go before those that ship.
"""

import argparse
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from maskdet.bias.attention import attention_by
from maskdet.bias.attributes import group_of
from maskdet.bias.counterfactuals import compare_flips, contrast, flips
from maskdet.bias.findings import DataFindings, RunFindings, data_findings, run_findings
from maskdet.bias.gap_sentences import chance, figure
from maskdet.bias.transformations import TRANSFORMATIONS
from maskdet.runs import BUNDLED, Run, open_run
from maskdet.workspace import Workspace

MODELS: Final = ("inceptionv3", "cnn", "cnn-transfer", "svm")
_FAMILIES: Final = ("size", "shape", "encoding", "colour")
_SCOPES: Final = ("pooled", "2.1", "2.2", "3.2", "1", "3.1")
_TONES: Final = {"very light": "light", "light": "light", "brown": "dark", "dark": "dark"}
_PATCHES: Final = ("light-patch-lower-face", "dark-patch-lower-face")
_ENDS: Final = ("", "_low", "_high")
#: The column that counts the faces of a rate; of other metrics, all faces.
_COUNTED: Final = {"false_mask_rate": "without_mask", "false_no_mask_rate": "with_mask"}
_LABELS: Final = {"with_mask": "masked", "without_mask": "unmasked"}
Rows = Iterator[str]


def row(*cells: object) -> str:
    """A line of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def bundled_runs() -> list[Run]:
    """The runs of the main pool that ship, in the document's order."""
    runs = [open_run(path.parent) for path in BUNDLED.glob("*/run.json")]
    return sorted((run for run in runs if run.pool == "main"), key=lambda run: MODELS.index(run.model_name))


def shortcut_rows(data: DataFindings) -> Rows:
    """How well measurements alone tell the label, a row a dataset."""
    if data.shortcuts is None:
        return
    probes = {(one.scope, one.stage): one for one in data.shortcuts.probes if one.target == "label"}
    for scope in _SCOPES:
        photo, normalised = probes[scope, "photo"], probes[scope, "normalised"]
        name = f"{'all but 1' if scope == 'pooled' else scope} (n = {photo.faces:,})"
        if photo.auc is None or normalised.auc is None:
            yield row(name, "too few to say", *["–"] * 6)
            continue
        alone = [f"{photo.families[family]['auc']:.2f}" for family in _FAMILIES]
        ours, left = (f"{one.auc:.3f} ({one.low:.3f}–{one.high:.3f})" for one in (photo, normalised))
        yield row(name, ours, *alone, left, f"{normalised.families['size']['auc']:.2f}")


def cross_rows(data: DataFindings, model: str) -> Rows:
    """Macro F1, trained on the row and tested on the column."""
    found = next((one.rows for one in data.cross if one.model == model), pd.DataFrame(columns=["train", "test"]))
    tests = list(dict.fromkeys(found["test"]))
    cells = {(one["train"], one["test"]): one for one in found.to_dict("records")}
    for train in sorted(dict.fromkeys(found["train"]), key=lambda name: name == "all"):
        yield row(train, *(_crossed(cells.get((train, test))) for test in tests))


def _crossed(cell: Mapping[Any, Any] | None) -> str:
    if cell is None:
        return ""
    interval = "" if math.isnan(cell["low"]) else f" ({cell['low']:.2f}–{cell['high']:.2f})"
    return f"{cell['macro_f1']:.3f}{interval}, {int(cell['faces']):,}"


def gap_rows(found: Iterable[RunFindings]) -> Rows:
    """Every gap that was found, a row each, and how many tests there were of a run."""
    for one in found:
        name, tests, gaps = one.run.model_name, 0, 0
        for attribute, report in one.groups.items():
            groups = report.groups.set_index("group")
            tests += len(report.gaps)
            for gap in report.gaps[report.gaps["verdict"] == "gap"].to_dict("records"):
                gaps += 1
                metric, apart = gap["metric"], groups.loc[gap["apart"]]
                faces = int(apart[_COUNTED.get(metric, "n")])
                own = figure(metric, *(apart[f"{metric}{end}"] for end in _ENDS), faces)
                rest = figure(metric, *(gap[f"rest{end}"] for end in _ENDS), int(gap["rest_faces"]))
                p = chance(gap["p_adjusted"], at_most=gap["p_at_most"])
                of_group = chance(gap["apart_p_adjusted"], at_most=gap["apart_at_most"])
                yield row(name, attribute, metric, f"{gap['apart']}: {own}; others: {rest}", p, of_group)
        yield row(name, "all", f"gaps: {gaps} of {tests} tests", "", "", "")


def flip_rows(found: Iterable[RunFindings]) -> Rows:
    """Share of verdicts that each change flips, a row a change and label, a column a run."""
    tables = [flips(one.counterfactuals) for one in found if one.counterfactuals is not None]
    by_row = [{(one["transformation"], one["label"]): one for one in table.to_dict("records")} for table in tables]
    for name in TRANSFORMATIONS:
        for label, title in _LABELS.items():
            if (name, label) in by_row[0]:
                yield row(TRANSFORMATIONS[name].title, title, *(_percent(cells[name, label]) for cells in by_row))


def _percent(cell: Mapping[Any, Any], counted: bool = False) -> str:
    count = f", n = {int(cell['n']):,}" if counted else ""
    if math.isnan(cell["low"]):
        return f"{100 * cell['flipped']:.1f} (too few{count})"
    return f"{100 * cell['flipped']:.1f} ({100 * cell['low']:.1f}–{100 * cell['high']:.1f}{count})"


def tone_rows(found: Iterable[RunFindings]) -> Rows:
    """Share of unmasked faces whose verdict a patch on the mouth flips, by apparent tone, a row a run."""
    for one in found:
        if one.counterfactuals is None or one.attributes is None:
            continue
        tones = group_of(one.attributes, "skin_tone").map(_TONES).fillna("")
        table = flips(one.counterfactuals, tones[tones != ""])
        unmasked = table[table["label"] == "without_mask"].set_index(["transformation", "group_name"])
        cells = [unmasked.loc[(patch, tone)] for patch in _PATCHES for tone in ("light", "dark")]
        yield row(one.run.model_name, *(_percent(cell, counted=True) for cell in cells))


def attention_rows(found: Iterable[RunFindings]) -> Rows:
    """Share of the heat on the lower half of the face, a row a run."""
    wanted = (("with_mask", "all"), ("without_mask", "all"), ("without_mask", "right"), ("without_mask", "wrong"),
              ("with_mask", "wrong"))  # fmt: skip
    for one in found:
        if one.attention is None:
            continue
        table = attention_by(one.attention).set_index(["label", "outcome"])
        cells = (table.loc[key] if key in table.index else None for key in wanted)
        yield row(f"{one.run.model_name} ({one.attention.method})", *(_heat(cell) for cell in cells))


def _heat(cell: "pd.Series[Any] | None") -> str:
    if cell is None:
        return "none"
    interval = "too few" if math.isnan(cell["low"]) else f"{cell['low']:.2f}–{cell['high']:.2f}"
    return f"{cell['share']:.2f} ({interval}), n = {int(cell['n']):,}"


def patch_sentences(found: list[RunFindings]) -> Rows:
    """A light patch on the mouth against a dark one of the same shape, and CNN transfer against CNN."""
    for one in found:
        if one.counterfactuals is not None:
            table = contrast(one.counterfactuals, *_PATCHES)
            for cell in table[table["label"] == "without_mask"].to_dict("records"):
                yield f"{one.run.model_name}: {cell}"
    changed = {one.run.model_name: one.counterfactuals for one in found}
    if changed["cnn"] is not None and changed["cnn-transfer"] is not None:
        table = compare_flips(changed["cnn"], changed["cnn-transfer"])
        yield str(table[table["transformation"] == _PATCHES[0]].to_dict("records"))


def document_rows(data: DataFindings, found: list[RunFindings]) -> dict[str, list[str]]:
    """Every row of the document's tables, by table."""
    return {
        "Which datasets give their label away": list(shortcut_rows(data)),
        **{f"Cross-dataset: {model}": list(cross_rows(data, model)) for model in ("inceptionv3", "svm")},
        "Whom each model fails": list(gap_rows(found)),
        "What turns a verdict": list(flip_rows(found)),
        "By apparent tone": list(tone_rows(found)),
        "Where the models look": list(attention_rows(found)),
    }


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path, nargs="?", default=Path("data/workspace"))
    workspace = Workspace(parser.parse_args().home)
    runs = bundled_runs()
    found = [run_findings(workspace, run) for run in runs]
    data = data_findings(workspace, runs[0].fingerprint)
    for title, rows in document_rows(data, found).items():
        print(f"\n## {title}\n", *rows, sep="\n")
    print("\n## Patches\n", *patch_sentences(found), sep="\n")


if __name__ == "__main__":
    main()
