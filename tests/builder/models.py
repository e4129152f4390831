"""A tiny detector that really detects, and pictures with something to detect.

It sees dark squares of 16 pixels on a bright sky as class 0. Five convolutions, of which three may
be quantized; small enough that a whole build takes a second.
"""

from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIDE = 128  # of the input
CELL = 8
GRID = SIDE // CELL
COARSE = GRID**2 // 4 + GRID**2 // 16  # cells of strides 16 and 32, where nothing is ever seen
STRIDES = (8, 16, 32)
ROWS = GRID**2 + COARSE
LABELS = ("square", "never")


def tiny(path: Path, outlier: float = 1.0, *, dynamic: bool = False) -> Path:
    """Write the network.

    Args:
        path: the ONNX file.
        outlier: range of a channel that says nothing; a thousand drowns the others in INT8.
        dynamic: leave the sides of the input open; whoever runs it settles them.
    """
    nodes, weights = _layers(outlier)
    weights["flat"] = np.array([1, 2, -1], np.int64)
    if dynamic:
        nodes += _grids(weights)
    else:
        weights["coarse"] = np.full((1, 2, COARSE), -20, np.float32)
        weights["boxes"] = _boxes()
    nodes += [
        helper.make_node("Reshape", ["logits", "flat"], ["fine"]),
        helper.make_node("Concat", ["fine", "coarse"], ["rows"], axis=2),
        helper.make_node("Sigmoid", ["rows"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores"], ["output0"], axis=1),
    ]
    sides: tuple[int | str, ...] = ("height", "width") if dynamic else (SIDE, SIDE)
    rows: int | str = "cells" if dynamic else ROWS
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, *sides])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 6, rows])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"names": str(dict(enumerate(LABELS)))})
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def _layers(outlier: float) -> tuple[list[onnx.NodeProto], dict[str, NDArray[np.generic]]]:
    """Darkness of each cell (0..1) through three quantizable convolutions, to two logits."""
    keep = np.zeros((4, 4, 3, 3), np.float32)
    for channel in range(4):
        keep[channel, channel, 1, 1] = 1
    loud = keep.copy()
    loud[1] *= outlier  # channel 1 gets loud here,
    deaf = np.eye(4, dtype=np.float32)[:, :, None, None].copy()
    deaf[:, 1] = 0  # and nobody listens to it from here on
    darkness = np.full((4, 3, CELL, CELL), -1 / (3 * CELL * CELL), np.float32)
    logits = np.zeros((2, 4, 1, 1), np.float32)
    logits[0, 0] = 20
    weights: dict[str, NDArray[np.generic]] = {
        "w0": darkness, "b0": np.ones(4, np.float32),
        "w1": loud, "b1": np.zeros(4, np.float32),
        "w2": deaf, "b2": np.zeros(4, np.float32),
        "w3": keep, "b3": np.zeros(4, np.float32),
        "w4": logits, "b4": np.array([-10, -20], np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["images", "w0", "b0"], ["c0"], strides=[CELL, CELL]),
        helper.make_node("Relu", ["c0"], ["r0"]),
        helper.make_node("Conv", ["r0", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"]),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("Conv", ["r2", "w3", "b3"], ["c3"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c3"], ["r3"]),
        helper.make_node("Conv", ["r3", "w4", "b4"], ["logits"]),
    ]
    return nodes, weights


def _boxes() -> NDArray[np.float32]:
    """(1, 4, cells): centre x, centre y, 16, 16 of each cell."""
    centre = (np.arange(GRID) + 0.5) * CELL
    x, y = np.meshgrid(centre, centre)
    size = np.full(GRID * GRID, 16)
    fine = np.stack([x.ravel(), y.ravel(), size, size]).astype(np.float32)
    return np.concatenate([fine, np.zeros((4, COARSE), np.float32)], axis=1)[None]


def _grids(weights: dict[str, NDArray[np.generic]]) -> list[onnx.NodeProto]:
    """As `_boxes` and the coarse levels, for whatever size the picture has."""
    weights |= {
        "zero": np.float32(0), "one": np.float32(1), "sixteen": np.float32(16),
        "never": np.full((1, 2, 1), -20, np.float32), "rows_of_4": np.array([1, 4, -1], np.int64),
        "down": np.array(2, np.int64), "across": np.array(3, np.int64),
    }  # fmt: skip
    nodes = []
    for s in STRIDES:
        weights |= {f"s{s}": np.float32(s), f"half{s}": np.float32(s / 2)}
        nodes += [
            helper.make_node(
                "AveragePool", ["images"], [f"pool{s}"], kernel_shape=[s, s], strides=[s, s]
            ),
            helper.make_node("ReduceMean", [f"pool{s}"], [f"mean{s}"], axes=[1]),
            helper.make_node("Mul", [f"mean{s}", "zero"], [f"zeros{s}"]),
            helper.make_node("Add", [f"zeros{s}", "one"], [f"ones{s}"]),
            helper.make_node("Mul", [f"ones{s}", "sixteen"], [f"size{s}"]),
        ]
        for axis in ("down", "across"):
            nodes += [
                helper.make_node("CumSum", [f"ones{s}", axis], [f"{axis}_count{s}"]),
                helper.make_node("Mul", [f"{axis}_count{s}", f"s{s}"], [f"{axis}_end{s}"]),
                helper.make_node("Sub", [f"{axis}_end{s}", f"half{s}"], [f"{axis}{s}"]),
            ]
        corners = [f"across{s}", f"down{s}", f"size{s}", f"size{s}"]
        nodes += [
            helper.make_node("Concat", corners, [f"box{s}"], axis=1),
            helper.make_node("Reshape", [f"box{s}", "rows_of_4"], [f"boxes{s}"]),
        ]
    levels = [f"boxes{s}" for s in STRIDES]
    weights["one_row"] = np.array([1, 1, -1], np.int64)
    for s in STRIDES[1:]:
        nodes += [
            helper.make_node("Reshape", [f"zeros{s}", "one_row"], [f"row{s}"]),
            helper.make_node("Add", [f"row{s}", "never"], [f"never{s}"]),
        ]
    nodes.append(helper.make_node("Concat", levels, ["boxes"], axis=2))
    nodes.append(helper.make_node("Concat", ["never16", "never32"], ["coarse"], axis=2))
    return nodes


def sky(seed: int) -> NDArray[np.uint8]:
    """A bright picture with six dark squares, in some of many places."""
    random = np.random.default_rng(seed)
    ramp = np.linspace(170, 230, SIDE)[:, None] * np.ones((1, SIDE))
    picture = np.repeat(ramp[..., None], 3, axis=2) + random.normal(0, 2, (SIDE, SIDE, 3))
    for cell in random.choice(GRID // 4 * (GRID // 4), 6, replace=False):
        top, left = int(cell) // (GRID // 4) * 32 + 8, int(cell) % (GRID // 4) * 32 + 8
        picture[top : top + CELL, left : left + CELL] = random.integers(0, 40)
    return np.clip(picture, 0, 255).astype(np.uint8)


def skies(folder: Path, count: int, first: int = 0) -> Path:
    """A folder of different pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(first, first + count):
        cv2.imwrite(str(folder / f"sky{seed:03d}.png"), sky(seed))
    return folder
