"""When people are told about a track: once when it starts, when something changes, when it ends."""

from collections.abc import Iterable, Iterator
from datetime import time
from typing import Literal

from spotterd.data import Event, Tracks
from spotterd.events.places import Places
from spotterd.events.settings import Settings
from spotterd.events.views import is_cut
from spotterd.events.watched import Sight, State, Watched


class Rules:
    """Turns the tracks of one camera into events.

    Attributes:
        settings: may be replaced between two steps; open events stay open under the new ones.
    """

    def __init__(self, camera: str, settings: Settings) -> None:
        self.settings = settings
        self._camera = camera
        self._watched: dict[int, Watched] = {}
        self._places = Places()
        self._leaving: set[int] = set()  # tracks that should be at the edge of the picture, or out
        self._time_ns: int | None = None
        self._now_s = 0.0  # goes on with the stream's time, and never back

    def step(
        self,
        tracks: Tracks,
        time_ns: int,
        frame_wh: tuple[int, int],
        local_time: time | None = None,
    ) -> list[Event]:
        """What there is to tell after one frame.

        Args:
            tracks: all that the tracker follows.
            time_ns: `stream_ns` of the frame.
            frame_wh: width and height in pixels.
            local_time: time of day, for quiet hours; None: they do not apply.
        """
        if self._time_ns is not None:
            self._now_s += max(0, time_ns - self._time_ns) / 1e9
        self._time_ns = time_ns
        if not (len(tracks) or self._watched):
            return []
        quiet = local_time is not None and self.settings.is_quiet(local_time)
        boxes = dict(zip(tracks.id.tolist(), tracks.xyxy.tolist(), strict=True))
        events = list(self._ends(boxes, time_ns))
        self._leaving = {track for track, xyxy in boxes.items() if is_cut(xyxy, frame_wh)}
        for watched, sight, confirmed in self._sightings(tracks, time_ns, frame_wh):
            moved = watched.look(sight, self.settings, self._now_s)
            if watched.state is State.WAITING and confirmed:
                events += self._start(watched, time_ns, quiet=quiet)
            elif watched.state is State.OPEN:
                events += self._update(watched, time_ns, moved=moved)
        return events

    def close(self, reason: str, time_ns: int) -> list[Event]:
        """End all open events, because the camera is gone or the daemon stops.

        Tracks that the tracker goes on with are not told about again: `Tracker.reset` as well.
        """
        ends = [
            self._end(watched, reason, time_ns)
            for watched in self._watched.values()
            if watched.state is State.OPEN
        ]
        for watched in self._watched.values():
            watched.state = State.OVER
        return ends

    def _sightings(
        self, tracks: Tracks, time_ns: int, frame_wh: tuple[int, int]
    ) -> Iterator[tuple[Watched, Sight, bool]]:
        """Every track seen in this frame: what is remembered, what was seen, and if confirmed."""
        columns = zip(
            tracks.seen.tolist(),
            tracks.id.tolist(),
            tracks.first_ns.tolist(),
            tracks.xyxy.tolist(),
            tracks.score.tolist(),
            tracks.label.tolist(),
            tracks.confirmed.tolist(),
            strict=True,
        )
        for seen, track, first_ns, xyxy, score, label, confirmed in columns:
            if not seen:
                continue
            sight = Sight.of(xyxy, score, label, frame_wh, time_ns)
            watched = self._watched.get(track)
            if watched is None:
                watched = self._watched[track] = Watched(track, first_ns, sight)
            yield watched, sight, confirmed

    def _start(self, watched: Watched, time_ns: int, *, quiet: bool) -> Iterator[Event]:
        sight, settings = watched.sight, self.settings
        if sight.label not in settings.alert:
            return
        held = self._places.holds(sight.xyxy, self._now_s, settings.cool_down_s)
        if not (quiet or held):
            yield self._tell(watched, "start", "confirmed", time_ns)

    def _update(self, watched: Watched, time_ns: int, *, moved: bool) -> Iterator[Event]:
        if watched.sight.label not in self.settings.alert:
            yield self._end(watched, "class", time_ns)
        elif reason := watched.news(self.settings, self._now_s, moved=moved):
            yield self._tell(watched, "update", reason, time_ns)

    def _ends(self, followed: Iterable[int], time_ns: int) -> Iterator[Event]:
        """Ends of the tracks that the tracker gave up."""
        for track in sorted(self._watched.keys() - followed):
            watched = self._watched.pop(track)
            if watched.state is State.OPEN:
                self._places.leave(watched.sight.xyxy, self._now_s)
                yield self._end(watched, "left" if track in self._leaving else "lost", time_ns)

    def _tell(
        self, watched: Watched, kind: Literal["start", "update"], reason: str, time_ns: int
    ) -> Event:
        lines = watched.lines
        watched.told(reason, self._now_s)
        return self._event(watched, kind, reason, time_ns, lines)

    def _end(self, watched: Watched, reason: str, time_ns: int) -> Event:
        watched.state = State.OVER
        return self._event(watched, "end", reason, time_ns, watched.lines)

    def _event(
        self,
        watched: Watched,
        kind: Literal["start", "update", "end"],
        reason: str,
        time_ns: int,
        lines: tuple[str, ...],
    ) -> Event:
        sight = watched.sight
        return Event(
            kind=kind,
            camera=self._camera,
            track=watched.track,
            label=self.settings.labels[watched.told_label],
            score=sight.score,
            top_score=watched.top_score,
            box_xywhn=(*sight.centre, *sight.size),
            at_ns=time_ns,
            start_ns=watched.first_ns,
            end_ns=sight.at_ns if kind == "end" else None,
            zones=watched.presence.zones,
            reason=reason,
            lines=lines,
        )
