"""What the tracker can be told; `docs/tracking.md` tells when to change what."""

from dataclasses import dataclass
from typing import Any

from typing_extensions import Self

from spotterd.config import schema


@dataclass(frozen=True, slots=True)
class Params:
    """Parameters of a `Tracker`, in seconds and object sizes: no frames, no pixels.

    An object's size is the square root of its box's area.

    Attributes:
        high_score: sightings from this score on start tracks; the detector's own threshold must
            be as low as `low_score`, or there are no weaker ones to prolong a track with.
        low_score: weaker ones, from here on, prolong a track seen in the frame before, or within
            `tentative_s`.
        confirm_score: least mean score of its sightings for a track to be confirmed.
        confirm_hits: least number of them.
        confirm_s: least age in seconds.
        tentative_s: an unconfirmed track is forgotten when unseen for longer, in seconds; so is one
            that should be outside of the picture by now.
        lost_s: so is a confirmed one; until then it is looked for where it should be.
        reach: how far around a prediction to look, in object sizes, on top of the uncertainty.
        agility: usual acceleration, in object sizes per second squared.
        label_hold_s: a settled label changes when others outweigh it by this many seconds of
            sightings of score 1.
    """

    high_score: float = 0.35
    low_score: float = 0.1
    confirm_score: float = 0.35
    confirm_hits: int = 3
    confirm_s: float = 0.3
    tentative_s: float = 0.3
    lost_s: float = 2.0
    reach: float = 0.5
    agility: float = 2.0
    label_hold_s: float = 1.0

    @classmethod
    def of(cls, tracking: schema.Tracking, detector: schema.Detector) -> Self:
        """The parameters that the configuration asks for."""
        chosen: dict[str, Any] = tracking.model_dump()
        if tracking.confirm_score is None:
            chosen["confirm_score"] = detector.score
        return cls(high_score=detector.score, **chosen)
