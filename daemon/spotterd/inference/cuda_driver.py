"""The CUDA driver calls that pycuda lacks: graphs, registered memory, an honest pop.

pycuda 2026.1 has no graphs, and its `register_host_memory` crashes with NumPy 2.
Signatures are those of cuda.h, the same since CUDA 11.
"""

import ctypes
from collections.abc import Callable
from functools import partial
from typing import Any

DEVICE_MAP = 2  # CU_MEMHOSTREGISTER_DEVICEMAP
THREAD_LOCAL_CAPTURE = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may go on


class DriverError(Exception):
    """A driver call failed; the message has the call and CUDA's own words."""


def _load() -> Any:
    return ctypes.CDLL("libcuda.so.1")


class LibCuda:
    """`libcuda.so.1`, loaded already by pycuda."""

    def __init__(self) -> None:
        self._library = _load()

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the driver.

        Raises:
            DriverError: it did not return CUDA_SUCCESS.
        """
        code = getattr(self._library, name)(*arguments)
        if code:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(code, ctypes.byref(text))
            raise DriverError(f"{name} failed: {(text.value or b'unknown error').decode()}")

    def pop_context(self) -> None:
        """Take the thread's current context off."""
        self.call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))

    def lock_pages(self, address: int, nbytes: int) -> Callable[[], None]:
        """Page-lock memory of ours, so that the GPU copies to and from it, or works on it.

        Returns:
            Undoes it.
        """
        start, size = ctypes.c_void_p(address), ctypes.c_size_t(nbytes)
        self.call("cuMemHostRegister_v2", start, size, ctypes.c_uint(DEVICE_MAP))
        return partial(self.call, "cuMemHostUnregister", start)

    def device_address(self, address: int) -> int:
        """Where the GPU sees page-locked memory."""
        seen = ctypes.c_uint64()
        start = ctypes.c_void_p(address)
        self.call("cuMemHostGetDevicePointer_v2", ctypes.byref(seen), start, ctypes.c_uint(0))
        return seen.value

    def capture(self, stream: int, work: Callable[[], None]) -> "Graph":
        """Record what `work` puts on a stream, instead of running it.

        Args:
            stream: handle of a stream that is not the default one.
            work: may raise; the capture is ended in any case.

        Raises:
            DriverError: something in `work` cannot be captured.
        """
        graph = ctypes.c_void_p()
        handle = ctypes.c_void_p(stream)
        self.call("cuStreamBeginCapture_v2", handle, ctypes.c_int(THREAD_LOCAL_CAPTURE))
        try:
            work()
        finally:
            # Also after an error: a stream left in capture refuses everything else.
            self.call("cuStreamEndCapture", handle, ctypes.byref(graph))
        try:
            runnable = ctypes.c_void_p()
            flags = ctypes.c_ulonglong(0)
            self.call("cuGraphInstantiateWithFlags", ctypes.byref(runnable), graph, flags)
        finally:
            self.call("cuGraphDestroy", graph)
        return Graph(self, runnable)


class Graph:
    """Recorded work: one launch instead of one a kernel. Its addresses are fixed."""

    def __init__(self, lib: LibCuda, handle: ctypes.c_void_p) -> None:
        self._lib = lib
        self._handle = handle

    def launch(self, stream: int) -> None:
        """Put the recorded work on a stream."""
        self._lib.call("cuGraphLaunch", self._handle, ctypes.c_void_p(stream))

    def close(self) -> None:
        """Free it; its context must be current."""
        self._lib.call("cuGraphExecDestroy", self._handle)
