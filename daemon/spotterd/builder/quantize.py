"""An FP32 ONNX and ranges -> INT8 ONNX with explicit Quantize/Dequantize pairs.

Two forms, because the two readers want the opposite (both measured, see docs/engines.md):

- `for_tensorrt`: int8, symmetric, per-channel weights, only the inputs of convolutions, bias left
  float. NVIDIA's parser refuses uint8, and fuses best when nothing stands between a convolution
  and what follows it.
- `for_cpu`: uint8 activations and int8 weights, also between convolutions: ONNX Runtime's fast
  kernels (VNNI) take u8 x s8, and whole chains stay in 8 bits.
"""

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from spotterd.builder.graph import BETWEEN, CONVOLUTION, layout, prepared
from spotterd.errors import FallBackError

Limits = dict[str, tuple[float, float]]


def for_tensorrt(model: onnx.ModelProto, limits: Limits) -> onnx.ModelProto:
    """The form that NVIDIA's parser takes.

    Raises:
        FallBackError: half of the convolutions or more lack a range, or there are none.
    """
    return _quantized(
        model,
        limits,
        activations=QuantType.QInt8,
        operators=(CONVOLUTION,),
        options={
            "ActivationSymmetric": True,
            "QuantizeBias": False,
            "OpTypesToExcludeOutputQuantization": [CONVOLUTION],
            "QDQKeepRemovableActivations": True,
        },
    )


def for_cpu(model: onnx.ModelProto, limits: Limits, *, narrow: bool) -> onnx.ModelProto:
    """The form that ONNX Runtime's CPU kernels run fastest.

    Args:
        model: FP32.
        limits: of the activations.
        narrow: 7-bit weights: without VNNI, sums of 8-bit products overflow 16 bits.

    Raises:
        FallBackError: half of the convolutions or more lack a range, or there are none.
    """
    return _quantized(
        model,
        limits,
        activations=QuantType.QUInt8,
        operators=(CONVOLUTION, *BETWEEN),
        options={"ActivationSymmetric": False},
        narrow=narrow,
    )


def _quantized(
    model: onnx.ModelProto,
    limits: Limits,
    *,
    activations: QuantType,
    operators: tuple[str, ...],
    options: dict[str, object],
    narrow: bool = False,
) -> onnx.ModelProto:
    named = prepared(model)
    found = layout(named)
    unknown = _without_range(named, operators, {*found.activations} - {*limits})
    if not found.quantizable:
        raise FallBackError("the network has no convolution that INT8 could replace")
    lost = [name for name in found.quantizable if name in unknown]
    if 2 * len(lost) >= len(found.quantizable):
        raise FallBackError(
            f"there are no calibration ranges for {len(lost)} of {len(found.quantizable)} "
            "convolutions that INT8 could replace"
        )
    data = {
        # Zero must be a level of every scale: padding and ReLU give exact zeros.
        name: (np.float32(min(low, 0)), np.float32(max(high, 0)))
        for name, (low, high) in limits.items()
    }
    quantizer = QDQQuantizer(
        named,
        per_channel=True,
        reduce_range=narrow,
        weight_qType=QuantType.QInt8,
        activation_qType=activations,
        tensors_range=TensorsData(CalibrationMethod.MinMax, data),
        nodes_to_quantize=[],
        nodes_to_exclude=[*found.float_nodes, *unknown],
        op_types_to_quantize=list(operators),
        extra_options={"WeightSymmetric": True, **options},
    )
    quantizer.quantize_model()
    made: onnx.ModelProto = quantizer.model.model
    return made


def _without_range(
    model: onnx.ModelProto, operators: tuple[str, ...], unknown: set[str]
) -> set[str]:
    """Nodes that read, or whose form needs, an activation without a range: they stay float."""
    both_ends = len(operators) > 1  # else only what convolutions read is quantized
    return {
        node.name
        for node in model.graph.node
        if node.op_type in operators
        and unknown & {*node.input, *(node.output if both_ends else ())}
    }
