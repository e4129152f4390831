"""The protocol of a road: how one runtime gets from an ONNX file to an engine of a precision."""

from pathlib import Path
from typing import Protocol

from spotterd.builder.calibration import Calibration
from spotterd.builder.progress import Report
from spotterd.config.schema import Precision
from spotterd.inference.base import Backend


class Road(Protocol):
    """One runtime on this machine."""

    @property
    def ladder(self) -> tuple[Precision, ...]:
        """Precisions to try for "auto", the best first; the last one always works."""

    @property
    def suffix(self) -> str:
        """Of the engines' file names."""

    @property
    def races(self) -> bool:
        """An engine that is slower than the FP32 model is not used."""

    def smaller(self) -> "Road | None":
        """The same road with less memory; None if it cannot do with less."""

    def make(
        self, precision: Precision, calibration: Calibration, out: Path, report: Report
    ) -> bool:
        """Build an engine; False: there is nothing to build, the model itself is the engine.

        Raises:
            FallBackError: this precision cannot be had; the text is part of a sentence.
            OSError: the file cannot be written.
        """

    def open(self, path: Path | None, precision: Precision) -> Backend:
        """Run an engine (None: the model itself).

        Raises:
            FallBackError: it cannot run here.
        """
