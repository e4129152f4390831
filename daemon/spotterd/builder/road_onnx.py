"""Road 2 on ONNX Runtime: explicit Quantize/Dequantize, in the form its CPU kernels run fastest."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnx

from spotterd.builder.calibration import Calibration
from spotterd.builder.device import cpu, narrow_weights
from spotterd.builder.halve import halve
from spotterd.builder.progress import Report, part
from spotterd.builder.quantize import for_cpu
from spotterd.config.schema import Precision
from spotterd.inference.base import Backend, ModelInfo
from spotterd.inference.onnx import OnnxBackend


@dataclass(frozen=True, slots=True)
class OnnxRoad:
    """ONNX Runtime on this CPU.

    FP16 is no rung of its ladder: CPUs convert it to FP32 and back; it can be asked for by name.
    """

    model: Path
    info: ModelInfo
    threads: int
    ladder: tuple[Precision, ...] = ("int8", "fp32")
    suffix: str = ".onnx"
    races: bool = True

    def smaller(self) -> None:
        """As `Road.smaller`: it already looks at one picture at a time."""

    def make(
        self, precision: Precision, calibration: Calibration, out: Path, report: Report
    ) -> bool:
        """As `Road.make`."""
        if precision == "fp32":
            return False
        model = onnx.load(self.model)
        if precision == "fp16":
            onnx.save(halve(model), out)
            return True
        form = partial(for_cpu, narrow=narrow_weights(cpu()))
        ranges = calibration.ranges(form, part(report, 0.0, 0.9))
        report(0.9, "quantizing")
        onnx.save(form(model, ranges.ranges), out)
        return True

    def open(self, path: Path | None, precision: Precision) -> Backend:
        """As `Road.open`."""
        backend = OnnxBackend(
            path or self.model,
            precision=precision,
            threads=self.threads,
            input_hw=self.info.input_hw,
        )
        backend.model = self.info  # whatever form it has: to the world it is this model
        return backend
