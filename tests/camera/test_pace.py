"""`max_fps` keeps its promise on regular, jittery and fast cameras."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotterd.camera.pace import Pace, Rate

S = 1_000_000_000


@pytest.mark.parametrize(
    ("camera_fps", "max_fps", "wanted"),
    [(30, 0, 30), (30, 30, 30), (30, 60, 30), (30, 10, 10), (30, 20, 20), (60, 7, 7), (25, 1, 1)],
)
def test_live_frames_are_thinned(camera_fps: int, max_fps: float, wanted: int) -> None:
    pace = Pace(max_fps)
    passed = sum(pace.passes(n * S // camera_fps + 7 * S) for n in range(camera_fps * 10))
    assert abs(passed - wanted * 10) <= wanted * 0.1 + 1


@given(st.lists(st.integers(-4_000_000, 4_000_000), min_size=50, max_size=50))
def test_jitter_costs_no_frame_at_the_cameras_own_rate(jitter_ns: list[int]) -> None:
    pace = Pace(30)
    assert all(pace.passes(S + n * S // 30 + late) for n, late in enumerate(jitter_ns))


def test_a_recording_is_held_back_and_catches_up_nothing_after_a_pause() -> None:
    pace = Pace(10)
    assert pace.wait_ns(5 * S) == 0
    assert pace.wait_ns(5 * S) == S // 10
    assert pace.wait_ns(9 * S) == 0
    assert pace.wait_ns(9 * S) == S // 10
    assert Pace(0).wait_ns(5 * S) == 0


def test_the_rate_is_smooth_and_falls_when_nothing_comes() -> None:
    rate = Rate()
    assert rate.fps(0) == 0
    assert rate.age_ns(5) is None
    for n in range(1, 100):
        rate.step(n * S // 25 + (n % 2) * 2_000_000)
    now_ns = 99 * S // 25
    assert abs(rate.fps(now_ns) - 25) < 1
    assert abs(rate.fps(now_ns + 2 * S) - 0.5) < 0.1
