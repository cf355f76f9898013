"""How much of what a target reads its inputs reach: ``python -m fuzz.measure NAME DIR``, of those kept in DIR/NAME.

Lines are those of the functions that the target names, without the helpers they call, whose modules are told beside.
"""

import ast
import logging
import sys
import warnings
from pathlib import Path

from coverage import Coverage

_PROJECT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Print the share of lines reached, of the functions and of their modules."""
    name, corpus = sys.argv[1], Path(sys.argv[2]) / sys.argv[1]
    measured = Coverage(data_file=None, source=[str(_PROJECT / "maskdet"), str(_PROJECT / "ui")], messages=False)
    measured.start()
    from fuzz.target import scratch
    from fuzz.targets import find

    warnings.simplefilter("ignore")
    logging.disable()
    target = find(name)
    with scratch() as folder:
        prepared = target.prepare(folder)
        inputs = [*prepared.seeds, *(path.read_bytes() for path in sorted(corpus.glob("*")))]
        failed = 0
        for data in inputs:
            try:
                prepared.run(data)
            except Exception:  # noqa: BLE001 - a finding, which the fuzzer has noted
                failed += 1
    measured.stop()
    lines = reached = 0
    modules = []
    for path in sorted({path for reads in target.reads if (path := _file(reads)) is not None}):
        _, statements, _, missing, _ = measured.analysis2(str(path))
        modules.append(f"{path.stem} {1 - len(missing) / max(1, len(statements)):.0%}")
        for first, last in _functions(path, target.reads):
            inside = {line for line in statements if first < line <= last}
            lines += len(inside)
            reached += len(inside - set(missing))
    print(f"{name}: {len(inputs)} inputs, {failed} fail, {reached} of {lines} lines, modules: {', '.join(modules)}")


def _file(name: str) -> Path | None:
    """The file of a module, class or function."""
    path = _PROJECT.joinpath(*name.split("."))
    return next((at.with_suffix(".py") for at in path.parents if at.with_suffix(".py").is_file()), None)


def _functions(path: Path, reads: tuple[str, ...]) -> list[tuple[int, int]]:
    """First and last line of the functions in a file that a target names."""
    named = {name.rpartition(".")[2] for name in reads if _file(name) == path}
    return [
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name in named
    ]


if __name__ == "__main__":
    main()
