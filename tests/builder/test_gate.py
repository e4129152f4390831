"""The gate: what counts as seeing the same as the FP32 reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotterd.builder.gate import Figures, average_precision, compare, verdict
from spotterd.config.schema import Gate
from spotterd.data import Detections

FIRM = 0.5


def seen(*rows: tuple[float, float, float, float, float, int]) -> Detections:
    table = np.asarray(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


A = (10, 10, 50, 40)
B = (100, 100, 140, 150)
PICTURE = seen((*A, 0.9, 0), (*B, 0.8, 1))

ENGINES = {
    "the same": (PICTURE, (1.0, 0.0, 1.0)),
    "lower scores": (seen((*A, 0.7, 0), (*B, 0.6, 1)), (1.0, 0.2, 1.0)),
    "below the threshold, still there": (seen((*A, 0.9, 0), (*B, 0.4, 1)), (1.0, 0.2, 1.0)),
    "one missed": (seen((*A, 0.9, 0)), (0.5, 0.0, 0.5)),
    "another class": (seen((*A, 0.9, 0), (*B, 0.8, 0)), (0.5, 0.0, 0.5)),
    "moved away": (seen((*A, 0.9, 0), (120, 130, 170, 190, 0.8, 1)), (0.5, 0.0, 0.5)),
    "an invented one above": (
        seen((300, 300, 320, 320, 0.99, 0), (*A, 0.9, 0), (*B, 0.8, 1)),
        (1.0, 0.0, 0.75),
    ),
    "nothing": (seen(), (0.0, 0.0, 0.0)),
}


@pytest.mark.parametrize("name", ENGINES)
def test_figures(name: str) -> None:
    engine, (recall, shift, ap50) = ENGINES[name]
    figures = compare([PICTURE], [engine], FIRM)
    assert (figures.recall, figures.ap50) == (recall, ap50)
    assert figures.score_shift == pytest.approx(shift, abs=1e-6)
    assert (figures.pictures, figures.reference) == (1, 2)


def figures(**changes: float) -> Figures:
    values = {"pictures": 8, "reference": 20, "recall": 1, "score_shift": 0, "ap50": 1} | changes
    return Figures.model_validate(values)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"recall": 0.9}, "recall 0.900, at least 0.95 is allowed"),
        ({"ap50": 0.5}, "ap50 0.500, at least 0.9 is allowed"),
        ({"score_shift": 0.2}, "score shift 0.200, at most 0.05 is allowed"),
        ({"reference": 0, "recall": 0}, "show only 0 objects, too few to judge by"),
        ({"reference": 3}, "too few to judge by"),
    ],
)
def test_verdict(changes: dict[str, float], said: str) -> None:
    told = verdict(figures(**changes), Gate())
    assert (said in told) if said else told == ""


def test_pictures_without_objects_judge_nothing() -> None:
    assert "too few" in verdict(compare([seen()] * 9, [PICTURE] * 9, FIRM), Gate())


BOXES = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 100), st.integers(0, 2)),
    max_size=6,
)


@given(BOXES, BOXES)
def test_figures_stay_in_range_and_like_equals_like(one: list, other: list) -> None:
    a, b = (
        seen(*((30 * x, 30 * y, 30 * x + 20, 30 * y + 20, s / 100, k) for x, y, s, k in rows))
        for rows in (one, other)
    )
    result = compare([a], [b], 0.3)
    assert 0 <= result.recall <= 1
    assert 0 <= result.ap50 <= 1 + 1e-9
    assert 0 <= result.score_shift <= 1
    if result.reference:
        same = compare([a], [a], 0.3)
        assert (same.recall, same.score_shift) == (1, 0)


def test_average_precision_by_hand() -> None:
    # Ranked hit, miss, hit of 2 objects: envelope 1 up to recall 1/2, then 2/3.
    score = np.array([0.9, 0.8, 0.7], np.float32)
    assert average_precision(score, np.array([1, 0, 1], np.float32), 2) == pytest.approx(5 / 6)
