"""What the tests of the shell share: the form of its errors, and options of a training that takes no time."""

SMALL = [
    "--set",
    "components=4",
    "--set",
    "C=[1.0]",
    "--set",
    'kernel=["linear"]',
    "--set",
    "folds=2",
    "--set",
    "jobs=1",
]


def assert_one_line(status: int, err: str, words: str) -> None:
    assert status in (1, 2)
    assert err.startswith("Error: ")
    assert len(err.strip().splitlines()) == 1
    assert words in err


def status_and_error(result: tuple[int, str, str]) -> tuple[int, str]:
    return result[0], result[2]
