"""Road 2 on ONNX Runtime: explicit Quantize/Dequantize, in the form its CPU kernels run fastest."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnx
import onnxruntime as ort

from spotterd.builder.calibration import Calibration
from spotterd.builder.device import cpu, narrow_weights
from spotterd.builder.graph import load
from spotterd.builder.halve import halve
from spotterd.builder.progress import Report, part
from spotterd.builder.quantize import for_cpu
from spotterd.config import schema
from spotterd.config.schema import Precision
from spotterd.errors import FallBackError
from spotterd.inference.base import Backend, ModelInfo
from spotterd.inference.onnx import OnnxBackend
from spotterd.inference.open import PROVIDERS, open_backend


@dataclass(frozen=True, slots=True)
class OnnxRoad:
    """ONNX Runtime on this machine.

    FP16 is no rung of its ladder: CPUs convert it to FP32 and back; it can be asked for by name.
    """

    model: Path
    info: ModelInfo
    detector: schema.Detector
    engines: schema.Engines
    suffix: str = ".onnx"
    races: bool = True

    @property
    def on_gpu(self) -> bool:
        """ONNX Runtime has a GPU provider: then FP32 on it it is, the forms here are for CPUs."""
        available = ort.get_available_providers()
        wanted = PROVIDERS[self.engines.backend]
        return any(f"{provider}ExecutionProvider" in available for provider in wanted)

    @property
    def ladder(self) -> tuple[Precision, ...]:
        """As `Road.ladder`."""
        return ("fp32",) if self.on_gpu else ("int8", "fp32")

    def smaller(self) -> None:
        """As `Road.smaller`: it already looks at one picture at a time."""

    def make(
        self, precision: Precision, calibration: Calibration, out: Path, report: Report
    ) -> bool:
        """As `Road.make`."""
        if precision == "fp32":
            return False
        if self.on_gpu:
            raise FallBackError("ONNX Runtime's GPU provider is served FP32 only")
        model = load(self.model, self.info.input_hw)
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
        if path is None:
            return open_backend(self.detector, self.engines)
        backend = OnnxBackend(
            path,
            precision=precision,
            threads=self.engines.threads,
            input_hw=self.info.input_hw,
        )
        backend.model = self.info  # whatever form it has: to the world it is this model
        return backend
