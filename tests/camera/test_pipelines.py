"""Pipeline strings, word by word; planes of drivers."""

import numpy as np
import pytest

from spotterd.camera.gstreamer import has_element
from spotterd.camera.open import open_source
from spotterd.camera.pipelines import (
    SINK,
    CsiOptions,
    csi_pipeline,
    custom_pipeline,
    quoted,
    rtsp_pipeline,
)
from spotterd.camera.planes import Layout, copied
from spotterd.camera.stamps import live_shot, taken_ns
from spotterd.config.schema import Camera
from spotterd.errors import BadInputError

FULL_HD = "video/x-raw(memory:NVMM),format=NV12,width=1920,height=1080,framerate=30/1"
HD = "video/x-raw(memory:NVMM),format=NV12,width=1280,height=720,framerate=60/1"
TUNED = 'exposuretimerange="100000 20000000" gainrange="1 8" wbmode=5'
TAIL = f"video/x-raw,format=NV12 ! {SINK}"


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (
            {},
            f"nvarguscamerasrc sensor-id=0 ! {FULL_HD} ! nvvidconv flip-method=0 ! {TAIL}",
        ),
        (
            {"width": 1280, "height": 720, "fps": 60, "flip": "180", "mode": 4},
            f"nvarguscamerasrc sensor-id=0 sensor-mode=4 ! {HD} ! nvvidconv flip-method=2 ! {TAIL}",
        ),
        (
            {"exposure_us": "100-20000", "gain": "1-8", "wb": "daylight", "flip": "vertical"},
            f"nvarguscamerasrc sensor-id=0 {TUNED} ! {FULL_HD} ! nvvidconv flip-method=6 ! {TAIL}",
        ),
    ],
)
def test_csi(options: dict, wanted: str) -> None:
    assert csi_pipeline(0, CsiOptions(**options)) == wanted


@pytest.mark.parametrize(
    "flip", [("none", 0), ("ccw", 1), ("180", 2), ("cw", 3), ("horizontal", 4), ("vertical", 6)]
)
def test_flips(flip: tuple[str, int]) -> None:
    assert f"flip-method={flip[1]} " in csi_pipeline(0, CsiOptions(flip=flip[0]))


def test_rtsp_on_a_jetson_and_elsewhere() -> None:
    jetson = rtsp_pipeline('rtsp://u:p"w@h/x', "tcp", jetson=True)
    assert jetson.startswith('rtspsrc location="rtsp://u:p\\"w@h/x" protocols=tcp ')
    assert f"! decodebin ! nvvidconv ! {TAIL}" in jetson
    assert "! decodebin ! videoconvert ! appsink" in rtsp_pipeline(
        "rtsp://h/x", "udp", jetson=False
    )


@pytest.mark.parametrize("text", ["videotestsrc", " videotestsrc ! ", "videotestsrc!"])
def test_custom(text: str) -> None:
    assert custom_pipeline(text) == f"videotestsrc ! videoconvert ! {SINK}"


def test_quoted() -> None:
    assert quoted('a"b\\c') == '"a\\"b\\\\c"'


def test_without_gstreamer_the_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from spotterd.camera import gstreamer

    monkeypatch.setitem(__import__("sys").modules, "gi", None)
    gstreamer._bindings.cache_clear()
    assert not has_element("nvv4l2decoder")
    for source in ("csi:0", "gst:videotestsrc"):
        with pytest.raises(BadInputError, match="apt-get install python3-gst"):
            open_source(Camera(source=source))
    gstreamer._bindings.cache_clear()


# Planes and stamps


@pytest.mark.parametrize("pad", [0, 2, 32])
@pytest.mark.parametrize("size", [(2, 2), (64, 48), (322, 200)])
def test_nv12_with_padded_rows(size: tuple[int, int], pad: int) -> None:
    width, height = size
    stride = width + pad
    dice = np.random.default_rng(3)
    luma = dice.integers(16, 235, (height, width), np.uint8)
    chroma = dice.integers(16, 240, (height // 2, width), np.uint8)
    memory = np.zeros((height * 3 // 2, stride), np.uint8)
    memory[:height, :width], memory[height:, :width] = luma, chroma
    layout = Layout("NV12", width, height, (stride, stride), (0, stride * height))
    # The last row of a driver's buffer may end without its padding.
    data = memoryview(memory.tobytes()[: memory.size - pad])
    into = np.empty((height * 3 // 2, width), np.uint8)
    assert copied(data, layout, into) is into
    assert np.array_equal(into, np.vstack([luma, chroma]))
    assert copied(data, layout, np.empty((2, 2, 3), np.uint8)).shape == into.shape


def test_an_odd_last_row_and_column_of_nv12_are_left_out() -> None:
    memory = np.arange(8 * 8, dtype=np.uint8).reshape(8, 8)
    layout = Layout("NV12", 7, 5, (8, 8), (0, 40))
    pixels = copied(memoryview(memory.tobytes()), layout, None)
    assert np.array_equal(pixels, np.vstack([memory[:4, :6], memory[5:7, :6]]))


@pytest.mark.parametrize(("form", "channels"), [("BGR", 3), ("BGRx", 4)])
def test_packed_formats(form: str, channels: int) -> None:
    memory = np.arange(6 * 20, dtype=np.uint8).reshape(6, 20)
    layout = Layout(form, 4, 6, (20,), (0,))
    bgr = copied(memoryview(memory.tobytes()), layout, np.empty((1, 1, 3), np.uint8))
    assert np.array_equal(bgr, memory[:, : 4 * channels].reshape(6, 4, channels)[:, :, :3])


@pytest.mark.parametrize(
    ("stamp_ns", "wanted"),
    [(10_000, 10_000), (0, 10**10), (10**10 + 1, 10**10), (-5, 10**10), (9 * 10**9, 9 * 10**9)],
)
def test_stamps_of_other_clocks_are_not_believed(stamp_ns: int, wanted: int) -> None:
    now_ns = 10**10 if stamp_ns != 10_000 else 20_000
    assert taken_ns(stamp_ns, now_ns) == wanted


def test_wall_time_is_that_of_the_capture() -> None:
    now = live_shot(np.empty((1, 1, 3), np.uint8))
    early = live_shot(now.pixels, now.captured_ns - 10**9)
    assert 0.5e9 < now.wall_ns - early.wall_ns < 1.5e9
