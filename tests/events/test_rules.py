"""When people are told about a track, and when they are left alone."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from spotterd.data import Event, Tracks
from spotterd.events.rules import Rules
from spotterd.events.settings import Line, Settings, Zone
from spotterd.events.zones import LEAVE_S

WH = (1000, 500)
SECOND = 1_000_000_000
LABELS = ("airplane", "helicopter", "drone", "bird")
AIRCRAFT = frozenset({0, 1, 2})
LEFT_HALF = np.array([[0, 0], [0.5, 0], [0.5, 1], [0, 1]], np.float32)
BASE = Settings(
    LABELS,
    AIRCRAFT,
    zones=(Zone("approach", LEFT_HALF, AIRCRAFT, 0.5),),
    lines=(Line("gate", (0.7, 0.0), (0.7, 1.0), "both", AIRCRAFT),),
)


def track(
    number: int = 1,
    at: tuple[float, float] = (800, 250),
    *,
    size: float = 20,
    score: float = 0.8,
    label: int = 0,
    confirmed: bool = True,
    seen: bool = True,
    first_s: float = 0.0,
) -> Tracks:
    (x, y), half = at, size / 2
    return Tracks(
        id=np.array([number]),
        xyxy=np.array([[x - half, y - half, x + half, y + half]], np.float32),
        score=np.array([score], np.float32),
        label=np.array([label]),
        confirmed=np.array([confirmed]),
        seen=np.array([seen]),
        velocity=np.zeros((1, 2), np.float32),
        first_ns=np.array([int(first_s * SECOND)]),
    )


class Story:
    """Rules fed with one look a call; `told` collects (kind, reason) of every event."""

    def __init__(self, settings: Settings = BASE) -> None:
        self.rules = Rules("north", settings)
        self.events: list[Event] = []

    def at(self, now_s: float, tracks: Tracks | None = None, clock: time | None = None) -> "Story":
        shown = Tracks.empty() if tracks is None else tracks
        self.events += self.rules.step(shown, int(now_s * SECOND), WH, clock)
        return self

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(event.kind, event.reason) for event in self.events]


START, LOST = ("start", "confirmed"), ("end", "lost")


def test_a_track_is_told_about_once_from_start_to_end() -> None:
    story = Story().at(0, track(confirmed=False, score=0.9))
    for n in range(1, 20):
        story.at(n / 10, track(score=0.7))
    story.at(2, track(seen=False)).at(3)
    assert story.told == [START, LOST]
    start, end = story.events
    assert start == Event(
        kind="start",
        camera="north",
        track=1,
        label="airplane",
        score=pytest.approx(0.7),
        top_score=pytest.approx(0.9),
        box_xywhn=pytest.approx((0.8, 0.5, 0.02, 0.04)),
        at_ns=SECOND // 10,
        start_ns=0,
        reason="confirmed",
    )
    assert (end.at_ns, end.end_ns) == (3 * SECOND, int(1.9 * SECOND))


def test_an_aircraft_that_leaves_the_picture_left() -> None:
    story = Story().at(0, track()).at(1, track(at=(991, 250))).at(3)
    assert story.told[-1] == ("end", "left")
    coasted = Story().at(0, track()).at(1, track(at=(995, 250), seen=False)).at(3)
    assert coasted.told[-1] == ("end", "left")


def test_birds_and_other_unwanted_classes_are_not_told_about() -> None:
    assert Story().at(0, track(label=3)).at(1, track(label=3)).at(9).told == []
    helicopters = replace(BASE, alert=frozenset({1}))
    assert Story(helicopters).at(0, track(label=0)).told == []


def test_a_change_of_class_is_an_update_and_one_to_a_bird_the_end() -> None:
    story = Story().at(0, track()).at(1, track(label=2)).at(2, track(label=3)).at(3, track(label=2))
    assert story.told == [START, ("update", "label"), ("end", "class")]
    assert [event.label for event in story.events] == ["airplane", "drone", "drone"]


def test_zones_are_told_when_entered_and_left() -> None:
    story = Story().at(0, track())
    for now_s, x in (
        (1, 600),
        (1.4, 450),
        (1.8, 450),
        (2.0, 450),
        (3, 450),
        (3.1, 600),
        (3.7, 650),
    ):
        story.at(now_s, track(at=(x, 250)))
    story.at(9)
    updates = [event for event in story.events if "zone" in event.reason]
    assert [(event.zones, event.at_ns / SECOND) for event in updates] == [
        (("approach",), 2.0),
        ((), 3.7),
    ]
    assert story.events[-1].zones == ()


def test_time_in_a_zone_before_the_confirmation_counts_and_the_start_names_it() -> None:
    inside = {"at": (100, 100)}
    story = Story()
    for now_s in (0, 0.3, 0.6):
        story.at(now_s, track(**inside, confirmed=now_s > 0.5))
    assert story.told == [START]
    assert story.events[0].zones == ("approach",)


def test_lines_are_told_once_with_their_side() -> None:
    story = Story().at(0, track())
    for n in range(20):
        story.at(1 + n / 10, track(at=(780 - 10 * n, 250)))
    gate = [event for event in story.events if event.lines]
    assert [(event.reason, event.lines) for event in gate] == [("line", ("gate:right",))]


def test_lines_crossed_before_the_start_are_told_with_it() -> None:
    story = Story().at(0, track(confirmed=False)).at(1, track(at=(600, 250)))
    assert story.events[0].lines == ("gate:right",)


def test_a_clearly_better_view_is_told_but_not_too_often() -> None:
    story = Story(replace(BASE, better_view=1.5, update_s=5.0))
    for n in range(200):  # it comes nearer, doubling in size every 4 s
        story.at(n / 10, track(size=20 * 2 ** (n / 40)))
    views = [event.at_ns / SECOND for event in story.events if event.reason == "view"]
    assert views == pytest.approx([5, 10, 15], abs=0.35)
    worse = Story().at(0, track(size=100)).at(9, track(size=60)).at(20, track(size=120))
    assert worse.told == [START]


def test_a_view_cut_by_the_edge_is_worth_less() -> None:
    story = Story(replace(BASE, update_s=0)).at(0, track(at=(990, 250), size=20))
    assert story.at(1, track(at=(980, 250), size=20)).told == [START, ("update", "view")]


def test_a_parked_aircraft_that_flickers_does_not_start_again() -> None:
    story = Story()
    for number in range(1, 40):  # seen 10 s, gone 20 s, all night
        story.at(number * 30, track(number)).at(number * 30 + 10, track(number))
        story.at(number * 30 + 12)
    assert story.told == [START, LOST]


def test_a_place_is_free_again_when_it_was_empty_for_the_cool_down() -> None:
    again = Story().at(0, track(1)).at(2).at(62.1, track(2))
    assert again.told == [START, LOST, START]
    assert Story().at(0, track(1)).at(2).at(61.9, track(2)).told == [START, LOST]
    assert Story(replace(BASE, cool_down_s=0)).at(0, track(1)).at(2).at(3, track(2)).told == [
        START,
        LOST,
        START,
    ]


def test_an_aircraft_that_moves_on_from_a_cooling_place_is_told_about() -> None:
    story = Story().at(0, track(1)).at(2).at(3, track(2)).at(4, track(2, at=(800, 285)))
    assert [event.track for event in story.events] == [1, 1, 2]
    assert Story().at(0, track(1)).at(2).at(3, track(2, at=(300, 250))).told[-1] == START


def test_quiet_hours_hold_starts_back_and_let_ends_through() -> None:
    quiet = replace(BASE, quiet=((time(22), time(6)),))
    night, morning = time(23), time(6)
    story = Story(quiet).at(0, track(1), time(21, 59)).at(1, track(1), night).at(3, None, night)
    assert story.told == [START, LOST]
    story.at(100, track(2), night)
    assert len(story.told) == 2
    assert story.at(101, track(2), morning).told[-1] == START


def test_closing_ends_what_is_open_once() -> None:
    story = Story().at(0, track())
    ends = story.rules.close("stopped", SECOND)
    assert [(event.kind, event.reason, event.end_ns) for event in ends] == [("end", "stopped", 0)]
    assert story.rules.close("stopped", SECOND) == []
    assert story.at(2, track()).at(5).told == [START]
    # The camera is back, the tracker has begun anew: its place does not cool down.
    assert story.at(6, track(2)).told == [START, START]


def test_new_settings_keep_open_events() -> None:
    story = Story().at(0, track(at=(100, 100))).at(1, track(at=(100, 100)))
    assert story.events[-1].zones == ("approach",)
    story.rules.settings = replace(
        BASE, zones=(Zone("west", LEFT_HALF, AIRCRAFT, 0),), cool_down_s=5.0
    )
    story.at(2, track(at=(100, 100)))
    assert (story.told[-1], story.events[-1].zones) == (("update", "zone"), ("west",))
    story.rules.settings = replace(BASE, alert=frozenset({1}))
    assert story.at(3, track(at=(100, 100))).told[-1] == ("end", "class")


def test_a_clock_that_jumps_back_stops_nothing() -> None:
    story = Story().at(1000, track(at=(100, 100))).at(0, track(at=(100, 100)))
    story.at(LEAVE_S, track(at=(100, 100)))
    assert story.told == [START, ("update", "zone")]


LOOKS = st.lists(
    st.tuples(
        st.floats(-1, 40),
        st.lists(
            st.tuples(
                st.integers(1, 6),
                st.integers(0, 1000),
                st.integers(0, 500),
                st.integers(0, 3),
                st.booleans(),
            ),
            unique_by=lambda row: row[0],
            max_size=4,
        ),
    ),
    max_size=25,
)


def stories(looks) -> Iterator[Event]:
    """Every event of a story; tracks that vanish do not come back, as with the real tracker."""
    rules, now_s, gone, before = Rules("north", BASE), 0.0, set(), set()
    for step_s, shown in looks:
        now_s += step_s
        rows = [row for row in shown if row[0] not in gone]
        gone |= before - {row[0] for row in rows}
        before = {row[0] for row in rows}
        tracks = Tracks.empty()
        for number, x, y, label, seen in sorted(rows):
            tracks = tracks.joined(track(number, (x, y), label=label, seen=seen))
        yield from rules.step(tracks, int(now_s * SECOND), WH)
    yield from rules.close("stopped", int(now_s * SECOND))


@given(LOOKS)
@hypothesis_settings(max_examples=60, deadline=None)
def test_every_story_is_one_start_then_updates_then_one_end(looks) -> None:
    by_track: dict[int, list[str]] = {}
    for event in stories(looks):
        by_track.setdefault(event.track, []).append(event.kind)
        assert event.label != "bird"
        assert event.reason
    for kinds in by_track.values():
        assert kinds[0] == "start"
        assert kinds[-1] == "end"
        assert set(kinds[1:-1]) <= {"update"}
