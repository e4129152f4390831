"""Slower before the board throttles, faster again with hysteresis."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotterd.health.cooling import STEPS, margin_celsius, next_part
from spotterd.health.thermal import ThermalZone


@pytest.mark.parametrize(
    ("part", "margin", "expected"),
    [
        (1.0, 20.0, 1.0),
        (1.0, 4.9, 0.75),
        (0.75, -3.0, 0.5),
        (0.25, -3.0, 0.25),  # never stops altogether
        (0.5, 7.0, 0.5),  # between: stay
        (0.5, 10.1, 0.75),
        (0.5, None, 1.0),  # no sensor with a trip point: nothing to go by
    ],
)
def test_next_part(part: float, margin: float | None, expected: float) -> None:
    assert next_part(part, margin, slow_below=5.0) == expected


def test_margin_is_that_of_the_nearest_zone_with_a_trip_point() -> None:
    zones = (ThermalZone("a", 60.0, 95.0, None), ThermalZone("b", 90.0, 99.0, None))
    assert margin_celsius(zones) == 9.0
    assert margin_celsius([ThermalZone("c", 99.0, None, None)]) is None
    assert margin_celsius([]) is None


@given(st.lists(st.floats(-20, 60), min_size=1), st.floats(0, 20))
def test_one_step_at_a_time_and_always_of_the_steps(margins: list[float], slow: float) -> None:
    part = 1.0
    for margin in margins:
        after = next_part(part, margin, slow)
        assert abs(STEPS.index(after) - STEPS.index(part)) <= 1
        part = after


@given(st.floats(0, 20))
def test_a_constant_temperature_never_makes_it_swing(slow: float) -> None:
    for margin in (slow - 1, slow + 2, slow + 6):
        part, seen = 0.5, []
        for _ in range(20):
            part = next_part(part, margin, slow)
            seen.append(part)
        assert len(set(seen[-5:])) == 1
