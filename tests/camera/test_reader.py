"""A camera that ends, breaks, hangs or comes back; nothing that happens to it reaches others."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from queue import Queue

import numpy as np
import pytest
from typing_extensions import Self

from spotterd.camera.base import CameraStatus, Shot
from spotterd.camera.quality import IS_FROZEN
from spotterd.camera.reader import CameraReader
from spotterd.config.schema import Camera
from spotterd.data import Frame, Image
from spotterd.errors import BadInputError, RetryError

WAIT_S = 30.0
SILENT_S = 1.0


class Scripted:
    """A live source that does what it is told: 'frame', 'hang', 'bug', an error, or 'end'."""

    live = True
    fps = 100.0

    def __init__(self, script: Iterator) -> None:
        self._script = script
        self.aborted = threading.Event()
        self.let_go = threading.Event()
        self.closed = 0

    def read(self, into: Image | None) -> Shot | None:
        step = next(self._script, "frame")
        if isinstance(step, Exception):
            raise step
        if step == "bug":
            return 1 / 0
        if step == "end":
            return None
        if step == "hang":
            self.let_go.wait()  # `abort` does not help: a driver's fault
            return self._shot(into)
        if step == "wait":
            assert self.aborted.wait(WAIT_S)
            raise RetryError("aborted")
        self.aborted.wait(0.002)
        return self._shot(into)

    def _shot(self, into: Image | None) -> Shot:
        now_ns = time.monotonic_ns()
        bgr = np.zeros((4, 4, 3), np.uint8) if into is None else into
        return Shot(bgr, now_ns, now_ns, time.time_ns())

    def abort(self) -> None:
        self.aborted.set()

    def close(self) -> None:
        self.closed += 1


class Rig:
    """A reader on scripted sources, one script an attempt.

    Silence is what a script says it is, not a slow machine: short only where one is silent.
    """

    def __init__(self, *scripts: list, stall_timeout_s: float = WAIT_S, **options: object) -> None:
        self.sources: list[Scripted] = []
        self.frames: Queue[Frame] = Queue()
        self.told: Queue[CameraStatus] = Queue()
        self._scripts = iter(scripts)
        config = Camera(stall_timeout_s=stall_timeout_s, **options)
        self.reader = CameraReader("roof", config, self._take, self.told.put, self._open)

    def _open(self, _config: Camera) -> Scripted:
        script = next(self._scripts, [])
        if isinstance(script, Exception):
            raise script
        self.sources.append(Scripted(iter(script)))
        return self.sources[-1]

    def _take(self, frame: Frame, live: bool) -> None:
        self.frames.put(frame)
        frame.release()

    def wait_for(self, state: str) -> CameraStatus:
        """The next status with that state."""
        while True:
            status = self.told.get(timeout=WAIT_S)
            if status.state == state:
                return status

    def __enter__(self) -> Self:
        self.reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.stop(1.0)
        for source in self.sources:
            source.let_go.set()


def test_frames_are_numbered_and_the_camera_is_told_online() -> None:
    with Rig() as rig:
        assert rig.wait_for("offline").reason == "Connecting."
        status = rig.wait_for("online")
        assert (status.reason, status.since_ns > 0) == ("", True)
        assert [rig.frames.get(timeout=WAIT_S).seq for _ in range(5)] == [0, 1, 2, 3, 4]
    assert rig.reader.ended.is_set()
    assert rig.sources[0].closed == 1


def test_buffers_are_lent_again() -> None:
    with Rig() as rig:
        for _ in range(50):
            rig.frames.get(timeout=WAIT_S)
    assert rig.reader.pool.misses <= 2


def test_a_camera_that_goes_is_opened_again(caplog: pytest.LogCaptureFixture) -> None:
    away = RetryError("No such camera.")
    with caplog.at_level(logging.INFO), Rig(["frame", RetryError("Unplugged.")], away) as rig:
        rig.wait_for("online")
        assert rig.wait_for("offline").reason == "Unplugged."
        rig.wait_for("online")
    assert rig.reader.reconnects == 1
    levels = [record.levelname for record in caplog.records]
    assert levels == ["WARNING", "INFO"]  # the second failure is not news
    assert "back after" in caplog.records[-1].message


@pytest.mark.parametrize("fault", ["bug", "wait", "hang"])
def test_bugs_and_silence_are_recovered_from(fault: str) -> None:
    with Rig(["frame", fault], stall_timeout_s=SILENT_S) as rig:
        rig.wait_for("online")
        rig.wait_for("online")
        assert rig.reader.reconnects == 1
        assert rig.reader.hung == (fault == "hang")
        assert len(rig.sources) == 2


def test_silence_is_told_as_stalled() -> None:
    with Rig(["frame", "wait"], stall_timeout_s=0.2) as rig:
        assert "No picture for 0.2 s" in rig.wait_for("stalled").reason


def test_a_read_that_comes_back_late_gives_no_frame_and_closes_its_source() -> None:
    with Rig(["frame", "hang"], stall_timeout_s=SILENT_S) as rig:
        rig.wait_for("stalled")
        rig.wait_for("online")
        late = rig.sources[0]
        before = [rig.frames.get(timeout=WAIT_S).captured_ns for _ in range(3)]
        late.let_go.set()
        until(lambda: late.closed == 1 and rig.reader.hung == 0)
        assert before == sorted(before)


def test_a_dead_driver_is_not_given_ever_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spotterd.camera.reader.GRACE_S", 0.01)
    hang = ["frame", "hang"]
    with Rig(hang, hang, hang, hang, hang, stall_timeout_s=0.05) as rig:
        until(lambda: rig.reader.hung == 4)
        assert not rig.reader.ended.wait(0.5)
        assert len(rig.sources) == 4
        rig.sources[0].let_go.set()
        until(lambda: len(rig.sources) == 5)


def test_stop_keeps_its_time_although_a_read_hangs() -> None:
    rig = Rig(["frame", "hang"], stall_timeout_s=30)
    rig.reader.start()
    rig.frames.get(timeout=WAIT_S)
    began = time.monotonic()
    rig.reader.stop(0.2)
    assert time.monotonic() - began < WAIT_S / 3  # it hangs for ever
    assert rig.reader.ended.is_set()
    assert rig.reader.hung == 1
    rig.sources[0].let_go.set()


def test_the_end_of_a_recording() -> None:
    with Rig(["frame", "frame", "end"]) as rig:
        assert rig.reader.ended.wait(WAIT_S)
        assert rig.reader.error is None
        rig.wait_for("online")
        assert rig.wait_for("offline").reason == "The recording is over."
        assert rig.reader.frames == 2


def test_what_can_never_work_is_not_tried_again() -> None:
    with Rig(BadInputError("No such file.")) as rig:
        assert rig.reader.ended.wait(WAIT_S)
        assert str(rig.reader.error) == "No such file."
        assert len(rig.sources) == 0


def test_progress_goes_on_while_downstream_is_slow_and_stops_with_the_camera() -> None:
    blocked = threading.Event()
    config = Camera(stall_timeout_s=0.05)
    sources = [Scripted(iter([])), Scripted(iter(["hang"]))]
    opened = iter(sources)
    told: Queue[CameraStatus] = Queue()
    reader = CameraReader(
        *("roof", config, lambda _frame, _live: blocked.wait(WAIT_S), told.put),
        lambda _config: next(opened),
    )
    reader.start()
    until(lambda: reader.frames == 1)
    began = time.monotonic_ns()
    assert not reader.ended.wait(0.3)  # six times the stall time-out
    until(lambda: reader.progress_ns > began)
    assert all(status.state != "stalled" for status in told.queue)
    blocked.set()
    reader.stop(1.0)


def test_a_frozen_camera_is_opened_again_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spotterd.camera.quality.FROZEN_NS", 200_000_000)
    with Rig() as rig:  # its pictures are all the same, however often it is opened
        rig.wait_for("online")
        assert rig.wait_for("online").warnings == (IS_FROZEN,)
        assert rig.wait_for("offline").reason == IS_FROZEN
        assert rig.wait_for("online").warnings == (IS_FROZEN,)
        before = rig.reader.frames
        until(lambda: rig.reader.frames > before + 100)
        assert len(rig.sources) == 2


def test_max_fps_thins_a_camera_out() -> None:
    with Rig(max_fps=20) as rig:
        stamps = [rig.frames.get(timeout=WAIT_S).captured_ns for _ in range(8)]
        until(lambda: rig.reader.vitals().fps > 25)
    assert np.mean(np.diff(stamps)) > 45e6  # after a late one the next may come early
    assert rig.reader.frames > 8
    assert rig.reader.vitals().age_ns < WAIT_S * 1e9


def test_a_recording_is_read_as_fast_as_it_is_taken_and_in_order() -> None:
    seen: list[int] = []
    reader = CameraReader(
        "clip",
        Camera(source="sim:?live=0&seconds=100&size=64x48&fps=1"),
        lambda frame, live: (seen.append(frame.stream_ns), frame.release(), live)[2],
        lambda _status: None,
    )
    began = time.monotonic()
    reader.start()
    assert reader.ended.wait(WAIT_S)
    assert time.monotonic() - began < WAIT_S  # of its 100 s
    assert seen == [n * 1_000_000_000 for n in range(100)]


def test_no_threads_stay() -> None:
    before = set(threading.enumerate())  # some may be those of other tests, about to end
    for _ in range(3):
        with Rig(["frame", RetryError("x")]) as rig:
            rig.wait_for("online")
    until(lambda: set(threading.enumerate()) <= before)


def until(true: Callable[[], bool]) -> None:
    """Wait for something that nobody tells."""
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)
