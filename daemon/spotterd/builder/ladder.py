"""Down the ladder INT8 -> FP16 -> FP32 until an engine passes the gate."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from spotterd.builder.calibration import TRIAL_SCORE, Calibration
from spotterd.builder.gate import LENIENT, Figures, compare, verdict
from spotterd.builder.progress import Report, part
from spotterd.builder.sidecar import Sidecar, Tried
from spotterd.builder.store import Engine, Store
from spotterd.builder.truth import alike, read_picture, timed
from spotterd.builder.wanted import Wanted
from spotterd.config.schema import Precision
from spotterd.data import Detections
from spotterd.errors import BadInputError, FallBackError, RetryError
from spotterd.inference.detector import Detector
from spotterd.inference.onnx import OnnxBackend

log = logging.getLogger(__name__)

ORDER: tuple[Precision, ...] = ("int8", "fp16", "fp32")
MOST_DETECTIONS = 100
MAKING = 0.8  # share of a rung's time that making the engine takes; the rest is the gate
OFTEN = 0.2  # what the bar leaves for the next rung: mostly the first one does
KILLED = "building it took more memory than there is"


def build(
    wanted: Wanted, store: Store, report: Report, leave_out: Sequence[Precision] = ()
) -> Engine:
    """Build the best engine that passes the gate, and keep it.

    Args:
        wanted: what for, and how.
        store: where to keep it.
        report: told about the progress.
        leave_out: precisions that an earlier try was killed at.

    Raises:
        FallBackError: not even the last precision could be built.
        RetryError: the engine could not be written.
    """
    with store.building():
        engine = store.load(wanted.identity)
        if engine is not None:  # another process was faster
            return engine
        reference = reference_detector(wanted)
        try:
            found = wanted.sources()
            calibration = Calibration(reference, wanted.model, found, store, wanted.calibration_key)
            return _Climb(wanted, store, calibration, report).down(leave_out)
        finally:
            reference.backend.close()


def reference_detector(wanted: Wanted) -> Detector:
    """The FP32 model on ONNX Runtime, looking low: what every engine is compared with."""
    backend = OnnxBackend(
        wanted.model, threads=wanted.engines.threads, input_hw=wanted.info.input_hw
    )
    lowest = LENIENT * min(wanted.detector.score, TRIAL_SCORE)
    return Detector(backend, wanted.labels, lowest, wanted.detector.iou, MOST_DETECTIONS)


def rungs(wanted: Wanted, leave_out: Sequence[Precision]) -> list[Precision]:
    """What to try, in this order: as asked, then what is below; FP32 at the very least."""
    asked = wanted.engines.precision
    tries = list(wanted.road.ladder)
    if asked != "auto":
        below = ORDER[ORDER.index(asked) + 1 :]
        tries = [asked, *(p for p in tries if p in below)]
    return [p for p in tries if p not in leave_out] or ["fp32"]


@dataclass
class _Climb:
    """One way down the ladder."""

    wanted: Wanted
    store: Store
    calibration: Calibration
    report: Report

    def down(self, leave_out: Sequence[Precision]) -> Engine:
        began = time.monotonic()
        tried = [Tried(precision=p, refused=KILLED) for p in leave_out]
        tries = rungs(self.wanted, leave_out)
        for at, precision in enumerate(tries):
            step = part(self.report, 1 - OFTEN**at, 1 - OFTEN ** (at + 1))
            with self.store.workfile(self.wanted.road.suffix) as path:
                rung, made = self._try(precision, path, step)
                tried.append(rung)
                if rung.refused:
                    log.warning("%s is not used: %s.", precision.upper(), rung.refused)
                    continue
                sidecar = self._sidecar(tried, time.monotonic() - began)
                engine = self.store.save(path if made else None, sidecar)
                self.report(1.0, "done")
                return engine
        raise FallBackError(
            f"No engine could be built for {self.wanted.identity.device}: "
            + "; ".join(f"{t.precision.upper()}: {t.refused}" for t in tried)
        )

    def _try(self, precision: Precision, path: Path, report: Report) -> tuple[Tried, bool]:
        """Make and judge one engine; whether `path` holds it (else the model itself is it)."""
        road = self.wanted.road
        try:
            making = part(report, 0, MAKING)
            if not road.make(precision, self.calibration, path, making):
                return Tried(precision=precision), False
            figures = self._figures(precision, path, part(report, MAKING, 1.0))
        except (FallBackError, BadInputError) as error:  # the latter: a picture has vanished
            return Tried(precision=precision, refused=str(error).rstrip(".")), False
        except OSError as error:
            raise RetryError(
                f"The engine cannot be written to {self.store.folder}: {error.strerror}. "
                "Make room there."
            ) from error
        refused = self._refusal(precision, figures)
        return Tried(precision=precision, refused=refused, figures=figures), True

    def _figures(self, precision: Precision, path: Path, report: Report) -> Figures:
        """Of an engine on the held-back pictures."""
        pictures = self.calibration.found.held_back
        reference = self.calibration.reference
        backend = self.wanted.road.open(path, precision)
        try:
            return race(
                reference,
                alike(reference, backend),
                pictures,
                self.wanted.detector.score,
                lambda done: report(done / len(pictures), f"checking {precision}, picture {done}"),
            )
        finally:
            backend.close()

    def _refusal(self, precision: Precision, figures: Figures) -> str:
        refused = verdict(figures, self.wanted.engines.gate)
        if precision == "fp32" and figures.reference == 0:
            return ""  # nothing to judge by, and nothing that could have been lost
        if not refused and self.wanted.road.races and self.wanted.engines.precision == "auto":
            return _slower(figures)
        return refused

    def _sidecar(self, tried: Sequence[Tried], seconds: float) -> Sidecar:
        precision = tried[-1].precision
        return Sidecar(
            identity=self.wanted.identity,
            precision=precision,
            tried=tuple(tried),
            calibrated_by=self.calibration.found.words if precision == "int8" else "",
            seconds=round(seconds, 2),
            built_unix=int(time.time()),
        )


def race(
    reference: Detector,
    candidate: Detector,
    pictures: Sequence[Path],
    score: float,
    seen: Callable[[int], None],
) -> Figures:
    """Run both detectors picture by picture, in turn, so that load on the machine hits both."""
    wanted: list[Detections] = []
    found: list[Detections] = []
    reference_ms: list[float] = []
    own_ms: list[float] = []
    for done, path in enumerate(pictures, start=1):
        picture = read_picture(path)
        for detector, into, taken in (
            (reference, wanted, reference_ms),
            (candidate, found, own_ms),
        ):
            detections, ms = timed(detector, picture)
            into.append(detections)
            taken.append(ms)
        seen(done)
    figures = compare(wanted, found, score)
    if not pictures:
        return figures
    return figures.model_copy(
        update={"reference_ms": round(median(reference_ms), 2), "ms": round(median(own_ms), 2)}
    )


def _slower(figures: Figures) -> str:
    if figures.ms <= figures.reference_ms:
        return ""
    return (
        f"with {figures.ms:.1f} ms an inference it is slower here than FP32 "
        f"with {figures.reference_ms:.1f} ms"
    )
