"""The runs that ship, by their model's name: their ids change whenever the study is done again."""

from typing import Final

from maskdet.runs import BUNDLED, Run, open_run

#: Of the main pool; the base of the transfer is not among them.
BUNDLED_RUNS: Final[dict[str, Run]] = {
    run.model_name: run
    for run in map(open_run, sorted(path.parent for path in BUNDLED.glob("*/run.json")))
    if run.pool == "main"
}
BUNDLED_IDS: Final = {name: run.id for name, run in BUNDLED_RUNS.items()}
