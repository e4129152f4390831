"""What every measurement needs: a report, backends on the GPU or its stand-in, and a clock."""

import json
import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from spotterd.inference.base import ModelInfo
from spotterd.inference.cuda import Gpu
from spotterd.inference.cuda_backend import CudaBackend
from spotterd.inference.cuda_loaded import Recipe
from spotterd.inference.cuda_slots import CudaSlot
from spotterd.inference.tensorrt import TrtEngine
from spotterd.inference.trt_world import world_of

REPEATS = 7  # a figure is the median of so many


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


SMALL = (1, 3, 64, 64), (1, 6, 84)  # for tools that look at every access


class Lab:
    """Backends of an engine of a network's size, on the GPU or on its stand-in.

    Args:
        folder: keeps the compiled letterbox.
        small: a few small kernels.
    """

    def __init__(self, folder: Path, *, standin: bool, small: bool = False) -> None:
        self.folder = folder
        self.standin = standin
        self.factor = 2 if standin else 1  # of an output and its input
        self._trt: Any
        if standin:
            side, self._trt, plan = _standin()
            self._plan = lambda **_: plan
        else:
            from standins import trt_gpu

            self._trt = trt_gpu
            shapes = dict(zip(("input_shape", "output_shape"), SMALL, strict=True))
            sized = {**shapes, "layers": 4, "flops": 1e6} if small else {}
            self._plan = lambda **wanted: trt_gpu.plan(**{**sized, **wanted})
            side = SMALL[0][-1] if small else 640
        self.model = ModelInfo("stand-in", "0" * 64, (), (side, side), (), {})
        self.frames = 20 if standin else 300
        self.queued = 2 if standin else 64
        self.cache_bytes = 1 if standin else 256 << 20  # more than any cache holds

    def backend(self, slots: int, *, graphs: bool = True, zero_copy: bool = False,
                letterbox: bool = False, flops: float | None = None) -> CudaBackend:  # fmt: skip
        """Opened; `flops` of a frame where they shall be others than a small network's."""
        plan = self._plan(**({} if flops is None else {"flops": flops}))
        load = partial(TrtEngine, world_of(self._trt), plan, "stand-in.plan", self.model.input_hw)
        kernels = self.folder if letterbox else None
        recipe = Recipe(load, slots, zero_copy, graphs, kernels)
        return CudaBackend(Gpu(), recipe, self.model, "fp32")

    def tell_left_over(self, report: Report) -> None:
        """Blocks of the engine's stand-in not given back; those that were, for a tool's claims."""
        held, freed = set(), []
        if not self.standin:
            held, freed = self._trt.IExecutionContext.held, self._trt.IExecutionContext.freed
        print("blocks that the engine's stand-in gave back:", *map(hex, freed))
        report.add("blocks left by the engine's stand-in", len(held), at_most=0)


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
