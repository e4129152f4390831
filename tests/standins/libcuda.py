"""Stand-in for the few functions of `libcuda.so.1` that are called through ctypes.

They take ctypes values, write through `byref` and return a CUresult, as the real ones do.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from standins.gpu import ALIGNMENT, gpu, stack

INVALID_VALUE = 1
DEVICE_MAP = 2
CAPTURE_UNSUPPORTED = 900
TEXTS = {
    INVALID_VALUE: b"invalid argument",
    CAPTURE_UNSUPPORTED: b"operation not permitted when stream is capturing",
}
refuse_capture = False


def _out(reference: Any, value: int) -> None:
    reference._obj.value = value


def cuGetErrorString(code: int, text: Any) -> int:  # noqa: N802
    text._obj.value = TEXTS.get(code, b"unspecified")
    return 0


def cuCtxPopCurrent_v2(context: Any) -> int:  # noqa: N802
    if not stack():
        return INVALID_VALUE
    stack().pop()
    return 0


def cuMemHostRegister_v2(start: Any, size: Any, flags: Any) -> int:  # noqa: N802
    if gpu.error is not None or start.value % ALIGNMENT:
        return INVALID_VALUE
    memory = (ctypes.c_uint8 * size.value).from_address(start.value)
    gpu.pinned[start.value] = np.frombuffer(memory, np.uint8)
    if flags.value & DEVICE_MAP:
        gpu.mapped.add(start.value)
    return 0


def cuMemHostUnregister(start: Any) -> int:  # noqa: N802
    gpu.mapped.discard(start.value)
    return 0 if gpu.pinned.pop(start.value, None) is not None else INVALID_VALUE


def cuMemHostGetDevicePointer_v2(seen: Any, start: Any, flags: Any) -> int:  # noqa: N802
    _out(seen, start.value)
    return 0 if start.value in gpu.mapped else INVALID_VALUE


def cuStreamBeginCapture_v2(stream: Any, mode: Any) -> int:  # noqa: N802
    gpu.streams[stream.value].capturing = []
    return 0


def cuStreamEndCapture(stream: Any, graph: Any) -> int:  # noqa: N802
    work, gpu.streams[stream.value].capturing = gpu.streams[stream.value].capturing, None
    if refuse_capture or work is None:
        return CAPTURE_UNSUPPORTED
    handle = next(gpu.handles)
    gpu.graphs[handle] = work
    _out(graph, handle)
    return 0


def cuGraphInstantiateWithFlags(runnable: Any, graph: Any, flags: Any) -> int:  # noqa: N802
    handle = next(gpu.handles)
    gpu.graphs[handle] = gpu.graphs[graph.value]
    _out(runnable, handle)
    return 0


def cuGraphDestroy(graph: Any) -> int:  # noqa: N802
    return 0 if gpu.graphs.pop(graph.value, None) is not None else INVALID_VALUE


cuGraphExecDestroy = cuGraphDestroy  # noqa: N816


def cuGraphLaunch(runnable: Any, stream: Any) -> int:  # noqa: N802
    work: list[Callable[[], None]] = gpu.graphs[runnable.value]
    for step in work:
        gpu.streams[stream.value].submit(step)
    return 0
