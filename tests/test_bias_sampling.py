"""Samples: so many of each label, and the same faces whatever else is in the split."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from factories import prepared
from written_runs import predictions, write_run

from maskdet.bias.sampling import geometries, judged_sample, sampled
from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.labels import CLASSES
from maskdet.workspace import Workspace


def faces(count: int) -> pd.DataFrame:
    number = np.arange(count)
    return pd.DataFrame(
        {"face_id": [f"a/{n}" for n in number], "label": np.array(CLASSES)[(number % 3 == 0).astype(int)]}
    )


def test_so_many_of_each_label_and_all_where_there_are_fewer() -> None:
    table = faces(90)
    assert table[sampled(table, 40, 0)].groupby("label").size().to_dict() == {"with_mask": 40, "without_mask": 30}


def test_the_seed_and_the_id_alone_decide() -> None:
    table = faces(90)
    drawn = set(table.loc[sampled(table, 10, 0), "face_id"])
    again = table.sample(frac=1, random_state=1).reset_index(drop=True)
    assert set(again.loc[sampled(again, 10, 0), "face_id"]) == drawn
    assert set(table.loc[sampled(table, 10, 1), "face_id"]) != drawn
    assert set(table.loc[sampled(table, 5, 0), "face_id"]) < drawn
    # Without half of the others, those that were drawn are still drawn.
    fewer = table[table["face_id"].isin(drawn) | (table.index % 2 == 0)].reset_index(drop=True)
    assert set(fewer.loc[sampled(fewer, 10, 0), "face_id"]) == drawn


def test_test_faces_with_their_verdicts(tmp_path: Path) -> None:
    run = write_run(tmp_path, "r", table=predictions(60, wrong=[3]))
    table = judged_sample(run)
    assert list(table.columns) == ["face_id", "dataset", "label", "group", "logit", "wrong"]
    assert len(table) == 20
    assert table["face_id"].is_monotonic_increasing
    assert table["wrong"].sum() == 1
    assert set(table.loc[table["wrong"], "face_id"]) == {"b/0011.png"}  # the fourth of the test faces 2, 5, 8, 11
    none = write_run(tmp_path, "none", table=predictions(60))
    none.__dict__["predictions"] = none.predictions.query("split != 'test'")
    with pytest.raises(MaskDetError, match="Run none has no test face"):
        judged_sample(none)


def test_places_come_in_the_order_asked_for(workspace: Workspace, tmp_path: Path) -> None:
    table = prepared(workspace, tmp_path, {"with_mask": 4, "without_mask": 4})
    wanted = table.table["face_id"].tolist()[::-1]
    places = geometries(workspace, table, wanted)
    assert len(places) == 8
    assert not any(place.found for place in places)  # blotches have no face
    with pytest.raises(WorkspaceError, match="not in this workspace"):
        geometries(workspace, table, ["a/elsewhere"])
