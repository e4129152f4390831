"""Small networks and the plans that a stand-in world makes of them."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from onnx import TensorProto, helper

from spotterd.config.schema import Engines
from spotterd.inference.base import ModelInfo
from spotterd.inference.cuda_backend import CudaBackend
from spotterd.inference.tensorrt import open_tensorrt
from spotterd.inference.trt_world import world_of

SIDE = 32


def doubling_model(
    side: int = SIDE,
    batch: int | str = 1,
    kind: int = TensorProto.FLOAT,
    sides: tuple[int | str, int | str] | None = None,
) -> bytes:
    """(batch, 3, side, side) -> the same, doubled."""
    shape = [batch, 3, *(sides or (side, side))]
    two = helper.make_tensor("two", kind, [], [2.0])
    graph = helper.make_graph(
        [helper.make_node("Mul", ["images", "two"], ["output0"])],
        "double",
        [helper.make_tensor_value_info("images", kind, shape)],
        [helper.make_tensor_value_info("output0", kind, shape)],
        [two],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def info(side: int = SIDE) -> ModelInfo:
    """What is known of it."""
    return ModelInfo("double", "0" * 64, (), (side, side), ((1, 3, side, side),), {})


def build(
    trt: ModuleType, model: bytes, configure: Callable[[Any, Any], None] = lambda *_: None
) -> bytes:
    """The plan of a model; `configure` gets the builder and its configuration."""
    logger = trt.Logger()
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    assert trt.OnnxParser(network, logger).parse(model)
    config = builder.create_builder_config()
    configure(builder, config)
    plan = builder.build_serialized_network(network, config)
    assert plan is not None
    return bytes(plan)


def plan_file(folder: Path, trt: ModuleType, model: bytes | None = None) -> Path:
    """A plan on disk."""
    path = folder / "double.plan"
    path.write_bytes(build(trt, model or doubling_model()))
    return path


def open_plan(trt: ModuleType, path: Path, side: int = SIDE, **engines: Any) -> CudaBackend:
    """A backend of a plan, letterboxing on the CPU unless told otherwise."""
    settings = Engines(**{"letterbox": "cpu", **engines})
    return open_tensorrt(
        world_of(trt), path, info(side), "fp32", engines=settings, kernels=path.parent
    )
