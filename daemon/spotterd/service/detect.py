"""The turns of the detect thread: from frames to raw outputs.

`detect` is the only thread that touches the backend (and so the only owner of a CUDA context). It
keeps as many inferences in flight as the backend has slots to spare; `interpret` decodes, tracks,
applies the rules and sends, while the next inference runs.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spotterd.data import Frame
from spotterd.health.meters import Meters
from spotterd.inference.base import Slot
from spotterd.inference.detector import Detector
from spotterd.service.bare import Bare, bare
from spotterd.service.mailbox import Closed, Mailbox
from spotterd.service.stage import IDLE_S
from spotterd.vision.letterbox import Letterbox


@dataclass(frozen=True, slots=True, eq=False)
class Inferred:
    """A frame whose outputs lie in `slot`, still to be decoded; both are lent."""

    frame: Frame
    detector: Detector
    slot: Slot
    letterbox: Letterbox
    launched_ns: int

    def release(self) -> None:
        """Give the slot and the pixels back."""
        self.detector.backend.release(self.slot)
        self.frame.release()


class Detect:
    """The turns of the detect thread: frames in, inferences out, in order.

    Args:
        detector: what to start with; `swap` replaces it between two frames.
        frames: mailbox of the cameras.
        results: mailbox of interpret.
        max_age_ns: by camera; a live frame that waited longer is dropped, not processed late.
        meters: told about drops and times.
    """

    def __init__(
        self,
        detector: Detector,
        frames: Mailbox[Frame],
        results: Mailbox[Inferred],
        max_age_ns: Mapping[str, int],
        meters: Meters,
    ) -> None:
        self.detector = detector
        self._frames = frames
        self._results = results
        self._max_age_ns = max_age_ns
        self._meters = meters
        self._flying: deque[Inferred] = deque()
        self._landed: Inferred | None = None
        self._next: Detector | None = None
        self._bench: tuple[float, Callable[[Bare], None]] | None = None

    def swap(self, detector: Detector) -> None:
        """Use another detector from the next frame on; the old backend is closed by the thread."""
        self._next = detector

    def ask_bench(self, seconds: float, reply: Callable[[Bare], None]) -> None:
        """Before the next frame, measure the backend alone; any thread may ask."""
        self._bench = (seconds, reply)

    def turn(self) -> None:
        """Start one inference if a frame waits, and collect the oldest when it is time."""
        if self._bench is not None:
            self._measure(*self._bench)
        if self._next is not None:
            self._change_over(self._next)
        try:
            frame = self._frames.take(0 if self._flying or self._landed else IDLE_S)
        except Closed:
            self._land_all()
            self._results.close()
            raise
        if frame is not None and not self._too_old(frame):
            self._launch(frame)
        else:
            self._hand_over()
        # One slot stays with interpret, which decodes while the next inference runs.
        in_flight_most = self.detector.backend.slots - 1
        if self._flying and (frame is None or len(self._flying) >= in_flight_most):
            self._land()

    def _too_old(self, frame: Frame) -> bool:
        age_ns = time.monotonic_ns() - frame.captured_ns
        if not frame.live or age_ns <= self._max_age_ns[frame.camera]:
            return False
        self._meters.dropped(frame.camera)
        frame.release()
        return True

    def _launch(self, frame: Frame) -> None:
        backend = self.detector.backend
        slot = backend.acquire()
        began_ns = time.monotonic_ns()
        try:
            letterbox = self.detector.prepare(frame.pixels, slot)
            self._meters.took("letterbox", began_ns, time.monotonic_ns())
            # Not before: interpret would hold the interpreter's lock while the cores wait for
            # this frame. While they infer, it is free.
            self._hand_over()
            launched_ns = time.monotonic_ns()
            cpu_ns = time.thread_time_ns()
            backend.submit(slot)
            self._meters.spent("infer", time.thread_time_ns() - cpu_ns)
        except BaseException:
            backend.release(slot)
            frame.release()
            raise
        self._flying.append(Inferred(frame, self.detector, slot, letterbox, launched_ns))

    def _land(self) -> None:
        inferred = self._flying.popleft()
        cpu_ns = time.thread_time_ns()
        try:
            inferred.detector.backend.wait(inferred.slot)
        except BaseException:
            inferred.release()
            raise
        self._meters.spent("infer", time.thread_time_ns() - cpu_ns)
        self._meters.took("infer", inferred.launched_ns, time.monotonic_ns())
        self._hand_over()
        self._landed = inferred

    def _hand_over(self) -> None:
        if self._landed is not None:
            inferred, self._landed = self._landed, None
            self._results.put_in_order("detect", inferred)

    def _land_all(self) -> None:
        while self._flying:
            self._land()
        self._hand_over()

    def _measure(self, seconds: float, reply: Callable[[Bare], None]) -> None:
        self._bench = None
        self._land_all()
        cpu_ns = time.thread_time_ns()
        measured = bare(self.detector, seconds, lambda: self._frames.closed)
        self._meters.spent("infer", time.thread_time_ns() - cpu_ns)
        reply(measured)

    def _change_over(self, detector: Detector) -> None:
        self._land_all()
        # Thresholds changed from afar while the new one was built hold on.
        detector.thresholds = self.detector.thresholds
        old, self.detector, self._next = self.detector, detector, None
        # Interpret may still read the old outputs: they are back when all slots can be had.
        for _ in range(old.backend.slots):
            old.backend.acquire()
        old.backend.close()
