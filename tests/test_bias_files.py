"""How results are kept: written and read again, and what is damaged is one sentence."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from maskdet.bias import files
from maskdet.bias.files import read_result, write_result
from maskdet.errors import WorkspaceError

TABLE = pd.DataFrame({"face_id": ["a", "b"], "logit": [1.5, -2.0]})
ARRAYS = {"maps": np.arange(8, dtype=np.float16).reshape(2, 2, 2)}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "found.json"
    write_result(path, {"run": "r", "options": {"seed": 1}}, TABLE, ARRAYS)
    record, table, arrays = read_result(path, arrays=True)
    assert record == {"run": "r", "options": {"seed": 1}}
    pd.testing.assert_frame_equal(table, TABLE, check_dtype=False)
    assert arrays["maps"].dtype == np.float16
    assert (arrays["maps"] == ARRAYS["maps"]).all()
    assert sorted(file.name for file in path.parent.iterdir()) == ["found.json", "found.npz", "found.parquet"]


def test_a_table_alone_has_no_arrays(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    write_result(path, {}, TABLE)
    assert read_result(path)[2] == {}
    assert not path.with_suffix(".npz").exists()
    with pytest.raises(WorkspaceError, match="no result of this kind"):
        read_result(path, arrays=True)


def test_parts_of_two_results_are_not_one(tmp_path: Path) -> None:
    path, other = tmp_path / "found.json", tmp_path / "other.json"
    write_result(path, {}, TABLE, ARRAYS)
    write_result(other, {}, TABLE.assign(logit=0.0), ARRAYS)
    path.with_suffix(".parquet").write_bytes(other.with_suffix(".parquet").read_bytes())
    with pytest.raises(
        WorkspaceError, match=r"found\.parquet cannot be read \(it is damaged, or does not belong to found\.json\)"
    ):
        read_result(path, arrays=True)


@pytest.mark.parametrize("name", ["found.json", "found.parquet", "found.npz"])
@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}", b'{"digests": 3}', b"\x00\xff"])
def test_damaged_files_are_one_sentence(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / "found.json"
    write_result(path, {}, TABLE, ARRAYS)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WorkspaceError, match=r"found"):
        read_result(path, arrays=True)


def test_arrays_that_are_none_though_their_digest_is_right(tmp_path: Path) -> None:
    import hashlib

    path = tmp_path / "found.json"
    write_result(path, {}, TABLE, ARRAYS)
    path.with_suffix(".npz").write_bytes(b"no archive")
    stored = json.loads(path.read_text())
    stored["digests"][".npz"] = hashlib.sha256(b"no archive").hexdigest()
    path.write_text(json.dumps(stored))
    with pytest.raises(WorkspaceError, match=r"found\.npz cannot be read"):
        read_result(path, arrays=True)


class _Cut(BaseException):
    """As when the process is killed: nothing below catches it."""


@pytest.mark.parametrize("again", range(1, 4))
@pytest.mark.parametrize("moment", range(1, 6))
def test_a_result_that_is_replaced_is_whole_until_the_new_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int, again: int
) -> None:
    path = tmp_path / "found.json"
    write_result(path, {"seed": 1}, TABLE, ARRAYS)
    for cut in (moment, again):  # the second time, what the first left is not taken for the old result
        with monkeypatch.context() as patched:
            _cut_at(cut, patched)
            with pytest.raises(_Cut):
                write_result(path, {"seed": 2}, TABLE.assign(logit=0.0), {"maps": ARRAYS["maps"] + 1})
        record, table, arrays = read_result(path, arrays=True)
        assert record == {"seed": 1}
        pd.testing.assert_frame_equal(table, TABLE, check_dtype=False)
        assert (arrays["maps"] == ARRAYS["maps"]).all()
    write_result(path, {"seed": 2}, TABLE.assign(logit=0.0), {"maps": ARRAYS["maps"] + 1})
    record, table, arrays = read_result(path, arrays=True)
    assert (record, table["logit"].tolist(), arrays["maps"].max()) == ({"seed": 2}, [0.0, 0.0], 8)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["found.json", "found.npz", "found.parquet"]


def _cut_at(moment: int, patched: pytest.MonkeyPatch) -> None:
    """Cut a write as the n-th file is about to take its place: two kept parts, table, arrays, record."""
    seen = []
    rename = Path.replace

    def counted(temporary: Path, target: Path) -> Path:
        seen.append(target)
        if len(seen) == moment:
            raise _Cut
        return rename(temporary, target)

    patched.setattr(Path, "replace", counted)


def test_a_result_that_is_exchanged_while_it_is_read_is_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "found.json"
    write_result(path, {"seed": 1}, TABLE, ARRAYS)
    read = files.read_json

    def read_and_exchange(*arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr(files, "read_json", read)
        record = read(*arguments, **named)
        write_result(path, {"seed": 2}, TABLE.assign(logit=0.0), ARRAYS)
        return record

    monkeypatch.setattr(files, "read_json", read_and_exchange)
    record, table, _ = read_result(path, arrays=True)
    assert (record, table["logit"].tolist()) == ({"seed": 2}, [0.0, 0.0])


@pytest.mark.parametrize(("moment", "seed", "logits"), [(None, 2, [0.0, 0.0]), (5, 1, [1.5, -2.0])])
def test_a_table_that_is_exchanged_after_its_digest_was_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int | None, seed: int, logits: list[float]
) -> None:
    path = tmp_path / "found.json"
    write_result(path, {"seed": 1}, TABLE, ARRAYS)
    read = files.read_table

    def exchange_and_read(part: Path) -> pd.DataFrame:
        monkeypatch.setattr(files, "read_table", read)
        with monkeypatch.context() as patched:
            if moment is not None:  # the writer has come as far as the record, which it has not exchanged
                _cut_at(moment, patched)
            with suppress(_Cut):
                write_result(path, {"seed": 2}, TABLE.assign(logit=0.0), ARRAYS)
        return read(part)

    monkeypatch.setattr(files, "read_table", exchange_and_read)
    record, table, _ = read_result(path, arrays=True)
    assert (record, table["logit"].tolist()) == ({"seed": seed}, logits)


def test_what_is_damaged_already_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    write_result(path, {}, TABLE, ARRAYS)
    path.with_suffix(".npz").write_bytes(b"damaged")
    write_result(path, {"seed": 2}, TABLE, ARRAYS)
    assert read_result(path, arrays=True)[0] == {"seed": 2}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["found.json", "found.npz", "found.parquet"]
