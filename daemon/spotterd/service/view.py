"""What is known of one camera's picture from frame to frame: tracks, events, pictures."""

import time
from collections import Counter
from datetime import datetime
from queue import SimpleQueue

from spotterd.builder.harvest import Harvest
from spotterd.camera.clips import ClipRecorder
from spotterd.config.schema import Config
from spotterd.data import Event, Frame, Image, Tracks
from spotterd.events.pictures import Album, jpeg, whole
from spotterd.events.rules import Rules
from spotterd.events.settings import Settings
from spotterd.health.clock import clock_synced
from spotterd.paths import state_dir
from spotterd.publish.build import Timeline, event_id
from spotterd.service.detect import Inferred
from spotterd.service.report import Report
from spotterd.tracking.params import Params
from spotterd.tracking.tracker import Tracker

CLIP_S = 0.5  # for the last clip to reach the disk
ASK_CLOCK_NS = 1_000_000_000  # whether the clock is set is not asked for every frame


class View:
    """Everything that follows one camera. Used by the interpret thread alone.

    Args:
        name: of the camera.
        config: tracking, events and publishing options.
        labels: the model's class names.
        report: where news goes.
        harvest: is offered every frame.

    Raises:
        BadInputError: the configuration names a class that the model does not know.
    """

    def __init__(
        self,
        name: str,
        config: Config,
        labels: tuple[str, ...],
        report: Report,
        harvest: Harvest,
    ) -> None:
        self._name = name
        self._config = config
        self._labels = labels
        self._report = report
        self._harvest = harvest
        self._asked: SimpleQueue[str] | None = None
        params = Params.of(config.tracking, config.detector)
        self._tracker = Tracker(params, report.track_ids(name))
        self._rules = Rules(name, Settings.of(config.events, name, labels))
        self._album = Album()
        self._pictures = config.events.pictures
        clips = config.events.clips
        self._clips = ClipRecorder(state_dir() / "clips" / name, clips) if clips.enabled else None
        self._silent_ns = int(config.cameras[name].stall_timeout_s * 1e9)
        self._ids: frozenset[int] = frozenset()
        self._confirmed: list[int] = []  # their labels, as they were told
        self._last: tuple[Timeline, int, int] | None = None  # with stream_ns, and when that was
        self._synced = False
        self._ask_clock_ns = 0

    def step(self, inferred: Inferred) -> None:
        """Decode, track and tell one frame."""
        frame = inferred.frame
        detections = inferred.detector.decode(inferred.slot, inferred.letterbox)
        tracks = self._tracker.step(detections, frame.stream_ns, frame.size_wh)
        now_ns = time.monotonic_ns()
        if now_ns >= self._ask_clock_ns:
            self._synced, self._ask_clock_ns = clock_synced(), now_ns + ASK_CLOCK_NS
        timeline = Timeline.of(frame, synced=self._synced)
        self._last = timeline, frame.stream_ns, now_ns
        seen = tracks.sighted
        self._tell_detections(frame, seen, timeline)
        self._report.frame(frame, seen, self._labels)
        flags = zip(tracks.label.tolist(), tracks.confirmed.tolist(), strict=True)
        confirmed = sorted(label for label, is_confirmed in flags if is_confirmed)
        self._tell_count(confirmed)
        self._album.look(tracks, frame.pixels, frame.stream_ns)
        local = datetime.now().astimezone().time() if self._rules.settings.quiet else None
        if self._clips is not None:
            self._clips.frame(frame.pixels, frame.stream_ns)
        for event in self._rules.step(tracks, frame.stream_ns, frame.size_wh, local):
            self._report.event(event, timeline, self._best(event))
            if event.kind == "start":
                self._tell_snapshot(frame, tracks)
                if self._clips is not None:
                    clip = event_id(self._report.origin, self._name, event.track)
                    self._clips.event(clip, event.start_ns)
        self._harvest.offer(frame.pixels, had_craft=bool(confirmed), now_ns=now_ns)
        if self._asked is not None:
            self._tell_snapshot(frame, tracks)
            self._asked.put("")
            self._asked = None

    def ask_picture(self, reply: SimpleQueue[str]) -> None:
        """Publish the next frame, and then put "" into `reply`; callable from any thread."""
        self._asked = reply

    def adopt(self, config: Config) -> None:
        """Go by another configuration from the next frame on; tracks and events go on.

        Raises:
            BadInputError: as the constructor.
        """
        self._rules.settings = Settings.of(config.events, self._name, self._labels)
        self._tracker.params = Params.of(config.tracking, config.detector)
        self._pictures = config.events.pictures
        self._config = config

    def rest(self, now_ns: int) -> None:
        """End what is open when the camera has been silent for long; cheap, called often."""
        if self._last is not None and now_ns - self._last[2] > self._silent_ns:
            self.close("camera")

    def close(self, reason: str) -> None:
        """End all open events; the next frame begins anew."""
        if self._last is None:
            return
        timeline, stream_ns, _ = self._last
        for event in self._rules.close(reason, stream_ns):
            self._report.event(event, timeline, self._best(event))
        self._tracker.reset()
        self._tell_count([])
        self._last = None

    def end(self) -> None:
        """Close for good: the daemon stops."""
        self.close("stopped")
        if self._clips is not None:
            self._clips.close(CLIP_S)

    def _tell_snapshot(self, frame: Frame, tracks: Tracks) -> None:
        picture = whole(frame.pixels, tracks, self._labels, self._pictures.max_width)
        self._report.snapshot(self._name, self._jpeg(picture))

    def _tell_detections(self, frame: Frame, seen: Tracks, timeline: Timeline) -> None:
        ids = frozenset(seen.id.tolist())
        changed, self._ids = ids != self._ids, ids
        wanted = self._config.publish.detections
        if (wanted == "all" and ids) or (wanted == "changes" and changed):
            self._report.detections(frame, seen, self._labels, synced=timeline.synced)

    def _tell_count(self, confirmed: list[int]) -> None:
        if confirmed != self._confirmed:
            self._confirmed = confirmed
            self._report.count(self._name, Counter(self._labels[label] for label in confirmed))

    def _best(self, event: Event) -> bytes | None:
        crop = self._album.best(event.track)
        return None if crop is None else self._jpeg(crop)

    def _jpeg(self, picture: Image) -> bytes:
        return jpeg(picture, self._pictures.max_kb * 1024)
