"""Measure the GPU path on a machine with a GPU: overlap, copies, kernel, latency, endurance.

    PYTHONPATH=daemon:tests python tests/gpu/measure.py --out FOLDER

writes FOLDER/gpu.json and FOLDER/gpu.md: medians and ratios of this one run, each beside its limit.
The engine is the stand-in of `standins.trt_gpu`: real kernels of a network's size, so that only
NVIDIA's `execute_async_v3` is not what a board runs. `--standin` runs the script itself where there
is no GPU, on the stand-in of pycuda; its times mean nothing and are judged by nobody.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from spotterd.errors import RestartError
from spotterd.inference.base import ModelInfo
from spotterd.inference.cuda import Gpu
from spotterd.inference.cuda_backend import CudaBackend
from spotterd.inference.cuda_loaded import Recipe
from spotterd.inference.cuda_slots import Binding, CudaSlot, Lane
from spotterd.inference.preprocess import CudaFrameSlot, GpuLetterbox, taps
from spotterd.inference.tensorrt import TrtEngine
from spotterd.inference.trt_world import world_of
from spotterd.vision.letterbox import Letterbox

REPEATS = 7  # a figure is the median of so many
LONG = 10_000  # frames; before, memory still grows by what is loaded lazily, and is not judged
FAULT_S = 1.0  # from a fault to the sentence


@dataclass
class Report:
    """The figures of one run."""

    device: str = ""
    figures: list[dict[str, Any]] = field(default_factory=list)

    def add(self, name: str, value: float, unit: str = "", at_most: float | None = None,
            at_least: float | None = None) -> None:  # fmt: skip
        ok = (at_most is None or value <= at_most) and (at_least is None or value >= at_least)
        limit = f"<= {at_most:g}" if at_most is not None else ""
        limit = f">= {at_least:g}" if at_least is not None else limit
        row = {"name": name, "value": value, "unit": unit, "limit": limit, "ok": ok}
        self.figures.append(row)
        print(f"{name}: {value:.4g} {unit} {limit} {'' if ok else 'MISSED'}", flush=True)

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "gpu.json").write_text(json.dumps(asdict(self), indent=1) + "\n")
        lines = [
            f"Measured on {self.device}.",
            "",
            "| figure | value | limit | |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {f['name']} | {f['value']:.4g} {f['unit']} | {f['limit']} | "
            f"{('met' if f['ok'] else 'missed') if f['limit'] else ''} |"
            for f in self.figures
        ]
        (folder / "gpu.md").write_text("\n".join(lines) + "\n")


class Lab:
    """Backends of an engine of a network's size, on the GPU or on its stand-in."""

    def __init__(self, folder: Path, *, standin: bool) -> None:
        self.folder = folder
        self.standin = standin
        if standin:
            side, trt, plan = _standin()
        else:
            from standins import trt_gpu as trt

            side, plan = 640, trt.plan()
        self.model = ModelInfo("stand-in", "0" * 64, (), (side, side), (), {})
        self._load = partial(TrtEngine, world_of(trt), plan, "stand-in.plan", (side, side))
        self.frames = 20 if standin else 300
        self.queued = 2 if standin else 64
        self.cache_bytes = 1 if standin else 256 << 20  # more than any cache holds

    def backend(self, slots: int, *, graphs: bool = True, zero_copy: bool = False,
                letterbox: bool = False) -> CudaBackend:  # fmt: skip
        kernels = self.folder if letterbox else None
        recipe = Recipe(self._load, slots, zero_copy, graphs, kernels)
        return CudaBackend(Gpu(), recipe, self.model, "fp32")


def _standin() -> tuple[int, Any, bytes]:
    import pytest

    from inference.trt_models import SIDE, build, doubling_model
    from standins import pycuda_driver, trt11

    pycuda_driver.install(pytest.MonkeyPatch())
    return SIDE, trt11, build(trt11, doubling_model())


def median_ms(work: Callable[[], object], times: int = 1) -> float:
    """Median time of one of `times` that `work` does."""
    took = []
    for _ in range(REPEATS):
        started = time.perf_counter_ns()
        work()
        took.append((time.perf_counter_ns() - started) / times / 1e6)
    return statistics.median(took)


def pipelined(backend: CudaBackend, frames: int) -> None:
    """Frames through all slots, the oldest waited for when none is free."""
    flying: deque[CudaSlot] = deque()
    for _ in range(frames):
        if len(flying) == backend.slots:
            oldest = flying.popleft()
            backend.wait(oldest)
            backend.release(oldest)
        slot = backend.acquire()
        backend.submit(slot)
        flying.append(slot)
    for slot in flying:
        backend.wait(slot)
        backend.release(slot)


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


def kernel_of(lab: Lab, report: Report, letterbox: Letterbox) -> None:
    """The letterbox kernel against a device copy of as many bytes, and against the CPU."""
    width, height = letterbox.frame_wh
    bgr = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = np.empty((1, 3, *letterbox.input_hw), np.float32)
    rows = taps(letterbox)[1]
    touched = len(np.unique(rows[rows[:, 0] >= 0, :2])) * width * 3 + out.nbytes
    many = -(-lab.cache_bytes // touched)
    with Gpu() as gpu:
        drv, binding = gpu.drv, Binding("in", out.shape, out.dtype, is_input=True)
        gpu_letterbox = GpuLetterbox(gpu, lab.folder, binding)
        stream = drv.Stream(1)
        frames = [drv.mem_alloc(bgr.nbytes) for _ in range(many)]
        outs = [drv.mem_alloc(out.nbytes) for _ in range(many)]
        both = [drv.mem_alloc(touched) for _ in range(many)]
        drv.memcpy_htod(frames[0], bgr)

        def letterboxed(i: int) -> None:
            frame, to = int(frames[i % many]), int(outs[i % many])
            gpu_letterbox.queue(frame, letterbox, to, stream)

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
    letterbox.fill(bgr, expected)
    error = float(np.abs(out - expected).max()) * 255
    cpu = median_ms(lambda: letterbox.fill(bgr, expected, padded=True))
    name = f"letterbox of {width}x{height}"
    report.add(f"{name}: device copy of its bytes / kernel", copy / took, at_least=0.7)
    report.add(f"{name}: kernel", took * 1e3, "us")
    report.add(f"{name}: CPU / kernel", cpu / took)
    report.add(f"{name}: largest error", error, "grey levels", at_most=1.0)


def kernel(lab: Lab, report: Report) -> None:
    for frame_wh in ((1920, 1080), (3840, 2160)):
        kernel_of(lab, report, Letterbox(frame_wh, (640, 640)))


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


def latency(lab: Lab, report: Report) -> None:
    for slots in (1, 2):
        backend = lab.backend(slots)
        pipelined(backend, 50)
        frames = lab.frames * 10
        cpu = time.thread_time_ns()
        pipelined(backend, frames)
        host = (time.thread_time_ns() - cpu) / frames / 1e6
        p50, p99 = latencies_ms(backend, frames)
        _, spun_p99 = spun = latencies_ms(backend, frames, spin=True)
        backend.close()
        report.add(f"host time a frame, {slots} slots", host, "ms", at_most=0.2)
        report.add(f"latency of a frame alone, {slots} slots", p50, "ms")
        report.add(f"latency p99 / p50, {slots} slots", p99 / p50, at_most=1.3)
        report.add(f"the same while a core spins, {slots} slots", spun[0], "ms")
        report.add(f"latency p99 / p50 while a core spins, {slots} slots", spun_p99 / spun[0])


def latencies_ms(backend: CudaBackend, frames: int, *, spin: bool = False) -> tuple[float, float]:
    """Median and p99 of single frames; spinning tells the GPU's own time from the waking up."""
    took = []
    for _ in range(frames):
        slot = backend.acquire()
        started = time.perf_counter_ns()
        backend.submit(slot)
        if spin:
            with backend._gpu:
                while not backend._loaded.lanes[slot].done.query():
                    pass
        backend.wait(slot)
        took.append(time.perf_counter_ns() - started)
        backend.release(slot)
    p50, p99 = np.percentile(took, [50, 99]) / 1e6
    return float(p50), float(p99)


def rss_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def endurance(lab: Lab, report: Report, frames: int) -> None:
    """Every frame is told from the others by its input; memory is looked at early and late."""
    backend = lab.backend(3)
    factor = 2 if lab.standin else 1
    wrong, used, rss = 0, [], []
    for number in range(frames):
        slot = backend.acquire()
        slot.input.flat[0] = value = number % 1000
        backend.submit(slot)
        backend.wait(slot)
        wrong += slot.outputs[0].flat[0] != factor * value
        backend.release(slot)
        if number in (frames // 10, frames - 1):
            with backend._gpu:
                memory = backend._gpu.memory()
            used.append((memory.total - memory.free) / (1 << 20))
            rss.append(rss_mib())
    backend.close()
    report.add(f"wrong answers in {frames} frames", float(wrong), at_most=0)
    judged = frames >= LONG
    report.add("growth of device memory", used[-1] - used[0], "MiB", 0 if judged else None)
    report.add("growth of host memory", rss[-1] - rss[0], "MiB", 2 if judged else None)


def one_fault(lab: Lab) -> None:
    """An illegal access among good frames; this process can only end after it."""
    backend = lab.backend(2)
    pipelined(backend, 20)
    slot = backend.acquire()
    lane, engine = backend._loaded.lanes[slot], backend._loaded._engine
    engine._context.poison = True
    if lab.standin:
        lane.addresses["output0"] = 16
    lane.run = partial(engine.enqueue, lane.addresses, lane.stream.handle)
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
    "overlap": overlap,
    "copies": copies,
    "graphs": graphs,
    "zero-copy": zero_copy,
    "kernel": kernel,
    "letterboxes": letterboxes,
    "latency": latency,
    "faults": faults,
}


def in_a_process(name: str, options: argparse.Namespace, report: Report) -> None:
    """Run one measurement in a process of its own: a fault may take the process along."""
    folder = options.out / name
    command = [sys.executable, __file__, "--only", name, "--out", str(folder)]
    done = subprocess.run([*command, *(["--standin"] if options.standin else [])], check=False)
    found = folder / "gpu.json"
    if found.exists():
        report.figures += json.loads(found.read_text())["figures"]
    report.add(f"{name}: exit status", float(done.returncode), at_most=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/gpu"))
    parser.add_argument("--only", choices=[*MEASUREMENTS, "endurance", "one-fault"])
    parser.add_argument("--frames", type=int, default=100_000, help="of the endurance run")
    parser.add_argument("--standin", action="store_true")
    options = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder), standin=options.standin)
        if options.only == "one-fault":
            one_fault(lab)
            return
        if not options.standin:
            gpu = Gpu()
            report.device = f"{gpu.name}, compute capability {gpu.capability}"
            gpu.close()
        else:
            report.device = "a stand-in: the times mean nothing"
        for name, measurement in MEASUREMENTS.items():
            if options.only == name:
                measurement(lab, report)
            elif not options.only:
                in_a_process(name, options, report)
        if options.only in (None, "endurance"):
            endurance(lab, report, 500 if options.standin else options.frames)
    report.write(options.out)


if __name__ == "__main__":
    main()
