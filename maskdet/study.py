"""The whole study again, from the photos on: scan, filter, split, four models, other sources, and a bundle of it all.

Every step is noted in ``study.json`` of the workspace as soon as it is begun, so that a study that was cut goes on
where it was: finished runs are kept, a training that was cut is resumed.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from maskdet.catalog import Pool, load_catalog
from maskdet.crossval import (
    LEFT_OUT_FILE,
    OUT_OF_SAMPLE_FILE,
    cross_validate,
    leave_one_dataset_out,
    out_of_sample_record,
    write_out_of_sample,
)
from maskdet.environment import environment
from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.facetable import load_faces, scan
from maskdet.labels import CLASSES
from maskdet.progress import Progress, silent
from maskdet.quality import apply_filters, save_filtered
from maskdet.runs import Run, discard_unfinished, open_run, unfinished_runs
from maskdet.split import load_split, pool_table, save_split, split_faces
from maskdet.train import resume, train
from maskdet.workspace import Workspace, is_record, read_json, write_json

STATE_FILE: Final = "study.json"
#: A dataset serves to watch the transfer only with so many training faces.
_FEWEST_WATCHED: Final = 100


@dataclass(frozen=True)
class StudyOptions:
    """How the study is done again; where it departs from the study's own plan, it is our choice.

    Attributes
    ----------
    weights, cut : str
        InceptionV3's ImageNet weights and the block it is cut at (see `maskdet.models.inception`).
    epochs : int or None
        Epochs of every network instead of the recipe's, for a quick try.
    limit : int or None
        At most about this many training faces, for a quick try.
    """

    weights: str = "imagenet"
    cut: str = "mixed10"
    seed: int = 0
    epochs: int | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Recipe:
    """One training of the study: model, options that depart from the defaults, further fields of its plan."""

    model: str
    options: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)


def recipes(options: StudyOptions) -> dict[str, Recipe]:
    """The trainings of the study by name, in order; those of the transfer's number of epochs are added as they go.

    The CNNs train longer, and at a higher rate that falls, than the study's 15 epochs of 1e-4: with a variant of each
    face an epoch instead of the study's six copies, its 15 epochs would show a sixth of the images. The CNN watches no
    dataset, as in the study: where it watched Dataset 1, an early epoch was kept, the fifth of 20 on one split and the
    third on another, which cost it 1 to 3 points on the validation faces. InceptionV3 is tuned gently: at 1e-4, one
    epoch won 0.4 points on the validation faces and lost 3.5 on Dataset 1, which it never sees.
    """
    network = {"epochs": options.epochs} if options.epochs else {}
    cnn = {"epochs": 20, "learning_rate": 5e-4, "schedule": "cosine"} | network
    inception = {"weights": options.weights, "cut": options.cut, "epochs": 3, "fine_tuning_rate": 3e-5} | network
    inception["schedule"] = "cosine"
    return {
        "inceptionv3": Recipe("inceptionv3", inception),
        "svm": Recipe("svm"),
        "pre-training": Recipe("cnn", cnn | {"augmentation": {"plan": "study"}}, {"pool": "pre-training"}),
        "cnn": Recipe("cnn", cnn, {"watched": ()}),
        "cnn-transfer": Recipe("cnn-transfer", cnn),
    }


def run_study(
    workspace: Workspace,
    folder: Path,
    options: StudyOptions | None = None,
    *,
    progress: Progress = silent,
    started: Callable[[str], None] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Do the study on the datasets of a folder, going on where an earlier call was cut.

    Parameters
    ----------
    started, say : callable, optional
        Are told the id of each run as its training begins, and each step in a sentence.

    Returns
    -------
    dict
        The state: ``fingerprint`` of the split, ``steps`` (for each: run, seconds), ``environment``.

    Raises
    ------
    MaskDetError
        If the folder has no main pool to train on, or a step fails.
    """
    options = options or StudyOptions()
    state = _state(workspace, options)
    say(f"Scanning {folder}")
    faces = scan(workspace, folder, progress=progress)
    if not state["fingerprint"]:
        filtered = apply_filters(faces)
        split = split_faces(faces, filtered, load_catalog(workspace.path("datasets.toml")))
        with workspace.applying():
            save_filtered(workspace, filtered)
            save_split(workspace, split)
        state["fingerprint"] = split.fingerprint
        _keep(workspace, state)
    trainings = _Trainings(workspace, options, state, progress, started, say)
    for name, recipe in recipes(options).items():
        trainings.carry_out(name, recipe)
    if "inceptionv3" in state["steps"]:
        frozen = {"weights": options.weights, "cut": options.cut, "frozen": True}
        trainings.add_other_sources("svm", "svm", {})
        trainings.add_other_sources("inceptionv3", "inceptionv3", frozen)
        trainings.add_out_of_sample("inceptionv3", "inceptionv3", frozen)
    return state


class _Trainings:
    """The study's trainings, each noted as it begins and ends."""

    def __init__(self, workspace: Workspace, options: StudyOptions, state: dict[str, Any], progress: Progress,
                 started: Callable[[str], None] | None, say: Callable[[str], None]) -> None:  # fmt: skip
        self.workspace, self.options, self.state = workspace, options, state
        self.progress, self.started, self.say = progress, started, say
        self.split = load_split(workspace, load_faces(workspace), state["fingerprint"])

    def carry_out(self, name: str, recipe: Recipe) -> None:
        """Train a recipe, unless it is trained, or the data cannot: no simulated masks, no pre-training."""
        if recipe.plan.get("pool") == "pre-training" and not self._has_both_labels("pre-training"):
            self.say("No dataset of simulated masks with both labels: no pre-training and no transfer learning.")
            return
        if recipe.model == "cnn-transfer":
            if "pre-training" not in self.state["steps"]:
                return
            recipe = self._with_epochs(name, recipe)
        self._train(name, recipe)

    def _with_epochs(self, name: str, recipe: Recipe) -> Recipe:
        """The recipe of the transfer, with the number of epochs at which a dataset left out of training does best.

        Dataset 1, which the other networks watch, is what a transfer begins with. So another dataset is left out and
        watched in a training of its own, which only tells for how long to train on all of them.
        """
        plan = {"base": self.state["steps"]["pre-training"]["run"]}
        watched = self._smallest_dataset()
        if watched is None:
            return Recipe(recipe.model, recipe.options, plan)
        trial = f"{name} without {watched}"
        self._train(trial, Recipe(recipe.model, recipe.options, plan | {"watched": (watched,)}))
        history = self._run(trial).history
        best = history.loc[history["kept"] == 1].iloc[0]
        epochs = max(1, int((history.loc[: best.name, "phase"] == 2).sum()))
        return Recipe(recipe.model, recipe.options | {"epochs": epochs, "keep_best": False}, plan)

    def _train(self, name: str, recipe: Recipe) -> None:
        step = self.state["steps"].setdefault(name, {})
        run_id, runs = step.get("run"), self.workspace.path("runs")
        if run_id and (runs / run_id / "run.json").is_file():
            self.say(f"{name}: done already, {run_id}")
            return
        self.say(f"{name}: training")
        cut = next((run for run in unfinished_runs(self.workspace) if run.id == run_id), None)
        if cut and (cut.resumable or cut.active):  # the latter another process trains, and `resume` says so
            run = resume(self.workspace, cut.id, self.progress, self._noting(step))
        else:
            if cut:
                discard_unfinished(self.workspace, cut.id)
            run = train(
                self.workspace, recipe.model, recipe.options, progress=self.progress, started=self._noting(step),
                seed=self.options.seed, limit=self.options.limit, fingerprint=self.state["fingerprint"], **recipe.plan,
            )  # fmt: skip
        step |= {"run": run.id, "seconds": run.record["seconds"]["fit"]}
        _keep(self.workspace, self.state)
        self.say(f"{name}: {run.id}, macro F1 {_digits(run.metrics['macro_f1'])}")

    def add_other_sources(self, step: str, model: str, options: Mapping[str, Any]) -> None:
        """Judge a model on each dataset, trained without it, and put that into a run's folder."""
        run = self._run(step)
        path = run.folder / LEFT_OUT_FILE
        if path.is_file():
            return
        self.say(f"{step}: each dataset left out in turn")
        begin = time.perf_counter()
        found = leave_one_dataset_out(
            self.workspace, model, dict(options), seed=self.options.seed, limit=self.options.limit,
            progress=self.progress,
        )  # fmt: skip
        write_json(path, [found])
        self._note_seconds(f"{step}: other sources", begin)

    def add_out_of_sample(self, step: str, model: str, options: Mapping[str, Any]) -> None:
        """Predict every face by a model that did not see it, and put that into a run's folder."""
        run = self._run(step)
        path = run.folder / OUT_OF_SAMPLE_FILE
        if path.is_file():
            return
        self.say(f"{step}: cross-validated predictions of all faces")
        begin = time.perf_counter()
        predictions = cross_validate(
            self.workspace, model, dict(options), seed=self.options.seed, limit=self.options.limit,
            progress=self.progress,
        )  # fmt: skip
        record = out_of_sample_record(
            model, dict(options), seed=self.options.seed, limit=self.options.limit,
            fingerprint=self.state["fingerprint"],
        )  # fmt: skip
        write_out_of_sample(run.folder, predictions, record)
        self._note_seconds(f"{step}: cross-validation", begin)

    def _note_seconds(self, name: str, begin: float) -> None:
        self.state["steps"][name] = {"seconds": round(time.perf_counter() - begin, 3)}
        _keep(self.workspace, self.state)

    def _noting(self, step: dict[str, Any]) -> Callable[[str], None]:
        def note(run_id: str) -> None:
            step["run"] = run_id
            _keep(self.workspace, self.state)
            if self.started:
                self.started(run_id)

        return note

    def _run(self, step: str) -> Run:
        return open_run(self.workspace.path("runs", self.state["steps"][step]["run"]))

    def _has_both_labels(self, pool: Pool) -> bool:
        table = pool_table(self.split, pool)
        return set(CLASSES) <= set(table.loc[table["split"] == "train", "label"])

    def _smallest_dataset(self) -> str | None:
        """The dataset of the main pool that costs least to leave out, and is large enough to tell something."""
        table = pool_table(self.split, "main")
        train = table[(table["split"] == "train") & table["label"].isin(CLASSES)]
        sizes = train.groupby("dataset")["label"].agg(["size", "nunique"])
        enough = sizes[(sizes["size"] >= _FEWEST_WATCHED) & (sizes["nunique"] == len(CLASSES))]
        return str(enough["size"].idxmin()) if len(enough) > 1 else None


def _state(workspace: Workspace, options: StudyOptions) -> dict[str, Any]:
    """What is noted of a study with these options, or a new one."""
    path = workspace.path(STATE_FILE)
    wanted = {"weights": options.weights, "cut": options.cut, "seed": options.seed, "epochs": options.epochs,
              "limit": options.limit}  # fmt: skip
    if path.is_file():
        state = read_json(path, version=1)
        if not is_record(state, {"options": dict, "fingerprint": str, "steps": dict}) or not _are_steps(state["steps"]):
            raise WorkspaceError(f"{path} is no state of a study: delete it to begin anew; finished runs stay.")
        if state.get("options") != wanted:
            raise MaskDetError(
                f"The study in {workspace.home} was begun with other options ({state.get('options')}); use those, or "
                "another workspace."
            )
        return dict(state)
    return {"options": wanted, "fingerprint": "", "environment": environment(), "steps": {}}


def _are_steps(steps: dict[str, Any]) -> bool:
    return all(isinstance(step, dict) and isinstance(step.get("run", ""), str) for step in steps.values())


def _keep(workspace: Workspace, state: dict[str, Any]) -> None:
    write_json(workspace.path(STATE_FILE), state, version=1)


def _digits(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4f}"
