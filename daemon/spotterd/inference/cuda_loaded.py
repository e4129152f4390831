"""An engine loaded into a context, with a slot and a lane for every inference in flight."""

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from spotterd.errors import FallBackError
from spotterd.inference.base import Slot
from spotterd.inference.cuda import Gpu, GpuFault, out_of_memory
from spotterd.inference.cuda_driver import DriverError
from spotterd.inference.cuda_slots import Binding, CudaSlot, Lane
from spotterd.inference.preprocess import CudaFrameSlot, FrameLane, GpuLetterbox

log = logging.getLogger(__name__)


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


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to load an engine.

    Attributes:
        load: makes the engine; the context is current.
        slots: how many inferences may be in flight.
        zero_copy: the GPU works on the host's memory itself.
        graphs: record each slot's run once, and launch it as one.
        kernels: folder for the compiled letterbox; None: frames are letterboxed by the CPU.
    """

    load: Callable[[], Engine]
    slots: int = 3
    zero_copy: bool = False
    graphs: bool = True
    kernels: Path | None = None


class Loaded:
    """The engine, the letterbox and the lanes in the context that is current.

    Attributes:
        slots: one a lane.
        computed: recorded after each run, waited for by the next: they share scratch memory.

    Raises:
        FallBackError: the engine cannot run here, or the memory does not suffice.
        gpu.errors: its first run broke the GPU for this process; nothing was freed.
    """

    def __init__(self, gpu: Gpu, recipe: Recipe) -> None:
        self._gpu = gpu
        self._recipe = recipe
        self._graphs = recipe.graphs
        self.computed: Any = None
        with ExitStack() as undo:
            self._engine = recipe.load()
            undo.callback(self._engine.close)
            self._letterbox = self._open_letterbox()
            if self._letterbox is not None:
                undo.callback(self._letterbox.close)
            kind = CudaSlot if self._letterbox is None else CudaFrameSlot
            self.slots = tuple(kind(self._engine.bindings) for _ in range(recipe.slots))
            self.lanes: dict[Slot, Lane] = {}
            undo.callback(self._close_lanes)
            try:
                self._open_lanes()
            except gpu.errors:
                undo.pop_all()  # what is in a dead context is freed when the process ends
                raise
            self._undo = undo.pop_all()

    @property
    def device_bytes(self) -> int:
        """Device memory of weights, scratch and slots."""
        return self._engine.device_bytes + sum(lane.device_bytes for lane in self.lanes.values())

    def close(self) -> None:
        """Free everything, in the context: what is freed after it is gone would be a leak."""
        self._gpu.drv.Context.synchronize()
        self._undo.close()
        self.computed = None  # now: pycuda frees it only while its context is current

    def _open_letterbox(self) -> GpuLetterbox | None:
        if self._recipe.kernels is None:
            return None
        picture = next(b for b in self._engine.bindings if b.is_input)
        try:
            return GpuLetterbox(self._gpu, self._recipe.kernels, picture)
        except FallBackError as error:
            log.warning("%s", error)
            return None

    def _open_lanes(self) -> None:
        drv = self._gpu.drv
        bindings = self._engine.bindings
        try:
            self.computed = drv.Event(drv.event_flags.DISABLE_TIMING)
            for slot in self.slots:
                lane = self.lanes[slot] = self._lane(slot, bindings)
                self._start(lane)
        except drv.MemoryError as error:
            wanted = len(self.slots) * sum(b.nbytes for b in bindings)
            memory = self._gpu.memory()
            raise out_of_memory(f"{len(self.slots)} slots", wanted, memory, error) from error
        except self._gpu.errors as error:
            if self._gpu.lost():
                raise
            raise FallBackError(
                f"The engine does not run on {self._gpu.name} ({error}). "
                "Delete it so that it is built again, or set engines.backend: onnxruntime."
            ) from error

    def _lane(self, slot: CudaSlot, bindings: tuple[Binding, ...]) -> Lane:
        zero_copy = self._recipe.zero_copy
        if isinstance(slot, CudaFrameSlot) and self._letterbox is not None:
            return FrameLane(self._gpu, slot, bindings, self._letterbox, zero_copy=zero_copy)
        return Lane(self._gpu, slot, bindings, zero_copy=zero_copy)

    def _start(self, lane: Lane) -> None:
        """A first run, since engines initialise lazily, which no graph can record."""
        enqueue = partial(self._engine.enqueue, lane.addresses, lane.stream.handle)
        lane.copy_in()  # an empty picture, not whatever the memory held
        enqueue()
        lane.stream.synchronize()
        try:
            lane.use(enqueue, self._gpu.lib if self._graphs else None)
        except (DriverError, GpuFault) as error:
            log.info("No CUDA graph of the engine, its kernels are queued singly: %s", error)
            self._graphs = False  # nor for the other slots

    def _close_lanes(self) -> None:
        while self.lanes:
            self.lanes.popitem()[1].close()
