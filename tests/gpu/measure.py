"""Measure the GPU path on a machine with a GPU: latency, overlap, copies, kernel, faults.

    PYTHONPATH=daemon:tests python tests/gpu/measure.py --out FOLDER

writes FOLDER/gpu.json and FOLDER/gpu.md: medians and ratios of this one run, each beside its limit.
The engine is the stand-in of `standins.trt_gpu`: real kernels of a network's size, so that only
NVIDIA's `execute_async_v3` is not what a board runs. `--standin` runs the script itself where there
is no GPU, on the stand-in of pycuda; its times mean nothing and are judged by nobody.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gpu.lab import Lab, Report, median_ms, pipelined
from gpu.latency import latency
from gpu.poison import poison
from spotterd.data import Pixels
from spotterd.errors import RestartError
from spotterd.inference.cuda import Gpu
from spotterd.inference.cuda_backend import CudaBackend
from spotterd.inference.cuda_slots import Binding, Lane
from spotterd.inference.preprocess import CudaFrameSlot, GpuLetterbox, taps
from spotterd.vision.letterbox import Letterbox
from spotterd.vision.pixels import as_bgr

LONG = 10_000  # frames; before, memory still grows by what is loaded lazily, and is not judged
FAULT_S = 1.0  # from a fault to the sentence


def alone_ms(backend: CudaBackend, step: Callable[[Lane], None], frames: int) -> float:
    """Time of one step of a frame, with nothing beside it."""
    lane = next(iter(backend._loaded.lanes.values()))

    def work() -> None:
        with backend._gpu:
            for _ in range(frames):
                step(lane)
            lane.stream.synchronize()

    return median_ms(work, frames)


def overlap(lab: Lab, report: Report) -> None:
    for slots in (1, 2, 3, 4):
        backend = lab.backend(slots)
        pipelined(backend, 20)
        frame = median_ms(lambda b=backend: pipelined(b, lab.frames), lab.frames)
        steps = {
            "copy in": alone_ms(backend, Lane.copy_in, lab.frames),
            "compute": alone_ms(backend, lambda lane: lane.run(), lab.frames),
            "copy out": alone_ms(backend, Lane.copy_out, lab.frames),
        }
        backend.close()
        if slots == 1:
            for name, took in steps.items():
                report.add(f"{name}, alone", took, "ms")
        report.add(f"a frame, {slots} slots", frame, "ms")
        report.add(f"a frame / its longest step, {slots} slots", frame / max(steps.values()),
                   at_most=1.05 if slots > 1 else None)  # fmt: skip


def copies(lab: Lab, report: Report) -> None:
    backend = lab.backend(1)
    pinned = alone_ms(backend, Lane.copy_in, lab.frames)
    address = next(iter(backend._loaded.lanes.values()))._device["images"]
    pageable_array = np.zeros((1, 3, *lab.model.input_hw), np.float32)
    copy = backend._gpu.drv.memcpy_htod_async
    pageable = alone_ms(
        backend, lambda lane: copy(address, pageable_array, lane.stream), lab.frames
    )
    report.add("pageable copy / pinned copy", pageable / pinned)
    report.add("pinned copy", pageable_array.nbytes / pinned / 1e6, "GB/s")
    backend.close()


def graphs(lab: Lab, report: Report) -> None:
    took = {}
    for graph in (True, False):
        backend = lab.backend(2, graphs=graph)
        pipelined(backend, 20)
        took[graph] = median_ms(lambda b=backend: pipelined(b, lab.frames), lab.frames)
        backend.close()
    report.add("a frame without graph / with graph", took[False] / took[True])


def zero_copy(lab: Lab, report: Report) -> None:
    backend = lab.backend(2, zero_copy=True)
    pipelined(backend, 20)
    mapped = median_ms(lambda: pipelined(backend, lab.frames), lab.frames)
    backend.close()
    report.add("a frame, 2 slots, zero copy", mapped, "ms")


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


def host(lab: Lab, report: Report) -> None:
    """What a frame costs the thread that detects, Python included."""
    for slots in (1, 2):
        backend = lab.backend(slots)
        pipelined(backend, 50)
        frames = lab.frames * 10
        cpu = time.thread_time_ns()
        pipelined(backend, frames)
        took = (time.thread_time_ns() - cpu) / frames / 1e6
        backend.close()
        report.add(f"host time a frame, {slots} slots", took, "ms", at_most=0.2)


def used_mib(gpu: Gpu) -> float:
    with gpu:
        memory = gpu.memory()
    return (memory.total - memory.free) / (1 << 20)


def reopened(lab: Lab, report: Report) -> None:
    """What backends leave behind in a context that outlives them."""
    outer = Gpu()
    used = []
    for _ in range(11):
        backend = lab.backend(3, letterbox=True)
        pipelined(backend, 10)
        backend.close()
        used.append(used_mib(outer))
    outer.close()
    report.add("device memory left by 10 backends", used[-1] - used[0], "MiB", at_most=0)
    lab.tell_left_over(report)


def watched(lab: Lab, report: Report) -> None:
    """A few frames on every road, for a tool that looks on; each answer is checked, too."""
    wrong = 0
    roads = ({}, {"graphs": False}, {"zero_copy": True}, {"letterbox": True})
    for road in roads:
        backend = lab.backend(2, **road)
        for value in range(4):
            slot = backend.acquire()
            slot.input.fill(value)
            backend.submit(slot)
            backend.wait(slot)
            wrong += int((slot.outputs[0] != lab.factor * value).any())
            backend.release(slot)
        for frame_wh in ((96, 54), (40, 60)) if "letterbox" in road else ():
            letterbox = Letterbox(frame_wh, lab.model.input_hw)
            for nv12 in (False, True):
                pixels = noise(frame_wh, nv12=nv12)
                wrong += letterboxed_wrongly(lab, backend, letterbox, pixels)
        backend.close()
    report.add("wrong answers while watched", wrong, at_most=0)
    lab.tell_left_over(report)


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


def rss_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def endurance(lab: Lab, report: Report, frames: int) -> None:
    """Every frame is told from the others by its input; memory is looked at early and late."""
    backend = lab.backend(3)
    wrong, used, rss = 0, [], []
    for number in range(frames):
        slot = backend.acquire()
        slot.input.flat[0] = value = number % 1000
        backend.submit(slot)
        backend.wait(slot)
        wrong += slot.outputs[0].flat[0] != lab.factor * value
        backend.release(slot)
        if number in (frames // 10, frames - 1):
            used.append(used_mib(backend._gpu))
            rss.append(rss_mib())
    backend.close()
    report.add(f"wrong answers in {frames} frames", float(wrong), at_most=0)
    judged = frames >= LONG
    report.add("growth of device memory", used[-1] - used[0], "MiB", 0 if judged else None)
    report.add("growth of host memory", rss[-1] - rss[0], "MiB", 2 if judged else None)
    lab.tell_left_over(report)


def one_fault(lab: Lab) -> None:
    """An illegal access among good frames; this process can only end after it."""
    backend = lab.backend(2)
    pipelined(backend, 20)
    slot = backend.acquire()
    poison(backend, slot)
    started = time.monotonic()
    try:
        backend.submit(slot)
        backend.wait(slot)
    except RestartError as error:
        print(f"{time.monotonic() - started} {error}")
    backend.close()


def faults(lab: Lab, report: Report) -> None:
    """A fault ends in its sentence, quietly; and a process started after it has the GPU again."""
    command = [sys.executable, __file__, *(["--standin"] if lab.standin else []), "--only"]
    run = partial(subprocess.run, capture_output=True, text=True, check=False)
    done = run([*command, "one-fault"])
    print(done.stdout, done.stderr, sep="")
    seconds, _, sentence = done.stdout.partition(" ")
    said = sentence.startswith("The GPU failed")
    report.add("from the fault to its sentence", float(seconds) if said else np.inf, "s", FAULT_S)
    report.add("warnings of pycuda after it", done.stderr.count("PyCUDA WARNING"), at_most=0)
    report.add("exit status of the process that had it", done.returncode, at_most=0)
    with tempfile.TemporaryDirectory() as folder:
        after = run([*command, "endurance", "--frames", "20", "--out", folder])
    report.add("exit status of a process after it", after.returncode, at_most=0)


MEASUREMENTS: dict[str, Callable[[Lab, Report], None]] = {
    "host": host,
    "reopened": reopened,
    "overlap": overlap,
    "copies": copies,
    "graphs": graphs,
    "zero-copy": zero_copy,
    "kernel": kernel,
    "letterboxes": letterboxes,
    "faults": faults,
}


def measure(name: str, lab: Lab, report: Report, options: argparse.Namespace) -> None:
    """One measurement, in this process."""
    if name == "latency":
        latency(lab, report, options.out)
    elif name == "endurance":
        endurance(lab, report, 500 if options.standin else options.frames)
    elif name == "watched":
        watched(lab, report)
    else:
        MEASUREMENTS[name](lab, report)


def in_a_process(name: str, options: argparse.Namespace, report: Report) -> None:
    """Run one measurement in a process of its own: a fault may take the process along."""
    folder = options.out / name
    command = [sys.executable, __file__, "--only", name, "--out", str(folder)]
    command += ["--frames", str(options.frames), *(["--standin"] if options.standin else [])]
    done = subprocess.run(command, check=False)
    found = folder / "gpu.json"
    if found.exists():
        report.figures += json.loads(found.read_text())["figures"]
    report.add(f"{name}: exit status", float(done.returncode), at_most=0)


def main() -> None:
    names = ["latency", *MEASUREMENTS, "endurance"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/gpu"))
    parser.add_argument("--only", choices=[*names, "watched", "one-fault"], help="in this process")
    parser.add_argument("--without", nargs="*", choices=names, default=[])
    parser.add_argument("--frames", type=int, default=100_000, help="of the endurance run")
    parser.add_argument("--small", action="store_true", help="a few small kernels")
    parser.add_argument("--standin", action="store_true")
    options = parser.parse_args()
    kernels = Path(tempfile.gettempdir()) / "spotterd-kernels"  # compiled once for all processes
    lab = Lab(kernels, standin=options.standin, small=options.small)
    if options.only == "one-fault":
        one_fault(lab)
        return
    report = Report("a stand-in: the times mean nothing")
    if not options.standin:
        gpu = Gpu()
        report.device = f"{gpu.name}, compute capability {gpu.capability}"
        gpu.close()
    if options.only:
        measure(options.only, lab, report, options)
    for name in [] if options.only else [n for n in names if n not in options.without]:
        in_a_process(name, options, report)
        report.write(options.out)  # what there is, should the time run out
    report.write(options.out)


if __name__ == "__main__":
    main()
