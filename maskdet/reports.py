"""The comparison of runs to take along: CSV for spreadsheets, Markdown and LaTeX for papers.

Names come from users: they are made inert in each format.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd

from maskdet.bootstrap import LEVEL
from maskdet.compare import JudgedRun, marks, table_3
from maskdet.export import to_csv
from maskdet.markdown import plain
from maskdet.metrics import ECE_NOTE, FIGURE_TITLES
from maskdet.published import STUDY_NOTE
from maskdet.wording import capital, number

LABELS: Final = {"with_mask": "With mask", "without_mask": "Without mask", "macro": "Both, macro"}
#: Figures of both labels together beside macro F1, and their titles above a column.
OTHER_TITLES: Final = {name: capital(FIGURE_TITLES[name]) for name in ("accuracy", "roc_auc", "ece", "brier")}
_LATEX: Final = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "–": "--",
    "—": "---", "−": "$-$", "\n": " ", "\r": " ",
}  # fmt: skip


def with_interval(value: float | None, low: float | None, high: float | None, digits: int = 3) -> str:
    """A figure with its interval, ``0.988 (0.984–0.992)``; "—" where it is not defined."""
    if value is None or pd.isna(value):
        return "—"
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        return number(value, digits)
    dash = "–" if low >= 0 else " to "  # no dash beside the minus of a negative number
    return f"{number(value, digits)} ({number(low, digits)}{dash}{number(high, digits)})"


def by_label(judged: Sequence[JudgedRun]) -> pd.DataFrame:
    """Table 3 as text: Model, Label, n, Precision, Recall, F1 and the study's three as one column."""
    rows = []
    for row in table_3(judged).to_dict("records"):
        figures = {
            title: with_interval(row[name], row[f"{name}_low"], row[f"{name}_high"])
            for name, title in (("precision", "Precision"), ("recall", "Recall"), ("f1", "F1"))
        }
        studys = [row[f"study_{name}"] for name in ("precision", "recall", "f1")]
        digits = 3 if row["label"] == "macro" else 2  # as many as it publishes
        study = " / ".join(f"{value:.{digits}f}" for value in studys if not pd.isna(value)) or "—"
        rows.append({"Model": row["run"], "Label": LABELS[row["label"]], "n": f"{row['faces']:,}", **figures,
                     "Study": study})  # fmt: skip
    return pd.DataFrame(rows, columns=["Model", "Label", "n", "Precision", "Recall", "F1", "Study"])


def of_both_labels(judged: Sequence[JudgedRun]) -> pd.DataFrame:
    """Accuracy, ROC-AUC and calibration as text, a row a run, with n and the number of groups."""
    rows = []
    for one in judged:
        metrics = one.metrics
        figures = {
            title: with_interval(metrics.get(name), *_ends(metrics, name)) for name, title in OTHER_TITLES.items()
        }
        rows.append({"Model": one.label, "n": f"{metrics['faces']:,}", "Groups": f"{metrics['groups']:,}", **figures})
    return pd.DataFrame(rows)


def notes(judged: Sequence[JudgedRun]) -> list[str]:
    """What a reader must know of these figures, as sentences."""
    said = [
        f"In brackets are intervals at {100 * LEVEL:.0f} %, by bootstrap of whole groups of related faces; of "
        "accuracy, precision and recall, exact ones. n is the number of test faces, of which none was used to choose "
        "anything.",
        ECE_NOTE,
        STUDY_NOTE + " Its column gives precision / recall / F1 of a label, and macro F1.",
    ]
    for one in judged:
        said.append(
            f"{one.label}: run {one.run.id}, trained on data {one.run.fingerprint}, judged on data {one.fingerprint}"
            + (", which is other data than it was trained on." if one.is_foreign else ".")
        )
        said += [f"{one.label}: {sentence}" for sentence in [*marks(one.run), *one.metrics.get("cautions", [])]]
    return said


def as_csv(judged: Sequence[JudgedRun]) -> str:
    """`maskdet.compare.table_3` as CSV, with all digits; no cell is run as a formula."""
    return to_csv(table_3(judged))


def as_markdown(judged: Sequence[JudgedRun]) -> str:
    """Both tables and the notes as Markdown."""
    tables = [_markdown_table(by_label(judged)), _markdown_table(of_both_labels(judged))]
    return "\n\n".join([*tables, "\n".join(f"- {plain(note)}" for note in notes(judged))]) + "\n"


def as_latex(judged: Sequence[JudgedRun]) -> str:
    r"""Both tables as LaTeX, with ``\usepackage{booktabs}``; the notes are in the first one's caption."""
    first = _latex_table(by_label(judged), "Precision, recall and F1. " + " ".join(notes(judged)), "tab:by-label")
    second = _latex_table(
        of_both_labels(judged),
        f"Accuracy, area under the ROC curve, calibration of the same runs. {ECE_NOTE}",
        "tab:overall",
    )
    return f"% Needs \\usepackage{{booktabs}}.\n{first}\n{second}"


def latex(text: object) -> str:
    """Text without any meaning in LaTeX, on one line."""
    return "".join(_LATEX.get(letter, letter) for letter in " ".join(str(text).split()))


def _markdown_table(table: pd.DataFrame) -> str:
    rows = [list(table.columns), *table.to_numpy().tolist()]
    lines = [f"| {' | '.join(map(plain, row))} |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(table.columns), *lines[1:]])


def _latex_table(table: pd.DataFrame, caption: str, label: str) -> str:
    lines, last = [], None
    for row in table.to_numpy().tolist():
        lines += [r"\midrule"] if row[0] != last else []
        lines.append(" & ".join(map(latex, row)) + r" \\")
        last = row[0]
    body = "\n".join(lines)
    head = " & ".join(map(latex, table.columns))
    columns = "l" * len(table.columns)
    return (
        f"\\begin{{table}}\n\\centering\n\\caption{{{latex(caption)}}}\n\\label{{{label}}}\n"
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{head} \\\\\n{body}\n\\bottomrule\n"
        "\\end{tabular}\n\\end{table}\n"
    )


def _ends(metrics: Mapping[str, Any], name: str) -> tuple[float | None, float | None]:
    interval = metrics["intervals"].get(name)
    return (interval[0], interval[1]) if interval else (None, None)
