"""Numbers and times in words."""

import pytest

from maskdet.wording import capital, duration, number, telling_digits


@pytest.mark.parametrize(
    ("value", "digits", "plus", "text"),
    [
        (0.98765, 3, False, "0.988"), (-0.0204, 3, True, "−0.020"), (0.0204, 3, True, "+0.020"),
        (0.99984, 3, False, "0.9998"), (0.99996, 3, False, "0.99996"), (1.0, 3, False, "1.000"),
        (99.97, 1, False, "99.97"), (100.0, 1, False, "100.0"), (1 - 1e-12, 3, False, "1.000"),
        (1.9996, 3, True, "+2.000"), (0.7, 0, False, "1"), (-0.9999, 2, False, "−0.9999"),
        (-0.0004, 3, True, "0.000"), (0.0004, 3, True, "0.000"), (-12.34, 1, False, "−12.3"), (3, 0, True, "+3"),
    ],
)  # fmt: skip
def test_a_number_has_a_minus_as_long_as_a_plus(value: float, digits: int, plus: bool, text: str) -> None:
    assert number(value, digits, plus=plus) == text


def test_what_is_not_quite_all_is_not_rounded_to_it() -> None:
    assert [telling_digits(value, 4) for value in (0.99985, 0.99998, 1.0, 0.5, -0.99998, 2.99998)] == [4, 5, 4, 4, 5, 4]
    assert telling_digits(float("nan"), 3) == telling_digits(float("inf"), 3) == 3


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (5, "5 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (3600, "1 h 0 min"), (7500.4, "2 h 5 min")],
)
def test_a_time_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_capital_leaves_the_rest_as_it_is() -> None:
    assert [capital(text) for text in ("ROC-AUC of a run", "éa ROC", "")] == ["ROC-AUC of a run", "Éa ROC", ""]
