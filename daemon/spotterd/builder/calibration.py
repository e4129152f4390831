"""Calibrates a network: from pictures to the ranges that do best in INT8."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import onnx

from spotterd.builder.agreement import compare
from spotterd.builder.graph import load
from spotterd.builder.measure import by_entropy, by_extremes, measure
from spotterd.builder.progress import Report, part
from spotterd.builder.quantize import Limits
from spotterd.builder.ranges import Ranges, parse
from spotterd.builder.sources import Sources
from spotterd.builder.store import Store
from spotterd.builder.truth import alike, look, read_picture
from spotterd.data import Detections, Floats
from spotterd.errors import FallBackError
from spotterd.inference.detector import Detector
from spotterd.inference.onnx import OnnxBackend

log = logging.getLogger(__name__)

Form: TypeAlias = Callable[[onnx.ModelProto, Limits], onnx.ModelProto]
TRIALS = 16  # pictures on which the ways to calibrate are compared
TRIAL_SCORE = 0.1  # low: many weak detections show more of a difference than few strong ones


class Calibration:
    """Calibrates one model, at most once.

    Args:
        reference: the FP32 detector, looking down to `LENIENT * TRIAL_SCORE` or lower; its
            letterbox prepares the pictures, as at run time.
        model: the ONNX file of it.
        found: what there is to calibrate by.
        store: keeps the ranges, since measuring them takes a minute.
        key: of all that the ranges depend on.
    """

    def __init__(
        self, reference: Detector, model: Path, found: Sources, store: Store, key: str
    ) -> None:
        self.reference = reference
        self.found = found
        self._model = model
        self._store = store
        self._key = key

    def inputs(self) -> Iterator[Floats]:
        """The calibrating pictures as the network sees them; each valid until the next one."""
        backend = self.reference.backend
        slot = backend.acquire()
        try:
            for path in self.found.pictures:
                self.reference.prepare(read_picture(path), slot)
                yield slot.input
        finally:
            backend.release(slot)

    def ranges(self, form: Form, report: Report) -> Ranges:
        """The ranges that do best in a form of INT8.

        Those that ship with the model were measured on more pictures than are bundled, and it is
        known what they are worth: only a board's own pictures may do better.

        Raises:
            FallBackError: there is nothing to calibrate by; the text is part of a sentence.
        """
        shipped = self.found.ranges
        if shipped is not None and not (self.found.pictures and self.found.own):
            log.info("Calibrating by %s. %s", self.found.words(shipped), self.found.problem)
            return shipped
        if not self.found.pictures:
            raise FallBackError(f"there is nothing to calibrate by. {self.found.problem}")
        kept = self.kept("ranges")
        ranges = parse(kept, "The cache of calibration ranges") if kept else None
        if ranges is None:
            ranges = self._measured(form, report)
            self.keep("ranges", ranges.model_dump_json().encode())
        return ranges

    def kept(self, kind: str) -> bytes:
        """What an earlier build of this model, device and calibration has kept; b"" if nothing."""
        return self._store.cache(f"{self._key}.{kind}.cache") or b""

    def keep(self, kind: str, data: bytes) -> None:
        """Keep what makes the next such build faster."""
        if data:
            self._store.keep_cache(f"{self._key}.{kind}.cache", data)

    def _measured(self, form: Form, report: Report) -> Ranges:
        total = len(self.found.pictures)
        model = load(self._model, self.reference.backend.model.input_hw)
        running = part(report, 0.0, 0.8)
        try:
            histograms = measure(
                model,
                self.inputs(),
                lambda done: running(done / total, f"calibrating, picture {done} of {total}"),
            )
        except ValueError as error:
            raise FallBackError(f"it cannot be calibrated: {error}") from error
        report(0.8, "choosing thresholds")
        ways = {"entropy": by_entropy(histograms), "minmax": by_extremes(histograms)}
        if self.found.ranges is not None:
            ways["shipped"] = self.found.ranges.ranges
        best = self._best(model, ways, form, part(report, 0.85, 1.0))
        if best == "shipped" and self.found.ranges is not None:
            return self.found.ranges
        return Ranges(
            model_sha256=self.reference.backend.model.sha256,
            method=best,
            pictures=total,
            ranges=ways[best],
        )

    def _best(
        self, model: onnx.ModelProto, ways: dict[str, Limits], form: Form, report: Report
    ) -> str:
        """The way whose INT8 network sees most like FP32, on some of the calibrating pictures.

        Entropy is right where activations are dense; in a wide sky with one far craft, the few
        strong ones are what matters, and clipping them loses it. So: measure.
        """
        some = self.found.pictures[:: -(-len(self.found.pictures) // TRIALS)]
        wanted, _ = look(self.reference, some)
        merits = {}
        for at, (name, limits) in enumerate(ways.items()):
            report(at / len(ways), f"trying {name} ranges")
            with self._store.workfile(".onnx") as path:
                onnx.save(form(model, limits), path)
                seen = self._seen_by(path, some)
            figures = compare(wanted, seen, TRIAL_SCORE, self.reference.labels)
            merits[name] = figures.recall + figures.agreement - figures.score_shift
            log.info(
                "INT8 by %s ranges: recall %.3f, AP50 %.3f, score shift %.3f on %d detections.",
                name, figures.recall, figures.agreement, figures.score_shift, figures.reference,
            )  # fmt: skip
        return max(merits, key=lambda name: merits[name])

    def _seen_by(self, path: Path, pictures: Sequence[Path]) -> list[Detections]:
        like = self.reference
        backend = OnnxBackend(path, precision="int8", input_hw=like.backend.model.input_hw)
        try:
            seen, _ = look(alike(like, backend), pictures)
        finally:
            backend.close()
        return seen
