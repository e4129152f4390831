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


def sees_dark(path: Path) -> Path:
    """64x96 YOLOv8 model: an airplane, 12 pixels wide, wherever a cell of 8 holds dark on bright.

    With the made-up sky at 384x256 it sees craft come, move and go, in a millisecond.
    """
    rows, columns = np.mgrid[4:64:8, 4:96:8]
    boxes = np.zeros((1, 4, 126), np.float32)
    boxes[0, :, :96] = np.stack([columns.ravel(), rows.ravel(), *np.full((2, 96), 12)])
    grid = {"kernel_shape": [8, 8], "strides": [8, 8]}
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["grey"], axes=[1], keepdims=1),
        helper.make_node("Neg", ["grey"], ["dark"]),
        helper.make_node("MaxPool", ["dark"], ["darkest"], **grid),
        helper.make_node("AveragePool", ["dark"], ["usual"], **grid),
        helper.make_node("Sub", ["darkest", "usual"], ["contrast"]),
        helper.make_node("Sub", ["contrast", "noise"], ["clear"]),
        helper.make_node("Mul", ["clear", "gain"], ["strong"]),
        helper.make_node("Clip", ["strong", "least", "most"], ["score"]),
        helper.make_node("Reshape", ["score", "as_row"], ["row"]),
        helper.make_node("Pad", ["row", "to_all"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores"], ["output0"], axis=1),
    ]
    constants = {
        "noise": np.float32(0.12),
        "gain": np.float32(8),
        "least": np.float32(0),
        "most": np.float32(0.95),
        "as_row": np.array([1, 1, 96]),
        "to_all": np.array([0, 0, 0, 0, 0, 30]),
        "boxes": boxes,
    }
    graph = helper.make_graph(
        nodes,
        "dark",
        [helper.make_tensor_value_info("images", FLOAT, (1, 3, 64, 96))],
        [helper.make_tensor_value_info("output0", FLOAT, (1, 5, 126))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"names": "{0: 'airplane'}"})
    onnx.save(model, str(path))
    return path


def sees_many(path: Path, objects: int) -> Path:
    """As `sees_bright`, but it sees so many drones in a row, whatever it looks at."""
    answer = np.zeros((1, 7, 126), np.float32)
    for index in range(objects):
        answer[0, :4, index] = (6 + 10 * index, 24, 8, 32)
        answer[0, 6, index] = 0.9
    names = {"names": "{0: 'airplane', 1: 'helicopter', 2: 'drone'}"}
    return save(path, answer, metadata=names)
