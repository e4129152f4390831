"""The filter against its textbook form, and the measures that association rests on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotterd.tracking import match, motion
from spotterd.tracking.motion import Box, Motion

FRAME_WH = (640, 512)


def box_of_size(size: float, x: float = 10.0, y: float = 10.0) -> Box:
    return Box(x, y, size, size)


def test_the_filter_equals_the_matrix_form() -> None:
    rng = np.random.default_rng(2)
    size = 16.0
    ours = Motion.begin(box_of_size(size, x=100.0), 1000.0)
    state, cov = np.array([100.0, 0.0]), np.diag([ours.x.var_at, ours.x.var_rate])
    for _ in range(30):
        dt = rng.uniform(0.01, 0.5)
        move = np.array([[1, dt], [0, 1]])
        push = (2.0 * size) ** 2 * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        state, cov = move @ state, move @ cov @ move.T + push
        z = state[0] + rng.normal(0, 2)
        ours.predict(dt, 2.0, 1000.0)
        gain = cov[:, 0] / (cov[0, 0] + (motion.CENTRE_NOISE * size) ** 2)
        state = state + gain * (z - state[0])
        cov = cov - np.outer(gain, cov[0])
        ours.correct(box_of_size(size, x=z), 1000.0)
        assert [ours.x.at, ours.x.rate] == pytest.approx(state.tolist())
        assert ours.x.var_rate == pytest.approx(cov[1, 1])


@pytest.mark.parametrize(
    ("other", "iou"),
    [
        (Box(10, 10, 10, 10), 1),
        (Box(15, 10, 10, 10), 1 / 3),
        (Box(10, 15, 10, 10), 1 / 3),
        (Box(20, 10, 10, 10), None),  # they touch, and share nothing
        (Box(10, 20, 10, 10), None),
        (Box(10, 10, 20, 20), 1 / 4),
    ],
)
def test_how_alike_boxes_are_without_margin_is_iou(other: Box, iou: float | None) -> None:
    expected = {} if iou is None else {(0, 0): pytest.approx(iou)}
    assert match.alike([box_of_size(10)], [0.0], [other], 1e-9) == expected


def test_a_margin_lets_boxes_that_do_not_touch_compare() -> None:
    near = [box_of_size(10, x=22), box_of_size(10, x=24)]
    likeness = match.alike([box_of_size(10)], [5.0], near, 1e-9)
    assert likeness[0, 0] > likeness[0, 1] > 0


def test_pairs_below_the_least_are_left_out() -> None:
    assert match.alike([box_of_size(10)], [0.0], [box_of_size(10, x=15)], 0.34) == {}


def test_a_box_that_holds_most_of_a_better_one_repeats_it() -> None:
    boxes = [box_of_size(20), box_of_size(60), box_of_size(20, x=40), box_of_size(20, x=17)]
    assert match.repeats(boxes) == {1, 3}


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 99))
def test_assignment_is_one_to_one_and_no_other_is_better(n: int, m: int, seed: int) -> None:
    values = np.random.default_rng(seed).uniform(0, 1, (n, m))
    likeness = {pair: value for pair, value in np.ndenumerate(values) if value >= 0.4}
    pairs = match.assign(likeness, 0.4)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert likeness.keys() >= set(pairs)
    gain = sum(likeness[pair] - 0.4 for pair in pairs)
    greedy = sorted(likeness, key=likeness.__getitem__, reverse=True)
    while greedy:
        (row, column), *others = greedy
        gain -= likeness[row, column] - 0.4
        greedy = [(r, c) for r, c in others if r != row and c != column]
    assert gain > -1e-9


def test_two_that_want_the_same_one_are_decided_between() -> None:
    assert sorted(match.assign({(0, 0): 0.9, (1, 0): 0.8, (0, 1): 0.7}, 0.2)) == [(0, 1), (1, 0)]
    assert match.assign({(4, 7): 0.3, (5, 7): 0.5}, 0.2) == [(5, 7)]


@pytest.mark.parametrize(
    ("off", "shift"),
    [
        ([(9, 9)], None),  # one object that moves is an object that moves
        ([(5, 5), (5, 5)], (5, 5)),
        ([(5, 5), (-5, 5)], None),
        ([(5, 5), (6, 4), (40, -30)], (6, 4)),  # one of three was matched wrongly
        ([(0.5, 0), (0.5, 0)], None),
    ],
)
def test_what_counts_as_a_move_of_the_camera(
    off: list[tuple[float, float]], shift: tuple[float, float] | None
) -> None:
    assert match.common_shift(off, tolerance=1.0) == shift


@given(*[st.floats(-100, 700)] * 2, *[st.floats(0.1, 900)] * 2)
def test_corners_lie_in_the_frame(x: float, y: float, width: float, height: float) -> None:
    left, top, right, bottom = Box(x, y, width, height).corners(FRAME_WH)
    assert 0 <= left <= right <= FRAME_WH[0]
    assert 0 <= top <= bottom <= FRAME_WH[1]
