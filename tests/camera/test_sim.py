"""The made-up sky: the same for the same seed, true to its truth, and cheap."""

import threading
import time
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotterd.camera.sim import LABELS, Sim, open_sim
from spotterd.errors import RetryError


def test_the_same_seed_gives_the_same_sky() -> None:
    one, two, other = (open_sim(f"sim:?live=0&seed={seed}") for seed in (5, 5, 6))
    for seq in (0, 77):
        assert np.array_equal(one.render(seq), two.render(seq))
    assert not np.array_equal(one.render(0), other.render(0))


def test_frames_are_drawn_into_the_lent_buffer_and_differ() -> None:
    sim = open_sim("sim:?live=0&craft=0")
    buffer = np.empty((512, 640, 3), np.uint8)
    assert sim.read(buffer).pixels is buffer
    before = buffer.copy()
    assert not np.array_equal(sim.read(buffer).pixels, before)  # a sensor is never quite still


@lru_cache
def sky(craft: int) -> Sim:
    return open_sim(f"sim:?live=0&craft={craft}")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 5000), st.integers(1, 6))
def test_truth_boxes_hold_what_was_drawn(seq: int, craft: int) -> None:
    sim, empty = sky(craft), sky(0)
    truth = sim.truth(seq)
    assert len(truth.id) == len(truth.label) == len(truth.xyxy) == len(set(truth.id))
    assert set(truth.label) <= set(LABELS)
    drawn = np.abs(sim.render(seq).astype(int) - empty.render(seq)).max(axis=2) > 12
    for x0, y0, x1, y1 in truth.xyxy:
        assert 0 <= x0 < x1 <= 640
        assert 0 <= y0 < y1 <= 512
        inside = drawn[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))]
        assert inside.mean() > 0.1
    for x0, y0, x1, y1 in truth.xyxy:  # only now: craft may overlap
        drawn[max(0, int(y0) - 3) : int(y1) + 4, max(0, int(x0) - 3) : int(x1) + 4] = False
    ys, xs = np.nonzero(drawn)  # the rest: craft that are less than half in view
    assert all(x < 60 or x > 580 or y < 60 or y > 452 for x, y in zip(xs, ys, strict=True))


def test_craft_move_a_little_from_frame_to_frame() -> None:
    sim = open_sim("sim:?live=0&craft=4")
    for seq in range(300):
        before, after = sim.truth(seq), sim.truth(seq + 1)
        for number, box in zip(before.id, before.xyxy, strict=True):
            if number in after.id:
                moved = after.xyxy[list(after.id).index(number)] - box
                assert np.abs(moved).max() < 25


def test_a_recording_ends_and_keeps_its_own_clock() -> None:
    sim = open_sim("sim:?live=0&fps=10&seconds=0.5&size=64x48")
    stamps = []
    while (shot := sim.read(None)) is not None:
        stamps.append(shot.stream_ns)
    assert stamps == [n * 100_000_000 for n in range(5)]


def test_live_keeps_its_rate() -> None:
    sim = open_sim("sim:?fps=100&size=64x48")
    began = time.monotonic()
    for _ in range(30):
        shot = sim.read(None)
        assert shot.stream_ns == shot.captured_ns
    assert 0.28 < time.monotonic() - began < 10.0


def test_abort_ends_a_waiting_read() -> None:
    sim = open_sim("sim:?fps=0.01&size=64x48")
    sim.read(None)
    threading.Timer(0.05, sim.abort).start()
    with pytest.raises(RetryError):
        sim.read(None)
