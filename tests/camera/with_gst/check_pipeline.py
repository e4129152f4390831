"""Real pipelines: formats, stamps, and every way they end."""

import logging
import threading
import time
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest

from spotterd.camera.gstreamer import Pipeline, has_element
from spotterd.camera.open import open_source
from spotterd.camera.pipelines import custom_pipeline, rtsp_pipeline
from spotterd.camera.stamps import OLDEST_NS
from spotterd.camera.survey import take_picture
from spotterd.config.schema import Camera
from spotterd.data import is_nv12, size_of
from spotterd.errors import BadInputError, RetryError
from spotterd.vision.pixels import as_bgr

BLUE = "videotestsrc is-live=true pattern=blue"


@pytest.mark.parametrize("size", [(64, 48), (322, 200), (642, 362)])
@pytest.mark.parametrize("form", ["NV12", "BGR", "BGRx", "YUY2", "I420", "GRAY8"])
def test_every_format_comes_as_nv12_or_bgr_in_the_lent_buffer(
    form: str, size: tuple[int, int]
) -> None:
    width, height = size
    source = Pipeline(
        custom_pipeline(f"{BLUE} ! video/x-raw,format={form},width={width},height={height}"), "test"
    )
    try:
        buffer = np.empty_like(source.read(None).pixels)
        assert is_nv12(buffer) == (form in {"NV12", "I420"})
        tracemalloc.start()
        shot = source.read(buffer)
        assert tracemalloc.get_traced_memory()[1] < 50_000  # nothing of a frame's size
        assert shot.pixels is buffer
        bgr = as_bgr(buffer)
        assert bgr.shape == (height, width, 3)
        if form != "GRAY8":
            assert np.abs(bgr.reshape(-1, 3).mean(0) - (255, 0, 0)).max() < 4
        assert bgr.std(axis=(0, 1)).max() < 1  # no row is skewed
    finally:
        tracemalloc.stop()
        source.close()


def test_an_odd_last_row_and_column_of_nv12_are_left_out() -> None:
    source = open_source(
        Camera(source=f"gst:{BLUE} ! video/x-raw,format=NV12,width=321,height=241")
    )
    pixels = source.read(None).pixels
    source.close()
    assert size_of(pixels) == (320, 240)
    assert as_bgr(pixels).std(axis=(0, 1)).max() < 1


def test_stamps_are_of_the_capture_not_of_the_reading() -> None:
    late = "video/x-raw,framerate=5/1 ! identity sleep-time=150000"
    source = open_source(Camera(source=f"gst:{BLUE} ! {late}"))
    shots = [source.read(None) for _ in range(3)]
    assert 0.15e9 <= time.monotonic_ns() - shots[-1].captured_ns < OLDEST_NS
    assert 0.15e9 <= time.time_ns() - shots[-1].wall_ns < OLDEST_NS
    source.close()


def test_stamps_are_of_the_monotonic_clock_and_grow() -> None:
    source = open_source(Camera(source=f"gst:{BLUE} ! video/x-raw,framerate=50/1"))
    shots = [source.read(None) for _ in range(10)]
    assert 0 <= time.monotonic_ns() - shots[-1].captured_ns < 10e9
    steps = np.diff([shot.captured_ns for shot in shots]) / 1e6
    assert abs(np.median(steps) - 20) < 3
    assert source.fps == 50
    assert abs(shots[-1].wall_ns - time.time_ns()) < 10e9
    source.close()


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        (f"{BLUE} num-buffers=3", "ended its stream"),
        (f"{BLUE} ! identity error-after=3", "failed: .*identity"),
        ("v4l2src device=/dev/video97", "failed: Cannot identify device"),
    ],
)
def test_the_end_of_a_pipeline_is_a_reason_to_open_it_again(pipeline: str, said: str) -> None:
    with pytest.raises(RetryError, match=said):
        drain(f"gst:{pipeline}")


@pytest.mark.parametrize("pipeline", ["nonsense ! fakesink", "videotestsrc pattern=nothing", ""])
def test_what_is_no_pipeline_is_the_users_mistake(pipeline: str) -> None:
    with pytest.raises(BadInputError, match="is no pipeline"):
        drain(f"gst:{pipeline}")


def test_a_silent_pipeline_is_left_by_abort() -> None:
    source = open_source(Camera(source=f"gst:{BLUE} ! valve drop=true"))
    threading.Timer(0.1, source.abort).start()
    began = time.monotonic()
    with pytest.raises(RetryError, match="is silent"):
        source.read(None)
    assert time.monotonic() - began < 10.0
    source.close()


def test_no_thread_or_pipeline_stays_after_close() -> None:
    before = set(threading.enumerate())  # the timer of another check may be about to end
    for _ in range(10):
        source = open_source(Camera(source=f"gst:{BLUE}"))
        source.read(None)
        source.close()
        source.close()
    assert set(threading.enumerate()) <= before


def test_a_password_shows_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    pipeline = custom_pipeline("rtspsrc location=rtsp://user:hidden@127.0.0.1:1/x ! decodebin")
    with caplog.at_level(logging.DEBUG), pytest.raises(RetryError) as told:
        Pipeline(pipeline, "roof").read(None)
    assert "hidden" not in str(told.value) + caplog.text


def test_the_pipeline_of_a_network_camera_parses() -> None:
    Pipeline(rtsp_pipeline('rtsp://u:p"w\\@127.0.0.1:1/x?a=1&b', "udp", jetson=False), "x").close()


def test_elements_are_asked_for_by_name() -> None:
    assert has_element("videotestsrc")
    assert not has_element("nvv4l2decoder-of-nobody")


def test_the_doctors_picture_is_whole(tmp_path: Path) -> None:
    camera = Camera(source=f"gst:{BLUE} ! video/x-raw,format=NV12,width=320,height=240")
    taken = take_picture("roof", camera, tmp_path)
    picture = cv2.imread(str(taken.path))
    assert picture.shape == (240, 320, 3)
    assert np.abs(picture.reshape(-1, 3).mean(0) - (255, 0, 0)).max() < 4


def drain(source: str) -> None:
    opened = open_source(Camera(source=source))
    try:
        for _ in range(100):
            opened.read(None)
    finally:
        opened.close()
