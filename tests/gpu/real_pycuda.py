"""Run the CUDA backend through the real pycuda; test_real_pycuda.py starts it and reads its line.

The engine doubles its input with ctypes at the very addresses that it is given, so it needs a
libcuda whose device memory is the host's (host_libcuda.c).
"""

import ctypes
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spotterd.errors import RetryError
from spotterd.inference.base import ModelInfo
from spotterd.inference.cuda import Gpu
from spotterd.inference.cuda_backend import CudaBackend
from spotterd.inference.cuda_loaded import Recipe
from spotterd.inference.cuda_slots import Binding
from spotterd.inference.preprocess import CudaFrameSlot
from spotterd.vision.letterbox import Letterbox

SHAPE = (1, 3, 8, 8)
INFO = ModelInfo("double", "0" * 64, (), SHAPE[2:], (SHAPE,), {})
COUNTS = ("retained", "current", "blocks", "registered", "streams", "events", "graphs", "resets")


class HostEngine:
    """Output = 2 x input, at once."""

    bindings = (
        Binding("images", SHAPE, np.dtype(np.float32), is_input=True),
        Binding("output0", SHAPE, np.dtype(np.float32), is_input=False),
    )
    device_bytes = 0

    def enqueue(self, addresses: Mapping[str, int], stream: int) -> None:
        assert stream
        size = self.bindings[0].nbytes
        source, target = (
            np.frombuffer((ctypes.c_char * size).from_address(addresses[b.name]), np.float32)
            for b in self.bindings
        )
        with np.errstate(all="ignore"):  # the first run's memory is as it was found
            np.multiply(source, 2, out=target)

    def close(self) -> None:
        pass


def frames(zero_copy: bool) -> int:
    """Frames letterboxed by the kernel; how many came out as the CPU makes them."""
    recipe = Recipe(HostEngine, 2, zero_copy=zero_copy, graphs=False, kernels=Path.cwd())
    backend = CudaBackend(Gpu(), recipe, INFO, "fp32")
    good = 0
    for seed in range(10):
        size = (100 + seed, 80)
        bgr = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
        letterbox = Letterbox(size, SHAPE[2:])
        expected = np.empty(SHAPE, np.float32)
        letterbox.fill(bgr, expected)
        slot = backend.acquire()
        assert isinstance(slot, CudaFrameSlot)
        assert slot.take(bgr, letterbox)
        backend.submit(slot)
        backend.wait(slot)
        good += bool((slot.outputs[0] == 2 * expected).all())
        backend.release(slot)
    backend.close()
    return good


def inputs(zero_copy: bool) -> tuple[int, int]:
    """Plain inputs; how many came out doubled, and how many were lost."""
    recipe = Recipe(HostEngine, 3, zero_copy=zero_copy, graphs=False)
    backend = CudaBackend(Gpu(), recipe, INFO, "fp32")
    good = lost = 0
    for value in range(100):
        slot = backend.acquire()
        slot.input.fill(value)
        try:
            backend.submit(slot)
            backend.wait(slot)
            good += bool((slot.outputs[0] == 2 * value).all())
        except RetryError:
            lost += 1
        backend.release(slot)
    backend.close()
    return good, lost


def main(zero_copy: bool) -> None:
    counts = (ctypes.c_int * len(COUNTS))()
    good, lost = inputs(zero_copy)
    result = {"good": good, "lost": lost, "frames": frames(zero_copy)}
    # Another one records a graph; nothing is launched with it, host memory records nothing.
    CudaBackend(Gpu(), Recipe(HostEngine), INFO, "fp32").close()
    ctypes.CDLL("libcuda.so.1").host_libcuda_counts(counts)
    print(json.dumps({**result, **dict(zip(COUNTS, counts, strict=True))}))


if __name__ == "__main__":
    main(zero_copy="--zero-copy" in sys.argv)
