"""The letterbox on the GPU: its kernel's time and error, and a whole frame's way through it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gpu.lab import Lab, Report, median_ms
from spotterd.data import Pixels
from spotterd.inference.cuda import Gpu
from spotterd.inference.cuda_backend import CudaBackend
from spotterd.inference.cuda_slots import Binding
from spotterd.inference.preprocess import CudaFrameSlot, GpuLetterbox, taps
from spotterd.vision.letterbox import Letterbox
from spotterd.vision.pixels import as_bgr


def recorded_ms(gpu: Gpu, stream: Any, queue: Callable[[int], None], times: int) -> float:
    """Time of one of many launches recorded as a graph: Python's own time does not count."""
    graph = gpu.lib.capture(stream.handle, lambda: [queue(i) for i in range(times)] and None)

    def work() -> None:
        graph.launch(stream.handle)
        stream.synchronize()

    work()
    took = median_ms(work, times)
    graph.close()
    return took


def noise(frame_wh: tuple[int, int], *, nv12: bool) -> Pixels:
    """A frame of random bytes, as cameras give it."""
    width, height = frame_wh
    shape = (height * 3 // 2, width) if nv12 else (height, width, 3)
    return np.random.default_rng(width).integers(0, 256, shape, dtype=np.uint8)


def touched_bytes(letterbox: Letterbox, *, nv12: bool) -> int:
    """Of a frame: whole rows, as that is how memory is read."""
    rows = taps(letterbox)[1]
    luma = np.unique(rows[rows[:, 0] >= 0, :2])
    a_row = letterbox.frame_wh[0] * (1 if nv12 else 3)
    return (len(luma) + (len(np.unique(luma // 2)) if nv12 else 0)) * a_row


def kernel_of(lab: Lab, report: Report, letterbox: Letterbox, *, nv12: bool) -> None:
    """The letterbox kernel against a device copy of as many bytes, and against the CPU."""
    pixels = noise(letterbox.frame_wh, nv12=nv12)
    out = np.empty((1, 3, *letterbox.input_hw), np.float32)
    touched = touched_bytes(letterbox, nv12=nv12) + out.nbytes
    many = -(-lab.cache_bytes // touched)
    with Gpu() as gpu:
        drv, binding = gpu.drv, Binding("in", out.shape, out.dtype, is_input=True)
        gpu_letterbox = GpuLetterbox(gpu, lab.folder, binding)
        stream = drv.Stream(1)
        frames = [drv.mem_alloc(pixels.nbytes) for _ in range(many)]
        outs = [drv.mem_alloc(out.nbytes) for _ in range(many)]
        both = [drv.mem_alloc(touched) for _ in range(many)]
        drv.memcpy_htod(frames[0], pixels)

        def letterboxed(i: int) -> None:
            frame, to = int(frames[i % many]), int(outs[i % many])
            gpu_letterbox.queue(frame, letterbox, to, stream, nv12=nv12)

        def copied(i: int) -> None:
            memory, half = int(both[i % many]), touched // 2
            drv.memcpy_dtod_async(memory + half, memory, half, stream)

        letterboxed(0)
        stream.synchronize()
        drv.memcpy_dtoh(out, outs[0])
        took = recorded_ms(gpu, stream, letterboxed, lab.queued)
        copy = recorded_ms(gpu, stream, copied, lab.queued)
        for memory in (*frames, *outs, *both):
            memory.free()
        gpu_letterbox.close()
    gpu.close()
    expected = np.empty_like(out)
    letterbox.fill(as_bgr(pixels), expected)
    error = round(float(np.abs(out - expected).max()) * 255, 3)
    cpu = median_ms(lambda: letterbox.fill(pixels, expected, padded=True))
    width, height = letterbox.frame_wh
    name = f"letterbox of {width}x{height} {'NV12' if nv12 else 'BGR'}"
    report.add(f"{name}: device copy of its bytes / kernel", copy / took, at_least=0.7)
    report.add(f"{name}: kernel", took * 1e3, "us")
    report.add(f"{name}: CPU / kernel", cpu / took)
    report.add(f"{name}: largest error", error, "grey levels", at_most=1.0)


def kernel(lab: Lab, report: Report) -> None:
    for nv12 in (False, True):
        for frame_wh in ((192, 108),) if lab.standin else ((1920, 1080), (3840, 2160)):
            kernel_of(lab, report, Letterbox(frame_wh, (640, 640)), nv12=nv12)


def letterboxes(lab: Lab, report: Report) -> None:
    """A full-HD frame to outputs, both ways."""
    backend = lab.backend(2, letterbox=True)
    backend.choose_letterbox()
    letterbox = Letterbox((1920, 1080), lab.model.input_hw)
    bgr = np.zeros((1080, 1920, 3), np.uint8)
    slot = backend.acquire()
    assert isinstance(slot, CudaFrameSlot)
    slot.on_gpu = True
    on_gpu = backend._median_ms(slot, lambda s: s.take(bgr, letterbox) and None)
    on_cpu = backend._median_ms(slot, lambda s: letterbox.fill(bgr, s.input, padded=True))
    backend.close()
    report.add("frame to outputs, letterboxed by the CPU / by the GPU", on_cpu / on_gpu)


def letterboxed_wrongly(
    lab: Lab, backend: CudaBackend, letterbox: Letterbox, pixels: Pixels
) -> bool:
    """Whether the engine got an input from the kernel that is not the CPU's, by a grey level."""
    expected = np.empty((1, 3, *letterbox.input_hw), np.float32)
    letterbox.fill(as_bgr(pixels), expected)
    slot = backend.acquire()
    assert isinstance(slot, CudaFrameSlot)
    taken = slot.take(pixels, letterbox)
    backend.submit(slot)
    backend.wait(slot)
    out = slot.outputs[0].ravel() / lab.factor
    backend.release(slot)
    return taken and bool(np.abs(out - np.resize(expected, out.shape)).max() > 1.01 / 255)
