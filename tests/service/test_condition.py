"""Which state a set of facts amounts to."""

import pytest

from spotterd.service.condition import STARTING_S, Facts, condition


@pytest.mark.parametrize(
    ("facts", "uptime_s", "state", "said"),
    [
        (Facts(waiting_for={"b", "a"}), 0, "starting", "first picture of a, b"),
        (Facts(waiting_for={"a"}), STARTING_S, "degraded", "Camera a: no picture yet."),
        (
            Facts(cameras={"a": "No such device."}, waiting_for={"a"}),
            STARTING_S,
            "degraded",
            "Camera a: No such device.",
        ),
        (Facts(cameras={"a": "", "b": ""}, running="All well."), 0, "running", "All well."),
        (Facts(cameras={"a": "", "b": "Gone."}), 0, "degraded", "Camera b: Gone."),
        (Facts(cameras={"a": ""}, late="detect is late"), 99, "degraded", "detect is late"),
    ],
)
def test_states(facts, uptime_s, state, said) -> None:
    told, reason = condition(facts, uptime_s)
    assert told == state
    assert said in reason
