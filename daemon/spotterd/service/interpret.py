"""The turns of the interpret thread: from raw outputs to messages."""

import time
from collections import Counter
from collections.abc import Callable

from spotterd.config.schema import Config
from spotterd.data import Frame, Tracks
from spotterd.health.meters import Meters
from spotterd.service.detect import Inferred
from spotterd.service.mailbox import Mailbox
from spotterd.service.report import Report
from spotterd.service.stage import IDLE_S
from spotterd.tracking.params import Params
from spotterd.tracking.tracker import Tracker


class View:
    """What is known of one camera's picture from frame to frame.

    Args:
        config: tracking and publishing options.
        report: where news goes.
    """

    def __init__(self, name: str, config: Config, report: Report) -> None:
        self._name = name
        self._config = config
        self._report = report
        self._tracker = Tracker(Params.of(config.tracking, config.detector))
        self._ids: frozenset[int] = frozenset()
        self._count: Counter[str] = Counter()

    def step(self, inferred: Inferred) -> None:
        """Decode, track and send one frame."""
        frame, labels = inferred.frame, inferred.detector.labels
        detections = inferred.detector.decode(inferred.slot, inferred.letterbox)
        tracks = self._tracker.step(detections, frame.stream_ns, frame.size_wh)
        seen = tracks[tracks.seen]
        self._tell_detections(frame, seen, labels)
        self._report.frame(frame, seen, labels)
        self._tell_count(tracks[tracks.confirmed], labels)

    def _tell_detections(self, frame: Frame, seen: Tracks, labels: tuple[str, ...]) -> None:
        ids = frozenset(seen.id.tolist())
        changed, self._ids = ids != self._ids, ids
        wanted = self._config.publish.detections
        if (
            wanted == "off"
            or (wanted == "all" and not ids)
            or (wanted == "changes" and not changed)
        ):
            return
        self._report.detections(frame, seen, labels)

    def _tell_count(self, confirmed: Tracks, labels: tuple[str, ...]) -> None:
        count = Counter(labels[index] for index in confirmed.label.tolist())
        if count != self._count:
            self._count = count
            self._report.count(self._name, count)


class Interpret:
    """Serves all cameras from one thread; each has a `View` of its own.

    Args:
        results: mailbox of detect.
        views: by camera.
        meters: told about times and finished frames.
        first_frame: called once per camera, when its first frame went the whole way.
    """

    def __init__(
        self,
        results: Mailbox[Inferred],
        views: dict[str, View],
        meters: Meters,
        first_frame: Callable[[str], None],
    ) -> None:
        self._results = results
        self._views = views
        self._meters = meters
        self._first_frame = first_frame
        self._waiting_for = set(views)

    def turn(self) -> None:
        """Finish one frame."""
        inferred = self._results.take(IDLE_S)
        if inferred is None:
            return
        began_ns = time.monotonic_ns()
        frame = inferred.frame
        try:
            self._views[frame.camera].step(inferred)
        finally:
            inferred.release()
        done_ns = time.monotonic_ns()
        self._meters.took("interpret", began_ns, done_ns)
        self._meters.done(frame.camera, frame.captured_ns, done_ns)
        if frame.camera in self._waiting_for:
            self._waiting_for.discard(frame.camera)
            self._first_frame(frame.camera)
