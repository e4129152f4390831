"""Zones with dwell, lines with sides, and the settings they come from."""

from datetime import time

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from spotterd.config import schema
from spotterd.config.load import validate
from spotterd.errors import BadInputError
from spotterd.events.settings import Line, Settings, Zone
from spotterd.events.zones import LEAVE_S, Path, Presence, contains, crossing

LABELS = ("airplane", "helicopter", "drone", "bird")
SQUARE = np.array([[0.2, 0.2], [0.6, 0.2], [0.6, 0.6], [0.2, 0.6]], np.float32)
IN, OUT = (0.4, 0.4), (0.9, 0.9)
ANY = frozenset({0})
FRACTION = st.floats(0, 1)
POINT = st.tuples(FRACTION, FRACTION)


def square(dwell_s: float = 0.0, labels: frozenset[int] = ANY) -> Zone:
    return Zone("square", SQUARE, labels, dwell_s)


def line(towards: str = "both") -> Line:
    return Line("gate", (0.2, 0.5), (0.8, 0.5), towards, ANY)


@pytest.mark.parametrize(
    ("point", "inside"),
    [((0.4, 0.4), True), ((0.2, 0.2), True), ((0.6, 0.4), True), ((0.61, 0.4), False)],
)
def test_the_border_is_inside(point: tuple[float, float], inside: bool) -> None:
    assert contains(square(), point, label=0) is inside


def test_only_classes_of_the_zone_count() -> None:
    assert not contains(square(labels=frozenset({2})), IN, label=0)


@given(POINT, POINT, POINT, st.tuples(st.floats(-1, 1), st.floats(-1, 1)))
def test_a_triangle_contains_what_its_corners_enclose(a, b, c, weights) -> None:
    one, two = weights
    three = 1 - one - two
    corners = np.array((a, b, c))
    (ax, ay), (bx, by) = corners[1:] - corners[0]
    assume(abs(ax * by - ay * bx) > 0.01)
    assume(min(abs(w) for w in (one, two, three)) > 0.001)  # off the border
    point = tuple(np.array((one, two, three)) @ corners)
    zone = Zone("triangle", corners.astype(np.float32), ANY, 0)
    assert contains(zone, point, 0) is (min(one, two, three) > 0)


def test_a_hollow_polygon_is_hollow() -> None:
    corners = [[0, 0], [1, 0], [1, 1], [0.8, 1], [0.8, 0.2], [0.2, 0.2], [0.2, 1], [0, 1]]
    arch = Zone("arch", np.array(corners, np.float32), ANY, 0)
    assert [contains(arch, (x, 0.6), 0) for x in (0.1, 0.5, 0.9)] == [True, False, True]


def presence(zone: Zone, *looks: tuple[float, tuple[float, float]]) -> list[tuple[str, ...]]:
    of = Presence()
    told = []
    for now_s, at in looks:
        of.look([zone], at, 0, now_s)
        told.append(of.zones)
    return told


def test_a_zone_is_entered_after_its_dwell_time_and_left_after_a_moment() -> None:
    told = presence(
        square(dwell_s=1.0), (0, IN), (0.9, IN), (1.0, IN), (2, OUT), (2 + LEAVE_S, OUT), (3, IN)
    )
    assert told == [(), (), ("square",), ("square",), (), ()]


def test_dwell_begins_anew_after_a_moment_outside() -> None:
    told = presence(square(dwell_s=1.0), (0, IN), (0.5, OUT), (0.9, IN), (1.5, IN), (2, IN))
    assert told == [(), (), (), (), ("square",)]


def test_without_dwell_a_zone_is_entered_at_once_and_jitter_does_not_leave_it() -> None:
    told = presence(square(), *((n / 10, OUT if n % 3 == 2 else IN) for n in range(12)))
    assert told == [("square",)] * 12


@pytest.mark.parametrize(
    ("before", "after", "side"),
    [
        ((0.5, 0.4), (0.5, 0.6), "right"),  # the line runs to the right, so right of it is below
        ((0.5, 0.6), (0.5, 0.4), "left"),
        ((0.9, 0.4), (0.9, 0.6), ""),  # past its end
        ((0.1, 0.4), (0.1, 0.6), ""),
        ((0.5, 0.4), (0.7, 0.45), ""),
        ((0.5, 0.5), (0.5, 0.4), ""),  # from the line itself
    ],
)
def test_crossing_a_line(before, after, side: str) -> None:
    assert crossing(line(), before, after) == side


@given(POINT, POINT)
@example((0.2, 0.0), (0.2, 1.0))
def test_the_way_back_crosses_to_the_other_side(before, after) -> None:
    there, back = crossing(line(), before, after), crossing(line(), after, before)
    assert {there, back} in ({""}, {"left", "right"})


@pytest.mark.parametrize(
    ("towards", "told"), [("both", ("gate:right",)), ("right", ("gate:right",)), ("left", ())]
)
def test_only_the_wanted_side_is_told(towards: str, told: tuple[str, ...]) -> None:
    path = Path((0.5, 0.4))
    assert path.crossed([line(towards)], (0.5, 0.6), (0.1, 0.1), label=0) == told
    assert path.crossed([line(towards)], (0.5, 0.9), (0.1, 0.1), label=0) == ()


def test_jitter_on_a_line_is_no_crossing() -> None:
    path = Path((0.5, 0.49))
    crossed = [path.crossed([line()], (0.5, y), (0.1, 0.1), 0) for y in (0.51, 0.49, 0.52, 0.48)]
    assert crossed == [()] * 4
    assert path.crossed([line()], (0.5, 0.55), (0.1, 0.1), 0) == ("gate:right",)


def settings(events: dict, labels: tuple[str, ...] = LABELS) -> Settings:
    return Settings.of(schema.Events.model_validate(events), "north", labels)


def test_birds_do_not_alert_by_default_whatever_the_model() -> None:
    assert settings({}).alert == {0, 1, 2}
    assert settings({}, ("Bird", "Su-57", "Tu-160")).alert == {1, 2}
    assert settings({"classes": ["bird"]}).alert == {3}


def test_the_configured_defaults_are_the_defaults() -> None:
    defaults, made = Settings(LABELS, frozenset({0, 1, 2})), settings({})
    for name in Settings.__slots__:
        assert getattr(made, name) == getattr(defaults, name)


def test_zones_and_lines_are_those_of_the_camera() -> None:
    triangle = [[0, 0], [1, 0], [1, 1]]
    made = settings(
        {
            "zones": {
                "here": {"camera": "north", "polygon": triangle, "classes": ["drone", "bird"]},
                "everywhere": {"polygon": triangle},
                "there": {"camera": "south", "polygon": triangle},
            },
            "lines": {"gate": {"camera": "south", "start": [0, 0], "end": [1, 1]}},
        }
    )
    assert [(zone.name, set(zone.labels)) for zone in made.zones] == [
        ("here", {2}),
        ("everywhere", {0, 1, 2}),
    ]
    assert made.lines == ()


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ({"classes": ["airplan"]}, "events.classes: the model knows no class 'airplan'; did you"),
        (
            {"zones": {"a": {"polygon": [[0, 0], [1, 0], [1, 1]], "classes": ["ufo"]}}},
            "events.zones.a.classes: the model knows no class 'ufo'; it knows airplane,",
        ),
    ],
)
def test_a_class_the_model_does_not_know_is_an_error(events: dict, said: str) -> None:
    with pytest.raises(BadInputError) as told:
        settings(events)
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ({"zones": {"a": {"camera": "sooth", "polygon": [[0, 0], [1, 0], [1, 1]]}}}, "sooth"),
        ({"zones": {"a": {"polygon": [[0, 0], [1, 0]]}}}, "events.zones.a.polygon"),
        ({"zones": {"a": {"polygon": [[0, 0], [1, 0], [1, 100]]}}}, "events.zones.a.polygon"),
        ({"lines": {"a": {"start": [0, 0], "end": [0, 0]}}}, "must differ"),
        ({"quiet_hours": ["22-6"]}, "events.quiet_hours"),
        ({"quiet_hours": ["24:00-06:00"]}, "events.quiet_hours"),
    ],
)
def test_bad_places_and_hours_are_told_with_their_path(events: dict, said: str) -> None:
    with pytest.raises(BadInputError) as told:
        validate({"events": events}, "config.yaml")
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("hours", "now", "quiet"),
    [
        ("08:00-18:00", time(12), True),
        ("08:00-18:00", time(18), False),
        ("22:00-06:00", time(23), True),
        ("22:00-06:00", time(5, 59), True),
        ("22:00-06:00", time(6), False),
        ("00:00-00:00", time(0), False),
    ],
)
def test_quiet_hours(hours: str, now: time, quiet: bool) -> None:
    assert settings({"quiet_hours": [hours]}).is_quiet(now) is quiet
