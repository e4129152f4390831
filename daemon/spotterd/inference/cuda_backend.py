"""Runs an engine on a GPU: copies in and out overlap with the work on other slots.

The engine has one execution context, hence one scratch memory: its runs follow one another, chained
by an event, while each slot's copies go on in the slot's own stream beside them.
"""

import logging
import queue
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NoReturn, Protocol

from spotterd.config.schema import Precision
from spotterd.errors import FallBackError, RetryError
from spotterd.inference.base import ModelInfo
from spotterd.inference.cuda import MIB, Gpu, GpuFault, out_of_memory
from spotterd.inference.cuda_driver import DriverError
from spotterd.inference.cuda_slots import Binding, CudaSlot, Lane

log = logging.getLogger(__name__)

FAULTS_IN_A_ROW = 3  # as often the context is built anew before somebody else has to decide


class Engine(Protocol):
    """A network on the GPU, with one execution context."""

    bindings: tuple[Binding, ...]
    device_bytes: int  # weights and scratch memory

    def enqueue(self, addresses: Mapping[str, int], stream: int) -> None:
        """Put one run on a stream.

        Raises:
            GpuFault: it was refused.
        """

    def close(self) -> None:
        """Free it; the context is current."""


class CudaBackend:
    """The `Backend` of a CUDA engine.

    Used by one thread at a time, except `release`. A fault of the GPU is mended in place: the
    context is built anew around the same slots, and `RetryError` says that frames were lost.

    Args:
        gpu: open; closed by `close`, and where the constructor fails.
        load: makes the engine while the context is current; called again after a fault.
        slots: how many inferences may be in flight.
        zero_copy: the GPU works on the host's memory itself.
        graphs: record each slot's run once, and launch it as one.

    Raises:
        FallBackError: the engine cannot run here, or the memory does not suffice.
    """

    def __init__(
        self,
        name: str,
        gpu: Gpu,
        load: Callable[[], Engine],
        model: ModelInfo,
        precision: Precision,
        *,
        slots: int = 2,
        zero_copy: bool = False,
        graphs: bool = True,
    ) -> None:
        self.name = name
        self.device = gpu.name
        self.model = model
        self.precision = precision
        self.slots = slots
        self._gpu = gpu
        self._load = load
        self._zero_copy = zero_copy
        self._graphs = graphs
        self._engine: Engine | None = None
        self._lanes: dict[CudaSlot, Lane] = {}
        self._free: queue.SimpleQueue[CudaSlot] = queue.SimpleQueue()
        self._all: list[CudaSlot] = []
        self._generation = 0
        self._faults = 0
        self._computed: Any = None
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    @property
    def device_bytes(self) -> int:
        """Device memory of weights, scratch and slots."""
        engine = self._engine.device_bytes if self._engine else 0
        return engine + sum(lane.device_bytes for lane in self._lanes.values())

    def acquire(self) -> CudaSlot:
        """A free slot; waits until one is released."""
        return self._free.get()

    def release(self, slot: CudaSlot) -> None:
        """Give a slot back; any thread."""
        self._free.put(slot)

    def submit(self, slot: CudaSlot) -> None:
        """Queue copy-in, the run and copy-out of a filled slot; returns at once.

        Raises:
            RetryError: the GPU failed and was mended; this frame and those in flight are lost.
            FallBackError: the GPU failed and cannot be mended in this process.
        """
        lane = self._lane(slot)
        slot.convert_input()
        try:
            with self._gpu:
                lane.copy_in()
                lane.stream.wait_for_event(self._computed)
                lane.run()
                self._computed.record(lane.stream)
                lane.copy_out()
        except self._gpu.errors as error:
            self._mend(error)
        slot.generation = self._generation

    def wait(self, slot: CudaSlot) -> None:
        """Sleep until the outputs are there.

        Raises:
            RetryError, FallBackError: as `submit`.
        """
        lane = self._lane(slot)
        if slot.generation != self._generation:
            raise RetryError("This frame was lost when the GPU failed. The next one is tried.")
        try:
            with self._gpu:
                lane.done.synchronize()
        except self._gpu.errors as error:
            self._mend(error)
        slot.convert_outputs()
        self._faults = 0

    def close(self) -> None:
        """Free everything and give the context back; safe to call twice."""
        self._drop()
        self._gpu.close()

    def _lane(self, slot: CudaSlot) -> Lane:
        lane = self._lanes.get(slot)
        if lane is None:
            raise FallBackError("The GPU failed and was given up. Restart spotterd to use it.")
        return lane

    def _open(self) -> None:
        """Load the engine and give every slot its lane, in the context that is there now."""
        with self._gpu:
            engine = self._engine = self._load()
            if not self._all:
                self._all = [CudaSlot(engine.bindings) for _ in range(self.slots)]
                for slot in self._all:
                    self._free.put(slot)
            try:
                self._open_lanes(engine)
            except self._gpu.drv.MemoryError as error:
                wanted = self.slots * sum(b.nbytes for b in engine.bindings)
                memory = self._gpu.memory()
                raise out_of_memory(f"{self.slots} slots", wanted, memory, error) from error
            except self._gpu.errors as error:
                raise FallBackError(
                    f"The engine does not run on {self.device} ({error}). "
                    "Delete it so that it is built again, or set engines.backend: onnxruntime."
                ) from error
            taken, memory = self.device_bytes / MIB, self._gpu.memory()
            log.info("%s takes %.1f MiB of the GPU, %s", self.model.name, taken, memory)

    def _open_lanes(self, engine: Engine) -> None:
        self._computed = self._gpu.drv.Event(self._gpu.drv.event_flags.DISABLE_TIMING)
        for slot in self._all:
            lane = Lane(self._gpu, slot, engine.bindings, zero_copy=self._zero_copy)
            self._lanes[slot] = lane
            enqueue = partial(engine.enqueue, lane.addresses, lane.stream.handle)
            enqueue()  # engines initialise lazily, which no graph can record
            lane.stream.synchronize()
            try:
                lane.use(enqueue, self._gpu.lib if self._graphs else None)
            except (DriverError, GpuFault) as error:
                log.info("No CUDA graph of %s, runs are queued singly: %s", self.model.name, error)
                self._graphs = False  # nor for the other slots

    def _drop(self) -> None:
        """Free what lives in the context; on a broken one, as far as it goes."""
        lanes, self._lanes = self._lanes, {}
        engine, self._engine = self._engine, None
        if not lanes and engine is None:
            return
        with self._gpu:
            try:
                self._gpu.drv.Context.synchronize()
                for lane in lanes.values():
                    lane.close()
            except self._gpu.errors as error:
                log.debug("Not freed singly, the context is broken: %s", error)
            self._computed = None
            if engine is not None:
                engine.close()
            lanes.clear()

    def _mend(self, error: Exception) -> NoReturn:
        """Build the context anew; what was in flight is lost."""
        started = time.monotonic()
        failures: tuple[type[Exception], ...] = (*self._gpu.errors, FallBackError)
        self._generation += 1
        self._faults += 1
        log.warning("The GPU failed, its context is built anew: %s", error)
        try:
            self._drop()
            self._reopen()
        except failures as again:
            self._drop()
            raise FallBackError(
                f"The GPU failed ({error}) and cannot be used again in this process ({again}). "
                "Restart spotterd; if it comes again, delete the engine so that it is built anew."
            ) from again
        took = time.monotonic() - started
        raise RetryError(
            f"The GPU failed ({error}); its context was built anew in {took:.1f} s. "
            "The frames in flight are lost, the next one is tried."
        ) from error

    def _reopen(self) -> None:
        if self._faults > FAULTS_IN_A_ROW:
            raise FallBackError(f"it failed {self._faults} times in a row")
        self._gpu.reset()
        self._open()
