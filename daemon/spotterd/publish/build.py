"""Payloads from what the rooms hand over. Pure: times are arguments."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from spotterd.data import Detections, Event, Floats, Frame, Tracks
from spotterd.publish.base import Message, Moment
from spotterd.publish.payloads import (
    BoxXywhn,
    CameraStatusPayload,
    Detection,
    DetectionsPayload,
    EngineOfEvent,
    EventPayload,
    Utc,
)

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (UTC; text without an offset, to put a Z behind)


def utc(wall_ns: int) -> Utc:
    """Nanoseconds since 1970 as text, e.g. `2026-11-23T10:37:49.812Z` (cut, not rounded)."""
    # Whole milliseconds as an integer: a float of seconds would lose one now and then.
    moment = _EPOCH + timedelta(milliseconds=wall_ns // 1_000_000)
    return moment.isoformat(timespec="milliseconds") + "Z"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who speaks: the board, and this run of the daemon."""

    node: str
    boot: str

    def stamp(self, at: Moment) -> dict[str, Any]:
        """The fields that open every payload."""
        return {
            "node": self.node,
            "boot": self.boot,
            "ts": utc(at.wall_ns),
            "mono_ns": at.mono_ns,
            "clock_synced": at.synced,
        }


@dataclass(frozen=True, slots=True)
class Timeline:
    """Turns a camera's `stream_ns` into the two clocks of messages."""

    wall_offset_ns: int
    mono_offset_ns: int
    synced: bool

    @classmethod
    def of(cls, frame: Frame, *, synced: bool) -> "Timeline":
        """The offsets that hold at this frame."""
        return cls(frame.wall_ns - frame.stream_ns, frame.captured_ns - frame.stream_ns, synced)

    def at(self, stream_ns: int) -> Moment:
        """The moment of a stream time."""
        return Moment(stream_ns + self.wall_offset_ns, stream_ns + self.mono_offset_ns, self.synced)


def detections(
    origin: Origin,
    frame: Frame,
    seen: Detections | Tracks,
    labels: Sequence[str],
    *,
    synced: bool,
    latency_ms: float,
) -> DetectionsPayload:
    """One frame's objects: tracks seen in it where there is a tracker, else bare detections."""
    # Validation is left out: this runs for every frame, from arrays that were checked before.
    ids = seen.id.tolist() if isinstance(seen, Tracks) else [None] * len(seen)
    width, height = frame.size_wh
    boxes = _xywhn(seen.xyxy, width, height)
    rows = zip(boxes, seen.score.tolist(), seen.label.tolist(), ids, strict=True)
    return DetectionsPayload.model_construct(
        **origin.stamp(Moment(frame.wall_ns, frame.captured_ns, synced)),
        camera=frame.camera,
        seq=frame.seq,
        frame_wh=(width, height),
        latency_ms=round(latency_ms, 1),
        detections=tuple(
            Detection(label=labels[label], score=round(score, 3), box_xywhn=box, track=track)
            for box, score, label, track in rows
        ),
    )


def event(
    origin: Origin,
    seq: int,
    happened: Event,
    timeline: Timeline,
    *,
    engine: EngineOfEvent | None,
    latency_ms: float,
) -> EventPayload:
    """One event as subscribers see it."""
    end_ns = happened.end_ns
    return EventPayload(
        **origin.stamp(timeline.at(happened.at_ns)),
        seq=seq,
        id=event_id(origin, happened.camera, happened.track),
        type=happened.kind,
        camera=happened.camera,
        label=happened.label,
        score=round(happened.score, 3),
        top_score=round(happened.top_score, 3),
        box_xywhn=happened.box_xywhn,
        zones=happened.zones,
        lines=happened.lines,
        start_ts=utc(timeline.at(happened.start_ns).wall_ns),
        end_ts=None if end_ns is None else utc(timeline.at(end_ns).wall_ns),
        duration_s=round(((end_ns or happened.at_ns) - happened.start_ns) / 1e9, 3),
        reason=happened.reason,
        engine=engine,
        latency_ms=round(latency_ms, 1),
    )


def ended_by_restart(origin: Origin, seq: int, left_open: bytes, at: Moment) -> EventPayload | None:
    """The end of an event that an earlier run of the daemon could not end.

    Args:
        origin: of this run.
        seq: next number of this run.
        left_open: the event's last message; its `ts` is when the object was last told about.
        at: now.

    Returns:
        None where the message cannot be read.
    """
    try:
        last = EventPayload.model_validate_json(left_open)
    except ValidationError:
        return None
    # `duration_s` was right at that message, and no clock can be trusted across a restart.
    changed = {"seq": seq, "type": "end", "end_ts": last.ts, "reason": "restart", "latency_ms": 0.0}
    return last.model_copy(update={**origin.stamp(at), **changed, "replayed": False})


def event_id(origin: Origin, camera: str, track: int) -> str:
    """Id of a track's event, the same in all its messages, unique among all boards and boots."""
    return f"{origin.node}-{origin.boot}-{camera}-{track}"


def camera_status(
    origin: Origin,
    at: Moment,
    camera: str,
    state: Literal["online", "stalled", "offline"],
    *,
    reason: str,
    since_ns: int,
    warnings: tuple[str, ...] = (),
) -> CameraStatusPayload:
    """How a camera is; `since_ns` is CLOCK_MONOTONIC."""
    return CameraStatusPayload(
        **origin.stamp(at),
        camera=camera,
        state=state,
        reason=reason,
        since=utc(at.wall_ns - (at.mono_ns - since_ns)),
        warnings=warnings,
    )


def as_replayed(message: Message) -> Message:
    """An event with `replayed` true; other payloads have no such field and stay as they are."""
    fresh, replayed = EventPayload.REPLAYED
    if not message.payload.endswith(fresh):
        return message
    return replace(message, payload=message.payload.removesuffix(fresh) + replayed)


def _xywhn(xyxy: Floats, width: int, height: int) -> list[BoxXywhn]:
    """Corners in pixels as centre and size in 0..1, to a hundred-thousandth."""
    # float64, so that a rounded number is also short as text.
    low, high = xyxy[:, :2].astype(np.float64), xyxy[:, 2:].astype(np.float64)
    boxes = np.hstack(((low + high) / 2, high - low)) / (width, height, width, height)
    return [(x, y, w, h) for x, y, w, h in boxes.round(5).tolist()]
