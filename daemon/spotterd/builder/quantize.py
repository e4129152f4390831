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
OPSET = 17  # has everything used here; the parsers of all TensorRT versions served take it


def for_tensorrt(model: onnx.ModelProto, limits: Limits) -> onnx.ModelProto:
    """The form that NVIDIA's parser takes.

    Raises:
        FallBackError: an activation has no range.
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
        needed=layout(prepared(model)).inputs,
    )


def for_cpu(model: onnx.ModelProto, limits: Limits, *, narrow: bool) -> onnx.ModelProto:
    """The form that ONNX Runtime's CPU kernels run fastest.

    Args:
        model: FP32.
        limits: of the activations.
        narrow: 7-bit weights: without VNNI, sums of 8-bit products overflow 16 bits.

    Raises:
        FallBackError: an activation has no range.
    """
    return _quantized(
        model,
        limits,
        activations=QuantType.QUInt8,
        operators=(CONVOLUTION, *BETWEEN),
        options={"ActivationSymmetric": False},
        needed=layout(prepared(model)).activations,
        narrow=narrow,
    )


def _quantized(
    model: onnx.ModelProto,
    limits: Limits,
    *,
    activations: QuantType,
    operators: tuple[str, ...],
    options: dict[str, object],
    needed: tuple[str, ...],
    narrow: bool = False,
) -> onnx.ModelProto:
    named = prepared(model)
    missing = [name for name in needed if name not in limits]
    if missing:
        raise FallBackError(
            f"there is no calibration range for {len(missing)} of {len(needed)} activations "
            f"({missing[0]} for one)"
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
        nodes_to_exclude=list(layout(named).float_nodes),
        op_types_to_quantize=list(operators),
        extra_options={"WeightSymmetric": True, **options},
    )
    quantizer.quantize_model()
    made: onnx.ModelProto = quantizer.model.model
    return made
