"""Stand-in for a GPU: device memory as NumPy arrays at real addresses, streams as threads.

Work on a stream runs in order and streams run side by side, so that order, overlap and missing
waits are real. An address that belongs to no allocation is an error, as on the device; after the
first error everything fails, for good: only `fresh` (a new process, on a device) helps.
"""

import itertools
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
ALIGNMENT = 4096


class CudaError(Exception):
    """What a CUDA call returned, by its name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def aligned_bytes(nbytes: int, alignment: int = ALIGNMENT) -> Bytes:
    """Page-aligned memory."""
    raw = np.zeros(nbytes + alignment, np.uint8)
    start = -raw.ctypes.data % alignment
    return raw[start : start + nbytes]


class Stream:
    """An ordered queue of work, run by a thread of its own."""

    def __init__(self, gpu: "Gpu", handle: int) -> None:
        self.handle = handle
        self.capturing: list[Callable[[], None]] | None = None
        self._gpu = gpu
        self._closed = False
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"stream-{handle}")
        self._thread.start()

    def submit(self, work: Callable[[], None]) -> None:
        """Queue work, or take it down for a graph."""
        if self.capturing is not None:
            self.capturing.append(work)
        else:
            self._work.put(work)

    def mark(self) -> threading.Event:
        """An event that is set once everything submitted so far is done."""
        marker = threading.Event()
        self._work.put(marker.set)
        return marker

    def close(self) -> None:
        self._closed = True
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            is_marker = getattr(work, "__name__", "") == "set"
            if (self._closed or self._gpu.error is not None) and not is_marker:
                continue  # a broken context runs nothing more, but nobody waits for ever
            try:
                work()
            except CudaError as error:
                self._gpu.error = error.name
            except Exception as error:
                self._gpu.error = f"CUDA_ERROR_LAUNCH_FAILED: {error!r}"


@dataclass
class Gpu:
    """One device. Tests set `total_bytes`, `devices`, ... and read the counters."""

    name: str = "Stand-in GPU"
    capability: tuple[int, int] = (8, 7)
    total_bytes: int = 8 << 30
    devices: int = 1
    init_error: str | None = None
    integrated: bool = False
    error: str | None = None
    used_bytes: int = 0
    retained: int = 0
    memory: dict[int, Bytes] = field(default_factory=dict)
    pinned: dict[int, Bytes] = field(default_factory=dict)
    mapped: set[int] = field(default_factory=set)
    streams: dict[int, Stream] = field(default_factory=dict)
    graphs: dict[int, Any] = field(default_factory=dict)
    handles: Any = field(default_factory=lambda: itertools.count(0x1000))

    def check(self) -> None:
        """Raise the error that sticks."""
        if self.error is not None:
            raise CudaError(self.error)

    def alloc(self, nbytes: int) -> int:
        self.check()
        if self.used_bytes + nbytes > self.total_bytes:
            raise CudaError("CUDA_ERROR_OUT_OF_MEMORY")
        data = aligned_bytes(max(1, nbytes))
        address: int = data.ctypes.data
        self.memory[address] = data
        self.used_bytes += nbytes
        return address

    def free(self, address: int) -> None:
        self.used_bytes -= self.memory.pop(address).nbytes

    def bytes_at(self, address: int, nbytes: int) -> Bytes:
        """Device (or mapped host) memory; an address of neither is an illegal access."""
        for start, data in [*self.memory.items(), *self._mapped_host()]:
            if start <= address and address + nbytes <= start + data.nbytes:
                return data[address - start : address - start + nbytes]
        raise CudaError("CUDA_ERROR_ILLEGAL_ADDRESS")

    def is_pinned(self, array: NDArray[Any]) -> bool:
        address = array.ctypes.data
        return any(
            start <= address and address + array.nbytes <= start + data.nbytes
            for start, data in self.pinned.items()
        )

    def new_stream(self) -> Stream:
        self.check()
        stream = Stream(self, next(self.handles))
        self.streams[stream.handle] = stream
        return stream

    def _mapped_host(self) -> list[tuple[int, Bytes]]:
        return [(start, self.pinned[start]) for start in self.mapped]


gpu = Gpu()
_thread = threading.local()


def stack() -> list[Any]:
    """The contexts of this thread, the current one last."""
    if not hasattr(_thread, "stack"):
        _thread.stack = []
    contexts: list[Any] = _thread.stack
    return contexts


def fresh(**settings: Any) -> Gpu:
    """Put the device back as new, with other settings."""
    for stream in gpu.streams.values():
        stream.close()
    gpu.__init__(**settings)  # type: ignore[misc]  # the stand-ins hold on to this very object
    return gpu
