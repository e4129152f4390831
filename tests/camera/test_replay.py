"""Recordings: every frame, in order, with their own clock; bad files in one sentence."""

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from spotterd.camera.base import Source
from spotterd.camera.open import open_source
from spotterd.camera.opencv import open_ffmpeg
from spotterd.config.schema import Camera
from spotterd.errors import BadInputError


def write_video(path: Path, frames: int = 12, fps: float = 20.0) -> Path:
    """Frame n is one grey, 20 * n up to 240, so that its number can be read back."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, (64, 48))
    for n in range(frames):
        writer.write(np.full((48, 64, 3), min(20 * n, 240), np.uint8))
    writer.release()
    return path


def write_picture(path: Path, grey: int) -> None:
    path.write_bytes(cv2.imencode(path.suffix, np.full((8, 8, 3), grey, np.uint8))[1].tobytes())


def drain(source: Source) -> list[tuple[int, int]]:
    """(grey / 20, stream_ns) of every frame."""
    seen = []
    while (shot := source.read(None)) is not None:
        seen.append((round(float(shot.pixels.mean()) / 20), shot.stream_ns))
    source.close()
    source.close()
    return seen


def test_a_video_gives_every_frame_in_order_with_its_position(tmp_path: Path) -> None:
    path = write_video(tmp_path / "ünï 飛行.avi")
    source = open_source(Camera(source=str(path)))
    assert (source.live, source.fps) == (False, 20.0)
    seen = drain(source)
    assert [n for n, _ in seen] == list(range(12))
    assert [round(ns / 1e6) for _, ns in seen] == [50 * n for n in range(12)]


def test_a_video_is_decoded_into_the_lent_buffer(tmp_path: Path) -> None:
    source = open_source(Camera(source=str(write_video(tmp_path / "a.avi"))))
    buffer = np.empty((48, 64, 3), np.uint8)
    for _ in range(3):
        assert source.read(buffer).pixels is buffer
    assert source.read(np.empty((2, 2, 3), np.uint8)).pixels.shape == (48, 64, 3)


def test_a_loop_goes_on_with_its_clock(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", frames=3)
    source = open_source(Camera(source=str(path), loop=True))
    shots = [source.read(None) for _ in range(8)]
    assert [round(shot.pixels.mean() / 20) for shot in shots] == [0, 1, 2, 0, 1, 2, 0, 1]
    assert [round(shot.stream_ns / 1e6) for shot in shots] == [50 * n for n in range(8)]


def test_a_folder_is_read_in_natural_order_and_text_is_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for n in (10, 9, 2):
        write_picture(tmp_path / f"bild{n}é.png", 20 * n)
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "more.txt").write_text("not a picture")
    damaged = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()[:20]
    (tmp_path / "bild3.png").write_bytes(damaged)
    with caplog.at_level(logging.WARNING):
        seen = drain(open_source(Camera(source=str(tmp_path), max_fps=10)))
    assert [n for n, _ in seen] == [2, 9, 10]
    assert [ns // 10**6 for _, ns in seen] == [0, 100, 200]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("size", [(1, 1), (4320, 7680)])
def test_a_picture_may_be_tiny_or_huge(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "one.png"
    path.write_bytes(cv2.imencode(".png", np.zeros((*size, 3), np.uint8))[1].tobytes())
    source = open_source(Camera(source=str(path)))
    assert source.read(None).pixels.shape == (*size, 3)
    assert source.read(None) is None


def test_a_cut_off_video_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_video(tmp_path / "a.avi", frames=40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    seen = drain(open_source(Camera(source=str(path))))
    assert 0 < len(seen) < 40


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.mp4", None, "No such file"),
        ("zero.mp4", b"", "is empty"),
        ("text.mp4", b"hello " * 500, "is not a video"),
        ("head.mp4", b"\x00\x00\x00\x20ftypisom" + b"\x00" * 400, "is not a video"),
        ("bad.png", b"\x89PNG\r\n\x1a\n" + b"x" * 50, "can be decoded"),
    ],
)
def test_bad_files_get_one_sentence(
    tmp_path: Path, name: str, content: bytes | None, said: str, capfd: pytest.CaptureFixture
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInputError, match=said) as told:
        open_source(Camera(source=str(path))).read(None)
    assert name in str(told.value)
    assert capfd.readouterr().err == ""


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(BadInputError, match="holds no picture"):
        open_source(Camera(source=str(tmp_path)))


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (6, 3)])
def test_decoding_leaves_half_of_the_cores_to_inference(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int
) -> None:
    asked: list[list[int]] = []
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(cores)))
    monkeypatch.setattr(cv2, "VideoCapture", lambda _what, _how, options: asked.append(options))
    open_ffmpeg("clip.mp4")
    assert asked == [[cv2.CAP_PROP_N_THREADS, threads]]
