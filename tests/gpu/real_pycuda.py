"""Run the CUDA backend through the real pycuda; test_real_pycuda.py starts it and reads its line.

On a GPU, or a libcuda whose device is the host's memory (host_libcuda.c).
"""

import ctypes
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from spotterd.inference.base import ModelInfo
from spotterd.inference.cuda import Gpu
from spotterd.inference.cuda_backend import CudaBackend
from spotterd.inference.cuda_loaded import Recipe
from spotterd.inference.preprocess import CudaFrameSlot
from spotterd.inference.tensorrt import TrtEngine
from spotterd.inference.trt_world import world_of
from spotterd.vision.letterbox import Letterbox
from standins import trt_gpu

SHAPE = (1, 3, 8, 8)
INFO = ModelInfo("double", "0" * 64, (), SHAPE[2:], (SHAPE,), {})
COUNTS = ("retained", "current", "blocks", "registered", "streams", "events", "graphs")


def backend(slots: int, *, zero_copy: bool, kernels: Path | None = None) -> CudaBackend:
    """One of the stand-in engine, whose outputs are its inputs."""
    plan = trt_gpu.plan(SHAPE, SHAPE, layers=3, flops=1e4)
    load = partial(TrtEngine, world_of(trt_gpu), plan, "layers.plan", SHAPE[2:])
    return CudaBackend(Gpu(), Recipe(load, slots, zero_copy, kernels=kernels), INFO, "fp32")


def frames(zero_copy: bool) -> int:
    """Frames letterboxed by the kernel; how many came out as the CPU makes them."""
    runs = backend(2, zero_copy=zero_copy, kernels=Path.cwd())
    good = 0
    for seed in range(10):
        size = (100 + seed, 80)
        bgr = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
        letterbox = Letterbox(size, SHAPE[2:])
        expected = np.empty(SHAPE, np.float32)
        letterbox.fill(bgr, expected)
        slot = runs.acquire()
        assert isinstance(slot, CudaFrameSlot)
        assert slot.take(bgr, letterbox)
        runs.submit(slot)
        runs.wait(slot)
        good += bool((slot.outputs[0] == expected).all())
        runs.release(slot)
    runs.close()
    return good


def inputs(zero_copy: bool) -> int:
    """Plain inputs; how many came out as they were.

    Opened here, used by another thread, closed here: as the daemon may do.
    """
    runs = backend(3, zero_copy=zero_copy)
    try:
        with ThreadPoolExecutor(1) as worker:
            return worker.submit(lambda: sum(run(runs, value) for value in range(100))).result()
    finally:
        runs.close()


def run(runs: CudaBackend, value: int) -> bool:
    """One frame: whether it came out as it was."""
    slot = runs.acquire()
    slot.input.fill(value)
    runs.submit(slot)
    runs.wait(slot)
    good = bool((slot.outputs[0] == value).all())
    runs.release(slot)
    return good


def left() -> dict[str, int]:
    """What was not given back, as the libcuda of ours has counted; empty on a GPU."""
    count = getattr(ctypes.CDLL("libcuda.so.1"), "host_libcuda_counts", None)
    if count is None:
        return {}
    counts = (ctypes.c_int * len(COUNTS))()
    count(counts)
    return dict(zip(COUNTS, counts, strict=True))


def main(zero_copy: bool) -> None:
    result = {"good": inputs(zero_copy), "frames": frames(zero_copy)}
    print(json.dumps({**result, **left()}))


if __name__ == "__main__":
    main(zero_copy="--zero-copy" in sys.argv)
