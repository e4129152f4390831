"""The latency of single frames, and where its tail comes from.

A frame is submitted, waited for, and only then the next one: nothing else is in flight. The limit
is judged on frames as the daemon has them, without a time stamp of ours in between. The other
manners tell whose the tail is: the GPU's (stamped between a frame's steps), the waking up's (a core
spins instead), the scheduler's (real-time priority), or a sleeping processor's (none sleeps, the
thread does); and a timer that sleeps as long, with no GPU at all, tells what this machine does by
itself.
"""

import gc
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu.lab import Lab, Report, pipelined
from spotterd.inference.cuda_backend import CudaBackend
from spotterd.inference.cuda_slots import CudaSlot

LIMIT = 1.3  # p99 / p50
# Columns: milliseconds. `queue` is the host's submit; what is neither it nor the GPU's is `rest`:
# until the GPU begins, and from its end until the thread is awake.
COLUMNS = ("total", "queue", "copy in", "compute", "copy out", "rest")
AWAKE = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
print(flush=True)
while True: pass
"""
# A network that computes about as long as a board's: 8 ms on an H200, where 5.3e11 took 17.5 ms
# and 8.7e9 0.5 ms, most of that the launches.
BOARD_FLOPS = 2.4e11

Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Manner:
    """How frames are timed.

    Attributes:
        frames: how many.
        slots: that take turns.
        rate: frames a second; 0: one right after the other.
        stamped: the GPU stamps the steps; else only `total` and `queue` are known.
        spins: a core asks until the frame is done, before the thread waits as always.
        first: before every other thread of the machine, on one processor, without the collector.
        awake: no processor of the machine sleeps.
        board: computes as long as a board does.
        judged: by the limit.
    """

    name: str
    frames: int
    slots: int = 2
    rate: float = 0.0
    stamped: bool = True
    spins: bool = False
    first: bool = False
    awake: bool = False
    board: bool = False
    judged: bool = False


MANNERS = (
    Manner("as it is, 1 slot", 5000, slots=1, stamped=False, judged=True),
    Manner("as it is, 2 slots", 5000, stamped=False, judged=True),
    Manner("long compute", 500, stamped=False, board=True, judged=True),
    Manner("stamped", 5000),
    Manner("stamped, no processor sleeps", 5000, awake=True),
    Manner("stamped, real-time priority", 5000, first=True),
    Manner("stamped, a core spins", 5000, spins=True),
    Manner("stamped, 30 frames/s", 360, rate=30.0),
    Manner("stamped, long compute", 500, board=True),
    Manner("stamped, long compute, 30 frames/s", 240, board=True, rate=30.0),
)


class Stamps:
    """Times of the GPU around the steps of a slot's frames."""

    def __init__(self, backend: CudaBackend, slot: CudaSlot) -> None:
        lane, drv = backend._loaded.lanes[slot], backend._gpu.drv
        self._gpu, self._lane = backend._gpu, lane
        with backend._gpu:
            self._marks = [drv.Event() for _ in range(3)]
            lane.done = drv.Event(drv.event_flags.BLOCKING_SYNC)  # as before, but it knows when
        begun, copied, ran = self._marks
        copy_in, run, stream = lane.copy_in, lane.run, lane.stream

        def copy_in_stamped() -> None:
            begun.record(stream)
            copy_in()
            copied.record(stream)

        def run_stamped() -> None:
            run()
            ran.record(stream)

        lane.copy_in = copy_in_stamped  # type: ignore[method-assign]
        lane.run = run_stamped

    def steps_ms(self) -> list[float]:
        """Copy in, compute, copy out of the frame that was waited for."""
        times = [*self._marks, self._lane.done]
        with self._gpu:
            return [after.time_since(before) for before, after in pairwise(times)]


def timed(backend: CudaBackend, manner: Manner, frames: int) -> Times:
    """The times of `frames` single frames, a row each."""
    slots = backend._loaded.slots
    stamps = {slot: Stamps(backend, slot) for slot in slots} if manner.stamped else {}
    rows = np.full((frames, len(COLUMNS)), np.nan)
    due = time.perf_counter()
    for row in rows:
        if manner.rate:
            due += 1 / manner.rate
            time.sleep(max(0.0, due - time.perf_counter()))
        slot: Any = backend.acquire()
        began = time.perf_counter_ns()
        backend.submit(slot)
        queued = time.perf_counter_ns()
        if manner.spins:
            with backend._gpu:
                while not backend._loaded.lanes[slot].done.query():
                    pass
        backend.wait(slot)
        ended = time.perf_counter_ns()
        row[:2] = (ended - began) / 1e6, (queued - began) / 1e6
        if stamps:
            row[2:5] = stamps[slot].steps_ms()
            row[5] = row[0] - row[2:5].sum()
        backend.release(slot)
    return rows


@contextmanager
def processors_awake() -> Iterator[None]:
    """Keep every processor busy with work that yields to all other work at once."""
    with ExitStack() as ends:
        for cpu in sorted(os.sched_getaffinity(0)):
            command = [sys.executable, "-S", "-c", AWAKE, str(cpu)]
            busy = ends.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
            ends.callback(busy.kill)
            assert busy.stdout
            busy.stdout.readline()
        yield


@contextmanager
def before_all_others() -> Iterator[None]:
    """Real-time priority on one processor, and nothing for Python's collector to do."""
    allowed = os.sched_getaffinity(0)
    gc.freeze()
    gc.disable()
    try:
        os.sched_setaffinity(0, {max(allowed)})
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.sched_setaffinity(0, allowed)
        gc.enable()
        gc.unfreeze()


def timer_ms(sleep_s: float, times: int) -> Times:
    """How long a timer of the kernel sleeps that is set to `sleep_s`."""
    took = np.empty(times)
    for i in range(times):
        began = time.perf_counter_ns()
        time.sleep(sleep_s)
        took[i] = (time.perf_counter_ns() - began) / 1e6
    return took


def stolen_s() -> float:
    """Seconds that the host let this machine's processors wait, all of them together."""
    ticks = int(Path("/proc/stat").read_text().split(maxsplit=10)[8])
    return ticks / os.sysconf("SC_CLK_TCK")


def percentiles(times: Times) -> list[float]:
    return [float(p) for p in np.percentile(times, [50, 90, 99, 99.9, 100])]


def blame(rows: Times) -> dict[str, float]:
    """By how much each part of the slowest 1 % is above its median, in ms."""
    slowest = rows[rows[:, 0] >= np.percentile(rows[:, 0], 99)]
    more = slowest.mean(axis=0) - np.median(rows, axis=0)
    return {name: float(ms) for name, ms in zip(COLUMNS, more, strict=True)}


HEADINGS = ("frames", "p50", "p90", "p99", "p99.9", "max", "p99/p50", "GPU's own p99/p50",
            *COLUMNS[1:], "stolen s", "preempted")  # fmt: skip
EXPLAINED = (
    "Milliseconds. The columns from `queue` to `rest` are by how much that part of the slowest 1 % "
    "is above its median: who makes the tail. `rest`: until the GPU begins, and from its end until "
    "the thread is awake."
)


def line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def row_of(name: str, rows: Times, stolen: float = 0.0, unwilling: int = 0) -> str:
    values = percentiles(rows[:, 0])
    told = [name, *(f"{v:.3f}" for v in values), f"{values[2] / values[0]:.2f}"]
    if np.isnan(rows).any():
        told += [""] * len(COLUMNS)
    else:
        own = percentiles(rows[:, 2:5].sum(axis=1))
        told.append(f"{own[2] / own[0]:.2f}")
        told += [f"{blame(rows)[part]:+.3f}" for part in COLUMNS[1:]]
    return line([*told, f"{stolen:.2f}", str(unwilling)])


def one(lab: Lab, report: Report, manner: Manner, table: list[str], kept: list[str]) -> float:
    """Time one manner; its median in ms."""
    frames = manner.frames if not lab.standin else 20
    backend = lab.backend(manner.slots, flops=BOARD_FLOPS if manner.board else None)
    pipelined(backend, 60)  # clocks up, everything loaded
    around = processors_awake() if manner.awake else ExitStack()
    with around, before_all_others() if manner.first else ExitStack():
        stolen, usage = stolen_s(), resource.getrusage(resource.RUSAGE_SELF)
        rows = timed(backend, manner, frames)
    unwilling = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - usage.ru_nivcsw
    backend.close()
    table.append(row_of(manner.name, rows, stolen_s() - stolen, unwilling))
    print(table[-1], flush=True)
    kept += [f"{manner.name}," + ",".join(f"{v:.4f}" for v in row) for row in rows]
    p50, _, p99, *_ = percentiles(rows[:, 0])
    if manner.judged:
        report.add(f"latency of a frame alone, {manner.name}", p50, "ms")
        report.add(f"latency p99 / p50, {manner.name}", p99 / p50, at_most=LIMIT)
    return p50


def latency(lab: Lab, report: Report, out: Path) -> None:
    """All manners; the whole of their times into `latency.csv`, what they say into `latency.md`."""
    out.mkdir(parents=True, exist_ok=True)
    table = [EXPLAINED, "", line(HEADINGS), line(["---"] * len(HEADINGS))]
    kept = ["frames," + ",".join(COLUMNS)]
    medians = {}
    for manner in MANNERS:
        try:
            medians[manner.name] = one(lab, report, manner, table, kept)
        except PermissionError as error:  # real-time priority is root's
            table.append(line([manner.name, f"not allowed: {error}"]))
        asleep_s = medians[MANNERS[0].name] / 1e3
        if manner is MANNERS[0]:
            times = timer_ms(asleep_s, 20 if lab.standin else 5000)[:, None]
            rows = np.hstack([times, np.full((len(times), len(COLUMNS) - 1), np.nan)])
            table.append(row_of(f"no GPU: a timer of {asleep_s * 1e3:.2f} ms", rows))
            print(table[-1], flush=True)
        (out / "latency.md").write_text("\n".join(table) + "\n")
        (out / "latency.csv").write_text("\n".join(kept) + "\n")
