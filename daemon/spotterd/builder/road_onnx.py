"""ONNX Runtime on this machine."""

from dataclasses import dataclass
from pathlib import Path

import onnxruntime as ort

from spotterd.config import schema
from spotterd.config.schema import Precision
from spotterd.inference.base import Backend, ModelInfo
from spotterd.inference.onnx import OnnxBackend
from spotterd.inference.open import PROVIDERS, open_backend


@dataclass(frozen=True, slots=True)
class OnnxRoad:
    """As `Road`.

    FP16 is no rung of its ladder: CPUs convert it to FP32 and back; it can be asked for by name.
    """

    model: Path
    info: ModelInfo
    detector: schema.Detector
    engines: schema.Engines
    suffix: str = ".onnx"
    runs_models: bool = True

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
