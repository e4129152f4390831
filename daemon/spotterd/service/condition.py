"""What state is the daemon in? Pure: facts in, a state and one sentence out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

State: TypeAlias = Literal["starting", "building", "running", "degraded", "failed"]

STARTING_S = 10.0  # a camera without a picture for this long after the start is trouble


@dataclass(slots=True)
class Facts:
    """What the supervisor has heard.

    Attributes:
        cameras: trouble by camera; empty text: online.
        waiting_for: cameras that have not given their first picture.
        heat: sentence about frames left out to keep the board cool, or empty.
        late: sentence about stages without progress, or empty.
        building: what a build is doing, or empty.
        no_engine: why there is no engine after a build, or empty.
        running: sentence for people while all is well.
    """

    cameras: dict[str, str] = field(default_factory=dict)
    waiting_for: set[str] = field(default_factory=set)
    heat: str = ""
    late: str = ""
    building: str = ""
    no_engine: str = ""
    running: str = ""


def condition(facts: Facts, uptime_s: float) -> tuple[State, str]:
    """The state that `facts` amount to, and why."""
    if facts.waiting_for and uptime_s < STARTING_S:
        return "starting", f"Waiting for the first picture of {_names(facts.waiting_for)}."
    trouble = [f"Camera {name}: {why}" for name, why in _troubled(facts) if why]
    trouble += [sentence for sentence in (facts.late, facts.heat, facts.no_engine) if sentence]
    if trouble:
        return "degraded", " ".join(trouble)
    if facts.building:
        return "building", f"{facts.building}. Meanwhile: {facts.running}"
    return "running", facts.running


def _troubled(facts: Facts) -> list[tuple[str, str]]:
    silent: Mapping[str, str] = dict.fromkeys(facts.waiting_for, "no picture yet.")
    return sorted({**silent, **{name: why for name, why in facts.cameras.items() if why}}.items())


def _names(cameras: set[str]) -> str:
    return ", ".join(sorted(cameras))
