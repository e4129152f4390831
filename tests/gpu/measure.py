"""Measure the GPU path on a machine with a GPU: latency, overlap, copies, kernel, faults.

    PYTHONPATH=daemon:tests python tests/gpu/measure.py --out FOLDER

writes FOLDER/gpu.json and FOLDER/gpu.md: medians and ratios of this one run, each beside its limit.
The engine is the stand-in of `standins.trt_gpu`: real kernels of a network's size, so that only
NVIDIA's `execute_async_v3` is not what a board runs. `--standin` runs the script itself where there
is no GPU, on the stand-in of pycuda; its times mean nothing and are judged by nobody.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from gpu.lab import Lab, Report, median_ms, pipelined
from gpu.latency import latency
from gpu.letterboxing import kernel, letterboxes
from gpu.poison import poison
from gpu.soundness import endurance, planted, reopened, watched
from spotterd.errors import RestartError
from spotterd.inference.cuda import Gpu
from spotterd.inference.cuda_backend import CudaBackend
from spotterd.inference.cuda_slots import Lane

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
FOR_TOOLS = {"watched": watched, "planted": planted}


def measure(name: str, lab: Lab, report: Report, options: argparse.Namespace) -> None:
    """One measurement, in this process."""
    if name == "latency":
        latency(lab, report, options.out)
    elif name == "endurance":
        endurance(lab, report, 500 if options.standin else options.frames)
    elif name in FOR_TOOLS:
        FOR_TOOLS[name](lab, report)
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
    parser.add_argument("--only", choices=[*names, *FOR_TOOLS, "one-fault"], help="in this process")
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
