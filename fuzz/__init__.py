"""Coverage-guided fuzzing of everything in MaskDet that reads bytes or text from outside: see ``docs/fuzzing.md``.

    python -m fuzz                        # every target, 2,000 inputs each
    python -m fuzz photo voc --runs 100000 --seed 1 --corpus DIR
    python -m fuzz photo --replay FILE    # one input again, with its traceback

A target is a function of bytes. An input is what the outside would give: the content of a file, a name, a line. The
seeds are valid, drawn or written in code, mostly by what the tests build theirs with.
"""

import sys
from pathlib import Path

#: The tests' own builders of datasets, runs and findings make the seeds.
sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
