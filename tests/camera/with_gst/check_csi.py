"""The Jetson's pipeline, unmodified, on elements with the Jetson's names."""

import time
from collections.abc import Iterator
from queue import Queue

import pytest
from gi.repository import GLib, Gst

from spotterd.camera import argus
from spotterd.camera.argus import CsiCamera, Wedge, open_csi
from spotterd.camera.base import CameraStatus
from spotterd.camera.open import open_source
from spotterd.camera.reader import CameraReader
from spotterd.config.schema import Camera
from spotterd.data import is_nv12, size_of
from spotterd.errors import BadInputError, RetryError
from spotterd.vision.pixels import as_bgr

SMALL = "width=320&height=240"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(argus, "_wedge", Wedge())


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator["Queue[CsiCamera]"]:
    """A reader on csi:0, and every source that it opened."""
    sources: Queue[CsiCamera] = Queue()

    def opener(config: Camera) -> CsiCamera:
        sources.put(open_csi(config.source))
        return sources.queue[-1]

    told: Queue[CameraStatus] = Queue()
    reader = CameraReader(
        "roof",
        Camera(source=f"csi:0?{SMALL}", stall_timeout_s=2),
        lambda frame, _live: frame.release(),
        told.put,
        opener,
    )
    reader.start()
    sources.told, sources.reader = told, reader
    yield sources
    reader.stop(2.0)


def wait_for(told: "Queue[CameraStatus]", state: str) -> CameraStatus:
    while True:
        status = told.get(timeout=30)
        if status.state == state:
            return status


@pytest.mark.parametrize(
    ("options", "size_wh"),
    [
        (SMALL, (320, 240)),
        (f"{SMALL}&flip=180&fps=15", (320, 240)),
        (f"{SMALL}&mode=1", (320, 240)),
        ("", (1920, 1080)),
    ],
)
def test_pictures_come_as_nv12(options: str, size_wh: tuple[int, int]) -> None:
    camera = open_source(Camera(source=f"csi:0?{options}"))
    shot = camera.read(None)
    assert is_nv12(shot.pixels)
    assert size_of(shot.pixels) == size_wh
    assert time.monotonic_ns() - shot.captured_ns < 10e9
    assert argus._wedge.streaming == 1
    camera.close()
    camera.close()
    assert argus._wedge.streaming == 0


def test_stamps_are_the_sensors_not_of_the_reading() -> None:
    camera = open_csi(f"csi:0?{SMALL}")
    pad = camera._pipeline._pipeline.get_by_name("frames").get_static_pad("sink")
    pad.add_probe(Gst.PadProbeType.BUFFER, lambda *_: (time.sleep(0.2), Gst.PadProbeReturn.OK)[1])
    stamps = [camera.read(None).captured_ns for _ in range(4)]
    assert 0.2e9 <= time.monotonic_ns() - stamps[-1] < 1.9e9
    camera.close()


def test_two_sensors_at_once() -> None:
    cameras = [open_csi(f"csi:{n}?{SMALL}") for n in (0, 1)]
    means = [as_bgr(camera.read(None).pixels).mean() for camera in cameras]
    assert abs(means[0] - means[1]) > 3  # the stand-ins show different pictures
    for camera in cameras:
        camera.close()


def test_a_wrong_sensor_is_told_and_no_reason_to_restart_anything() -> None:
    for _ in range(5):
        with pytest.raises(RetryError, match="csi:2 failed: Invalid camera device specified"):
            open_csi("csi:2").read(None)
    assert argus._wedge.failures == 0


def test_a_wrong_option_is_told() -> None:
    with pytest.raises(BadInputError, match="flip"):
        open_csi("csi:0?flip=sideways")
    with pytest.raises(BadInputError, match="write csi:0"):
        open_csi("csi:front")


@pytest.mark.parametrize("fault", ["error", "eos", "hang"])
def test_faults_in_mid_stream_are_recovered_from(opened: "Queue[CsiCamera]", fault: str) -> None:
    wait_for(opened.told, "online")
    camera = opened.get(timeout=30)
    pipeline = camera._pipeline._pipeline
    if fault == "error":
        source = pipeline.get_by_name("frames")
        wrong = GLib.Error.new_literal(Gst.stream_error_quark(), "CaptureSession broke", 1)
        pipeline.get_bus().post(Gst.Message.new_error(source, wrong, "shim"))
        pipeline.set_state(Gst.State.PAUSED)  # as after a real one: no more pictures
        said = "CaptureSession broke"
    elif fault == "eos":
        pipeline.send_event(Gst.Event.new_eos())
        said = "ended its stream"
    else:
        pad = pipeline.get_by_name("frames").get_static_pad("sink")
        pad.add_probe(
            Gst.PadProbeType.BLOCK | Gst.PadProbeType.BUFFER, lambda *_: Gst.PadProbeReturn.OK
        )
        said = "No picture for"
    if fault == "hang":
        assert said in wait_for(opened.told, "stalled").reason
    else:
        assert said in wait_for(opened.told, "offline").reason
    wait_for(opened.told, "online")
    assert opened.reader.reconnects == 1
    assert opened.reader.hung == 0
