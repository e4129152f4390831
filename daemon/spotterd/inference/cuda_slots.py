"""Slots whose memory the GPU reads and writes by itself, and what a context holds for each.

A slot's host arrays are ours (page-aligned, registered with CUDA, so page-locked) and live as long
as the slot: whoever still reads outputs when the context goes reads memory that is there. What
lives in the context is the slot's `Lane`.
"""

import mmap
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spotterd.data import Floats
from spotterd.inference.cuda import Gpu
from spotterd.inference.cuda_driver import LibCuda

NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: no hidden waits for the default stream


@dataclass(frozen=True, slots=True)
class Binding:
    """A named input or output of an engine, with its shape as it runs."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_input: bool

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return int(np.prod(self.shape)) * self.dtype.itemsize


def page_aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """A zeroed array in pages of its own."""
    # Shared mapping: a fork (a child that builds an engine) copies no page-locked page on write.
    memory = mmap.mmap(-1, int(np.prod(shape)) * dtype.itemsize)
    return np.frombuffer(memory, dtype).reshape(shape)


class CudaSlot:
    """One inference in flight: float32 arrays to lend, page-locked ones that the GPU sees.

    They are the same arrays where the engine takes float32, as those that spotterd builds do; an
    engine with other types gets a converted copy.
    """

    def __init__(self, bindings: tuple[Binding, ...]) -> None:
        self.pinned = {b.name: page_aligned(b.shape, b.dtype) for b in bindings}
        self._lent = {
            name: array if array.dtype == np.float32 else np.zeros(array.shape, np.float32)
            for name, array in self.pinned.items()
        }
        self._input = next(self._lent[b.name] for b in bindings if b.is_input)
        self._outputs = tuple(self._lent[b.name] for b in bindings if not b.is_input)
        self._converted = [
            (b.is_input, self._lent[b.name], self.pinned[b.name])
            for b in bindings
            if b.dtype != np.float32
        ]

    @property
    def input(self) -> Floats:
        """(1, 3, h, w) float32, the same memory for the slot's whole life."""
        return self._input

    @property
    def outputs(self) -> tuple[Floats, ...]:
        """Float32, in the engine's order; the same memory for the slot's whole life."""
        return self._outputs

    def convert_input(self) -> None:
        """Bring the lent input to the engine's type, if that is another."""
        for is_input, lent, pinned in self._converted:
            if is_input:
                np.copyto(pinned, lent, casting="same_kind")

    def convert_outputs(self) -> None:
        """Bring the engine's outputs to float32, if they are another."""
        for is_input, lent, pinned in self._converted:
            if not is_input:
                np.copyto(lent, pinned, casting="unsafe")  # counts (int32) to float


def _nothing() -> None:
    """A lane without an engine."""


class Lane:
    """What one context holds for a slot: its registration, device memory, stream, event, graph.

    Made, used and closed while the context is current. A failed construction leaves nothing behind.

    Args:
        zero_copy: the GPU works on the host's memory itself (sensible where they share it).

    Attributes:
        addresses: device address of every binding.
        device_bytes: device memory taken.
        run: puts one run of the engine on the stream; set by `use`.
    """

    def __init__(
        self, gpu: Gpu, slot: CudaSlot, bindings: tuple[Binding, ...], *, zero_copy: bool
    ) -> None:
        drv = gpu.drv
        self._drv = drv
        self._lib = gpu.lib
        self._inputs = [b.name for b in bindings if b.is_input]
        self._outputs = [b.name for b in bindings if not b.is_input]
        self._slot = slot
        self._zero_copy = zero_copy
        self._device: dict[str, Any] = {}
        self._undo = ExitStack()
        self.addresses: dict[str, int] = {}
        self.device_bytes = 0
        self.run: Callable[[], None] = _nothing
        with self._undo:
            self.stream = drv.Stream(NON_BLOCKING)
            flags = drv.event_flags
            # Blocking: the waiting thread sleeps instead of spinning on a core.
            self.done = drv.Event(flags.BLOCKING_SYNC | flags.DISABLE_TIMING)
            for binding in bindings:
                self._register(binding)
            self._undo = self._undo.pop_all()

    def _register(self, binding: Binding) -> None:
        host = self._slot.pinned[binding.name].ctypes.data
        self._undo.callback(self._lib.lock_pages(host, binding.nbytes))
        if self._zero_copy:
            self.addresses[binding.name] = self._lib.device_address(host)
            return
        memory = self._drv.mem_alloc(binding.nbytes)
        self._undo.callback(memory.free)
        self._device[binding.name] = memory
        self.addresses[binding.name] = int(memory)
        self.device_bytes += binding.nbytes

    def copy_in(self) -> None:
        """Queue the copy of the slot's input to the device."""
        self._slot.convert_input()
        if not self._zero_copy:
            for name in self._inputs:
                self._drv.memcpy_htod_async(
                    self._device[name], self._slot.pinned[name], self.stream
                )

    def copy_out(self) -> None:
        """Queue the copy of the outputs to the slot, and mark their arrival."""
        if not self._zero_copy:
            for name in self._outputs:
                self._drv.memcpy_dtoh_async(
                    self._slot.pinned[name], self._device[name], self.stream
                )
        self.done.record(self.stream)

    def wait(self) -> None:
        """Sleep until the outputs have arrived in the slot."""
        self.done.synchronize()
        self._slot.convert_outputs()

    def use(self, enqueue: Callable[[], None], lib: LibCuda | None) -> None:
        """Make `enqueue` the lane's run, as a graph if the driver's library is given.

        Raises:
            DriverError, GpuFault: it cannot be recorded.
        """
        self.run = enqueue
        if lib is not None:
            graph = lib.capture(self.stream.handle, enqueue)
            self._undo.callback(graph.close)
            self.run = partial(graph.launch, self.stream.handle)

    def close(self) -> None:
        """Free everything; nothing may be in flight."""
        self._undo.close()
