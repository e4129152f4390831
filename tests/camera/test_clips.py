"""Clips around events: playable, complete, and bounded in memory and on disk."""

import errno
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import nv12
from spotterd.camera import clips as recording
from spotterd.camera.avi import avi
from spotterd.camera.clips import ClipRecorder, tidy, write
from spotterd.camera.open import open_source
from spotterd.camera.ring import Ring, Still
from spotterd.config.schema import Camera, Clips

S = 1_000_000_000


def grey(n: int, size_wh: tuple[int, int] = (64, 48)) -> np.ndarray:
    return np.full((size_wh[1], size_wh[0], 3), n, np.uint8)


def jpeg(n: int) -> bytes:
    return cv2.imencode(".jpg", grey(n))[1].tobytes()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 30), st.floats(0.5, 60))
def test_avi_plays_every_picture_at_its_rate(tmp_path_factory, count: int, fps: float) -> None:
    path = tmp_path_factory.mktemp("avi") / "a.avi"
    content = b"".join(avi([jpeg(8 * n) for n in range(count)], fps, (64, 48)))
    path.write_bytes(content)
    assert int.from_bytes(content[4:8], "little") == len(content) - 8
    source = open_source(Camera(source=str(path)))
    seen = []
    while (shot := source.read(None)) is not None:
        seen.append(round(float(shot.pixels.mean()) / 8))
    assert seen == list(range(count))
    assert abs(source.fps - fps) < 0.01 * fps + 0.01
    source.close()


@given(st.lists(st.integers(0, 3 * S // 10), min_size=1, max_size=60))
@settings(max_examples=30, deadline=None)
def test_the_ring_stays_within_its_time_and_memory(steps: list[int]) -> None:
    ring, at_ns = Ring(2.0, 10, 32, 9_000), 0
    for n, step in enumerate(steps):
        at_ns += step
        ring.add(grey(n % 250), at_ns)
        kept = ring.between(0, at_ns)
        assert ring.bytes <= 9_000
        assert ring.bytes >= sum(len(still.jpeg) for still in kept)
        assert all(at_ns - still.at_ns <= 2 * S for still in kept)
        assert all(still.size_wh == (32, 24) for still in kept)
        gaps = np.diff([still.at_ns for still in kept])
        assert all(gap >= 0.09 * S for gap in gaps)


def test_a_clip_shows_before_and_after_its_event(tmp_path: Path) -> None:
    recorder = ClipRecorder(tmp_path / "roof", Clips(before_s=1, after_s=2))
    path = recorder.event("too-early", 0)
    for n in range(100):
        if n == 50:
            path = recorder.event("e1", n * S // 10)
        recorder.frame(grey(2 * n), n * S // 10)
    recorder.close(30.0)
    assert path == tmp_path / "roof" / "e1.avi"
    shown = play(path)
    assert abs(shown[0] - 40) <= 1
    assert abs(shown[-1] - 70) <= 1
    assert shown == sorted(shown)
    assert len(shown) >= 30
    assert not list(tmp_path.rglob("*.part"))


def test_events_close_together_share_a_clip(tmp_path: Path) -> None:
    recorder = ClipRecorder(tmp_path, Clips(before_s=1, after_s=2))
    paths = []
    for n in range(60):
        if n in (10, 15, 28):
            paths.append(recorder.event(f"e{n}", n * S // 10))
        recorder.frame(grey(n), n * S // 10)
    recorder.close(30.0)
    assert [path.name for path in paths] == ["e10.avi", "e10.avi", "e28.avi"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e10.avi", "e28.avi"]


def test_an_event_at_the_end_is_kept_by_close(tmp_path: Path) -> None:
    recorder = ClipRecorder(tmp_path, Clips())
    for n in range(5):
        recorder.frame(grey(n), n * S // 10)
    path = recorder.event("last", S // 2)
    recorder.close(30.0)
    assert len(play(path)) == 5


def test_the_oldest_clips_go_when_the_disk_space_is_used_up(tmp_path: Path) -> None:
    for n in range(5):
        (tmp_path / f"{n}.avi").write_bytes(b"x" * 100)
        os.utime(tmp_path / f"{n}.avi", ns=(n * S, n * S))
    tidy(tmp_path, 350)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2.avi", "3.avi", "4.avi"]


def test_a_full_disk_costs_the_clip_and_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    with caplog.at_level(logging.WARNING):
        recorder = ClipRecorder(tmp_path / "file", Clips(before_s=0, after_s=0.5))
        for n in range(40):
            if n % 10 == 0:
                recorder.event(f"e{n}", n * S // 10)
            recorder.frame(grey(n), n * S // 10)
        recorder.close(30.0)
    assert recorder.lost == 4
    assert len(caplog.records) == 1


def test_nothing_is_left_of_clips_that_were_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "killed.part").write_bytes(b"half")
    (tmp_path / "stays.part").mkdir()  # stands for a read-only disk

    def full(*_: object) -> Iterator[bytes]:
        yield b"half"
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(recording, "avi", full)
    recorder = ClipRecorder(tmp_path, Clips(before_s=0, after_s=0.5))
    recorder.event("e", 0)
    recorder.frame(grey(1), 0)
    recorder.close(5.0)
    assert recorder.lost == 1
    assert [path.name for path in tmp_path.iterdir()] == ["stays.part"]


def test_a_slow_disk_never_holds_the_frames_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr(recording, "write", lambda *_: go.wait(60))
    recorder = ClipRecorder(tmp_path, Clips(before_s=0, after_s=0.1))
    for n in range(100):
        recorder.event(f"e{n}", n * S)
        recorder.frame(grey(n), n * S + S // 2)
    assert recorder.lost >= 90
    go.set()
    recorder.close(30.0)


@pytest.mark.parametrize("width", [32, 64])
def test_nv12_is_remembered_as_its_bgr(width: int) -> None:
    rings = [Ring(2.0, 10, width, 90_000) for _ in range(2)]
    for ring, picture in zip(rings, (grey(90), nv12(grey(90))), strict=True):
        ring.add(picture, S)
    (mine,), (other,) = (ring.between(0, S) for ring in rings)
    assert mine.size_wh == other.size_wh == (width, width * 3 // 4)
    pictures = [cv2.imdecode(np.frombuffer(one.jpeg, np.uint8), 1) for one in (mine, other)]
    assert cv2.absdiff(*pictures).max() <= 2


def test_one_picture_and_none(tmp_path: Path) -> None:
    write(tmp_path / "none.avi", [])
    assert not (tmp_path / "none.avi").exists()
    write(tmp_path / "one.avi", [Still(5, jpeg(80), (64, 48))])
    assert len(play(tmp_path / "one.avi")) == 1


def play(path: Path) -> list[int]:
    """Half the grey of every frame."""
    source, seen = open_source(Camera(source=str(path))), []
    while (shot := source.read(None)) is not None:
        seen.append(round(float(shot.pixels.mean()) / 2))
    source.close()
    return seen


def test_without_an_event_there_is_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    recorder = ClipRecorder(tmp_path, Clips())
    recorder.frame(grey(1), 0)
    assert threading.active_count() == before
    recorder.close(5.0)
