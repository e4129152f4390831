"""An engine of exactly one precision, to measure it: whether the gate would let it pass or not."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spotterd.builder.calibration import Calibration
from spotterd.builder.ladder import reference_detector
from spotterd.builder.make import make
from spotterd.builder.progress import Report
from spotterd.builder.store import Store
from spotterd.builder.wanted import Wanted
from spotterd.config.schema import Precision
from spotterd.errors import BadInputError, FallBackError
from spotterd.inference.base import Backend


@contextmanager
def opened(wanted: Wanted, store: Store, precision: Precision, report: Report) -> Iterator[Backend]:
    """A backend of this precision: of the kept engine if it has it, else of one made for now.

    Raises:
        BadInputError: this precision cannot be had here; says why.
    """
    kept = store.load(wanted.identity)
    with store.workfile(wanted.road.suffix) as scratch:
        try:
            if kept is not None and kept.sidecar.precision == precision:
                path = kept.path
            else:
                path = _made(wanted, store, precision, scratch, report)
            backend = wanted.road.open(path, precision)
        except FallBackError as error:
            raise BadInputError(f"{precision.upper()} cannot be had here: {error}") from error
        try:
            yield backend
        finally:
            backend.close()


def _made(
    wanted: Wanted, store: Store, precision: Precision, out: Path, report: Report
) -> Path | None:
    """Make it without asking the gate; None: the model itself is it."""
    reference = reference_detector(wanted)
    try:
        found = wanted.sources()
        calibration = Calibration(reference, wanted.model, found, store, wanted.calibration_key)
        return out if make(wanted.road, precision, calibration, out, report) else None
    finally:
        reference.backend.close()
