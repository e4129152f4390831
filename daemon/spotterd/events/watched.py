"""What the rules remember of one track."""

from enum import Enum
from typing import NamedTuple

from typing_extensions import Self

from spotterd.events.settings import Settings
from spotterd.events.views import Corners, worth
from spotterd.events.zones import Path, Point, Presence


class State(Enum):
    """Of one track, as far as people are concerned; it only goes forward."""

    WAITING = "not confirmed, or held back by its class, quiet hours or a cooling place"
    OPEN = "told about"
    OVER = "ended for people, while the tracker still follows it"


class Sight(NamedTuple):
    """One sighting of a track.

    Attributes:
        centre: x and y in 0..1 of the picture; `size` likewise.
        worth: see `views.worth`.
        at_ns: stream time.
    """

    label: int
    score: float
    xyxy: Corners
    centre: Point
    size: Point
    worth: float
    at_ns: int

    @classmethod
    def of(
        cls, xyxy: Corners, score: float, label: int, frame_wh: tuple[int, int], at_ns: int
    ) -> Self:
        """A box in pixels of a frame."""
        (left, top, right, bottom), (width, height) = xyxy, frame_wh
        return cls(
            label,
            score,
            xyxy,
            ((left + right) / 2.0 / width, (top + bottom) / 2.0 / height),
            ((right - left) / width, (bottom - top) / height),
            worth(xyxy, score, frame_wh),
            at_ns,
        )


class Watched:
    """One track, from its first sighting until the tracker drops it.

    Attributes:
        sight: the last sighting.
        lines: crossed since people were last told.
        told_label: class that people were told last; likewise the next two.
    """

    def __init__(self, track: int, first_ns: int, sight: Sight) -> None:
        self.track = track
        self.first_ns = first_ns
        self.state = State.WAITING
        self.sight = sight
        self.top_score = sight.score
        self.presence = Presence()
        self.lines: tuple[str, ...] = ()
        self.told_label = sight.label
        self.told_worth = sight.worth
        self.told_s = 0.0
        self._path = Path(sight.centre)

    def look(self, sight: Sight, settings: Settings, now_s: float) -> bool:
        """Take in a sighting; True if the zones it is in changed."""
        self.sight = sight
        self.top_score = max(self.top_score, sight.score)
        crossed = self._path.crossed(settings.lines, sight.centre, sight.size, sight.label)
        self.lines += tuple(line for line in crossed if line not in self.lines)
        return self.presence.look(settings.zones, sight.centre, sight.label, now_s)

    def news(self, settings: Settings, now_s: float, *, moved: bool) -> str:
        """What an `update` would be about, by commas; empty if there is nothing to tell."""
        better = self.sight.worth >= settings.better_view * self.told_worth
        told_long_ago = now_s - self.told_s >= settings.update_s
        about = {
            "zone": moved,
            "line": bool(self.lines),
            "label": self.sight.label != self.told_label,
            "view": better and told_long_ago,
        }
        return ",".join(reason for reason, is_news in about.items() if is_news)

    def told(self, reason: str, now_s: float) -> None:
        """People were told the last sighting; for a new view, its picture as well."""
        self.state = State.OPEN
        self.lines = ()
        self.told_label = self.sight.label
        if reason == "confirmed" or "view" in reason:
            self.told_worth, self.told_s = self.sight.worth, now_s
