"""The catalog: what ships, what a user's own file changes, and what is said of a file that is wrong."""

from pathlib import Path

import pytest

from maskdet.catalog import Dataset, load_catalog, lookup
from maskdet.errors import MaskDetError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_the_datasets_of_the_study() -> None:
    catalog = load_catalog()
    types = {key: catalog[key].type for key in ("1", "2.1", "2.2", "3.1", "3.2")}
    assert types == {"1": "SMFD", "2.1": "RMFD", "2.2": "RMFD", "3.1": "RMFD", "3.2": "RMFD"}
    for key in types:
        assert catalog[key].source.startswith("https://")
        assert not catalog[key].synthetic


def test_every_entry_knows_its_id_and_has_a_name() -> None:
    for key, dataset in load_catalog().items():
        assert dataset.id == key
        assert dataset.name


def test_a_further_file_adds_and_overrides(tmp_path: Path) -> None:
    extra = write(tmp_path / "a.toml", '["2.1"]\nname = "Mine"\ntype = "SMFD"\n[own]\nname = "Öwn"\nlicence = "CC0"\n')
    catalog = load_catalog(tmp_path / "missing.toml", extra)
    assert catalog["2.1"] == Dataset("2.1", "Mine", "SMFD")
    assert catalog["own"] == Dataset("own", "Öwn", "unknown", "", "CC0")
    assert catalog["3.2"] == load_catalog()["3.2"]
    later = write(tmp_path / "b.toml", '[own]\nname = "Later"\n')
    assert load_catalog(extra, later)["own"].name == "Later"
    assert load_catalog(later, extra)["own"].name == "Öwn"


def test_a_wrong_type_is_named(tmp_path: Path) -> None:
    with pytest.raises(MaskDetError, match=r"Dataset own: type must be SMFD, RMFD or unknown, not 'real'\."):
        load_catalog(write(tmp_path / "a.toml", '[own]\nname = "Own"\ntype = "real"\n'))


@pytest.mark.parametrize(
    "text",
    [
        "[own",
        '[own]\nname = "a"\n[own]\nname = "b"\n',
        '[own]\nname = "Own"\ncolour = "red"\n',
        '[own]\ntype = "RMFD"\n',
        '[own]\nname = "Own"\nid = "other"\n',
        "own = 3\n",
        '[own]\nname = "Own"\nstudy = 3\n',
        '[own]\nname = "Own"\nstudy = { photos = 3 }\n',
    ],
)
def test_a_file_that_is_no_catalog(tmp_path: Path, text: str) -> None:
    with pytest.raises(MaskDetError, match=r"The catalog .*a\.toml cannot be read"):
        load_catalog(write(tmp_path / "a.toml", text))


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b'[own]\nname = "\xff"\n')
    with pytest.raises(MaskDetError, match=r"a\.toml cannot be read"):
        load_catalog(tmp_path / "a.toml")


def test_simulated_masks_have_a_pool_of_their_own() -> None:
    assert Dataset("a", "A", "SMFD").pool == "pre-training"
    assert Dataset("a", "A", "RMFD").pool == "main"
    assert Dataset("a", "A").pool == "main"
    catalog = load_catalog()
    assert [key for key in ("1", "2.1", "2.2", "3.1", "3.2") if catalog[key].pool == "pre-training"] == ["1"]


def test_a_dataset_that_nobody_described() -> None:
    catalog = load_catalog()
    assert lookup(catalog, "3.1") is catalog["3.1"]
    assert lookup(catalog, "mine") == Dataset("mine", "mine", "unknown")
    assert "mine" not in catalog


def test_the_studys_tables_add_up() -> None:
    study = [dataset.study for dataset in load_catalog().values() if dataset.study]
    assert len(study) == 5
    assert sum(counts.photos for counts in study) == 20000 + 11792 + 1006 + 6024 + 853
    assert [sum(values) for values in zip(*((s.faces, s.with_mask, s.without_mask) for s in study), strict=True)] == [
        40565, 22267, 18298,
    ]  # fmt: skip


def test_the_studys_datasets_can_be_downloaded() -> None:
    catalog = load_catalog()
    for key in ("1", "2.1", "2.2", "3.1", "3.2"):
        assert catalog[key].source == f"https://www.kaggle.com/datasets/{catalog[key].kaggle}"
