"""Down the ladder INT8 -> FP16 -> FP32 until an engine passes the gate."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from spotterd.builder.agreement import LENIENT, Figures, compare
from spotterd.builder.calibration import TRIAL_SCORE, Calibration
from spotterd.builder.gate import Judgement, judge
from spotterd.builder.made import Made
from spotterd.builder.make import make
from spotterd.builder.progress import Report, part
from spotterd.builder.road import rungs
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

MOST_DETECTIONS = 100
MAKING = 0.8  # share of a rung's time that making the engine takes; the rest is the gate
OFTEN = 0.2  # what the bar leaves for the next rung: mostly the first one does
KILLED = "building it took more memory than there is, or broke the GPU for its process"


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
        RestartError: an engine broke the GPU for this process.
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
        tries = rungs(self.wanted.engines.precision, self.wanted.road, leave_out)
        for at, precision in enumerate(tries):
            step = part(self.report, 1 - OFTEN**at, 1 - OFTEN ** (at + 1))
            with self.store.workfile(self.wanted.road.suffix) as path:
                rung, made = self._try(precision, path, step)
                tried.append(rung)
                if rung.refused:
                    log.warning("%s is not used: %s.", precision.upper(), rung.refused)
                    continue
                sidecar = self._sidecar(tried, made, time.monotonic() - began)
                engine = self.store.save(path if made else None, sidecar)
                self.report(1.0, "done")
                return engine
        raise FallBackError(
            f"No engine could be built for {self.wanted.identity.device}: "
            + "; ".join(f"{t.precision.upper()}: {t.refused}" for t in tried)
        )

    def _try(self, precision: Precision, path: Path, report: Report) -> tuple[Tried, Made | None]:
        """Make and judge one engine; None: the model itself is it."""
        try:
            making = part(report, 0, MAKING)
            made = make(self.wanted.road, precision, self.calibration, path, making)
            if made is None:
                return Tried(precision=precision), None
            figures = self._figures(precision, path, part(report, MAKING, 1.0))
        except (FallBackError, BadInputError) as error:  # the latter: a picture has vanished
            return Tried(precision=precision, refused=str(error).rstrip(".")), None
        except OSError as error:
            raise RetryError(
                f"The engine cannot be written to {self.store.folder}: {error.strerror}. "
                "Make room there."
            ) from error
        judgement = judge(figures, self.wanted.engines.gate, made.proof)
        log.info("%s is %s: %s.", precision.upper(), judgement.verdict, judgement.why)
        refused = self._refusal(precision, figures, judgement)
        return (
            Tried(precision=precision, refused=refused, judgement=judgement, figures=figures),
            made,
        )

    def _figures(self, precision: Precision, path: Path, report: Report) -> Figures:
        """Of an engine on the held-back pictures."""
        pictures = self.calibration.found.judging
        reference = self.calibration.reference
        backend = self.wanted.road.open(path, precision)
        try:
            return race(
                reference,
                alike(reference, backend),
                pictures,
                self.wanted.detector.score,
                lambda done: report(
                    done / len(pictures), f"comparing with FP32, picture {done} of {len(pictures)}"
                ),
            )
        finally:
            backend.close()

    def _refusal(self, precision: Precision, figures: Figures, judgement: Judgement) -> str:
        """Why not to use it; FP16 and FP32, and what was asked for, are used unless refuted."""
        on_its_own = self.wanted.engines.precision == "auto"
        if judgement.verdict == "refuted":
            return judgement.why
        if judgement.verdict == "not proven" and precision == "int8" and on_its_own:
            return f"it is not proven, {judgement.why}"
        return _slower(figures) if self.wanted.road.runs_models and on_its_own else ""

    def _sidecar(self, tried: Sequence[Tried], made: Made | None, seconds: float) -> Sidecar:
        return Sidecar(
            identity=self.wanted.identity,
            precision=tried[-1].precision,
            tried=tuple(tried),
            calibrated_by=made.calibrated_by if made else "",
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
    figures = compare(wanted, found, score, reference.labels)
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
