"""Runs an engine on a GPU: copies in and out overlap with the work on other slots.

The engine has one execution context, hence one scratch memory: its runs follow one another, chained
by an event, while each slot's copies go on in the slot's own stream beside them.
"""

import logging
import queue
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import NoReturn

import numpy as np

from spotterd.config.schema import Precision
from spotterd.errors import RestartError
from spotterd.inference.base import ModelInfo, Slot
from spotterd.inference.cuda import MIB, Gpu
from spotterd.inference.cuda_loaded import Loaded, Recipe
from spotterd.inference.preprocess import CudaFrameSlot
from spotterd.vision.letterbox import Letterbox

log = logging.getLogger(__name__)

FULL_HD = 1920, 1080
TRIALS = 9  # the first pay for what is allocated lazily; the median does not see them


class CudaBackend:
    """The `Backend` of a CUDA engine.

    Used by one thread at a time, except `release`. After a fault of the GPU this process can only
    end: CUDA answers every further call with the same error, whatever is reset.

    Args:
        gpu: open; closed by `close`, and where the constructor fails.
        recipe: loads the engine.

    Attributes:
        device_bytes: device memory of weights, scratch and slots.

    Raises:
        FallBackError: the engine cannot run here, or the memory does not suffice.
        RestartError: its first run broke the GPU for this process.
    """

    name = "tensorrt"

    def __init__(self, gpu: Gpu, recipe: Recipe, model: ModelInfo, precision: Precision) -> None:
        self.device = gpu.name
        self.model = model
        self.precision: Precision = precision
        self.slots = recipe.slots
        self._gpu = gpu
        with ExitStack() as undo:
            self._undo = undo
            undo.callback(gpu.close)
            try:
                with gpu:
                    self._loaded = Loaded(gpu, recipe)
                    undo.callback(self._unload)
                    memory = gpu.memory()
            except gpu.errors as error:
                self._give_up(error)
            self.device_bytes = self._loaded.device_bytes
            self._undo = undo.pop_all()
        log.info("%s takes %.1f MiB of the GPU, %s", model.name, self.device_bytes / MIB, memory)
        self._free: queue.SimpleQueue[Slot] = queue.SimpleQueue()
        for slot in self._loaded.slots:
            self._free.put(slot)

    def acquire(self) -> Slot:
        """A free slot; waits until one is released."""
        return self._free.get()

    def release(self, slot: Slot) -> None:
        """Give a slot back; any thread."""
        self._free.put(slot)

    def submit(self, slot: Slot) -> None:
        """Queue copy-in, the run and copy-out of a filled slot; returns at once.

        Raises:
            RestartError: the GPU failed.
        """
        loaded = self._loaded
        lane = loaded.lanes[slot]
        try:
            with self._gpu:
                lane.copy_in()
                lane.stream.wait_for_event(loaded.computed)
                lane.run()
                loaded.computed.record(lane.stream)
                lane.copy_out()
        except self._gpu.errors as error:
            self._give_up(error)

    def wait(self, slot: Slot) -> None:
        """Sleep until the outputs are there.

        Raises:
            RestartError: the GPU failed.
        """
        try:
            with self._gpu:
                self._loaded.lanes[slot].wait()
        except self._gpu.errors as error:
            self._give_up(error)

    def choose_letterbox(self, frame_wh: tuple[int, int] = FULL_HD) -> bool:
        """Time both ways from a frame to outputs, and keep to the faster one.

        Returns:
            True: the GPU letterboxes.
        """
        slots = [slot for slot in self._loaded.slots if isinstance(slot, CudaFrameSlot)]
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
        """Free everything and give the context back; safe to call twice, and after a fault."""
        self._undo.close()

    def _median_ms(self, slot: CudaFrameSlot, fill: Callable[[CudaFrameSlot], None]) -> float:
        took = []
        for _ in range(TRIALS):
            started = time.perf_counter_ns()
            fill(slot)
            self.submit(slot)
            self.wait(slot)
            took.append(time.perf_counter_ns() - started)
        return statistics.median(took) / 1e6

    def _unload(self) -> None:
        with self._gpu:
            self._loaded.close()
        self.device_bytes = 0

    def _give_up(self, error: Exception) -> NoReturn:
        """Touch the GPU no more: what is in a dead context is freed when the process ends."""
        self._undo.pop_all()
        with suppress(*self._gpu.errors):
            self._gpu.close()  # from now on pycuda frees nothing either
        raise RestartError(
            f"The GPU failed ({error}); CUDA takes it up again only in a new process. "
            "Start spotterd again (systemd does)."
        ) from error
