"""The camera's state machine: every transition, and what cannot happen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotterd.camera.recovery import (
    LONGEST_PAUSE_S,
    STEADY_NS,
    IllegalTransitionError,
    Recovery,
    State,
    pause_s,
)

MOVES = {
    "picture": lambda was, now: was.picture(now),
    "silent": lambda was, now: was.silent(now, "silent"),
    "lost": lambda was, now: was.lost(now, "lost", 0.5),
    "retry": lambda was, now: was.retry(now),
}
ALLOWED = {
    (State.CONNECTING, "picture"): State.STREAMING,
    (State.CONNECTING, "silent"): State.STALLED,
    (State.CONNECTING, "lost"): State.BACKING_OFF,
    (State.STREAMING, "picture"): State.STREAMING,
    (State.STREAMING, "silent"): State.STALLED,
    (State.STREAMING, "lost"): State.BACKING_OFF,
    (State.STALLED, "picture"): State.STREAMING,
    (State.STALLED, "lost"): State.BACKING_OFF,
    (State.BACKING_OFF, "retry"): State.CONNECTING,
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("move", MOVES)
def test_every_state_and_move(state: State, move: str) -> None:
    was = Recovery(state, since_ns=1)
    wanted = ALLOWED.get((state, move))
    if wanted is None:
        with pytest.raises(IllegalTransitionError, match=move):
            MOVES[move](was, 5)
        return
    now = MOVES[move](was, 5)
    assert now.state is wanted
    assert now.since_ns == (5 if wanted is not state else 1)


def test_failures_add_up_until_pictures_come_steadily() -> None:
    camera = Recovery.start(0)
    for n in range(1, 4):
        camera = camera.lost(n, "away", 0.0)
        assert (camera.failures, camera.reason) == (n, "away")
        camera = camera.retry(camera.retry_ns)
        assert camera.reason == "away"
    camera = camera.picture(9)
    assert (camera.failures, camera.reason) == (3, "")
    assert camera.lost(9 + STEADY_NS - 1, "flaps", 0.0).failures == 4
    assert camera.lost(9 + STEADY_NS, "again", 0.0).failures == 1


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_pauses_are_bounded_and_grow(failures: int, jitter: float) -> None:
    assert 0 < pause_s(failures, jitter) <= LONGEST_PAUSE_S
    assert pause_s(failures, jitter) <= pause_s(failures + 1, jitter)


@given(st.lists(st.sampled_from(sorted(MOVES)), max_size=40))
def test_any_story_keeps_the_invariants(story: list[str]) -> None:
    camera, now_ns = Recovery.start(0), 0
    for move in story:
        now_ns += 1
        if (camera.state, move) not in ALLOWED:
            continue
        camera = MOVES[move](camera, now_ns)
        assert (camera.state is State.BACKING_OFF) == (camera.retry_ns > 0)
        assert camera.since_ns <= now_ns
