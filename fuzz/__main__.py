"""Fuzz targets one after the other, or run one input again: ``python -m fuzz --help``."""

import argparse
import json
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

_PROJECT: Final = Path(__file__).resolve().parent.parent
_DONE: Final = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_PEAK: Final = re.compile(r"stat::peak_rss_mb:\s+(\d+)")
_FOUND: Final = re.compile(r"FINDING (\w+)")
_COVERED: Final = re.compile(r"#(\d+)\s.*?cov: (\d+) ft: (\d+) corp: (\d+)")
#: How often a target begins at most: again after a process that ended before its time, which `ended` counts.
_MOST_ENDS: Final = 5


@dataclass
class Result:
    """What came of one target: inputs run, seconds, branches that libFuzzer counts, inputs kept, memory, findings.

    Findings are all that broke something in this run, those that an earlier run kept among them. ``ended`` counts the
    processes that ended before their time, by an input or without ever running one.
    """

    target: str
    inputs: int = 0
    seconds: float = 0.0
    branches: int = 0
    kept: int = 0
    megabytes: int = 0
    findings: int = 0
    ended: int = 0

    def failed(self, runs: int, *, timed: bool) -> bool:
        """Whether something was found, or the target did not do what it was to do: so many runs, if it had the time."""
        return bool(self.findings or self.ended) or not self.inputs or (self.inputs < runs and not timed)


def main() -> int:
    """Run what was asked for; 1 if anything was found, or a target did not run its inputs."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Fuzz what reads bytes or text from outside.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="by default all of them")
    parser.add_argument("--runs", type=int, default=2000, help="inputs for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, default=_PROJECT / ".fuzz", help="where inputs and findings are kept")
    parser.add_argument("--seconds", type=float, default=None, help="go on to the next target after so many seconds")
    parser.add_argument("--replay", type=Path, default=None, metavar="FILE", help="run one input of one target again")
    parser.add_argument("--list", action="store_true", help="name the targets and what they call")
    asked = parser.parse_args()
    from fuzz.target import scratch
    from fuzz.targets import NAMES, find

    if unknown := sorted(set(asked.targets) - set(NAMES)):
        parser.error(f"there is no target {', '.join(unknown)}; there are {', '.join(NAMES)}")
    names = asked.targets or list(NAMES)
    if asked.list:
        print("\n".join(f"{name}: {', '.join(find(name).reads)}" for name in names))
        return 0
    if asked.replay is not None:
        with scratch() as folder:
            find(names[0]).prepare(folder).run(asked.replay.read_bytes())
        return 0
    results = []
    for name in names:
        results.append(_fuzz(name, asked.runs, asked.seed, asked.corpus, asked.seconds))
        with (asked.corpus / "results.jsonl").open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(asdict(results[-1]))}\n")
    found = sum(result.findings for result in results)
    print(f"{sum(result.inputs for result in results):,} inputs, {found} findings in {asked.corpus / 'findings'}")
    failed = [result.target for result in results if result.failed(asked.runs, timed=asked.seconds is not None)]
    if failed:
        print(f"FAILED: {', '.join(failed)}")
    return int(bool(failed))


def _fuzz(name: str, runs: int, seed: int, corpus: Path, most_seconds: float | None) -> Result:
    """One target in processes of its own: one, if no input ends it."""
    result, found, begin = Result(name), set[str](), time.monotonic()
    findings = corpus / "findings" / name
    findings.mkdir(parents=True, exist_ok=True)
    for attempt in range(_MOST_ENDS):
        left = None if most_seconds is None else most_seconds - (time.monotonic() - begin)
        if runs <= result.inputs or (left is not None and left <= 1):
            break
        # Another seed after an input that ended the process, else it would come again.
        did_all = _worker(name, runs - result.inputs, seed + attempt, corpus / name, findings, left, result, found)
        if did_all:
            break
    result.findings = len(found)
    result.seconds = round(time.monotonic() - begin, 1)
    rate = result.inputs / max(result.seconds, 1e-9)
    print(
        f"{name}: {result.inputs:,} inputs, {rate:,.0f} a second, {result.branches:,} branches, {result.kept:,} kept, "
        f"{result.megabytes:,} MB, {result.findings} findings, {result.ended} processes that ended",
        flush=True,
    )
    return result


def _worker(
    name: str,
    runs: int,
    seed: int,
    corpus: Path,
    findings: Path,
    seconds: float | None,
    result: Result,
    found: set[str],
) -> bool:
    """Add what one process did to the result, and what it found; True if it did all it was to do."""
    command = [sys.executable, "-m", "fuzz.worker", name, "--runs", str(runs), "--seed", str(seed)]
    command += ["--corpus", str(corpus), "--findings", str(findings)]
    if seconds is not None:
        command += ["--seconds", str(int(seconds))]
    process = subprocess.Popen(
        command, cwd=_PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    assert process.stdout is not None
    done, lines = 0, []
    for line in process.stdout:
        if match := _FOUND.match(line):
            found.add(match[1])
            print(f"{name}: {line.strip()}", flush=True)
        if match := _COVERED.match(line):
            done, result.branches, result.kept = int(match[1]), int(match[2]), int(match[4])
        elif match := _DONE.match(line):
            done = int(match[1])
        elif match := _PEAK.match(line):
            result.megabytes = max(result.megabytes, int(match[1]))
        else:
            lines = [*lines[-60:], line]
    status = process.wait()
    result.inputs += done
    if status != 0:
        result.ended += 1
        (findings / f"ended-{seed}.txt").write_text("".join(lines), encoding="utf-8")
        print(f"{name}: the process ended with {status} after {done:,} inputs\n{''.join(lines[-30:])}", flush=True)
    return status == 0


if __name__ == "__main__":
    sys.exit(main())
