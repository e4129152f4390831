"""The filter against its textbook form, and the measures that association rests on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotterd.tracking import match, motion
from spotterd.tracking.motion import Motion


def test_the_filter_equals_the_matrix_form() -> None:
    rng = np.random.default_rng(2)
    ours = Motion.begin(np.array([[100.0, 100.0, 16.0, 16.0]]), 1000.0)
    state, cov = np.array([100.0, 0.0]), np.diag([ours.var_at[0, 0], ours.var_rate[0, 0]])
    for _ in range(30):
        dt, size = rng.uniform(0.01, 0.5), 16.0
        move = np.array([[1, dt], [0, 1]])
        push = (2.0 * size) ** 2 * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        state, cov = move @ state, move @ cov @ move.T + push
        z = state[0] + rng.normal(0, 2)
        ours.predict(dt, 2.0, 1000.0)
        gain = cov[:, 0] / (cov[0, 0] + (motion.CENTRE_NOISE * size) ** 2)
        state = state + gain * (z - state[0])
        cov = cov - np.outer(gain, cov[0])
        ours.correct(np.array([0]), np.array([[z, 100.0, 16.0, 16.0]]), 1000.0)
        assert [ours.at[0, 0], ours.rate[0, 0]] == pytest.approx(state.tolist())
        assert ours.var_rate[0, 0] == pytest.approx(cov[1, 1])


def test_overlap_without_margin_is_iou() -> None:
    boxes = np.array([[10.0, 10.0, 10.0, 10.0]])
    others = np.array(
        [[10, 10, 10, 10], [15, 10, 10, 10], [20, 10, 10, 10], [10, 10, 20, 20]], float
    )
    assert match.overlap(boxes, np.zeros(1), others)[0] == pytest.approx([1, 1 / 3, 0, 1 / 4])


def test_a_margin_lets_boxes_that_do_not_touch_compare() -> None:
    boxes, near = (
        np.array([[10.0, 10.0, 10.0, 10.0]]),
        np.array([[22.0, 10, 10, 10], [24, 10, 10, 10]]),
    )
    nearer, further = match.overlap(boxes, np.array([5.0]), near)[0]
    assert nearer > further > 0


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 99))
def test_assignment_is_one_to_one_and_above_the_least(n: int, m: int, seed: int) -> None:
    likeness = np.random.default_rng(seed).uniform(0, 1, (n, m))
    rows, cols = match.assign(likeness, 0.4)
    assert len(set(rows.tolist())) == len(set(cols.tolist())) == len(rows)
    assert (likeness[rows, cols] >= 0.4).all()


@pytest.mark.parametrize(
    ("off", "shift"),
    [
        ([[9, 9]], None),  # one object that moves is an object that moves
        ([[5, 5], [5, 5]], [5, 5]),
        ([[5, 5], [-5, 5]], None),
        ([[5, 5], [6, 4], [40, -30]], [6, 4]),  # one of three was matched wrongly
        ([[0.5, 0], [0.5, 0]], None),
    ],
)
def test_what_counts_as_a_move_of_the_camera(off: list[list[float]], shift) -> None:
    found = match.common_shift(np.array(off, float), tolerance=1.0)
    assert (None if found is None else found.tolist()) == pytest.approx(shift)
