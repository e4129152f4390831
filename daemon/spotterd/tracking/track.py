"""One object that is followed: its motion, and what is known of it besides."""

from dataclasses import dataclass
from typing import NamedTuple

from spotterd.tracking.motion import Box, Motion
from spotterd.tracking.params import Params


class Sighting(NamedTuple):
    """One detection, as numbers."""

    box: Box
    score: float
    label: int


@dataclass(slots=True)
class Track:
    """From its first sighting until it is forgotten.

    Attributes:
        id: from 1, never used twice.
        first_ns: stream time of the first sighting.
        motion: where it is.
        score: of the last sighting.
        scores: sum over all sightings.
        label: class.
        hits: sightings.
        age_s: seconds since the first one, as far as time went forward.
        seen: sighted in the last frame.
        unseen_s: seconds since the last sighting.
        surety: by how many seconds of score 1 the label leads the vote.
        confirmed: seen often and well enough to tell people about.
    """

    id: int
    first_ns: int
    motion: Motion
    score: float
    scores: float
    label: int
    hits: int = 1
    age_s: float = 0.0
    seen: bool = True
    unseen_s: float = 0.0
    surety: float = 0.0
    confirmed: bool = False

    @classmethod
    def begin(cls, id_: int, time_ns: int, first: Sighting, diagonal: float) -> "Track":
        """A track that begins with this sighting."""
        motion = Motion.begin(first.box, diagonal)
        return cls(id_, time_ns, motion, first.score, first.score, first.label)

    def note(self, sighting: Sighting | None, dt_s: float, params: Params, diagonal: float) -> None:
        """Take in what one frame showed of it; none: it was not seen."""
        self.age_s += dt_s
        self.unseen_s += dt_s
        self.seen = sighting is not None
        if sighting is None:
            return
        self.motion.correct(sighting.box, diagonal)
        self.unseen_s = 0.0
        self.hits += 1
        self.score = sighting.score
        self.scores += sighting.score
        self._vote(sighting, dt_s, params.label_hold_s)
        self.confirmed = self.confirmed or (
            self.hits >= params.confirm_hits
            and self.age_s >= params.confirm_s
            and self.scores >= params.confirm_score * self.hits
        )

    def _vote(self, sighting: Sighting, dt_s: float, most_s: float) -> None:
        """Weighted majority after Boyer and Moore: one candidate and its lead are enough."""
        agrees = sighting.label == self.label
        lead = self.surety + (sighting.score if agrees else -sighting.score) * dt_s
        if lead < 0.0:
            self.label = sighting.label
        self.surety = min(abs(lead), most_s)

    def recent(self, params: Params) -> bool:
        """Seen in the last frame or a moment before."""
        return self.unseen_s <= params.tentative_s

    def lasts(self, params: Params, frame_wh: tuple[int, int]) -> bool:
        """Whether it is still to be followed; soon not, if it should be outside of the picture.

        Else the next one that comes in over the same edge would be taken for it.
        """
        x, y = self.motion.x.at, self.motion.y.at
        inside = 0.0 <= x <= frame_wh[0] and 0.0 <= y <= frame_wh[1]
        patience_s = params.lost_s if self.confirmed and inside else params.tentative_s
        return self.unseen_s <= patience_s
