"""Run a command of the shell on copies of a workspace, each cut at another moment at which it changes the disk.

``python killer.py TEMPLATE OUT FAULT COMMAND...`` with FAULT one of

kill
    SIGKILL as it is about to open for writing, rename, remove or make a file or folder of the workspace; every such
    moment in turn, or every n-th with ``kill/n``. Between two of them the disk stays as it is, but for files that
    nobody looks at until they are renamed. So this is a kill at any moment.
full
    No file may grow beyond a size, as on a disk that fills up; sizes grow fourfold from one run to the next.
read-only
    From such a moment on every change is refused, as by a file system that has become read-only; each moment in turn.

Each run is a fork of this process, which has imported what the command needs but has not computed anything. Writes
``report.json``: whether the last run ended without meeting the fault, so that every moment was tried; and for each run
that met it its status, what it said, which finished files were lost, what `maskdet.integrity.inspect` said, and the
status of the same command once more, without a fault.
"""

import errno
import json
import os
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import maskdet.bias.uploaded
import maskdet.quality
import maskdet.split
import maskdet.train  # noqa: F401 - what the commands need is imported before the forks
from maskdet.cli import main
from maskdet.integrity import fault_of, inspect, kind_inside
from maskdet.workspace import Workspace

#: Bytes; what the command says is a file too.
_SMALLEST = 1024
_MOST_RUNS = 400
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}


def at_changes(home: Path, strike: Callable[[int], None]) -> None:
    """Call a function, with its number from 1, before each change of the workspace that this process is about to do."""
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event == "open":
            path, _, flags = arguments
            changes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        else:
            path, changes = (arguments or ("",))[0], event in _CHANGES
        if changes and isinstance(path, str | Path) and str(path).startswith(str(home)):
            seen += 1
            strike(seen)

    sys.addaudithook(hook)


def die_at(moment: int, home: Path) -> None:
    """Let this process be killed as it is about to change the workspace for the n-th time."""

    def strike(number: int) -> None:
        if number == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    at_changes(home, strike)


def refuse_from(moment: int, home: Path) -> None:
    """Let every change fail from the n-th on, as on a file system that has become read-only."""

    def strike(number: int) -> None:
        if number >= moment:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    at_changes(home, strike)


def let_no_file_grow_beyond(size: int, home: Path) -> None:
    """As on a full disk, of which a process is told when it writes: here with EFBIG."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


FAULTS: dict[str, Callable[[int, Path], None]] = {
    "kill": die_at, "full": let_no_file_grow_beyond, "read-only": refuse_from,
}  # fmt: skip


def carry_out(command: list[str], home: Path, said: Path, fault: Callable[[], None] | None = None) -> int:
    """Run a command in a fork; its status, or minus the signal that ended it."""
    said.touch()
    said.chmod(0o666)
    child = os.fork()
    if not child:
        output = os.open(said, os.O_WRONLY | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        status = 70
        try:
            if fault:
                fault()
            main([*command, "--home", str(home)])
        except SystemExit as ended:
            status = int(ended.code or 0)
        except BaseException:  # noqa: BLE001 - what no command may raise: the report has it
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def lost(template: Path, home: Path) -> list[str]:
    """Files of the template that are gone or cannot be read any more; pixels that are measured anew may be."""
    found = []
    for path in sorted(template.rglob("*")):
        inside = path.relative_to(template)
        kind = kind_inside(PurePosixPath(inside.as_posix()))
        if path.is_file() and kind and not kind.pattern.startswith("shards/"):
            told = fault_of(home / inside, kind)
            found += [told] if told else []
    return found


def run_all(template: Path, out: Path, fault: str, command: list[str]) -> dict[str, Any]:
    """A run a moment, until the fault does not strike any more, or there were too many."""
    name, _, step = fault.partition("/")
    runs: list[dict[str, Any]] = []
    moment = _SMALLEST if name == "full" else 1
    while len(runs) < _MOST_RUNS:
        home = out / f"{moment:06d}"
        shutil.copytree(template, home)
        said = out / "said.txt"
        status = carry_out(command, home, said, partial(FAULTS[name], moment, home))
        entry: dict[str, Any] = {"moment": moment, "status": status, "said": said.read_text(errors="replace")}
        if status == 0:
            shutil.rmtree(home)
            return {"ended_unharmed": True, "runs": runs}
        entry |= {"lost": lost(template, home), "damaged": inspect(Workspace(home), thorough=False).damaged}
        entry["again"] = carry_out(command, home, said)
        entry["said_again"] = said.read_text(errors="replace")
        found = inspect(Workspace(home))
        entry |= {"damaged_after": found.damaged, "unknown": [str(path) for path in found.unknown]}
        runs.append(entry)
        shutil.rmtree(home)
        moment = 4 * moment if name == "full" else moment + int(step or 1)
    return {"ended_unharmed": False, "runs": runs}


if __name__ == "__main__":
    template, out, fault, *command = sys.argv[1:]
    Path(out).mkdir(parents=True)
    Path(out, "report.json").write_text(json.dumps(run_all(Path(template), Path(out), fault, command)))
