"""Stand-in for the first world: TensorRT 10, which calibrates INT8 and has precision flags."""

import enum
import json
from typing import Any

import numpy as np

from standins.gpu import gpu
from standins.trt_parts import (
    NUMPY_TYPES,
    BuilderConfigParts,
    BuilderParts,
    DataType,
    ICudaEngine,
    IExecutionContext,
    IHostMemory,
    ILogger,
    INetworkDefinition,
    IOptimizationProfile,
    IProgressMonitor,
    ITimingCache,
    Logger,
    MemoryPoolType,
    OnnxParser,
    ParserError,
    RuntimeParts,
    Severity,
    TensorIOMode,
    nptype,
)

__version__ = "10.3.0"
__all__ = [
    "Builder",
    "BuilderFlag",
    "CalibrationAlgoType",
    "DataType",
    "IBuilderConfig",
    "ICudaEngine",
    "IExecutionContext",
    "IHostMemory",
    "IInt8EntropyCalibrator2",
    "ILogger",
    "INetworkDefinition",
    "IOptimizationProfile",
    "IProgressMonitor",
    "ITimingCache",
    "Logger",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "OnnxParser",
    "ParserError",
    "Runtime",
    "TensorIOMode",
    "nptype",
]


class NetworkDefinitionCreationFlag(enum.IntEnum):
    EXPLICIT_BATCH = 0
    STRONGLY_TYPED = 1


class BuilderFlag(enum.IntEnum):
    FP16 = 0
    INT8 = 1
    GPU_FALLBACK = 3
    TF32 = 7


class CalibrationAlgoType(enum.IntEnum):
    ENTROPY_CALIBRATION_2 = 2


class IInt8EntropyCalibrator2:
    def get_batch_size(self) -> int:
        raise NotImplementedError

    def get_batch(self, names: list[str]) -> list[int] | None:
        raise NotImplementedError

    def read_calibration_cache(self) -> bytes | None:
        raise NotImplementedError

    def write_calibration_cache(self, cache: bytes) -> None:
        raise NotImplementedError

    def get_algorithm(self) -> CalibrationAlgoType:
        return CalibrationAlgoType.ENTROPY_CALIBRATION_2


class IBuilderConfig(BuilderConfigParts):
    def __init__(self) -> None:
        super().__init__()
        self.int8_calibrator: IInt8EntropyCalibrator2 | None = None


class Builder(BuilderParts):
    version = __version__
    config_type = IBuilderConfig
    platform_has_fast_fp16 = True
    platform_has_fast_int8 = True

    def prepare(
        self, network: INetworkDefinition, config: BuilderConfigParts
    ) -> dict[str, Any] | None:
        """Calibrate for INT8 by really reading the batches that the calibrator lends."""
        assert isinstance(config, IBuilderConfig)
        notes: dict[str, Any] = {"fp16": config.get_flag(BuilderFlag.FP16)}
        if not config.get_flag(BuilderFlag.INT8):
            return notes
        explicit = network.model is not None and any(
            node.op_type == "QuantizeLinear" for node in network.model.graph.node
        )
        if explicit and config.int8_calibrator is None:
            return {**notes, "int8": True}
        if config.int8_calibrator is None:
            text = "Calibration failure occurred with no scaling factors detected."
            self.logger.log(Severity.ERROR, text)
            return None
        cache = config.int8_calibrator.read_calibration_cache()
        if not cache:
            ranges = calibrate(network, config.int8_calibrator)
            if not ranges:
                self.logger.log(Severity.ERROR, "Calibration failure: no batch was given.")
                return None
            cache = json.dumps(ranges).encode()
            config.int8_calibrator.write_calibration_cache(cache)
        return {**notes, "int8": True, "ranges": json.loads(bytes(cache))}


def calibrate(
    network: INetworkDefinition, calibrator: IInt8EntropyCalibrator2
) -> dict[str, list[float]]:
    """Smallest and largest value of every input, over all batches."""
    names = [t.name for t in network.inputs]
    ranges: dict[str, list[float]] = {}
    while addresses := calibrator.get_batch(names):
        for tensor, address in zip(network.inputs, addresses, strict=True):
            dtype = np.dtype(NUMPY_TYPES[tensor.dtype])
            shape = (calibrator.get_batch_size(), *tensor.shape[1:])
            nbytes = int(np.prod(shape)) * dtype.itemsize
            batch = gpu.bytes_at(int(address), nbytes).view(dtype)
            low, high = ranges.get(tensor.name, [np.inf, -np.inf])
            ranges[tensor.name] = [min(low, float(batch.min())), max(high, float(batch.max()))]
    return ranges


class Runtime(RuntimeParts):
    version = __version__
