"""Runs an engine on a GPU: copies in and out overlap with the work on other slots.

The engine has one execution context, hence one scratch memory: its runs follow one another, chained
by an event, while each slot's copies go on in the slot's own stream beside them.
"""

import logging
import queue
import statistics
import time
from collections.abc import Callable
from typing import NoReturn

import numpy as np

from spotterd.config.schema import Precision
from spotterd.errors import FallBackError, RetryError
from spotterd.inference.base import ModelInfo, Slot
from spotterd.inference.cuda import MIB, Gpu
from spotterd.inference.cuda_loaded import Loaded, Recipe
from spotterd.inference.preprocess import CudaFrameSlot
from spotterd.vision.letterbox import Letterbox

log = logging.getLogger(__name__)

FULL_HD = 1920, 1080
TRIALS = 9  # the first pay for what is allocated lazily; the median does not see them
FAULTS_IN_A_ROW = 3  # as often the context is built anew before somebody else has to decide


class CudaBackend:
    """The `Backend` of a CUDA engine.

    Used by one thread at a time, except `release`. A fault of the GPU is mended in place: the
    context is built anew around the same slots, and `RetryError` says that frames were lost.

    Args:
        gpu: open; closed by `close`, and where the constructor fails.
        recipe: loads the engine; followed again after a fault.

    Raises:
        FallBackError: the engine cannot run here, or the memory does not suffice.
    """

    name = "tensorrt"

    def __init__(self, gpu: Gpu, recipe: Recipe, model: ModelInfo, precision: Precision) -> None:
        self.device = gpu.name
        self.model = model
        self.precision: Precision = precision
        self.slots = recipe.slots
        self._gpu = gpu
        self._recipe = recipe
        self._faults = 0
        try:
            with gpu:
                self._loaded: Loaded | None = Loaded(gpu, recipe)
                taken, memory = self._loaded.device_bytes / MIB, gpu.memory()
        except BaseException:
            gpu.close()
            raise
        log.info("%s takes %.1f MiB of the GPU, %s", model.name, taken, memory)
        self._slots = self._loaded.slots
        self._free: queue.SimpleQueue[Slot] = queue.SimpleQueue()
        for slot in self._slots:
            self._free.put(slot)

    @property
    def device_bytes(self) -> int:
        """Device memory of weights, scratch and slots."""
        return self._loaded.device_bytes if self._loaded else 0

    def acquire(self) -> Slot:
        """A free slot; waits until one is released."""
        return self._free.get()

    def release(self, slot: Slot) -> None:
        """Give a slot back; any thread."""
        self._free.put(slot)

    def submit(self, slot: Slot) -> None:
        """Queue copy-in, the run and copy-out of a filled slot; returns at once.

        Raises:
            RetryError: the GPU failed and was mended; this frame and those in flight are lost.
            FallBackError: the GPU failed and cannot be mended in this process.
        """
        loaded = self._usable()
        lane = loaded.lanes[slot]
        try:
            with self._gpu:
                lane.copy_in()
                lane.stream.wait_for_event(loaded.computed)
                lane.run()
                loaded.computed.record(lane.stream)
                lane.copy_out()
        except self._gpu.errors as error:
            self._mend(error)

    def wait(self, slot: Slot) -> None:
        """Sleep until the outputs are there.

        Raises:
            RetryError, FallBackError: as `submit`.
        """
        lane = self._usable().lanes[slot]
        if not lane.in_flight:  # it was, in a context that is gone
            raise RetryError("This frame was lost when the GPU failed. The next one is tried.")
        try:
            with self._gpu:
                lane.wait()
        except self._gpu.errors as error:
            self._mend(error)
        self._faults = 0

    def choose_letterbox(self, frame_wh: tuple[int, int] = FULL_HD) -> bool:
        """Time both ways from a frame to outputs, and keep to the faster one.

        Returns:
            True: the GPU letterboxes.
        """
        slots = [slot for slot in self._slots if isinstance(slot, CudaFrameSlot)]
        if not slots:
            return False
        letterbox = Letterbox(frame_wh, self.model.input_hw)
        bgr = np.zeros((frame_wh[1], frame_wh[0], 3), np.uint8)

        def on_gpu(slot: CudaFrameSlot) -> None:
            slot.take(bgr, letterbox)

        def on_cpu(slot: CudaFrameSlot) -> None:
            letterbox.fill(bgr, slot.input, padded=True)

        gpu_ms, cpu_ms = (self._median_ms(slots[0], fill) for fill in (on_gpu, on_cpu))
        for slot in slots:
            slot.on_gpu = gpu_ms < cpu_ms
        log.info("A frame takes %.2f ms with the GPU's letterbox, %.2f ms with the CPU's; "
                 "the faster one is taken", gpu_ms, cpu_ms)  # fmt: skip
        return gpu_ms < cpu_ms

    def close(self) -> None:
        """Free everything and give the context back; safe to call twice."""
        self._unload()
        self._gpu.close()

    def _median_ms(self, slot: CudaFrameSlot, fill: Callable[[CudaFrameSlot], None]) -> float:
        took = []
        for _ in range(TRIALS):
            started = time.perf_counter_ns()
            fill(slot)
            self.submit(slot)
            self.wait(slot)
            took.append(time.perf_counter_ns() - started)
        return statistics.median(took) / 1e6

    def _usable(self) -> Loaded:
        if self._loaded is None:
            raise FallBackError("The GPU failed and was given up. Restart spotterd to use it.")
        return self._loaded

    def _unload(self) -> None:
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            with self._gpu:
                loaded.close()

    def _mend(self, error: Exception) -> NoReturn:
        """Build the context anew; what was in flight is lost."""
        started = time.monotonic()
        failures: tuple[type[Exception], ...] = (*self._gpu.errors, FallBackError)
        self._faults += 1
        log.warning("The GPU failed, its context is built anew: %s", error)
        try:
            self._reload()
        except failures as again:
            raise FallBackError(
                f"The GPU failed ({error}) and cannot be used again in this process ({again}). "
                "Restart spotterd; if it comes again, delete the engine so that it is built anew."
            ) from again
        took = time.monotonic() - started
        raise RetryError(
            f"The GPU failed ({error}); its context was built anew in {took:.1f} s. "
            "The frames in flight are lost, the next one is tried."
        ) from error

    def _reload(self) -> None:
        self._unload()
        if self._faults > FAULTS_IN_A_ROW:
            raise FallBackError(f"it failed {self._faults} times in a row")
        self._gpu.reset()
        with self._gpu:
            self._loaded = Loaded(self._gpu, self._recipe, self._slots)
