"""Stand-in for `pycuda.driver`: the calls that spotterd makes, on the stand-in GPU.

As with pycuda, calls need a context that is current in the thread, asynchronous copies from memory
that is not page-locked are synchronous (and counted), and an error that sticks shows up at the next
call. Put it in place with `install`.
"""

import enum
import struct
import sys
import threading
import types
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from standins import kernel, libcuda
from standins.gpu import CudaError, gpu, stack
from standins.gpu import Stream as GpuStream

counts = {"pageable": 0, "htod": 0, "dtoh": 0, "launches": 0, "compiled": 0}

TEXTS = {
    "CUDA_ERROR_OUT_OF_MEMORY": "out of memory",
    "CUDA_ERROR_ILLEGAL_ADDRESS": "an illegal memory access was encountered",
    "CUDA_ERROR_NO_DEVICE": "no CUDA-capable device is detected",
    "CUDA_ERROR_INVALID_DEVICE": "invalid device ordinal",
    "CUDA_ERROR_INVALID_CONTEXT": "invalid device context",
    "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH": (
        "system has unsupported display driver / cuda driver combination"
    ),
}


class Error(Exception):
    pass


class MemoryError(Error):  # noqa: A001
    pass


class LogicError(Error):
    pass


class LaunchError(Error):
    pass


class RuntimeError(Error):  # noqa: A001
    pass


def _error(call: str, name: str) -> Error:
    kinds = {"CUDA_ERROR_OUT_OF_MEMORY": MemoryError, "CUDA_ERROR_NO_DEVICE": RuntimeError}
    kind = LaunchError if name.startswith("CUDA_ERROR_LAUNCH") else kinds.get(name, LogicError)
    return kind(f"{call} failed: {TEXTS.get(name, name)}")


def _enter(call: str) -> None:
    """What every call on the device checks first."""
    if not stack() or stack()[-1].detached:
        raise _error(call, "CUDA_ERROR_INVALID_CONTEXT")
    try:
        gpu.check()
    except CudaError as error:
        raise _error(call, error.name) from error


class device_attribute(enum.IntEnum):  # noqa: N801
    INTEGRATED = 18
    CAN_MAP_HOST_MEMORY = 19


class event_flags(enum.IntFlag):  # noqa: N801
    DEFAULT = 0
    BLOCKING_SYNC = 1
    DISABLE_TIMING = 2


def init(flags: int = 0) -> None:
    if gpu.init_error:
        raise _error("cuInit", gpu.init_error)


def get_driver_version() -> int:
    return 13000


class Device:
    def __init__(self, ordinal: int) -> None:
        if ordinal >= gpu.devices:
            raise _error("cuDeviceGet", "CUDA_ERROR_INVALID_DEVICE")

    @staticmethod
    def count() -> int:
        return gpu.devices

    def name(self) -> str:
        return gpu.name

    def compute_capability(self) -> tuple[int, int]:
        return gpu.capability

    def total_memory(self) -> int:
        return gpu.total_bytes

    def get_attribute(self, attribute: device_attribute) -> int:
        return int(gpu.integrated) if attribute is device_attribute.INTEGRATED else 1

    def retain_primary_context(self) -> "Context":
        if gpu.error is not None:
            raise _error("cuDevicePrimaryCtxRetain", gpu.error)
        gpu.retained += 1
        return Context()


class Context:
    def __init__(self) -> None:
        self.detached = False

    def push(self) -> None:
        stack().append(self)

    @staticmethod
    def pop() -> None:
        if not stack():
            raise _error("context::pop", "CUDA_ERROR_INVALID_CONTEXT")
        stack().pop()

    @staticmethod
    def synchronize() -> None:
        _enter("cuCtxSynchronize")
        for stream in list(gpu.streams.values()):
            stream.mark().wait()
        _enter("cuCtxSynchronize")

    def detach(self) -> None:
        assert not self.detached
        assert stack()[-1:] == [self]  # else pycuda leaves it to nobody
        self.detached = True
        gpu.retained -= 1


class Stream:
    def __init__(self, flags: int = 0) -> None:
        _enter("cuStreamCreate")
        self._stream: GpuStream = gpu.new_stream()

    @property
    def handle(self) -> int:
        return self._stream.handle

    def synchronize(self) -> None:
        _enter("cuStreamSynchronize")
        self._stream.mark().wait()
        _enter("cuStreamSynchronize")

    def wait_for_event(self, event: "Event") -> None:
        _enter("cuStreamWaitEvent")
        marker = event.marker
        if marker is not None:
            self._stream.submit(lambda: marker.wait() and None)


class Event:
    def __init__(self, flags: int = 0) -> None:
        _enter("cuEventCreate")
        self.flags = flags
        self.marker: threading.Event | None = None

    def record(self, stream: Stream) -> "Event":
        _enter("cuEventRecord")
        self.marker = stream._stream.mark()
        return self

    def synchronize(self) -> "Event":
        _enter("cuEventSynchronize")
        if self.marker is not None:
            self.marker.wait()
        _enter("cuEventSynchronize")
        return self

    def time_since(self, event: "Event") -> float:
        _enter("cuEventElapsedTime")
        assert not (self.flags | event.flags) & event_flags.DISABLE_TIMING
        return 0.1

    def query(self) -> bool:
        return self.marker is None or self.marker.is_set()


class DeviceAllocation:
    def __init__(self, address: int) -> None:
        self._address = address

    def __int__(self) -> int:
        return self._address

    __index__ = __int__

    def free(self) -> None:
        if self._address in gpu.memory:
            gpu.free(self._address)


def mem_alloc(nbytes: int) -> DeviceAllocation:
    _enter("cuMemAlloc")
    try:
        return DeviceAllocation(gpu.alloc(nbytes))
    except CudaError as error:
        raise _error("cuMemAlloc", error.name) from error


def mem_get_info() -> tuple[int, int]:
    _enter("cuMemGetInfo")
    return gpu.total_bytes - gpu.used_bytes, gpu.total_bytes


def _copy(key: str, address: int, host: NDArray[Any], stream: Stream, *, to_device: bool) -> None:
    counts[key] += 1
    flat = host.reshape(-1).view(np.uint8)

    def work() -> None:
        device = gpu.bytes_at(address, flat.nbytes)
        if to_device:
            device[:] = flat
        else:
            flat[:] = device

    stream._stream.submit(work)
    if not gpu.is_pinned(host):
        counts["pageable"] += 1
        stream._stream.mark().wait()


def memcpy_htod_async(dest: Any, src: NDArray[Any], stream: Stream) -> None:
    _enter("cuMemcpyHtoDAsync")
    _copy("htod", int(dest), src, stream, to_device=True)


def memcpy_dtoh_async(dest: NDArray[Any], src: Any, stream: Stream) -> None:
    _enter("cuMemcpyDtoHAsync")
    _copy("dtoh", int(src), dest, stream, to_device=False)


def memcpy_dtod_async(dest: Any, src: Any, size: int, stream: Stream) -> None:
    _enter("cuMemcpyDtoDAsync")
    source, target = int(src), int(dest)

    def work() -> None:
        gpu.bytes_at(target, size)[:] = gpu.bytes_at(source, size)

    stream._stream.submit(work)


def memcpy_htod(dest: Any, src: NDArray[Any]) -> None:
    _enter("cuMemcpyHtoD")
    flat = np.ascontiguousarray(src).reshape(-1).view(np.uint8)
    gpu.bytes_at(int(dest), flat.nbytes)[:] = flat


def memcpy_dtoh(dest: NDArray[Any], src: Any) -> None:
    _enter("cuMemcpyDtoH")
    flat = dest.reshape(-1).view(np.uint8)
    flat[:] = gpu.bytes_at(int(src), flat.nbytes)


class Function:
    def __init__(self, name: str) -> None:
        self._name = name
        self._types = ""

    def prepare(self, arg_types: str) -> "Function":
        self._types = arg_types
        return self

    def prepared_async_call(
        self, grid: tuple[int, int], block: tuple[int, int, int], stream: Stream, *args: Any
    ) -> None:
        _enter("cuLaunchKernel")
        assert len(args) == len(self._types)
        struct.pack(self._types, *args)
        counts["launches"] += 1
        stream._stream.submit(lambda: kernel.launch(self._name, gpu, args))


class Module:
    def get_function(self, name: str) -> Function:
        assert name in KERNELS
        return Function(name)


KERNELS = {f"letterbox_{layout}_float{bits}" for layout in ("bgr", "nv12") for bits in (16, 32)}


def module_from_buffer(buffer: bytes) -> Module:
    _enter("cuModuleLoadDataEx")
    if not buffer.startswith(b"CUBIN"):
        raise RuntimeError("cuModuleLoadDataEx failed: device kernel image is invalid")
    return Module()


class CompileError(Error):
    pass


def compile_(source: str, nvcc: str, arch: str, no_extern_c: bool, cache_dir: bool) -> bytes:
    """Stand-in for `pycuda.compiler.compile`."""
    counts["compiled"] += 1
    if compile_error is not None:
        raise compile_error
    assert 'extern "C" __global__' in source
    return b"CUBIN " + arch.encode()


compile_error: Exception | None = None


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `import pycuda.driver` find this, and ctypes' libcuda its stand-in."""
    package = types.ModuleType("pycuda")
    this = sys.modules[__name__]
    package.driver = this  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", this)
    compiler = types.ModuleType("pycuda.compiler")
    compiler.compile = compile_  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pycuda.compiler", compiler)
    monkeypatch.setattr("spotterd.inference.cuda_driver._load", lambda: libcuda)
    for key in counts:
        counts[key] = 0
