"""What an ONNX network is made of, as far as precision is concerned.

Three kinds of layers keep their float arithmetic in every form: the first ones, on maps down to a
quarter of the picture (there a few channels are ten times as strong as the rest, and a far craft is
weak: measured, docs/decisions/calibration.md), the last ones (their outputs are scores and
distances: measured, INT8 there adds a third to the error of the scores), and the decoding behind
them (sums of pixels up to 640 in steps of less than one do not fit 8 bits, nor 16).
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import version_converter

# Layers that INT8 speeds up, and those between them that need not leave it.
CONVOLUTION = "Conv"
BETWEEN = ("Add", "AveragePool", "Clip", "Concat", "LeakyRelu", "MaxPool", "Relu", "Resize")
# One side of a picture over that of the smallest map that stays float.
EARLY_STRIDE = 4
MAP_AXES = 4  # picture, channel, row, column
# Quantize/Dequantize with a scale for each channel came with opset 13.
OPSET_OF_CHANNEL_SCALES = 13


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of nodes and tensors of a network, by what may be done to them.

    Attributes:
        quantizable: convolutions that INT8 may replace.
        float_nodes: all that stay float in INT8.
        tail: nodes behind the last convolution: the decoding.
        inputs: activations that quantizable convolutions read.
        activations: these, and all other activations that can stay in INT8 between them.
    """

    quantizable: tuple[str, ...]
    float_nodes: tuple[str, ...]
    tail: tuple[str, ...]
    inputs: tuple[str, ...]
    activations: tuple[str, ...]


def load(path: Path, input_hw: tuple[int, int]) -> onnx.ModelProto:
    """Read a network; where it leaves its input open, settle it: one picture of this size.

    TensorRT's calibrator and its accelerators want fixed shapes, and every runtime folds the
    arithmetic on shapes away before the first frame.
    """
    model = onnx.load(path)
    sides = picture_input(model).type.tensor_type.shape.dim
    if not all(side.dim_value for side in sides):
        for side, length in zip(sides, (1, 3, *input_hw), strict=True):
            side.dim_value = length
        del model.graph.value_info[:]  # speaks of the open shapes
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    return model


def picture_input(model: onnx.ModelProto) -> onnx.ValueInfoProto:
    """The input; exporters of old list the weights as inputs, too."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return next(tensor for tensor in model.graph.input if tensor.name not in weights)


def prepared(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which every node has a name, every tensor a shape, and channels a scale each."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if opset_of(copy) < OPSET_OF_CHANNEL_SCALES:
        copy = version_converter.convert_version(copy, OPSET_OF_CHANNEL_SCALES)
    taken = {node.name for node in copy.graph.node}
    for at, node in enumerate(copy.graph.node):
        if not node.name:
            node.name = next(name for name in (f"n{at}", f"node_{at}_") if name not in taken)
    return onnx.shape_inference.infer_shapes(copy)


def opset_of(model: onnx.ModelProto) -> int:
    """Version of the standard operators in use."""
    return next(int(e.version) for e in model.opset_import if e.domain in ("", "ai.onnx"))


def layout(model: onnx.ModelProto) -> Layout:
    """Look at a `prepared` network."""
    nodes = model.graph.node
    weights = {tensor.name for tensor in model.graph.initializer}
    pixels = picture_input(model).name
    ahead = _reaching_a_convolution(model)
    convolutions = [node for node in nodes if node.op_type == CONVOLUTION]
    tail = [n.name for n in nodes if n.name not in ahead and n.op_type != CONVOLUTION]
    ends = [n.name for n in convolutions if n.input[0] == pixels or n.name not in ahead]
    body = [
        n
        for n in convolutions
        if n.name not in ends and n.input[1] in weights and n.input[0] not in weights
    ]
    early = _early(model)
    if any(n.name not in early for n in body):  # else there is nothing but early layers
        body = [n for n in body if n.name not in early]
        ends += early
    floats = _float_tensors(model)
    inputs = list(dict.fromkeys(n.input[0] for n in body if n.input[0] in floats))
    stays_float = {*tail, *ends}
    between = [
        name
        for n in nodes
        if n.op_type in (CONVOLUTION, *BETWEEN) and n.name not in stays_float
        for name in (*n.input, *n.output)
        if name in floats
    ]
    return Layout(
        quantizable=tuple(n.name for n in body),
        float_nodes=tuple(n.name for n in nodes if n.name in stays_float),
        tail=tuple(tail),
        inputs=tuple(inputs),
        activations=tuple(dict.fromkeys([*inputs, *between])),
    )


def _reaching_a_convolution(model: onnx.ModelProto) -> set[str]:
    """Names of nodes whose output a convolution reads, at once or through others."""
    readers = defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            readers[name].append(node)
    found: set[str] = set()
    for node in reversed(model.graph.node):  # topological order: readers come later
        following = [reader for name in node.output for reader in readers[name]]
        if any(r.op_type == CONVOLUTION or r.name in found for r in following):
            found.add(node.name)
    return found


def _early(model: onnx.ModelProto) -> list[str]:
    """Names of nodes whose maps are no smaller than the picture's side / `EARLY_STRIDE`."""
    shapes = {
        value.name: [side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in (picture_input(model), *model.graph.value_info)
    }
    least = shapes[picture_input(model).name][2] / EARLY_STRIDE
    maps = {name: shape for name, shape in shapes.items() if len(shape) == MAP_AXES}
    large = {name for name, shape in maps.items() if shape[2] >= least}
    return [node.name for node in model.graph.node if node.output[0] in large]


def _float_tensors(model: onnx.ModelProto) -> set[str]:
    """Activations (no weights, no constants) of float32."""
    fixed = {tensor.name for tensor in model.graph.initializer}
    fixed |= {name for n in model.graph.node if n.op_type == "Constant" for name in n.output}
    known = [*model.graph.input, *model.graph.value_info, *model.graph.output]
    return {
        value.name
        for value in known
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT and value.name not in fixed
    }
