"""Makes the forms that ONNX Runtime's CPU kernels run fastest: explicit Quantize/Dequantize."""

from functools import partial
from pathlib import Path

import onnx

from spotterd.builder.calibration import Calibration
from spotterd.builder.device import cpu, narrow_weights
from spotterd.builder.graph import load
from spotterd.builder.halve import halve
from spotterd.builder.made import Made
from spotterd.builder.progress import Report, part
from spotterd.builder.quantize import for_cpu
from spotterd.builder.road_onnx import OnnxRoad
from spotterd.config.schema import Precision
from spotterd.errors import FallBackError


def make_form(
    road: OnnxRoad, precision: Precision, calibration: Calibration, out: Path, report: Report
) -> Made | None:
    """As `make.make`."""
    if precision == "fp32":
        return None
    if road.on_gpu:
        raise FallBackError("ONNX Runtime's GPU provider is served FP32 only")
    model = load(road.model, road.info.input_hw)
    if precision == "fp16":
        onnx.save(halve(model), out)
        return Made()
    narrow = narrow_weights(cpu())
    form = partial(for_cpu, narrow=narrow)
    ranges = calibration.ranges(form, part(report, 0.0, 0.9))
    report(0.9, "quantizing")
    onnx.save(form(model, ranges.ranges), out)
    proof = ranges.proof(form_name(narrow=narrow), road.info.input_hw)
    return Made(calibration.found.words(ranges), proof)


def form_name(*, narrow: bool) -> str:
    """What a proof calls this form."""
    return "onnxruntime uint8 x int7" if narrow else "onnxruntime uint8 x int8"
