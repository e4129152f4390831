"""The protocol of a road: what one runtime can do with a model on this machine.

Making engines is not part of it (see `make`): that takes libraries which only the building child
should load.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from spotterd.config.schema import Precision
from spotterd.inference.base import Backend

ORDER: tuple[Precision, ...] = ("int8", "fp16", "fp32")


class Road(Protocol):
    """One runtime on this machine."""

    @property
    def ladder(self) -> tuple[Precision, ...]:
        """Precisions to try for "auto", the best first; the last one always works."""

    @property
    def suffix(self) -> str:
        """Of the engines' file names."""

    @property
    def runs_models(self) -> bool:
        """It runs the ONNX file itself: FP32 needs no building, and an engine must be faster."""

    def smaller(self) -> "Road | None":
        """The same road with less memory; None if it cannot do with less."""

    def open(self, path: Path | None, precision: Precision) -> Backend:
        """Run an engine (None: the model itself).

        Raises:
            FallBackError: it cannot run here.
        """


def rungs(
    asked: Literal["auto"] | Precision, road: Road, leave_out: Sequence[Precision] = ()
) -> list[Precision]:
    """What to try, in this order: as asked, then what is below; FP32 at the very least."""
    tries = list(road.ladder)
    if asked != "auto":
        below = ORDER[ORDER.index(asked) + 1 :]
        tries = [asked, *(p for p in tries if p in below)]
    return [p for p in tries if p not in leave_out] or ["fp32"]
