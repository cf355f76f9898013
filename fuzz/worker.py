"""One target under libFuzzer, in a process of its own: ``python -m fuzz.worker NAME ...``.

An exception that a target lets out is a finding. It is noted with its input, and the fuzzing goes on: of findings that
come from the same line, the first is kept. A hang or too much memory ends the process, as libFuzzer does that.
"""

import argparse
import hashlib
import logging
import os
import random
import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

import atheris

if TYPE_CHECKING:  # imported under instrumentation
    from fuzz.target import Prepared, Target

#: Seconds for one input.
_HANG: Final = 20
_MOST_MEGABYTES: Final = 3000
#: What else is instrumented, by target: decoders in Python, whose branches lead the fuzzer further in.
_ALSO: Final = {"photo": ["PIL"], "photo-iso": ["PIL"], "svm": ["skops"], "catalog": ["tomllib"]}
#: Findings of this process.
_noted: set[str] = set()


def main() -> None:
    """Fuzz one target. Never returns: libFuzzer ends the process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--findings", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=0)
    asked = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with atheris.instrument_imports(include=["maskdet", *_ALSO.get(asked.name, [])]):
        from fuzz.target import scratch
        from fuzz.targets import find

        target = find(asked.name)
    warnings.simplefilter("ignore")
    logging.disable()
    for path in (asked.corpus, asked.findings):
        path.mkdir(parents=True, exist_ok=True)
    with scratch() as folder:
        prepared = target.prepare(folder)

        def one_input(data: bytes) -> None:
            try:
                prepared.run(data)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
                _note(asked.findings, error, data)

        def mutated(data: bytes, most: int, seed: int) -> bytes:
            rng = random.Random(seed)
            if target.mutate is None or rng.random() < 0.5:
                return bytes(atheris.Mutate(data, most))
            return target.mutate(data, rng)[:most]

        flags = _flags(asked, target, _written(folder, prepared, target))
        atheris.Setup([sys.argv[0], *flags], one_input, custom_mutator=mutated)
        atheris.Fuzz()


def _written(folder: Path, prepared: "Prepared", target: "Target") -> tuple[Path, Path]:
    """Seeds and words as libFuzzer reads them: a folder of files, and a dictionary."""
    seeds, words = folder / "fuzz-seeds", folder / "fuzz-words"
    seeds.mkdir()
    for number, seed in enumerate(prepared.seeds):
        (seeds / f"{number:04d}").write_bytes(seed)
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
    return seeds, words


def _flags(asked: argparse.Namespace, target: "Target", written: tuple[Path, Path]) -> list[str]:
    seeds, words = written
    return [
        f"-runs={asked.runs}",
        f"-seed={asked.seed}",
        f"-timeout={_HANG}",
        f"-rss_limit_mb={_MOST_MEGABYTES}",
        f"-max_len={target.most_bytes}",
        f"-max_total_time={asked.seconds}",
        "-len_control=0",
        f"-artifact_prefix={asked.findings}/",
        "-print_final_stats=1",
        *([f"-dict={words}"] if target.words else []),
        str(asked.corpus),
        str(seeds),
    ]


def _note(folder: Path, error: Exception, data: bytes) -> None:
    """Tell of an input that broke something, once in a run, and keep it unless one that broke the same line is kept."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/maskdet/" in frame.filename or "/ui/" in frame.filename]
    place = own[-1] if own and not isinstance(error, AssertionError) else frames[-1]
    key = hashlib.sha256(f"{type(error).__name__} {place.filename} {place.lineno}".encode()).hexdigest()[:12]
    if key in _noted:
        return
    _noted.add(key)
    known = (folder / key).exists()
    if not known:
        (folder / key).write_bytes(data)
        (folder / f"{key}.txt").write_text(
            "".join(traceback.format_exception(error)), encoding="utf-8", errors="replace"
        )
    what = f"{type(error).__name__} {place.filename}:{place.lineno} {str(error)[:200]!r}"
    print(f"FINDING {key} {what}{' (known)' if known else ''}", flush=True)


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main()
