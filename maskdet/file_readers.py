"""How each kind of file is read to see whether it is whole: by the very functions of whoever needs it, where it can be.

Imports stand in the functions: a page that asks about three files need not load what reads the others.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from maskdet.workspace import Workspace, read_arrays, read_json, read_table, unreadable

Reader = Callable[[Path], object]


def _record(*needs: str) -> Reader:
    """Reads a dictionary of version 1."""
    return lambda path: read_json(path, version=1, needs=needs)


def _table(*needs: str) -> Reader:
    """Reads a table with some columns."""
    return lambda path: read_table(path, needs)


def _predictions(*needs: str) -> Reader:
    """Reads a table of predictions with some columns, whose logits are numbers."""

    def read(path: Path) -> None:
        from maskdet.run_records import read_predictions

        read_predictions(path, needs)

    return read


def _arrays(*needs: str) -> Reader:
    """Reads arrays with some names."""
    return lambda path: read_arrays(path, needs)


def _datasets(path: Path) -> None:
    for entry in read_json(path, version=1, needs=()).values():
        if not isinstance(entry, dict) or not {"path", "photos"} <= entry.keys():
            raise unreadable(path, "it is of another kind")


def _faces(path: Path) -> None:
    from maskdet.facetable import require_table

    require_table(read_table(path))


def _rows(path: Path) -> None:
    from maskdet.measure import read_rows

    read_rows(path.stem, path.parent)


def _pixels(path: Path) -> None:
    from maskdet.measure import open_pixels

    open_pixels(path)


def _decisions(path: Path) -> None:
    from maskdet.decisions import load_decisions

    load_decisions(Workspace(path.parent))


def _catalog(path: Path) -> None:
    from maskdet.catalog import load_catalog

    load_catalog(path)


def _run(path: Path) -> None:
    from maskdet.runs import open_run

    if path.parent.name.startswith("."):  # a training that was cut as it was done
        read_json(path, needs=("format", "id", "model", "options", "data"))
    else:
        open_run(path.parent)


def _of_run(read: Reader) -> Reader:
    """Reads a file that never changes again, which is also as its run's digests say."""

    def whole(path: Path) -> None:
        from maskdet.errors import MaskDetError
        from maskdet.runs import open_run
        from maskdet.seals import require_whole, sealed_files

        folder = next(parent for parent in path.parents if parent.parent.name == "runs")
        try:
            record = open_run(folder).record
        except MaskDetError:  # which is told of the record itself, or it is not written yet
            record = {}
        name = path.relative_to(folder).as_posix()
        require_whole(folder, record, name)
        if name not in sealed_files(record):
            read(path)

    return whole


def _history(path: Path) -> None:
    from maskdet.models.checkpoint import read_history

    read_history(path)


def _metrics(path: Path) -> None:
    from maskdet.run_records import require_metrics

    require_metrics(path, read_json(path, needs=("macro_f1", "faces", "intervals")))


def _weights(path: Path) -> None:
    from maskdet.models.onnx_graph import read_weights

    try:
        found = read_weights(path)
    except Exception as error:  # whatever HDF5 raises
        raise unreadable(path, error) from error
    if not found:
        raise unreadable(path, "it is of another kind")


def _graph(path: Path) -> None:
    from maskdet.models.onnx_graph import open_session

    try:
        open_session(path.parent)
    except Exception as error:  # whatever ONNX Runtime and HDF5 raise
        raise unreadable(path, error) from error


def _machine(path: Path) -> None:
    from maskdet.models.svm import Svm

    Svm().load(path.parent)


def _reliability(path: Path) -> None:
    from maskdet.reliability import load_reliability

    load_reliability(path.parent)


def _left_out(path: Path) -> None:
    entries = read_json(path)
    if not isinstance(entries, list) or not all(isinstance(e, dict) and {"model", "rows"} <= e.keys() for e in entries):
        raise unreadable(path, "it is of another kind")


def _gradcam(path: Path) -> None:
    from maskdet.attribution.analysis import read_analysis

    read_analysis(path)


def _checkpoint(path: Path) -> None:
    from maskdet.models.checkpoint import FolderCheckpoint

    FolderCheckpoint(path.parent).load()


def _shortcuts(path: Path) -> None:
    from maskdet.bias.shortcuts import load_shortcuts

    load_shortcuts(path)


def _cross(path: Path) -> None:
    from maskdet.bias.cross_dataset import load_cross

    load_cross(path)


def _counterfactuals(path: Path) -> None:
    from maskdet.bias.counterfactuals import load_counterfactuals

    load_counterfactuals(path)


def _attention(path: Path) -> None:
    from maskdet.bias.attention import load_attention

    load_attention(path)


def _groups(path: Path) -> None:
    from maskdet.bias.groups import load_groups

    load_groups(path)


def _job(path: Path) -> None:
    from maskdet.jobs import read_job

    read_job(path.parent)


def _events(path: Path) -> None:
    from maskdet.events import read_events

    if path.stat().st_size and not read_events(path.parent).last:
        raise unreadable(path, "there is no event in it")


def _anything(path: Path) -> None:
    with path.open("rb") as file:
        file.read(1)


_JUDGED: Final = ("face_id", "dataset", "label", "group", "split", "logit")
#: How to read a file, by the pattern of its kind (see `maskdet.kinds`). What a reader returns is of no use here.
READERS: Final[dict[str, Reader]] = {
    "datasets.json": _datasets,
    "faces.parquet": _faces,
    "rejects.parquet": _table("dataset", "photo", "reason"),
    "shards/*.json": _rows,
    "shards/*.npy": _pixels,
    "decisions.json": _decisions,
    "filtered.parquet": _table("face_id", "label", "cluster", "removed_by", "kept_face"),
    "filter.json": _record("options", "faces_fingerprint"),
    "split.parquet": _table("face_id", "dataset", "label", "pool", "group", "split"),
    "split.json": _record("options", "faces_fingerprint", "fingerprint"),
    "splits/*.parquet": _table("face_id", "dataset", "label", "pool", "group", "split"),
    "splits/*.json": _record("options", "faces_fingerprint", "fingerprint"),
    "datasets.toml": _catalog,
    "study.json": _record("options", "fingerprint", "steps"),
    "runs/*/run.json": _run,
    "runs/*/history.json": _of_run(_history),
    "runs/*/metrics.json": _of_run(_metrics),
    "runs/*/predictions.parquet": _of_run(_predictions(*_JUDGED)),
    "runs/*/reliability.json": _reliability,
    "runs/*/reliability.npz": _arrays("mean", "components", "index", "face_ids"),
    "runs/*/balance.parquet": _of_run(_table("face_id", "label", "group", "weight")),
    "runs/*/left_out.json": _left_out,
    "runs/*/out_of_sample.parquet": _predictions("face_id", "dataset", "label", "p_without_mask"),
    "runs/*/out_of_sample.json": _record("model", "options"),
    "runs/*/gradcam.json": _gradcam,
    "runs/*/weights/model.weights.h5": _of_run(_weights),
    "runs/*/weights/graph.onnx": _of_run(_graph),
    "runs/*/weights/model.skops": _of_run(_machine),
    "runs/*/plan.json": _record("id", "model"),
    "runs/*/checkpoint.npz": _checkpoint,
    "runs/*/.lock": _anything,
    "evaluations/*.parquet": _predictions(*_JUDGED),
    "evaluations/*.json": _record("run", "fingerprint", "metrics", "same_data", "left_out", "seconds"),
    "measurements/*/*.parquet": _table("shard", "shard_row"),
    "appearance/*.parquet": _table("face_id"),
    "bias/*/uploaded.parquet": _table("face_id"),
    "bias/*/shortcuts.json": _shortcuts,
    "bias/*/shortcuts.parquet": _table("face_id", "label", "p_without_mask"),
    "bias/*/cross-dataset-*.json": _cross,
    "bias/*/not_measurable.parquet": _table("label", "dataset", "not_measurable"),
    "bias/*/*/counterfactuals.json": _counterfactuals,
    "bias/*/*/counterfactuals.parquet": _table("face_id"),
    "bias/*/*/attention.json": _attention,
    "bias/*/*/attention.parquet": _table("face_id"),
    "bias/*/*/attention.npz": _arrays("maps"),
    "bias/*/*/*.before": _anything,
    "bias/*/*/groups-*.json": _groups,
    "jobs/*/job.json": _job,
    "jobs/*/events.jsonl": _events,
    "jobs/*/output.log": _anything,
    "jobs/*/reserve": _anything,
    ".lock": _anything,
    ".decisions.lock": _anything,
    ".applying.lock": _anything,
    ".drawing": _anything,
}
