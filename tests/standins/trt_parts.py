# ruff: noqa: A002, G004 (NVIDIA's argument names; its logger takes finished text)
"""What both stand-ins of TensorRT share: networks are ONNX, plans carry it, ONNX Runtime runs it.

Names, arguments and failures follow NVIDIA's Python API: what fails returns None or False and says
why through the logger.
"""

import enum
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from standins.gpu import gpu

MAGIC = b"STANDIN-PLAN"


class Severity(enum.IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class ILogger:
    Severity = Severity
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = Severity

    def log(self, severity: Severity, msg: str) -> None:
        raise NotImplementedError


class Logger(ILogger):
    def __init__(self, min_severity: Severity = Severity.WARNING) -> None:
        self.min_severity = min_severity

    def log(self, severity: Severity, msg: str) -> None:
        if severity <= self.min_severity:
            print(f"[{severity.name}] {msg}")


class DataType(enum.IntEnum):
    FLOAT = 0
    HALF = 1
    INT8 = 2
    INT32 = 3
    BOOL = 4
    UINT8 = 5
    INT64 = 8


NUMPY_TYPES = {
    DataType.FLOAT: np.float32,
    DataType.HALF: np.float16,
    DataType.INT8: np.int8,
    DataType.INT32: np.int32,
    DataType.BOOL: np.bool_,
    DataType.UINT8: np.uint8,
    DataType.INT64: np.int64,
}


def nptype(trt_type: DataType) -> type:
    return NUMPY_TYPES[trt_type]


class TensorIOMode(enum.IntEnum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class MemoryPoolType(enum.IntEnum):
    WORKSPACE = 0


class IProgressMonitor:
    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        raise NotImplementedError

    def step_complete(self, phase_name: str, step: int) -> bool:
        raise NotImplementedError

    def phase_finish(self, phase_name: str) -> None:
        raise NotImplementedError


class Tensor:
    """ITensor, as far as networks are described."""

    def __init__(self, value: Any) -> None:
        kind = value.type.tensor_type
        self.name: str = value.name
        self.shape = tuple(d.dim_value or -1 for d in kind.shape.dim)
        numpy_type = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        self.dtype = next(k for k, v in NUMPY_TYPES.items() if np.dtype(v) == numpy_type)


class INetworkDefinition:
    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.name = ""
        self.model: onnx.ModelProto | None = None
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []

    @property
    def num_inputs(self) -> int:
        return len(self.inputs)

    @property
    def num_outputs(self) -> int:
        return len(self.outputs)

    @property
    def num_layers(self) -> int:
        return len(self.model.graph.node) if self.model else 0

    def get_input(self, index: int) -> Tensor:
        return self.inputs[index]

    def get_output(self, index: int) -> Tensor:
        return self.outputs[index]


class ParserError:
    def __init__(self, text: str) -> None:
        self._text = text

    def desc(self) -> str:
        return self._text

    def __str__(self) -> str:
        return self._text


class OnnxParser:
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self._network, self._logger = network, logger
        self._errors: list[ParserError] = []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        return self._errors[index]

    def parse(self, model: bytes, path: str | None = None) -> bool:
        try:
            parsed = onnx.load_from_string(bytes(model))
            weights = {w.name for w in parsed.graph.initializer}
            self._network.inputs = [Tensor(v) for v in parsed.graph.input if v.name not in weights]
            self._network.outputs = [Tensor(v) for v in parsed.graph.output]
        except Exception:
            text = "Failed to parse the ONNX model."
            self._errors.append(ParserError(text))
            self._logger.log(Severity.ERROR, text)
            return False
        uint8 = [i for i in parsed.graph.initializer if i.data_type == onnx.TensorProto.UINT8]
        if uint8:  # as NVIDIA's parser does
            text = f"Found unsupported input type of UINT8: {uint8[0].name}"
            self._errors.append(ParserError(text))
            self._logger.log(Severity.ERROR, text)
            return False
        self._network.model = parsed
        return True


class IHostMemory(bytes):
    @property
    def nbytes(self) -> int:
        return len(self)


class ITimingCache:
    def __init__(self, blob: bytes) -> None:
        self._blob = blob

    def serialize(self) -> IHostMemory:
        return IHostMemory(self._blob or b"timings")


class IOptimizationProfile:
    def __init__(self) -> None:
        self.shapes: dict[str, list[tuple[int, ...]]] = {}

    def set_shape(
        self,
        input: str,
        min: Sequence[int],
        opt: Sequence[int],
        max: Sequence[int],
    ) -> None:
        self.shapes[input] = [tuple(min), tuple(opt), tuple(max)]


class BuilderConfigParts:
    """IBuilderConfig of both worlds; trt10 adds the calibrator."""

    def __init__(self) -> None:
        self.flags_set: set[int] = set()
        self.progress_monitor: IProgressMonitor | None = None
        self.builder_optimization_level = 3
        self.profiles: list[IOptimizationProfile] = []
        self.pools: dict[int, int] = {}
        self._timing_cache: ITimingCache | None = None

    def set_flag(self, flag: int) -> None:
        self.flags_set.add(int(flag))

    def clear_flag(self, flag: int) -> None:
        self.flags_set.discard(int(flag))

    def get_flag(self, flag: int) -> bool:
        return int(flag) in self.flags_set

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        self.pools[pool] = pool_size

    def get_memory_pool_limit(self, pool: MemoryPoolType) -> int:
        return self.pools.get(pool, gpu.total_bytes)

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        self._timing_cache = cache
        return True

    def get_timing_cache(self) -> ITimingCache | None:
        return self._timing_cache


class BuilderParts:
    """Builder of both worlds; `version` and `prepare` are the world's."""

    version = ""
    config_type: type[BuilderConfigParts] = BuilderConfigParts

    def __init__(self, logger: ILogger) -> None:
        self.logger = logger

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        return INetworkDefinition(flags)

    def create_builder_config(self) -> BuilderConfigParts:
        return self.config_type()

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(
        self, network: INetworkDefinition, config: BuilderConfigParts
    ) -> IHostMemory | None:
        if network.model is None:
            self.logger.log(Severity.ERROR, "Network must have at least one output")
            return None
        if any(-1 in t.shape for t in network.inputs) and not config.profiles:
            text = "Network has dynamic or shape inputs, but no optimization profile."
            self.logger.log(Severity.ERROR, text)
            return None
        notes = self.prepare(network, config)
        if notes is None or not self._report(config.progress_monitor):
            return None
        header = {
            "version": self.version,
            "inputs": [[t.name, t.shape, int(t.dtype)] for t in network.inputs],
            "outputs": [[t.name, t.shape, int(t.dtype)] for t in network.outputs],
            "profile": config.profiles[0].shapes if config.profiles else {},
            **notes,
        }
        text = json.dumps(header).encode()
        model = network.model.SerializeToString()
        return IHostMemory(MAGIC + len(text).to_bytes(4, "little") + text + model)

    def prepare(
        self, network: INetworkDefinition, config: BuilderConfigParts
    ) -> dict[str, Any] | None:
        """What the world does before building; None is a failure that was logged."""
        return {}

    def _report(self, monitor: IProgressMonitor | None) -> bool:
        if monitor is None:
            return True
        monitor.phase_start("Building Engine", None, 3)
        for step in range(3):
            if not monitor.step_complete("Building Engine", step):
                self.logger.log(Severity.ERROR, "Build was cancelled by the progress monitor.")
                return False
        monitor.phase_finish("Building Engine")
        return True


class RuntimeParts:
    version = ""

    def __init__(self, logger: ILogger) -> None:
        self.logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> "ICudaEngine | None":
        plan = bytes(serialized_engine)
        if not plan.startswith(MAGIC):
            self.logger.log(Severity.ERROR, "Magic tag does not match")
            return None
        size = int.from_bytes(plan[len(MAGIC) :][:4], "little")
        start = len(MAGIC) + 4
        try:
            header = json.loads(plan[start : start + size])
            engine = ICudaEngine(header, plan[start + size :], self.logger)
        except Exception as error:
            self.logger.log(Severity.ERROR, f"Engine deserialization failed: {error}")
            return None
        if header["version"] != self.version:
            self.logger.log(
                Severity.ERROR,
                "The engine plan file is not compatible with this version of TensorRT, expecting "
                f"library version {self.version} got {header['version']}, please rebuild.",
            )
            return None
        return engine


class ICudaEngine:
    SCRATCH_BYTES = 1 << 20

    def __init__(self, header: dict[str, Any], model: bytes, logger: ILogger) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.header, self.logger = header, logger
        self.tensors = {
            name: (mode, tuple(shape), DataType(dtype))
            for mode, key in ((TensorIOMode.INPUT, "inputs"), (TensorIOMode.OUTPUT, "outputs"))
            for name, shape, dtype in header[key]
        }
        self.name = "stand-in"

    @property
    def num_io_tensors(self) -> int:
        return len(self.tensors)

    @property
    def device_memory_size(self) -> int:
        return self.SCRATCH_BYTES

    device_memory_size_v2 = device_memory_size

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return self.tensors[name][0]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[name][1]

    def get_tensor_dtype(self, name: str) -> DataType:
        return self.tensors[name][2]

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        return [tuple(shape) for shape in self.header["profile"][name]]

    def create_execution_context(self) -> "IExecutionContext | None":
        if gpu.used_bytes + self.SCRATCH_BYTES > gpu.total_bytes:
            self.logger.log(Severity.ERROR, "Requested amount of GPU memory could not be allocated")
            return None
        return IExecutionContext(self)


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self.engine = engine
        self.addresses: dict[str, int] = {}
        self.shapes = {n: s for n, (_, s, _) in engine.tensors.items()}

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        return True

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        low, _, high = self.engine.get_tensor_profile_shape(name, 0)
        if not all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True)):
            self.engine.logger.log(
                Severity.ERROR, f"{name}: {tuple(shape)} is outside of the optimization profile."
            )
            return False
        self.shapes[name] = tuple(shape)
        feeds = {
            n: np.zeros(self.shapes[n], NUMPY_TYPES[d])
            for n, (m, _, d) in self.engine.tensors.items()
            if m is TensorIOMode.INPUT
        }
        names = [n for n, (m, *_) in self.engine.tensors.items() if m is TensorIOMode.OUTPUT]
        for output, value in zip(names, self.engine.session.run(names, feeds), strict=True):
            self.shapes[output] = value.shape
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shapes[name]

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.addresses[name] = int(memory)
        return name in self.engine.tensors

    def execute_async_v3(self, stream_handle: int) -> bool:
        missing = set(self.engine.tensors) - set(self.addresses)
        if missing or gpu.error is not None:
            text = f"Address is not set for {missing}" if missing else f"Cuda Runtime ({gpu.error})"
            self.engine.logger.log(Severity.ERROR, text)
            return False
        addresses = dict(self.addresses)  # those of this call: the next one may set others
        gpu.streams[stream_handle].submit(lambda: self._run(addresses))
        return True

    def _view(self, name: str, address: int) -> NDArray[Any]:
        dtype = np.dtype(NUMPY_TYPES[self.engine.tensors[name][2]])
        shape = self.shapes[name]
        nbytes = int(np.prod(shape)) * dtype.itemsize
        return gpu.bytes_at(address, nbytes).view(dtype).reshape(shape)

    def _run(self, addresses: dict[str, int]) -> None:
        views = {name: self._view(name, address) for name, address in addresses.items()}
        modes = {name: mode for name, (mode, *_) in self.engine.tensors.items()}
        feeds = {n: v for n, v in views.items() if modes[n] is TensorIOMode.INPUT}
        outputs = [n for n in views if modes[n] is TensorIOMode.OUTPUT]
        for name, value in zip(outputs, self.engine.session.run(outputs, feeds), strict=True):
            views[name][...] = value
