"""Stand-in for TensorRT on a real GPU: its surface, and real kernels of a network's size below it.

Everything of spotterd runs unchanged; the only line that is not NVIDIA's is `execute_async_v3`. The
network is a chain of layers that pass their input on, with as much arithmetic as asked for, so that
the output tells which input it came from: output[i] = input[i mod inputs]. See `plan`.
"""

import ctypes
import enum
import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from standins.trt_parts import DataType, ILogger, Severity, TensorIOMode, nptype

__version__ = "0.0.0"
__all__ = ["DataType", "ILogger", "Runtime", "TensorIOMode", "nptype", "plan"]

THREADS = 256
SOURCE = """
extern "C" __global__ void layer(const float *in, float *out, int inputs, int outputs, int rounds,
                                 float one, float nought) {
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < outputs; i += gridDim.x * blockDim.x) {
    float value = in[i % inputs];
    for (int r = 0; r < rounds; ++r) value = fmaf(value, one, nought);
    out[i] = value;
  }
}
"""


class NetworkDefinitionCreationFlag(enum.IntEnum):
    STRONGLY_TYPED = 1


class BuilderFlag(enum.IntEnum):
    TF32 = 7


def plan(
    input_shape: tuple[int, ...] = (1, 3, 640, 640),
    output_shape: tuple[int, ...] = (1, 84, 8400),
    layers: int = 64,
    flops: float = 8.7e9,
) -> bytes:
    """A "plan"; the defaults are the size of YOLOv8n at 640."""
    return json.dumps(
        {"input": input_shape, "output": output_shape, "layers": layers, "flops": flops}
    ).encode()


def _elements(shape: list[int]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count


class _Driver:
    """The driver by ctypes, since streams come as handles."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libcuda.so.1")

    def __call__(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            raise RuntimeError(f"{name}: CUDA error {code}")


def _cubin() -> bytes:
    """The layer, compiled for this machine's GPU once."""
    kept = Path(tempfile.gettempdir()) / f"layer-{hashlib.sha256(SOURCE.encode()).hexdigest()[:8]}"
    if not kept.exists():
        nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
        source = kept.with_suffix(".cu")
        source.write_text(SOURCE)
        subprocess.run([nvcc, "--cubin", "-arch=native", "-o", str(kept), str(source)], check=True)
    return kept.read_bytes()


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        self.logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> "ICudaEngine | None":
        try:
            return ICudaEngine(json.loads(serialized_engine), self.logger)
        except Exception as error:
            self.logger.log(Severity.ERROR, f"Engine deserialization failed: {error}")  # noqa: G004
            return None


class ICudaEngine:
    def __init__(self, network: dict[str, Any], logger: ILogger) -> None:
        self.network, self.logger = network, logger
        self.call = _Driver()
        module, self.layer = ctypes.c_void_p(), ctypes.c_void_p()
        self.call("cuModuleLoadData", ctypes.byref(module), _cubin())
        self.call("cuModuleGetFunction", ctypes.byref(self.layer), module, b"layer")
        self.inputs = _elements(network["input"])
        self.outputs = _elements(network["output"])
        self.rounds = max(1, int(network["flops"] / network["layers"] / self.inputs / 2))
        self.num_io_tensors = 2
        self.device_memory_size_v2 = 2 * 4 * self.inputs

    def get_tensor_name(self, index: int) -> str:
        return ("images", "output0")[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name == "images" else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType.FLOAT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.network["input" if name == "images" else "output"])

    def create_execution_context(self) -> "IExecutionContext | None":
        try:
            return IExecutionContext(self)
        except RuntimeError as error:
            self.logger.log(Severity.ERROR, str(error))
            return None


class IExecutionContext:
    """Remembers where its kind holds memory of the GPU, and where it gave some back."""

    held: ClassVar[set[int]] = set()
    freed: ClassVar[list[int]] = []

    def __init__(self, engine: ICudaEngine) -> None:
        self.engine = engine
        self.addresses: dict[str, int] = {}
        self.scratch = [ctypes.c_uint64() for _ in range(2)]
        for memory in self.scratch:
            engine.call("cuMemAlloc_v2", ctypes.byref(memory), ctypes.c_size_t(4 * engine.inputs))
            self.held.add(memory.value)

    def __del__(self) -> None:
        for memory in self.scratch:  # as TensorRT does; it says what it cannot free, too
            if code := self.engine.call._library.cuMemFree_v2(memory):
                self.engine.logger.log(Severity.ERROR, f"cuMemFree_v2: CUDA error {code}")  # noqa: G004
            else:
                self.held.discard(memory.value)
                self.freed.append(memory.value)

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.engine.get_tensor_shape(name)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.addresses[name] = int(memory)
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        engine, layers = self.engine, self.engine.network["layers"]
        chain = [self.addresses["images"]]
        chain += [self.scratch[i % 2].value for i in range(layers - 1)]
        chain.append(self.addresses["output0"])
        try:
            for step in range(layers):
                outputs = engine.outputs if step == layers - 1 else engine.inputs
                self._launch(chain[step], chain[step + 1], outputs, stream_handle)
        except RuntimeError as error:
            engine.logger.log(Severity.ERROR, str(error))
            return False
        return True

    def _launch(self, source: int, target: int, outputs: int, stream: int) -> None:
        values = [
            ctypes.c_uint64(source),
            ctypes.c_uint64(target),
            ctypes.c_int(self.engine.inputs),
            ctypes.c_int(outputs),
            ctypes.c_int(self.engine.rounds),
            ctypes.c_float(1.0),
            ctypes.c_float(0.0),
        ]
        pointers = [ctypes.cast(ctypes.byref(v), ctypes.c_void_p) for v in values]
        packed = (ctypes.c_void_p * len(values))(*pointers)
        blocks = ctypes.c_uint(-(-outputs // THREADS))
        one, threads, none = ctypes.c_uint(1), ctypes.c_uint(THREADS), ctypes.c_uint(0)
        handle = ctypes.c_void_p(stream)
        self.engine.call(
            "cuLaunchKernel", self.engine.layer, blocks, one, one, threads, one, one, none,
            handle, packed, None,
        )  # fmt: skip
