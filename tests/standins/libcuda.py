"""Stand-in for the few functions of `libcuda.so.1` that are called through ctypes.

They take ctypes values, write through `byref` and return a CUresult, as the real ones do.
"""

from collections.abc import Callable
from typing import Any

from standins.gpu import gpu

INVALID_VALUE = 1
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


def cuDeviceGet(device: Any, ordinal: Any) -> int:  # noqa: N802
    _out(device, ordinal.value)
    return 0


def cuDevicePrimaryCtxReset_v2(device: Any) -> int:  # noqa: N802
    gpu.reset()
    return 0


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
