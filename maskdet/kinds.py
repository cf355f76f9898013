"""Every kind of file that a workspace holds, and what mends one that is damaged.

Whoever writes a further kind of file names it here: a test walks a workspace that holds everything, and another one
reads in the code who writes.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes
    ----------
    pattern : str
        Its path in the workspace; ``*`` stands for anything but a slash.
    title : str
        What it is, for people.
    mend : str
        What makes it again, or how to go on without it: the end of a sentence.
    """

    pattern: str
    title: str
    mend: str

    def matches(self, path: PurePosixPath) -> bool:
        """True for a path in the workspace, relative to it, that is of this kind."""
        return len(path.parts) == self.pattern.count("/") + 1 and path.match(self.pattern)


_SCAN: Final = "`python -m maskdet scan DIR` makes it again, and measures only what is lost"
_FILTER: Final = "`python -m maskdet filter`, or *Apply and split* on the Quality page, makes it again"
_SPLIT: Final = "`python -m maskdet split`, or *Apply and split* on the Quality page, makes it again"
_SAVED_SPLIT: Final = "delete both files of this fingerprint; trainings on it have to be split and trained again"
_EVALUATE: Final = "`python -m maskdet evaluate RUN` makes it again"
_DATA: Final = "`python -m maskdet bias data --again` measures it again"
_RUN_BIAS: Final = "`python -m maskdet bias RUN --again` measures it again"
_TRAIN: Final = "bring it back from a copy, or train the model again"
_GRAPH: Final = "delete it, then `python -m maskdet calibrate RUN` makes it again"
_RELIABILITY: Final = "`python -m maskdet calibrate RUN` makes it again"
_PARTIAL: Final = "`python -m maskdet runs --discard RUN` removes this training; begin it anew"
_JOB: Final = "delete the job's folder; what it had made stays"
_LOCK: Final = "delete it while nothing is running"

#: Every kind, in the order in which a workspace is made. A run's files keep their names while it is trained.
KINDS: Final[tuple[Kind, ...]] = (
    Kind("datasets.json", "list of datasets", _SCAN),
    Kind("faces.parquet", "face table", _SCAN),
    Kind("rejects.parquet", "list of what could not be used", _SCAN),
    Kind("shards/*.json", "measurements of faces", _SCAN),
    Kind("shards/*.npy", "pixels of faces", _SCAN),
    Kind("decisions.json", "decisions by hand", "delete it, then import an export of them, or begin anew"),
    Kind("filtered.parquet", "filtered set", _FILTER),
    Kind("filter.json", "options of the filters", _FILTER),
    Kind("split.parquet", "split in force", _SPLIT),
    Kind("split.json", "options of the split in force", _SPLIT),
    Kind("splits/*.parquet", "saved split", _SAVED_SPLIT),
    Kind("splits/*.json", "options of a saved split", _SAVED_SPLIT),
    Kind("datasets.toml", "your own catalog", "mend it in an editor, or delete it"),
    Kind("study.json", "state of a study", "delete it; `python -m maskdet study DIR` begins anew, its runs stay"),
    *(
        Kind(f"runs/*/{name}", title, mend)
        for name, title, mend in (
            ("run.json", "record of a run", _TRAIN),
            ("history.json", "history of a run", _TRAIN),
            ("metrics.json", "figures of a run", _TRAIN),
            ("predictions.parquet", "predictions of a run", _TRAIN),
            ("reliability.json", "reliability of a run", _RELIABILITY),
            ("reliability.npz", "distance to a run's training faces", _RELIABILITY),
            ("balance.parquet", "how much a run's training faces counted", _TRAIN),
            ("left_out.json", "figures of datasets left out of training", "delete it, or do the study again"),
            ("out_of_sample.parquet", "cross-validated predictions", "delete it, or do the study again"),
            ("out_of_sample.json", "options of cross-validated predictions", "delete it; it is not told then"),
            ("gradcam.json", "Grad-CAM analysis of a run", "`python -m maskdet gradcam RUN` makes it again"),
            ("weights/model.weights.h5", "weights of a network", _TRAIN),
            ("weights/graph.onnx", "graph of a network", _GRAPH),
            ("weights/model.skops", "support vector machine", _TRAIN),
            ("plan.json", "plan of a training", _PARTIAL),
            ("checkpoint.npz", "checkpoint of a training", _PARTIAL),
            (".lock", "lock of a training", _LOCK),
        )
    ),
    Kind("evaluations/*.parquet", "predictions of a run for another split", _EVALUATE),
    Kind("evaluations/*.json", "figures of a run on another split", _EVALUATE),
    Kind("measurements/*/*.parquet", "measurements of normalised faces", "delete it; it is measured again when needed"),
    Kind("appearance/*.parquet", "skin tones and mask colours", "`python -m maskdet bias data` measures it again"),
    Kind("bias/*/uploaded.parquet", "uploaded attributes", "`python -m maskdet bias --forget-attributes` removes them"),
    Kind("bias/*/shortcuts.json", "shortcuts of the data", _DATA),
    Kind("bias/*/shortcuts.parquet", "scores of the shortcuts", _DATA),
    Kind("bias/*/cross-dataset-*.json", "cross-dataset matrix", _DATA),
    Kind("bias/*/not_measurable.parquet", "faces that were not measurable", _DATA),
    Kind("bias/*/*/counterfactuals.json", "counterfactuals of a run", _RUN_BIAS),
    Kind("bias/*/*/counterfactuals.parquet", "faces of the counterfactuals", _RUN_BIAS),
    Kind("bias/*/*/attention.json", "attention of a run", _RUN_BIAS),
    Kind("bias/*/*/attention.parquet", "faces of the attention", _RUN_BIAS),
    Kind("bias/*/*/attention.npz", "heatmaps of the attention", _RUN_BIAS),
    Kind("bias/*/*/*.before", "part of a result that is being measured again", _RUN_BIAS),
    Kind("bias/*/*/groups-*.json", "metrics by group of a run", "delete it; it is computed again when needed"),
    Kind("jobs/*/job.json", "record of a job", _JOB),
    Kind("jobs/*/events.jsonl", "events of a job", _JOB),
    Kind("jobs/*/output.log", "log of a job", _JOB),
    Kind("jobs/*/reserve", "space kept for a job's last words", _JOB),
    Kind(".lock", "lock of the face table", _LOCK),
    Kind(".decisions.lock", "lock of the decisions", _LOCK),
    Kind(".applying.lock", "lock of the filtered set and the split", _LOCK),
    Kind(".drawing", "lock of the sample set", _LOCK),
)  # fmt: skip
#: What must lie beside or in what is there: a pattern, and the names that it needs ("{stem}" is its own).
PARTS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("faces.parquet", ("datasets.json", "rejects.parquet")),
    ("filter.json", ("filtered.parquet",)),
    ("split.json", ("split.parquet",)),
    ("splits/*.json", ("{stem}.parquet",)),
    ("splits/*.parquet", ("{stem}.json",)),
    ("runs/*", ("run.json", "history.json", "metrics.json", "predictions.parquet", "weights")),
    ("evaluations/*.json", ("{stem}.parquet",)),
    ("bias/*/shortcuts.json", ("shortcuts.parquet",)),
    ("bias/*/*/counterfactuals.json", ("counterfactuals.parquet",)),
    ("bias/*/*/attention.json", ("attention.parquet", "attention.npz")),
    ("jobs/*", ("job.json",)),
)
#: The sample set has a workspace of its own, in this folder; its photos are drawn again where it is deleted.
SAMPLE_FOLDER: Final = "sample"
PHOTOS_FOLDER: Final = "photos"


def kind_of(path: Path | PurePosixPath) -> Kind | None:
    """The kind of a file by its path, relative to its workspace or whole; None for one that MaskDet does not write."""
    parts = PurePosixPath(*path.parts).parts
    for kind in sorted(KINDS, key=lambda kind: -kind.pattern.count("/")):  # shards/1.json before 1.json
        length = kind.pattern.count("/") + 1
        if len(parts) >= length and kind.matches(PurePosixPath(*parts[-length:])):
            return kind
    return None
