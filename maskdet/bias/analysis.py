"""The bias lab as one call: what the data offers, and whom a run fails; what was measured before is not measured again.

Every part is kept by the split's fingerprint (see `maskdet.bias.store`) with its options, and computed anew only for
other options, or where it is asked for. A cancel between two parts loses nothing of those before it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from maskdet.bias.findings import DataFindings, RunFindings, data_findings, known_attributes, run_findings
from maskdet.bias.judged import GroupOptions
from maskdet.bias.kept_groups import keep_reports
from maskdet.bias.store import (
    ATTENTION,
    COUNTERFACTUALS,
    CROSS,
    NOT_MEASURABLE,
    SHORTCUTS,
    find_path,
    own_path,
)
from maskdet.compare import own_faces
from maskdet.errors import LaterVersionError, MaskDetError, WorkspaceError
from maskdet.facetable import has_faces, load_faces
from maskdet.models import require_model
from maskdet.progress import Progress, part_of, silent
from maskdet.runs import Run, list_runs
from maskdet.split import Split, load_split
from maskdet.workspace import Workspace, read_table, write_table

#: What is measured of the data, in order, and of a run.
DATA_PARTS: Final = ("appearance", "shortcuts", "cross-dataset")
RUN_PARTS: Final = ("appearance", "groups", "counterfactuals", "attention")

_SAMPLE: Final = 300

Found = TypeVar("Found")
#: Its title, and what it does; only the progress is still to be given.
Step = tuple[str, Callable[[Progress], None]]


@dataclass(frozen=True)
class LabOptions:
    """What is measured, and how.

    Attributes
    ----------
    parts : tuple of str
        Of `DATA_PARTS` or `RUN_PARTS`; empty: all of them.
    cross : tuple of (str, dict)
        Models of the cross-dataset matrix, with the options that depart from their defaults: PCA and SVM by default,
        which needs no weights from elsewhere.
    sample : int or None
        Faces of a label that counterfactuals and attention look at. None: as many as were looked at before, else 300.
    fewest : int
        Faces of a group below which its metrics are too few to say.
    seed : int
    again : bool
        Measure shortcuts, the cross-dataset matrix, counterfactuals and attention once more where they are known. What
        is measured of each face (appearance, measurements) and metrics by group are kept: they change with the faces,
        the predictions and the options alone.
    """

    parts: tuple[str, ...] = ()
    cross: tuple[tuple[str, dict[str, Any]], ...] = field(default=(("svm", {}),))
    sample: int | None = None
    fewest: int = GroupOptions().fewest
    seed: int = 0
    again: bool = False

    def __post_init__(self) -> None:
        for part in self.parts:
            if part not in {*DATA_PARTS, *RUN_PARTS}:
                known = ", ".join(dict.fromkeys([*DATA_PARTS, *RUN_PARTS]))
                raise MaskDetError(f"There is no part {part!r} of the bias lab; there are: {known}.")
        for model, _ in self.cross:
            require_model(model)
        if self.sample is not None and self.sample < 1:
            raise MaskDetError(f"The sample must be at least 1 face, not {self.sample}.")

    @property
    def groups(self) -> GroupOptions:
        """How groups are judged."""
        return GroupOptions(fewest=self.fewest)

    def wants(self, part: str) -> bool:
        """Whether a part is asked for."""
        return not self.parts or part in self.parts

    def require_parts(self, *, of_data: bool, of_runs: bool) -> None:
        """Raise MaskDetError for a part that belongs to none of what is looked at: nothing would be measured of it."""
        known = [*(DATA_PARTS if of_data else ()), *(RUN_PARTS if of_runs else ())]
        for part in self.parts:
            if part not in known:
                what = "the data" if part in DATA_PARTS else "a run"
                raise MaskDetError(f"{part} is a part of what is measured of {what}: name it too.")


def affordable(model: str, weights: str | None = None) -> tuple[str, dict[str, Any]]:
    """A model of the cross-dataset matrix with options that make a training for each dataset affordable.

    InceptionV3 is taken as features that ImageNet's weights give, computed once, with a linear layer on top, cut where
    `python -m maskdet study` cuts it in the bundled study. Other networks are trained whole, dataset by dataset.

    Raises
    ------
    MaskDetError
        If there is no such model.
    """
    if require_model(model).name != "inceptionv3":
        return model, {}
    return model, {"frozen": True, "cut": "mixed8", "weights": weights or "imagenet"}


def data_at_hand(workspace: Workspace) -> str:
    """Fingerprint of the split in force; of the bundled study's where no dataset was scanned.

    Raises
    ------
    WorkspaceError
        If there are faces, but no split of them.
    """
    if has_faces(workspace):
        return load_split(workspace, load_faces(workspace)).fingerprint
    return next(run.fingerprint for run in list_runs(workspace) if run.is_bundled and run.pool == "main")


def default_run(workspace: Workspace) -> Run | None:
    """The run to look at where none is named: of those trained on the data at hand the best, a bundled one first.

    None where there is no such run. Which is the best is told by the validation faces.
    """
    fingerprint = data_at_hand(workspace)
    runs = [run for run in list_runs(workspace) if run.fingerprint == fingerprint and run.pool == "main"]
    return max(runs, key=lambda run: (run.is_bundled, *run.precedence), default=None)


def require_measurable(workspace: Workspace, run: Run, options: LabOptions) -> bool:
    """Whether a run's test faces are here to be looked at; False where they are not, and need not be.

    What ships with a bundled run is enough to report on it, with whatever options it was measured.

    Raises
    ------
    MaskDetError
        If something that is asked for was never measured, and the faces are not in this workspace.
    """
    known = set(load_faces(workspace).table["face_id"]) if has_faces(workspace) else set()
    lacking = [face_id for face_id in own_faces(run)["face_id"] if face_id not in known]
    if not lacking:
        return True
    kept = {"counterfactuals": COUNTERFACTUALS, "attention": ATTENTION}
    missing = [
        part for part, name in kept.items()
        if options.wants(part) and (options.again or find_path(workspace, run.fingerprint, name, run.id) is None)
    ]  # fmt: skip
    if missing:
        raise MaskDetError(
            f"{len(lacking):,} test faces of {run.id} are not in this workspace, such as {lacking[0]}: scan its "
            f"datasets first to measure {' and '.join(missing)}, or name another run."
        )
    return False


def analyse_data(workspace: Workspace, options: LabOptions | None = None, progress: Progress = silent) -> DataFindings:
    """Measure what the split in force offers a model beside masks, and keep it; without faces, tell what ships.

    Raises
    ------
    MaskDetError
        If there is no split, or too few faces for what is asked.
    """
    options = options or LabOptions()
    if not has_faces(workspace):  # what ships is all there is to say
        return data_findings(workspace, data_at_hand(workspace))
    split = load_split(workspace, load_faces(workspace))
    steps: list[Step] = []
    if options.wants("appearance"):
        steps.append(("appearance", partial(_keep_not_measurable, workspace, split)))
    if options.wants("shortcuts"):
        steps.append(("shortcuts", partial(_shortcuts, workspace, split, options)))
    if options.wants("cross-dataset"):
        steps += [
            (f"cross-dataset matrix of {model}", partial(_cross, workspace, split, options, model, chosen))
            for model, chosen in options.cross
        ]
    _in_turn(steps, progress)
    return data_findings(workspace, split.fingerprint)


def analyse_run(
    workspace: Workspace, run: Run, options: LabOptions | None = None, progress: Progress = silent
) -> RunFindings:
    """Measure whom a run fails, on its own test faces, and keep it.

    Raises
    ------
    MaskDetError
        As `require_measurable`.
    """
    options = options or LabOptions()
    if not require_measurable(workspace, run, options):
        return run_findings(workspace, run, options.groups, progress)
    measures = {
        "appearance": _appearance_of, "groups": _groups, "counterfactuals": _counterfactuals, "attention": _attention
    }  # fmt: skip
    steps = [
        (part, partial(measure, workspace, run, options)) for part, measure in measures.items() if options.wants(part)
    ]
    _in_turn(steps, progress)
    return run_findings(workspace, run, options.groups)


def _in_turn(steps: Sequence[Step], progress: Progress) -> None:
    """Do steps one after the other, each an equal part of the whole progress."""
    total = 1000 * len(steps)
    for number, (title, step) in enumerate(steps):
        progress(1000 * number, total, title)
        step(part_of(progress, 1000 * number, total, title))
    progress(total, total, "all is measured")


def _known(
    workspace: Workspace, fingerprint: str, name: str, load: Callable[[Path], Found], run_id: str | None = None
) -> Found | None:
    """What was measured before; None where that is damaged too, since measuring anew is what mends it."""
    path = find_path(workspace, fingerprint, name, run_id)
    try:
        return load(path) if path else None
    except LaterVersionError:
        raise
    except WorkspaceError:
        return None


def _serves(known: Any, asked: Any, options: LabOptions) -> bool:
    """Whether what was measured with some options will do; a larger sample does where none was asked for."""
    if options.again:
        return False
    if options.sample is None and known.sample > asked.sample:
        asked = replace(asked, sample=known.sample)
    return bool(known == asked)


def _keep_not_measurable(workspace: Workspace, split: Split, progress: Progress) -> None:
    from maskdet.bias.appearance import measure_appearance, not_measurable

    appearance = measure_appearance(workspace, load_faces(workspace), split.table["face_id"].tolist(), progress)
    table = not_measurable(appearance, split.table)
    known = _known(workspace, split.fingerprint, NOT_MEASURABLE, read_table)
    if known is None or known.to_csv() != table.to_csv():  # a workspace may be there to be read only
        write_table(own_path(workspace, split.fingerprint, NOT_MEASURABLE), table)


def _appearance_of(workspace: Workspace, run: Run, options: LabOptions, progress: Progress) -> None:
    from maskdet.bias.appearance import measure_appearance

    measure_appearance(workspace, load_faces(workspace), own_faces(run)["face_id"].tolist(), progress)


def _groups(workspace: Workspace, run: Run, options: LabOptions, progress: Progress) -> None:
    predictions = own_faces(run)
    attributes = known_attributes(workspace, run, predictions)
    keep_reports(workspace, run, predictions, attributes, options.groups, progress=progress)


def _shortcuts(workspace: Workspace, split: Split, options: LabOptions, progress: Progress) -> None:
    from maskdet.bias.measurements import measure_data
    from maskdet.bias.shortcuts import ProbeOptions, lacking_features, load_shortcuts, probe_shortcuts, save_shortcuts

    asked = ProbeOptions(seed=options.seed)
    known = _known(workspace, split.fingerprint, SHORTCUTS, load_shortcuts)
    measurements = measure_data(workspace, load_faces(workspace), split, part_of(progress, 0, 2000, "measuring"))
    # A scan by an earlier version lacks some, so that a report on it does not hold for one on all.
    same = known is not None and (known.options, known.lacking) == (asked, lacking_features(measurements))
    if same and not options.again:
        return
    report = part_of(progress, 1000, 2000, "probing")
    found = probe_shortcuts(split.table, measurements, asked, report, split.fingerprint)
    save_shortcuts(own_path(workspace, split.fingerprint, SHORTCUTS), found)


def _cross(
    workspace: Workspace, split: Split, options: LabOptions, model: str, chosen: dict[str, Any], progress: Progress
) -> None:
    from maskdet.bias.cross_dataset import cross_datasets, load_cross, save_cross

    name = CROSS.format(model=model)
    known = _known(workspace, split.fingerprint, name, load_cross)
    # Where ImageNet's weights lie is no difference, and a shipped matrix does not say.
    same = known is not None and all(known.options.get(key) == chosen[key] for key in chosen if key != "weights")
    if known is not None and same and known.seed == options.seed and not options.again:
        return
    found = cross_datasets(workspace, model, chosen, seed=options.seed, progress=progress)
    save_cross(own_path(workspace, split.fingerprint, name), found)


def _counterfactuals(workspace: Workspace, run: Run, options: LabOptions, progress: Progress) -> None:
    from maskdet.bias.counterfactuals import (
        CounterfactualOptions,
        counterfactuals,
        load_counterfactuals,
        save_counterfactuals,
    )

    asked = CounterfactualOptions(sample=options.sample or _SAMPLE, seed=options.seed)
    known = _known(workspace, run.fingerprint, COUNTERFACTUALS, load_counterfactuals, run.id)
    if known is None or not _serves(known.options, asked, options):
        found = counterfactuals(workspace, run, asked, progress)
        save_counterfactuals(own_path(workspace, run.fingerprint, COUNTERFACTUALS, run.id), found)


def _attention(workspace: Workspace, run: Run, options: LabOptions, progress: Progress) -> None:
    from maskdet.bias.attention import AttentionOptions, attention, load_attention, save_attention

    asked = AttentionOptions(sample=options.sample or _SAMPLE, seed=options.seed)
    known = _known(workspace, run.fingerprint, ATTENTION, load_attention, run.id)
    if known is None or not _serves(known.options, asked, options):
        found = attention(workspace, run, asked, progress)
        save_attention(own_path(workspace, run.fingerprint, ATTENTION, run.id), found)
