"""Payloads say what happened, in the words of the contract."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotterd.data import Detections, Event, Frame, Tracks
from spotterd.publish import build
from spotterd.publish.base import Message, Moment
from spotterd.publish.payloads import DetectionsPayload, EventPayload
from spotterd.publish.topics import Topics, split

ORIGIN = build.Origin("roof-1", "b3f1a2c4")
S = 1_000_000_000
FRAME = Frame("north", 7, 50 * S, 2 * S, 1_764_000_000 * S, np.zeros((100, 200, 3), np.uint8))
LABELS = ("airplane", "bird")


def tracks(count: int) -> Tracks:
    boxes = np.tile(np.array([[20, 10, 60, 30]], "f4"), (count, 1))
    ones = np.ones(count, np.bool_)
    values = {
        "id": np.arange(7, 7 + count),
        "xyxy": boxes,
        "score": np.full(count, 0.8125, "f4"),
        "label": np.zeros(count, np.int64),
        "confirmed": ones,
        "seen": ones,
        "velocity": np.zeros((count, 2), "f4"),
    }
    others = set(Tracks.__dataclass_fields__) - set(values)
    return Tracks(**values, **{name: np.zeros(count, np.int64) for name in others})


@pytest.mark.parametrize(
    ("wall_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_764_000_000_999_999_999, "2025-11-24T16:00:00.999Z"),
        (1_764_000_000_812_000_000, "2025-11-24T16:00:00.812Z"),  # .811999 as a float
    ],
)
def test_times_are_cut_to_milliseconds(wall_ns: int, text: str) -> None:
    assert build.utc(wall_ns) == text


def test_a_frame_of_tracks() -> None:
    built = build.detections(ORIGIN, FRAME, tracks(1), LABELS, synced=False, latency_ms=31.44)
    assert json.loads(built) == {
        "schema": "spotter.detections/1",
        "node": "roof-1",
        "boot": "b3f1a2c4",
        "ts": "2025-11-24T16:00:00.000Z",
        "mono_ns": 50 * S,
        "clock_synced": False,
        "camera": "north",
        "seq": 7,
        "frame_wh": [200, 100],
        "latency_ms": 31.4,
        "detections": [
            {"label": "airplane", "score": 0.812, "box_xywhn": [0.2, 0.2, 0.2, 0.2], "track": 7}
        ],
    }


def test_a_frame_without_a_tracker() -> None:
    seen = Detections(np.array([[0, 0, 200, 100]], "f4"), np.array([1], "f4"), np.array([1]))
    built = build.detections(ORIGIN, FRAME, seen, LABELS, synced=True, latency_ms=1)
    row = json.loads(built)["detections"][0]
    assert row == {"label": "bird", "score": 1, "box_xywhn": [0.5, 0.5, 1, 1], "track": None}


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_bytes_of_a_frame_are_those_of_its_model(count: int) -> None:
    built = build.detections(ORIGIN, FRAME, tracks(count), LABELS, synced=True, latency_ms=1.26)
    assert DetectionsPayload.model_validate_json(built, strict=True).to_bytes() == built


def event(kind: str = "end", end_ns: int | None = 5 * S) -> EventPayload:
    box = (0.412, 0.12, 0.031, 0.014)
    happened = Event(kind, "north", 412, "airplane", 0.81, 0.88, box, 4 * S, 3 * S, end_ns)
    timeline = build.Timeline.of(FRAME, synced=True)
    return build.event(ORIGIN, 9, happened, timeline, engine=None, latency_ms=31.44)


def test_an_event_tells_stream_times_on_both_clocks() -> None:
    told = event()
    assert told.ts == "2025-11-24T16:00:02.000Z"  # 2 s after the frame
    assert told.mono_ns == 52 * S
    assert (told.start_ts[17:], told.end_ts[17:]) == ("01.000Z", "03.000Z")
    assert told.duration_s == 2
    assert event("update", None).duration_s == 1
    assert told.id == "roof-1-b3f1a2c4-north-412"


def test_the_example_in_the_docs_is_a_real_event() -> None:
    page = (Path(__file__).parents[2] / "docs" / "mqtt.md").read_text(encoding="utf-8")
    example = re.search(r"```json\n(.*?)```", page, re.DOTALL)[1]
    told = EventPayload.model_validate_json(example)
    assert list(json.loads(example)) == list(json.loads(told.to_bytes()))


def test_replayed_is_rewritten_in_the_bytes_of_events_only() -> None:
    fresh = Message("t", event().to_bytes(), qos=1)
    later = build.as_replayed(fresh)
    assert json.loads(later.payload) == {**json.loads(fresh.payload), "replayed": True}
    assert build.as_replayed(later) == later
    picture = Message("t", b"\xff\xd8 jpeg", qos=1)
    assert build.as_replayed(picture) == picture


def test_a_restart_ends_what_was_open() -> None:
    left = event("start", None)
    now = Moment(1_764_000_900 * S, 3 * S, synced=False)
    newer = build.Origin("roof-1", "00000002")
    end = build.ended_by_restart(newer, 1, left.to_bytes(), now)
    assert (end.type, end.reason, end.id) == ("end", "restart", left.id)
    assert (end.boot, end.seq, end.ts) == ("00000002", 1, "2025-11-24T16:15:00.000Z")
    assert (end.start_ts, end.end_ts, end.duration_s) == (left.start_ts, left.ts, 1)
    assert EventPayload.model_validate_json(end.to_bytes()) == end
    assert build.ended_by_restart(newer, 1, b"{torn", now) is None


NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,10}", fullmatch=True)


@given(st.lists(NAMES, min_size=1, max_size=3).map("/".join), NAMES)
def test_topics_are_taken_apart_where_they_were_put_together(root: str, name: str) -> None:
    topics = Topics(root)
    for topic in (
        topics.event_snapshot(name),
        topics.camera_status(name),
        topics.detections(name),
        topics.response(name),
    ):
        found_root, tail = split(topic)
        assert "/".join((found_root, *tail)) == topic
        assert name in tail


def test_the_daemon_never_hears_itself() -> None:
    topics = Topics("spotter/roof-1")
    assert all("#" not in topic for topic in topics.incoming)
    assert not any(topic.startswith(topics.event) for topic in topics.incoming)
