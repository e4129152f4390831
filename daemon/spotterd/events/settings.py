"""What the rules go by, with class names turned into the model's numbers."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import time
from difflib import get_close_matches
from typing import Literal

import numpy as np
from typing_extensions import Self

from spotterd.config import schema
from spotterd.data import Floats
from spotterd.errors import BadInputError

NEVER_BY_DEFAULT = "bird"  # in the bundled model so that it can be told apart from aircraft


@dataclass(frozen=True, slots=True, eq=False)
class Zone:
    """A part of the picture.

    Attributes:
        name: as in the configuration.
        polygon: (k, 2) corners, x and y in 0..1 of the picture.
        labels: class numbers that count.
        dwell_s: seconds inside before an object counts as in.
    """

    name: str
    polygon: Floats
    labels: frozenset[int]
    dwell_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A line to cross, from `start` to `end`, x and y in 0..1 of the picture.

    Attributes:
        towards: the side it must be crossed to, looking from start to end.
        labels: class numbers that count.
    """

    name: str
    start: tuple[float, float]
    end: tuple[float, float]
    towards: Literal["left", "right", "both"]
    labels: frozenset[int]


@dataclass(frozen=True, slots=True, eq=False)
class Settings:
    """Of the rules of one camera.

    Attributes:
        labels: the model's class names, by number.
        alert: class numbers that people are told about.
        cool_down_s: no event starts where one ended, until the place was empty for so long.
        better_view: an open event is told again when its view is so many times better.
        update_s: but not sooner than this after the last telling.
        quiet: pairs of local times between which no event starts; over midnight if turned around.
    """

    labels: tuple[str, ...]
    alert: frozenset[int]
    zones: tuple[Zone, ...] = ()
    lines: tuple[Line, ...] = ()
    cool_down_s: float = 60.0
    better_view: float = 1.5
    update_s: float = 5.0
    quiet: tuple[tuple[time, time], ...] = ()

    @classmethod
    def of(cls, events: schema.Events, camera: str, labels: tuple[str, ...]) -> Self:
        """What the configuration asks for in this camera, with this model.

        Raises:
            BadInputError: a class is named that the model does not know.
        """
        if events.classes is None:
            alert = frozenset(
                n for n, name in enumerate(labels) if name.lower() != NEVER_BY_DEFAULT
            )
        else:
            alert = _numbers(events.classes, labels, "events.classes")
        return cls(
            labels=labels,
            alert=alert,
            zones=tuple(
                Zone(
                    name,
                    np.array(zone.polygon, np.float32),
                    _narrowed(alert, zone.classes, labels, f"events.zones.{name}.classes"),
                    zone.dwell_s,
                )
                for name, zone in events.zones.items()
                if zone.camera in (None, camera)
            ),
            lines=tuple(
                Line(
                    name,
                    line.start,
                    line.end,
                    line.towards,
                    _narrowed(alert, line.classes, labels, f"events.lines.{name}.classes"),
                )
                for name, line in events.lines.items()
                if line.camera in (None, camera)
            ),
            cool_down_s=events.cool_down_s,
            better_view=events.better_view,
            update_s=events.update_s,
            quiet=tuple(_hours(text) for text in events.quiet_hours),
        )

    def is_quiet(self, now: time) -> bool:
        """Whether no event may start at this local time."""
        return any(
            begin <= now < end if begin <= end else now >= begin or now < end
            for begin, end in self.quiet
        )


def _narrowed(
    alert: frozenset[int], names: Iterable[str] | None, labels: tuple[str, ...], path: str
) -> frozenset[int]:
    return alert if names is None else alert & _numbers(names, labels, path)


def _numbers(names: Iterable[str], labels: tuple[str, ...], path: str) -> frozenset[int]:
    for name in names:
        if name not in labels:
            close = get_close_matches(name, labels, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"it knows {', '.join(labels)}."
            raise BadInputError(f"{path}: the model knows no class '{name}'; {hint}")
    return frozenset(labels.index(name) for name in names)


def _hours(text: str) -> tuple[time, time]:
    begin, end = text.split("-")
    return time.fromisoformat(begin), time.fromisoformat(end)
