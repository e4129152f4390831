"""What must hold over many frames and engines: right answers, and nothing left behind."""

import os
from pathlib import Path

from gpu.lab import Lab, Report, pipelined
from gpu.letterboxing import letterboxed_wrongly, noise
from gpu.poison import forget
from spotterd.inference.cuda import Gpu
from spotterd.vision.letterbox import Letterbox

LONG = 10_000  # frames; before, memory still grows by what is loaded lazily, and is not judged


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


def planted(lab: Lab, report: Report) -> None:
    """What a tool that looks on must find, or its silence elsewhere means nothing."""
    backend = lab.backend(1)
    slot = backend.acquire()
    report.add("read unwritten and left behind on purpose", forget(backend, slot), "bytes")
    backend.submit(slot)
    backend.wait(slot)
    backend.close()


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
