"""What a track promises: one id an object, through misses, gaps, shake, bad clocks and nonsense."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotterd.config.schema import Detector, Tracking
from spotterd.data import Detections, Tracks
from spotterd.tracking.params import Params
from spotterd.tracking.tracker import Tracker

WH = (640, 512)
SECOND = 1_000_000_000
AIRPLANE, BIRD = 0, 3


def seen(*rows: tuple[float, ...], label: int = AIRPLANE) -> Detections:
    """Detections of (centre x, centre y, size, score)."""
    table = np.array(rows, np.float32).reshape(-1, 4)
    centre, half = table[:, :2], table[:, 2:3] / 2
    labels = np.full(len(table), label)
    return Detections(np.hstack((centre - half, centre + half)), table[:, 3], labels)


def fly(
    tracker: Tracker, times_s, at=lambda t: (100 + 60 * t, 200.0), size=20, score=0.8
) -> Tracks:
    """Show one object at each time; the last tracks."""
    for t in times_s:
        tracks = tracker.step(seen((*at(t), size, score)), int(t * SECOND), WH)
    return tracks


def test_the_configuration_and_the_parameters_have_the_same_defaults() -> None:
    assert Params.of(Tracking(), Detector()) == Params()
    lower = Params.of(Tracking(), Detector(score=0.2))
    assert (lower.high_score, lower.confirm_score) == (0.2, 0.2)
    assert Params.of(Tracking(confirm_score=0.6), Detector()).confirm_score == 0.6


@pytest.mark.parametrize("fps", [2, 5, 15, 30, 60])
def test_an_object_is_one_track_with_its_speed_at_any_frame_rate(fps: int) -> None:
    tracks = fly(Tracker(Params()), np.arange(0, 4, 1 / fps))
    assert tracks.id.tolist() == [1]
    assert tracks.confirmed.all()
    assert tracks.seen.all()
    assert tracks.velocity[0] == pytest.approx([60, 0], abs=6)


def test_a_tiny_object_that_moves_twice_its_size_a_frame_stays_one_track() -> None:
    tracks = fly(Tracker(Params()), np.arange(0, 2, 0.1), lambda t: (50 + 200 * t, 300), size=10)
    assert tracks.id.tolist() == [1]


def test_confirmation_takes_hits_age_and_score() -> None:
    def confirmed(times, score=0.8, **params) -> bool:
        return bool(fly(Tracker(Params(**params)), times, score=score).confirmed[0])

    assert not confirmed([0, 0.1, 0.2])
    assert confirmed([0, 0.1, 0.2, 0.3])
    assert not confirmed([0, 0.3])
    assert not confirmed([0, 0.1, 0.2, 0.3], score=0.38, confirm_score=0.4)
    assert confirmed([0], confirm_hits=1, confirm_s=0) is False  # the first sighting begins it
    assert confirmed([0, 0.01], confirm_hits=1, confirm_s=0)


def test_weak_sightings_prolong_a_track_and_begin_none() -> None:
    tracker = Tracker(Params())
    assert len(fly(tracker, [0, 0.1], score=0.2)) == 0
    fly(tracker, np.arange(0.2, 1, 0.1))
    assert fly(tracker, np.arange(1, 5, 0.1), score=0.12).id.tolist() == [1]
    assert not fly(tracker, [5.0], score=0.05).seen.any()


@pytest.mark.parametrize(("gap_s", "same"), [(0.5, True), (1.5, True), (2.5, False)])
def test_an_object_is_found_again_after_a_short_loss(gap_s: float, same: bool) -> None:
    tracker = Tracker(Params())
    fly(tracker, np.arange(0, 2, 0.1))
    for t in np.arange(2, 2 + gap_s, 0.1):
        lost = tracker.step(Detections.empty(), int(t * SECOND), WH)
    assert not lost.seen.any()
    back = fly(tracker, [2 + gap_s])
    assert (back.id.tolist() == [1]) is same


def test_unseen_tracks_move_on_and_end_in_time() -> None:
    tracker = Tracker(Params(lost_s=1.0))
    before = fly(tracker, np.arange(0, 2, 0.1))
    later = tracker.step(Detections.empty(), int(2.8 * SECOND), WH)
    assert later.xyxy[0, 0] - before.xyxy[0, 0] == pytest.approx(60 * 0.9, abs=8)
    assert len(tracker.step(Detections.empty(), 3 * SECOND, WH)) == 0


def test_who_left_over_an_edge_is_not_taken_for_the_next_who_comes_in() -> None:
    tracker = Tracker(Params())
    fly(tracker, np.arange(0, 2, 0.1), lambda t: (520 + 60 * t, 200))
    gone = [tracker.step(Detections.empty(), int(t * SECOND), WH) for t in np.arange(2, 2.8, 0.1)]
    assert [len(tracks) for tracks in (gone[0], gone[-1])] == [1, 0]
    other = fly(tracker, np.arange(2.8, 4, 0.1), lambda t: (800 - 60 * t, 210))
    assert other.id.tolist() == [2]


def test_trackers_that_follow_one_another_give_no_number_twice() -> None:
    ids = itertools.count(1)
    before = fly(Tracker(Params(), ids), np.arange(0, 1, 0.1))
    after = fly(Tracker(Params(), ids), np.arange(0, 1, 0.1))
    assert (before.id.tolist(), after.id.tolist()) == ([1], [2])


def test_a_glimpse_is_forgotten_soon() -> None:
    tracker = Tracker(Params())
    fly(tracker, [0])
    assert len(tracker.step(Detections.empty(), int(0.29 * SECOND), WH)) == 1
    assert len(tracker.step(Detections.empty(), int(0.31 * SECOND), WH)) == 0


def test_an_object_seen_as_two_classes_and_sizes_is_one_track() -> None:
    tracker = Tracker(Params())
    for n in range(10):
        both = Detections(
            np.array([[100, 100, 130, 120], [101, 99, 131, 121], [95, 90, 140, 130]], np.float32),
            np.array([0.7, 0.6, 0.5], np.float32),
            np.array([AIRPLANE, 2, 2]),
        )
        tracks = tracker.step(both, n * SECOND // 10, WH)
    assert tracks.id.tolist() == [1]
    assert tracks.label.tolist() == [AIRPLANE]


def test_a_settled_class_outlives_mistakes_and_gives_in_to_persistence() -> None:
    tracker = Tracker(Params(label_hold_s=1.0))
    for n in range(100):
        label = BIRD if n % 10 in (0, 3, 7) else AIRPLANE
        tracks = tracker.step(seen((100, 100, 30, 0.8), label=label), n * SECOND // 10, WH)
    assert tracks.label.tolist() == [AIRPLANE]
    labels = [
        tracker.step(seen((100, 100, 30, 0.8), label=BIRD), n * SECOND // 10, WH).label[0]
        for n in range(100, 120)
    ]
    assert AIRPLANE in labels[:8]
    assert labels[-1] == BIRD


@pytest.mark.parametrize("jump_s", [-1e9, -1.0, 0.0, 1.9])
def test_clock_jumps_do_not_break_a_track(jump_s: float) -> None:
    tracker = Tracker(Params())
    fly(tracker, np.arange(0, 1, 0.1), lambda t: (300, 300))
    after = fly(tracker, jump_s + np.arange(1, 2, 0.1), lambda t: (300, 300))
    assert after.id.tolist() == [1]
    assert np.isfinite(after.velocity).all()


def test_a_gap_longer_than_the_loss_and_a_new_frame_size_begin_anew() -> None:
    tracker = Tracker(Params(lost_s=2.0))
    fly(tracker, [0, 0.1, 0.2, 0.3], lambda t: (300, 300))
    assert fly(tracker, [2.4], lambda t: (300, 300)).id.tolist() == [2]
    other = tracker.step(seen((300, 300, 20, 0.8)), int(2.5 * SECOND), (1280, 720))
    assert other.id.tolist() == [3]
    tracker.reset()
    assert len(tracker.step(Detections.empty(), int(2.6 * SECOND), (1280, 720))) == 0


def test_nonsense_of_a_broken_model_is_left_out() -> None:
    tracker = Tracker(Params())
    nan, inf = np.nan, np.inf
    broken = Detections(
        np.array(
            [[nan, 0, 9, 9], [0, 0, inf, 9], [9, 9, 9, 20], [30, 30, 20, 20], [100, 100, 120, 120]],
            np.float32,
        ),
        np.array([0.9, 0.9, 0.9, 0.9, 0.8], np.float32),
        np.zeros(5, np.int64),
    )
    for n in range(5):
        tracks = tracker.step(broken, n * SECOND // 10, WH)
    assert tracks.xyxy.round().tolist() == [[100, 100, 120, 120]]
    broken.score[:] = nan
    assert not tracker.step(broken, SECOND, WH).seen.any()


def test_parameters_may_change_while_tracks_go_on() -> None:
    tracker = Tracker(Params())
    fly(tracker, np.arange(0, 1, 0.1))
    tracker.params = replace(tracker.params, high_score=0.95, low_score=0.5)
    assert fly(tracker, np.arange(1, 2, 0.1)).id.tolist() == [1]


def test_shake_moves_all_tracks_and_throws_none() -> None:
    rng = np.random.default_rng(3)
    tracker = Tracker(Params())
    for n in range(120):
        dx, dy = rng.normal(0, 12, 2)  # more than the objects' 12 pixels
        rows = [(x + dx, y + dy, 12, 0.8) for x, y in ((100, 100), (300, 150), (500, 400))]
        tracks = tracker.step(seen(*rows), n * SECOND // 30, WH)
        if n > 30:
            centres = (tracks.xyxy[:, :2] + tracks.xyxy[:, 2:]) / 2
            nearest = np.abs(centres[:, None] - np.array(rows)[None, :, :2]).max(2).min(0)
            assert nearest.max() < 6
    assert tracks.confirmed.sum() == 3
    assert np.abs(tracks.velocity[tracks.confirmed]).max() < 60


def test_a_camera_that_turns_fast_keeps_its_only_object() -> None:
    """As the cameraman of V_AIRPLANE_020 does: +2, then -28 pixels a frame, within 5 frames."""
    tracker, x = Tracker(Params()), 300.0
    for n in range(90):
        x += 2 - 30 * float(np.clip((n - 40) / 5, 0, 1)) if n < 50 else 2
        tracks = tracker.step(seen((x, 200, 30, 0.8)), n * SECOND // 30, WH)
    assert tracks.id.tolist() == [1]


def test_a_formation_is_not_taken_for_shake_for_long() -> None:
    tracker = Tracker(Params())
    for n in range(90):
        x = 50 + 150 * n / 30
        tracks = tracker.step(seen((x, 100, 15, 0.8), (x, 300, 15, 0.8)), n * SECOND // 30, WH)
    assert tracks.id.tolist() == [1, 2]
    assert tracks.velocity[:, 0] == pytest.approx([150, 150], abs=10)


DETECTIONS = st.lists(
    st.tuples(
        st.floats(-50, 700, width=32),
        st.floats(-50, 600, width=32),
        st.floats(0, 900, width=32) | st.just(np.nan),
        st.floats(0, 1, width=32),
    ),
    max_size=12,
)
STEPS = st.lists(st.tuples(st.integers(-(10**10), 10**10), DETECTIONS), min_size=1, max_size=12)


@given(STEPS, st.floats(0.01, 5), st.floats(0.1, 100))
@settings(max_examples=30, deadline=None)
def test_whatever_comes_tracks_are_finite_in_the_frame_and_unique(steps, reach, agility) -> None:
    tracker = Tracker(Params(reach=reach, agility=agility, confirm_hits=1, confirm_s=0))
    confirmed: set[int] = set()
    youngest, now = 0, 0
    for step_ns, rows in steps:
        now += step_ns
        tracks = tracker.step(seen(*rows), now, WH)
        for column in (tracks.xyxy, tracks.score, tracks.velocity):
            assert np.isfinite(column).all()
        assert (tracks.xyxy >= 0).all()
        assert (tracks.xyxy <= [*WH, *WH]).all()
        assert (np.diff(tracks.id) > 0).all()
        fresh = set(tracks.id.tolist()) - set(range(1, youngest + 1))
        youngest = max([youngest, *tracks.id.tolist()])
        assert all(n > youngest - len(fresh) for n in fresh)
        still = confirmed & set(tracks.id.tolist())
        confirmed = set(tracks.id[tracks.confirmed].tolist())
        assert still <= confirmed


def test_a_hundred_detections_are_a_hundred_tracks() -> None:
    rng = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(np.arange(10) * 60 + 30, np.arange(10) * 50 + 25), -1).reshape(
        -1, 2
    )
    tracker = Tracker(Params())
    for n in range(20):
        rows = [(*(xy + rng.normal(0, 1, 2)), 20, 0.8) for xy in grid]
        tracks = tracker.step(seen(*rows), n * SECOND // 20, WH)
    assert tracks.id.tolist() == list(range(1, 101))
