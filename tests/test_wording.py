"""Numbers and times in words."""

import pytest

from maskdet.wording import capital, duration, number


@pytest.mark.parametrize(
    ("value", "digits", "plus", "text"),
    [
        (0.98765, 3, False, "0.988"), (-0.0204, 3, True, "−0.020"), (0.0204, 3, True, "+0.020"),
        (-0.0004, 3, True, "0.000"), (0.0004, 3, True, "0.000"), (-12.34, 1, False, "−12.3"), (3, 0, True, "+3"),
    ],
)  # fmt: skip
def test_a_number_has_a_minus_as_long_as_a_plus(value: float, digits: int, plus: bool, text: str) -> None:
    assert number(value, digits, plus=plus) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (5, "5 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (3600, "1 h 0 min"), (7500.4, "2 h 5 min")],
)
def test_a_time_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_capital_leaves_the_rest_as_it_is() -> None:
    assert [capital(text) for text in ("ROC-AUC of a run", "éa ROC", "")] == ["ROC-AUC of a run", "Éa ROC", ""]
