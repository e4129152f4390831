"""Stand-in for the second world: TensorRT 11, strongly typed, precision is in the ONNX."""

import enum

from standins.trt_parts import (
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
    TensorIOMode,
    nptype,
)

__version__ = "11.4.0"
__all__ = [
    "Builder",
    "BuilderFlag",
    "DataType",
    "IBuilderConfig",
    "ICudaEngine",
    "IExecutionContext",
    "IHostMemory",
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
    STRONGLY_TYPED = 1


class BuilderFlag(enum.IntEnum):
    GPU_FALLBACK = 3
    TF32 = 7


IBuilderConfig = BuilderConfigParts


class Builder(BuilderParts):
    version = __version__


class Runtime(RuntimeParts):
    version = __version__
