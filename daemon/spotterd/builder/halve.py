"""An FP32 (or Quantize/Dequantize) ONNX -> the same in FP16, with float32 inputs and outputs.

For runtimes whose networks are strongly typed: there, the ONNX says the precision.
"""

import onnx
from onnx import TensorProto, version_converter
from onnxruntime.transformers.float16 import convert_float_to_float16

from spotterd.builder.graph import layout, opset_of, prepared

# Quantize/Dequantize of FP16 came with opset 19.
OPSET_OF_HALF_QUANTIZE = 19


def halve(model: onnx.ModelProto) -> onnx.ModelProto:
    """Convert all but the decoding: box corners up to 640 have steps of half a pixel in FP16."""
    quantized = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    if quantized and opset_of(model) < OPSET_OF_HALF_QUANTIZE:
        model = version_converter.convert_version(model, OPSET_OF_HALF_QUANTIZE)
    named = prepared(model)
    tail = list(layout(named).tail)
    made = convert_float_to_float16(named, keep_io_types=True, node_block_list=tail)
    _straighten(made)
    return made


def _straighten(model: onnx.ModelProto) -> None:
    """Take out detours float32 -> float16 -> float32.

    The converter puts them between two nodes that both stay float32; they round what was to stay
    exact.
    """
    casts = {node.output[0]: node for node in model.graph.node if node.op_type == "Cast"}
    narrowed = {
        name: node.input[0] for name, node in casts.items() if _to(node) == TensorProto.FLOAT16
    }
    direct = {
        name: narrowed[node.input[0]]
        for name, node in casts.items()
        if _to(node) == TensorProto.FLOAT and node.input[0] in narrowed
    }
    results = {tensor.name for tensor in model.graph.output}
    for node in model.graph.node:
        if node.op_type == "Cast" and node.output[0] in results and node.output[0] in direct:
            node.op_type = "Identity"
            node.input[0] = direct[node.output[0]]
            del node.attribute[:]
            continue
        for at, name in enumerate(node.input):
            if name in direct:
                node.input[at] = direct[name]
    _drop_unread(model, results)


def _drop_unread(model: onnx.ModelProto, results: set[str]) -> None:
    """Remove casts that nobody reads any more; from the end, as a cast may read a cast."""
    read = {name for node in model.graph.node for name in node.input} | results
    for node in reversed(list(model.graph.node)):
        if node.op_type == "Cast" and node.output[0] not in read:
            model.graph.node.remove(node)
            read = {name for n in model.graph.node for name in n.input} | results


def _to(cast: onnx.NodeProto) -> int:
    return next(int(attribute.i) for attribute in cast.attribute if attribute.name == "to")
