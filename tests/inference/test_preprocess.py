"""The GPU's letterbox makes the CPU letterbox's pixels: tables, kernel source, slots."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu import host_kernels
from inference.trt_models import doubling_model, open_plan, plan_file
from spotterd.errors import FallBackError
from spotterd.inference.cuda import Gpu
from spotterd.inference.preprocess import SOURCE, GpuLetterbox, axis_taps, taps
from spotterd.vision.letterbox import PAD, YOLO, YOLOX, Letterbox
from spotterd.vision.pixels import as_bgr
from standins import kernel, pycuda_driver, trt11

SIZES = [(1920, 1080), (1280, 720), (640, 480), (333, 777), (3840, 2160), (640, 640), (31, 17)]
FRAMES = pytest.mark.parametrize("frame_wh", SIZES, ids=str)
GREY = 1 / 255


def noise(width, height, channels=3):
    """Worst case for rounding: neighbours have nothing to do with each other."""
    shape = (height, width, channels) if channels else (height, width)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def on_cpu(letterbox, bgr):
    out = np.empty((1, 3, *letterbox.input_hw), np.float32)
    letterbox.fill(bgr, out)
    return out[0]


def reference(letterbox, image):
    scale = np.float32(letterbox.preprocess.scale)
    swap = letterbox.preprocess.rgb
    return kernel.letterbox(image, *taps(letterbox), scale, scale * np.float32(PAD), swap=swap)


@FRAMES
@pytest.mark.parametrize("look", [YOLO, YOLOX])
def test_the_arithmetic_is_that_of_the_cpu_letterbox(frame_wh, look):
    letterbox = Letterbox(frame_wh, (640, 640), look)
    bgr = noise(*frame_wh)
    off = np.abs(reference(letterbox, bgr.astype(np.int64)) - on_cpu(letterbox, bgr))
    shrinks = max(frame_wh) >= 640
    assert off.max() <= (0 if shrinks else 1.001 * look.scale)
    assert (off > 0).mean() < 0.01


@settings(max_examples=60, deadline=None)
@given(
    frame=st.tuples(st.integers(2, 300), st.integers(2, 300)),
    rows=st.sampled_from([32, 64, 96, 160]),
    columns=st.sampled_from([32, 64, 96, 160]),
)
def test_no_geometry_is_off_by_more_than_one_grey_level(frame, rows, columns):
    letterbox = Letterbox(frame, (rows, columns))
    bgr = noise(*frame)
    off = np.abs(reference(letterbox, bgr.astype(np.int64)) - on_cpu(letterbox, bgr))
    assert off.max() <= 1.001 * GREY


@given(st.integers(1, 5000), st.integers(1, 700), st.integers(0, 64))
def test_taps_stay_inside_the_frame_and_their_weights_make_one(frame, scaled, offset):
    table = axis_taps(frame, scaled, offset, scaled + 2 * offset)
    inside = table[offset : offset + scaled]
    assert (inside[:, :2] >= 0).all()
    assert (inside[:, :2] < frame).all()
    assert (abs(inside[:, 2] + inside[:, 3] - 2048) <= 1).all()
    assert (np.delete(table, range(offset, offset + scaled), axis=0) == -1).all()


def test_nv12_becomes_opencvs_colours():
    width, height = 64, 48
    planes = noise(width, height * 3 // 2, 0)
    expected = cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_NV12)
    assert (kernel.nv12(planes, width, height) == expected).all()


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return host_kernels.build(tmp_path_factory.mktemp("kernels"))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("layout", ["bgr", "nv12"])
@pytest.mark.parametrize("frame_wh", [(320, 180), (96, 200), (30, 20)], ids=str)
def test_the_kernels_own_source_does_what_the_reference_does(library, layout, dtype, frame_wh):
    width, height = frame_wh
    letterbox = Letterbox(frame_wh, (160, 128), YOLO if dtype == "float32" else YOLOX)
    if layout == "bgr":
        pixels = noise(width, height)
        image = kernel.bgr(pixels, width, height)
    else:
        pixels = noise(width, height * 3 // 2, 0)
        image = kernel.nv12(pixels, width, height)
    columns, rows = taps(letterbox)
    out = np.full((3, 160, 128), -1, dtype)
    scale = np.float32(letterbox.preprocess.scale)
    pitch = width * (3 if layout == "bgr" else 1)
    addresses = [a.ctypes.data for a in (pixels, columns, rows, out)]
    arguments = (addresses[0], pitch, height, *addresses[1:], 128, 160)
    look = (scale, scale * np.float32(PAD), int(letterbox.preprocess.rgb))
    host_kernels.launch(library, f"letterbox_{layout}_{dtype}", 128, 160, arguments + look)
    assert (out == reference(letterbox, image).astype(dtype)).all()


@pytest.fixture
def backend(tmp_path, device):
    path = plan_file(tmp_path, trt11, doubling_model(64))
    backend = open_plan(trt11, path, 64, letterbox="gpu", slots=2)
    yield backend
    backend.close()
    assert device.used_bytes == 0


def answer(backend, pixels, letterbox):
    slot = backend.acquire()
    assert slot.take(pixels, letterbox)
    bgr = as_bgr(pixels)
    backend.submit(slot)
    backend.wait(slot)
    output = slot.outputs[0][0].copy()
    backend.release(slot)
    assert np.allclose(output, 2 * on_cpu(letterbox, bgr), atol=2.002 * GREY)
    return output


def test_frames_of_many_sizes_are_letterboxed_on_the_gpu(backend):
    for size in [(64, 36), (320, 180), (200, 300), (64, 36)]:
        answer(backend, noise(*size), Letterbox(size, (64, 64)))
    assert pycuda_driver.counts["launches"] == 4
    assert pycuda_driver.counts["pageable"] == 0


def test_nv12_goes_over_as_it_is_and_makes_the_pixels_of_its_bgr(backend):
    size = (320, 180)
    letterbox = Letterbox(size, (64, 64))
    slot = backend.acquire()
    for pixels in (noise(320, 270, 0), noise(*size), noise(320, 270, 0)):
        assert slot.take(pixels, letterbox)
        assert slot.staged_bytes == pixels.nbytes
        backend.submit(slot)
        backend.wait(slot)
        wanted = reference(letterbox, as_bgr(pixels).astype(np.int64))
        assert np.allclose(slot.outputs[0][0], 2 * wanted, atol=1e-6)
    backend.release(slot)


def test_tables_of_more_geometries_than_a_board_has_do_not_pile_up(backend, device):
    used = []
    for width in range(64, 94):
        answer(backend, noise(width, 40), Letterbox((width, 40), (64, 64)))
        used.append(device.used_bytes)
    assert max(used[10:]) <= max(used[:10]) + 64 * 32 + 2 * 93 * 40 * 3


def test_a_plain_input_still_goes_the_plain_way(backend):
    slot = backend.acquire()
    slot.input.fill(0.5)
    backend.submit(slot)
    backend.wait(slot)
    assert (slot.outputs[0] == 1.0).all()
    assert pycuda_driver.counts["launches"] == 0
    backend.release(slot)


def test_shared_memory_is_read_where_it_is(tmp_path, device):
    path = plan_file(tmp_path, trt11, doubling_model(64))
    backend = open_plan(trt11, path, 64, letterbox="gpu", zero_copy="on")
    answer(backend, noise(320, 180), Letterbox((320, 180), (64, 64)))
    assert pycuda_driver.counts["htod"] == 0
    backend.close()


@pytest.mark.parametrize("gpu_wins", [True, False])
def test_auto_keeps_to_the_faster_way(tmp_path, device, monkeypatch, gpu_wins):
    took = iter([1.0, 2.0] if gpu_wins else [2.0, 1.0])
    monkeypatch.setattr(
        "spotterd.inference.cuda_backend.CudaBackend._median_ms", lambda *_: next(took)
    )
    path = plan_file(tmp_path, trt11, doubling_model(64))
    backend = open_plan(trt11, path, 64, letterbox="auto")
    slot = backend.acquire()
    assert slot.take(noise(64, 64), Letterbox((64, 64), (64, 64))) is gpu_wins
    backend.close()


def test_both_ways_are_really_timed(tmp_path, device, caplog):
    caplog.set_level("INFO")
    path = plan_file(tmp_path, trt11, doubling_model(64))
    open_plan(trt11, path, 64, letterbox="auto").close()
    assert pycuda_driver.counts["launches"] == 9
    assert "ms with the GPU's letterbox" in caplog.text


def cubins(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.cubin"))


def test_the_kernel_is_compiled_once_and_kept(tmp_path, device):
    path = plan_file(tmp_path, trt11, doubling_model(64))
    for _ in range(2):
        open_plan(trt11, path, 64, letterbox="gpu").close()
    assert pycuda_driver.counts["compiled"] == 1
    (kept,) = cubins(tmp_path)
    assert kept.name.startswith("letterbox-sm_87-")


def test_a_broken_kept_kernel_is_compiled_again(tmp_path, device):
    path = plan_file(tmp_path, trt11, doubling_model(64))
    open_plan(trt11, path, 64, letterbox="gpu").close()
    cubins(tmp_path)[0].write_bytes(b"half")
    with Gpu() as gpu:
        with pytest.raises(FallBackError, match=r"letterbox\.cu cannot be used on Stand-in GPU"):
            gpu.kernels(SOURCE, tmp_path)
        gpu.kernels(SOURCE, tmp_path)


@pytest.mark.parametrize(
    "error",
    [pycuda_driver.CompileError("nvcc aborted\n[command: nvcc]"), OSError("nvcc not found")],
)
def test_without_a_compiler_the_cpu_letterboxes(tmp_path, device, monkeypatch, caplog, error):
    monkeypatch.setattr(pycuda_driver, "compile_error", error)
    path = plan_file(tmp_path, trt11, doubling_model(64))
    backend = open_plan(trt11, path, 64, letterbox="gpu")
    assert re.search(r"Stand-in GPU \(nvcc [a-z ]+\)\. Frames are prepared by the CPU", caplog.text)
    assert not hasattr(backend.acquire(), "take")
    backend.close()


def test_half_inputs_have_a_kernel_of_their_own(device, tmp_path):
    from spotterd.inference.cuda_slots import Binding

    with Gpu() as gpu:
        half = Binding("images", (1, 3, 64, 64), np.dtype(np.float16), is_input=True)
        GpuLetterbox(gpu, tmp_path, half)
