"""Slower before the board throttles, faster again with hysteresis."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotterd.health.cooling import STEPS, Thinning, hottest, next_part
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
        (0.25, 20.0, 0.35),
        (0.5, None, 1.0),  # no sensor with a trip point: nothing to go by
    ],
)
def test_next_part(part: float, margin: float | None, expected: float) -> None:
    assert next_part(part, margin, slow_below=5.0) == expected


def test_the_hottest_zone_is_the_one_nearest_to_its_trip_point() -> None:
    zones = (ThermalZone("a", 60.0, 95.0, None), ThermalZone("b", 90.0, 99.0, None))
    found = hottest((*zones, ThermalZone("c", 99.0, None, None)))
    assert found is not None
    assert (found.name, found.margin) == ("b", 9.0)
    assert hottest([]) is None


@pytest.mark.parametrize("part", STEPS)
def test_thinning_is_even_and_each_camera_has_its_own(part: float) -> None:
    thinning = Thinning()
    thinning.part = part
    taken = [thinning.takes("north") for _ in range(200)]
    assert sum(taken) == pytest.approx(200 * part, abs=1)
    gaps = [later - sooner for sooner, later in zip(*_neighbours(taken), strict=True)]
    assert max(gaps) - min(gaps) <= 1
    assert not thinning.takes("south") or part == 1.0


def _neighbours(taken: list[bool]) -> tuple[list[int], list[int]]:
    at = [n for n, was in enumerate(taken) if was]
    return at[:-1], at[1:]


@given(st.lists(st.floats(-20, 60), min_size=1), st.floats(0.1, 20))
def test_one_step_at_a_time_and_always_of_the_steps(margins: list[float], slow: float) -> None:
    part = 1.0
    for margin in margins:
        after = next_part(part, margin, slow)
        assert abs(STEPS.index(after) - STEPS.index(part)) <= 1
        part = after


@given(st.floats(0.1, 20))
def test_a_constant_temperature_never_makes_it_swing(slow: float) -> None:
    for margin in (slow - 1, slow + 2, slow + 6):
        part, seen = 0.5, []
        for _ in range(20):
            part = next_part(part, margin, slow)
            seen.append(part)
        assert len(set(seen[-5:])) == 1
