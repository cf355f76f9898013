"""In what runs differ."""

from pathlib import Path

from written_runs import write_run

from maskdet.differences import flattened, options_table, spoken


def test_only_the_options_in_which_runs_differ(tmp_path: Path) -> None:
    options = {"epochs": 15, "augmentation": {"plan": "none", "rotation": 30.0}, "patience": None}
    first = write_run(tmp_path, "1", options=options)
    second = write_run(
        tmp_path, "2", options={**options, "augmentation": {"plan": "none", "rotation": 15.0}, "precision": "auto"},
        seed=7, environment={"cores": 2, "processor": "a", "packages": {"numpy": "3"}},
    )  # fmt: skip
    table = options_table({"A": first, "B": second})
    assert table.to_numpy().tolist() == [
        ["model", "augmentation.rotation", "30", "15"],
        ["model", "seed", "0", "7"],
        ["model", "precision", "—", "auto"],
    ]
    everything = options_table({"A": first, "B": second}, differing=False).set_index("option")
    assert everything.loc["epochs", ["A", "B"]].tolist() == ["15", "15"]
    assert everything.loc["patience", "A"] == "none"
    assert everything.loc["datasets", "A"] == "a, b"
    assert everything.loc["package numpy", ["A", "B"]].tolist() == ["2", "3"]
    assert options_table({"A": first}).empty
    assert options_table({}).empty


def test_nested_options_and_their_values_as_text() -> None:
    assert flattened({"a": 1, "b": {"c": 2, "d": {"e": None}}, "f": {}}) == {"a": 1, "b.c": 2, "b.d.e": None}
    assert [spoken(value) for value in (None, True, 1e-4, 30.0, (1, "scale"), [], "x")] == [
        "none", "yes", "0.0001", "30", "1, scale", "none", "x",
    ]  # fmt: skip
