"""Payloads from what the rooms hand over. Pure: times are arguments."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

from pydantic import ValidationError
from pydantic_core import to_json

from spotterd.data import Detections, Event, Frame, Tracks
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
_DETECTIONS = DetectionsPayload.model_fields["schema_"].default


def utc(wall_ns: int) -> Utc:
    """Nanoseconds since 1970 as text, e.g. `2026-11-23T10:37:49.812Z` (cut, not rounded)."""
    # Integers: a float of seconds would lose a millisecond now and then.
    wall_s, ns = divmod(wall_ns, 1_000_000_000)
    return f"{_whole_second(wall_s)}.{ns // 1_000_000:03}Z"


@lru_cache(maxsize=8)
def _whole_second(wall_s: int) -> str:
    return (_EPOCH + timedelta(seconds=wall_s)).isoformat()


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
) -> bytes:
    """One frame's objects: tracks seen in it where there is a tracker, else bare detections.

    The bytes of a `DetectionsPayload`, without one: this runs for every frame, and a model would
    be another 0.06 ms.
    """
    ids = seen.id.tolist() if isinstance(seen, Tracks) else [None] * len(seen)
    rows = zip(seen.xyxy.tolist(), seen.score.tolist(), seen.label.tolist(), ids, strict=True)
    frame_wh = frame.size_wh
    return to_json(
        {
            "schema": _DETECTIONS,
            **origin.stamp(Moment(frame.wall_ns, frame.captured_ns, synced)),
            "camera": frame.camera,
            "seq": frame.seq,
            "frame_wh": frame_wh,
            "latency_ms": round(latency_ms, 1),
            "detections": [
                Detection(
                    label=labels[label],
                    score=round(score, 3),
                    box_xywhn=_xywhn(xyxy, frame_wh),
                    track=track,
                )
                for xyxy, score, label, track in rows
            ],
        }
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


def _xywhn(xyxy: Sequence[float], frame_wh: tuple[int, int]) -> BoxXywhn:
    """Corners in pixels as centre and size in 0..1, to a hundred-thousandth."""
    (left, top, right, bottom), (width, height) = xyxy, frame_wh
    return (
        round((left + right) / 2 / width, 5),
        round((top + bottom) / 2 / height, 5),
        round((right - left) / width, 5),
        round((bottom - top) / height, 5),
    )
