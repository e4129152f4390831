"""Makes an engine, on whichever road. Only the building child and tools come here."""

from pathlib import Path

from spotterd.builder.calibration import Calibration
from spotterd.builder.made import Made
from spotterd.builder.make_onnx import make_form
from spotterd.builder.make_tensorrt import make_plan
from spotterd.builder.progress import Report
from spotterd.builder.road_onnx import OnnxRoad
from spotterd.builder.road_tensorrt import TensorRtRoad
from spotterd.config.schema import Precision


def make(
    road: OnnxRoad | TensorRtRoad,
    precision: Precision,
    calibration: Calibration,
    out: Path,
    report: Report,
) -> Made | None:
    """Build an engine; None: there is nothing to build, the model itself is the engine.

    Raises:
        FallBackError: this precision cannot be had; the text is part of a sentence.
        OSError: the file cannot be written.
    """
    if isinstance(road, TensorRtRoad):
        return make_plan(road, precision, calibration, out, report)
    return make_form(road, precision, calibration, out, report)
