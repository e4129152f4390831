"""What the meters tell, what they cost, and that memory stays bounded."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotterd.health.meters import MOST_SAMPLES, NS, Meters, QueueFigures, percentiles


def test_nothing_fed_tells_zero_and_no_latency() -> None:
    figures = Meters(started_ns=0).snapshot(5 * NS)
    assert (figures.uptime_s, figures.fps, figures.latency) == (5.0, 0.0, None)
    assert figures.cameras == figures.stages == figures.queues == ()


def test_rates_latencies_and_counts_by_camera() -> None:
    meters = Meters(started_ns=0, span_s=10)
    for n in range(100):
        meters.captured("north")
        meters.done("north", captured_ns=n * NS // 10, now_ns=n * NS // 10 + (n + 1) * 1_000_000)
    meters.dropped("south")
    meters.error()
    figures = meters.snapshot(10 * NS)
    north, south = figures.cameras
    assert (north.name, north.captured, north.dropped, north.done) == ("north", 100, 0, 100)
    assert (south.name, south.dropped, south.fps) == ("south", 1, 0.0)
    assert north.fps == pytest.approx(10, rel=0.02)
    assert figures.fps == north.fps
    assert figures.latency == percentiles([(n + 1) * 1_000_000 for n in range(100)])
    assert figures.errors == 1


def test_a_stalled_camera_leaves_the_window_but_not_the_counts() -> None:
    meters = Meters(started_ns=0, span_s=10)
    meters.done("a", 0, NS)
    meters.took("infer", 0, NS)
    figures = meters.snapshot(60 * NS)
    assert (figures.fps, figures.latency, figures.stages) == (0.0, None, ())
    assert figures.cameras[0].done == 1


def test_rate_in_the_first_seconds_is_not_diluted_by_the_window() -> None:
    meters = Meters(started_ns=100 * NS, span_s=30)
    for n in range(20):
        meters.done("a", 0, 100 * NS + n * NS // 10 + 1)
    assert meters.snapshot(102 * NS).fps == pytest.approx(10)


def test_memory_is_bounded_and_the_rate_stays_true_when_samples_fall_out() -> None:
    meters = Meters(started_ns=0, span_s=30)
    for n in range(3 * MOST_SAMPLES):
        meters.took("infer", n * 1_000_000 - 5, n * 1_000_000)
    kept = meters._stages["infer"]._kept
    assert len(kept) == MOST_SAMPLES
    (stage,) = meters.snapshot(3 * MOST_SAMPLES * 1_000_000).stages
    assert stage.per_s == pytest.approx(1000, rel=0.01)
    assert stage.took.p99_ms == pytest.approx(5e-6)


def test_cpu_time_is_added_up_by_stage() -> None:
    meters = Meters(started_ns=0)
    meters.spent("infer", NS)
    meters.spent("infer", NS // 2)
    assert meters.snapshot(NS).cpu_s == {"infer": 1.5}


def test_queues_are_asked_at_the_snapshot_and_may_feed_meters_meanwhile() -> None:
    meters = Meters(started_ns=0)
    waiting = [1, 2, 3]

    def depth() -> int:
        meters.dropped("a")  # would deadlock if asked under the lock
        return len(waiting)

    meters.watch_queue("outbox", depth)
    assert meters.snapshot(NS).queues == (QueueFigures("outbox", 3),)
    waiting.clear()
    assert meters.snapshot(NS).queues == (QueueFigures("outbox", 0),)


def test_threads_do_not_lose_counts() -> None:
    meters = Meters(started_ns=0)

    def feed() -> None:
        for n in range(5000):
            meters.captured("a")
            meters.done("a", n, n + 1)

    threads = [threading.Thread(target=feed) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        meters.snapshot(NS)
    (camera,) = meters.snapshot(NS).cameras
    assert (camera.captured, camera.done) == (20_000, 20_000)


@given(st.lists(st.integers(0, 10**10), min_size=1))
def test_percentiles_are_samples_in_order(durations: list[int]) -> None:
    found = percentiles(durations)
    known = {d / 1e6 for d in durations}
    assert {found.p50_ms, found.p95_ms, found.p99_ms} <= known
    assert min(known) <= found.p50_ms <= found.p95_ms <= found.p99_ms <= max(known)
    assert sum(d / 1e6 <= found.p95_ms for d in durations) >= 0.95 * len(durations)
