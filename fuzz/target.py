"""What a fuzz target is, and what its inputs must never do."""

import math
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from maskdet.errors import MaskDetError

#: From an input to nothing; raises where something does not hold.
Run = Callable[[bytes], None]
#: From an input to a similar one, for formats whose checksums or syntax few random bytes get past.
Mutate = Callable[[bytes, random.Random], bytes]
#: The longest sentence that is still one to be read; names and paths of up to 255 characters may stand in it.
_LONGEST_SENTENCE: Final = 2000


class BrokenError(AssertionError):
    """Something that a function promises does not hold for an input."""


@dataclass(frozen=True)
class Prepared:
    """A target that is ready: the function, and valid inputs to begin with."""

    run: Run
    seeds: Sequence[bytes]


@dataclass(frozen=True)
class Target:
    """Something that reads bytes or text from outside.

    Attributes
    ----------
    prepare : callable
        Is given a scratch folder that is emptied afterwards.
    reads : tuple of str
        The functions of MaskDet that are fuzzed, such as ``maskdet.readers.read_voc``; each must be called.
    mutate : callable, optional
        Makes inputs that keep the format's syntax; half of the inputs come from it, the others from libFuzzer.
    words : tuple of bytes
        What libFuzzer puts into inputs now and then.
    most_bytes : int
        Inputs are no longer.
    """

    name: str
    prepare: Callable[[Path], Prepared]
    reads: tuple[str, ...]
    mutate: Mutate | None = None
    words: tuple[bytes, ...] = ()
    most_bytes: int = 1 << 14


def check(holds: object, what: str) -> None:
    """Raise BrokenError unless something holds."""
    if not holds:
        raise BrokenError(what)


def check_sentence(text: str) -> None:
    """Raise BrokenError unless a text is one sentence that can be shown."""
    check(text.strip(), "a reason is empty")
    check("\n" not in text.strip() and "\r" not in text.strip(), f"a reason has several lines: {text[:200]!r}")
    check(len(text) <= _LONGEST_SENTENCE, f"a reason of {len(text):,} characters: {text[:200]!r}")
    check("Traceback" not in text, f"a reason shows the inside: {text[:200]!r}")
    check_text(text)


def check_text(text: str) -> None:
    """Raise BrokenError unless a text can go into a table, a file and a page: lone surrogates cannot."""
    check(isinstance(text, str), f"no text: {text!r:.80}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BrokenError(f"a text that is not valid Unicode: {text[:80]!r}") from None


def check_finite(value: Any, what: str, *, low: float = -math.inf, high: float = math.inf) -> None:
    """Raise BrokenError unless a value is a finite number within bounds."""
    number = isinstance(value, int | float) and math.isfinite(value)
    check(number and low <= value <= high, f"{what} is {value!r:.80}")


@contextmanager
def refusals(*kinds: type[MaskDetError]) -> Iterator[None]:
    """Within this block an input may be refused, by an error of these kinds (by default any), in one sentence."""
    try:
        yield
    except MaskDetError as error:
        if not isinstance(error, kinds or MaskDetError):
            raise
        check_sentence(str(error))


@dataclass
class Damaged:
    """A folder one of whose files is an input's content: the first byte says which, the rest is what it holds.

    Attributes
    ----------
    names : tuple of str
        The files, below the folder.
    """

    folder: Path
    names: tuple[str, ...]
    whole: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.whole = {name: (self.folder / name).read_bytes() for name in self.names}

    @property
    def seeds(self) -> list[bytes]:
        """An input for each file: what it holds."""
        return [bytes([number]) + content for number, content in enumerate(self.whole.values())]

    @contextmanager
    def by(self, data: bytes) -> Iterator[str]:
        """The folder with one file damaged, whose name is given; afterwards it is whole again."""
        name = self.names[data[0] % len(self.names)] if data else self.names[0]
        path = self.folder / name
        path.write_bytes(data[1:])
        try:
            yield name
        finally:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.whole[name])


def damaged_folder(folder: Path, names: tuple[str, ...], use: Callable[[], None]) -> Prepared:
    """A target of some files of a folder, each damaged in turn, before the folder is used; that may be refused."""
    damaged = Damaged(folder, names)

    def run(data: bytes) -> None:
        with damaged.by(data), refusals():
            use()

    return Prepared(run, damaged.seeds)


def damaged_file(folder: Path, name: str, use: Callable[[], None]) -> Prepared:
    """As `damaged_folder`, of one file: an input is all that it holds, and no byte says which it is."""
    of_one = damaged_folder(folder, (name,), use)
    return Prepared(lambda data: of_one.run(b"\0" + data), [seed[1:] for seed in of_one.seeds])


def after_first(mutate: Mutate) -> Mutate:
    """A mutator of what follows on the first byte, which it changes now and then."""

    def changed(data: bytes, rng: random.Random) -> bytes:
        first = data[:1] if data and rng.random() < 0.95 else bytes([rng.randrange(256)])
        return first + mutate(data[1:], rng)

    return changed


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder, in memory where the machine has that; gone afterwards."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)
