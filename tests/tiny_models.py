"""ONNX files of a few kilobytes whose answers are known."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def save(
    path: Path,
    answer: np.ndarray,
    *,
    shape=(1, 3, 64, 96),
    seen: np.ndarray | None = None,
    metadata: dict[str, str] | None = None,
    inputs=None,
    outputs=("output0",),
    takes=FLOAT,
    gives=FLOAT,
    output_shape=None,
) -> Path:
    """A model that gives `answer` + mean of its input * `seen`, for each of `outputs`."""
    inputs = inputs or ["images"]
    seen = np.zeros_like(answer) if seen is None else seen
    nodes = [
        helper.make_node("Cast", [inputs[0]], ["real"], to=FLOAT),
        helper.make_node("ReduceMean", ["real"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "seen"], ["more"]),
        helper.make_node("Add", ["answer", "more"], ["sum"]),
    ]
    nodes += [helper.make_node("Cast", ["sum"], [name], to=gives) for name in outputs]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, takes, shape) for name in inputs],
        [
            helper.make_tensor_value_info(name, gives, output_shape or answer.shape)
            for name in outputs
        ],
        [
            numpy_helper.from_array(answer.astype(np.float32), "answer"),
            numpy_helper.from_array(seen.astype(np.float32), "seen"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata or {})
    onnx.save(model, str(path))
    return path


def sees_bright(path: Path, **more) -> Path:
    """64x96 YOLOv8 model: one drone of score = mean brightness at (24, 8, 56, 40), 3 classes."""
    answer = np.zeros((1, 7, 126), np.float32)
    answer[0, :4, 3] = (40, 24, 32, 32)
    seen = np.zeros_like(answer)
    seen[0, 6, 3] = 1
    names = {"names": "{0: 'airplane', 1: 'helicopter', 2: 'drone'}"}
    return save(path, answer, seen=seen, metadata=names, **more)
