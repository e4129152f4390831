"""What counts as seeing the same as the FP32 reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotterd.builder.agreement import Found, average_precision, compare
from spotterd.data import Detections

FIRM = 0.5
LABELS = ("airplane", "bird", "drone")


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
    engine, (recall, shift, agreement) = ENGINES[name]
    figures = compare([PICTURE], [engine], FIRM, LABELS)
    assert (figures.recall, figures.agreement) == (recall, agreement)
    assert figures.score_shift == pytest.approx(shift, abs=1e-6)
    assert (figures.pictures, figures.reference) == (1, 2)


def test_what_is_found_is_counted_by_class() -> None:
    twice = [PICTURE, PICTURE]
    figures = compare(twice, [PICTURE, seen((*A, 0.9, 0))], FIRM, LABELS)
    assert figures.per_class == {
        "airplane": Found(reference=2, found=2),
        "bird": Found(reference=2, found=1),
    }
    assert compare([seen()], [PICTURE], FIRM, LABELS).per_class == {}


BOXES = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 100), st.integers(0, 2)),
    max_size=6,
    unique_by=lambda row: row[:2],  # NMS leaves no two at one place
)


@given(BOXES, BOXES)
def test_figures_stay_in_range_and_like_equals_like(one: list, other: list) -> None:
    a, b = (
        seen(*((30 * x, 30 * y, 30 * x + 20, 30 * y + 20, s / 100, k) for x, y, s, k in rows))
        for rows in (one, other)
    )
    result = compare([a], [b], 0.3, LABELS)
    assert 0 <= result.recall <= 1
    assert 0 <= result.agreement <= 1 + 1e-9
    assert 0 <= result.score_shift <= 1
    if result.reference:
        same = compare([a], [a], 0.3, LABELS)
        assert (same.recall, same.score_shift) == (1, 0)


def test_average_precision_by_hand() -> None:
    # Ranked hit, miss, hit of 2 objects: envelope 1 up to recall 1/2, then 2/3.
    score = np.array([0.9, 0.8, 0.7], np.float32)
    assert average_precision(score, np.array([1, 0, 1], np.float32), 2) == pytest.approx(5 / 6)
