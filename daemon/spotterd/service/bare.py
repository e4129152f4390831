"""How fast a backend is alone, and what that says about the daemon around it."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spotterd.health.meters import Figures
from spotterd.inference.detector import Detector
from spotterd.service.engine import Loaded

WARM_UP = 3  # inferences before the clock starts


@dataclass(frozen=True, slots=True)
class Bare:
    """The backend alone, fed with the same input again and again.

    Attributes:
        fps: inferences a second.
        median_ms: of one.
        began_s: `time.perf_counter` before it was warmed up.
        ended_s: the same at the end.
    """

    fps: float
    median_ms: float
    began_s: float
    ended_s: float


def bare(detector: Detector, seconds: float, over: Callable[[], bool]) -> Bare:
    """Measure for so long, or until it is over, in the thread that owns the backend."""
    backend = detector.backend
    slot = backend.acquire()
    asked_s = time.perf_counter()
    took_s: list[float] = []
    try:
        for _ in range(WARM_UP):
            backend.submit(slot)
            backend.wait(slot)
        began_s = last_s = time.perf_counter()
        while not took_s or (last_s - began_s < seconds and not over()):
            backend.submit(slot)
            backend.wait(slot)
            now_s = time.perf_counter()
            took_s.append(now_s - last_s)
            last_s = now_s
    finally:
        backend.release(slot)
    fps = len(took_s) / (last_s - began_s)
    return Bare(fps, statistics.median(took_s) * 1e3, asked_s, last_s)


def compared(measured: Bare, loaded: Loaded, figures: Figures) -> dict[str, Any]:
    """The answer to `request/bench`.

    Args:
        measured: the backend alone.
        loaded: what was measured.
        figures: of the daemon, from before it stood still for the measurement.
    """
    backend, took = loaded.detector.backend, figures.latency
    gate = loaded.engine.sidecar.figures if loaded.engine else None
    return {
        "backend": backend.name,
        "device": backend.device,
        "precision": backend.precision,
        "bare_fps": round(measured.fps, 2),
        "bare_ms": round(measured.median_ms, 2),
        "fps": round(figures.fps, 2),
        "efficiency": round(figures.fps / measured.fps, 4),
        "faster_than_fp32": round(gate.reference_ms / gate.ms, 2) if gate and gate.ms else None,
        "latency_ms": took
        and {
            "p50": round(took.p50_ms, 2),
            "p95": round(took.p95_ms, 2),
            "p99": round(took.p99_ms, 2),
        },
        "stages_ms": {
            stage.name: {"p50": round(stage.took.p50_ms, 3), "p99": round(stage.took.p99_ms, 3)}
            for stage in figures.stages
        },
    }
