"""Where a track is and where it will be: a constant-velocity Kalman filter for each number of it.

Each of centre x, centre y, width and height has its own filter of two states, position and rate,
which is exact as long as their noises are independent. So a step is a few lines of arithmetic,
without matrices. Formulas: Bar-Shalom, Li, Kirubarajan, "Estimation with Applications to Tracking
and Navigation" (2001), section 5.2 (filter) and 6.2.2 (process noise).

A centre is driven by random acceleration. A size has no rate: it drifts.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from typing_extensions import Self

CENTRE_NOISE = 0.1  # spread of a detection's centre, in object sizes
SIZE_NOISE = 0.2  # spread of its width and height, in object sizes
SIZE_DRIFT = 0.3  # how far true width and height drift in a second, in object sizes
START_SPEED = 0.25  # spread of a new track's unknown speed, in frame diagonals per second
LEAST_SIZE = 0.01  # smaller objects get the noises of this size, in frame diagonals


class Box(NamedTuple):
    """Centre and size in pixels."""

    x: float
    y: float
    width: float
    height: float

    def scale(self, diagonal: float) -> float:
        """The object's size in pixels, never near 0, in frames of this diagonal."""
        return max(math.sqrt(self.width * self.height), LEAST_SIZE * diagonal)

    def corners(self, frame_wh: tuple[int, int]) -> tuple[float, float, float, float]:
        """Left, top, right, bottom, clipped to the frame."""
        right, bottom = frame_wh
        half_width, half_height = self.width / 2.0, self.height / 2.0
        return (
            min(max(self.x - half_width, 0.0), right),
            min(max(self.y - half_height, 0.0), bottom),
            min(max(self.x + half_width, 0.0), right),
            min(max(self.y + half_height, 0.0), bottom),
        )


@dataclass(slots=True)
class Axis:
    """The filter of one number, in pixels and seconds.

    Attributes:
        at: position.
        var_at: variance of the position.
        var_rate: variance of the rate.
        rate: change of the position a second.
        cov: covariance of position and rate.
    """

    at: float
    var_at: float
    var_rate: float = 0.0
    rate: float = 0.0
    cov: float = 0.0

    def predict(self, dt_s: float, push: float, drift: float) -> None:
        """Move on by `dt_s` seconds.

        Args:
            dt_s: not negative.
            push: variance that the rate gains in that time, spread over it.
            drift: variance that the position gains a second, beside that.
        """
        self.at += dt_s * self.rate
        self.var_at += dt_s * (2.0 * self.cov + dt_s * (self.var_rate + push / 3.0) + drift)
        self.cov += dt_s * (self.var_rate + push / 2.0)
        self.var_rate += push

    def correct(self, seen: float, noise: float) -> None:
        """Take in what was seen, with this standard deviation."""
        var_at, cov = self.var_at, self.cov
        unsure = var_at + noise * noise
        off, gain_at, gain_rate = seen - self.at, var_at / unsure, cov / unsure
        self.at += gain_at * off
        self.rate += gain_rate * off
        self.var_at -= gain_at * var_at
        self.var_rate -= gain_rate * cov
        self.cov -= gain_at * cov

    def shift(self, by: float, memory_s: float) -> None:
        """Move by so much, and a part of it again in every second to come."""
        self.at += by
        self.rate += by / memory_s


@dataclass(slots=True)
class Motion:
    """The four filters of one track."""

    x: Axis
    y: Axis
    width: Axis
    height: Axis

    @classmethod
    def begin(cls, seen: Box, diagonal: float) -> Self:
        """Filters of a track first seen there, in frames of this diagonal in pixels."""
        scale = seen.scale(diagonal)
        centre, size = (CENTRE_NOISE * scale) ** 2, (SIZE_NOISE * scale) ** 2
        unknown = (START_SPEED * diagonal) ** 2
        return cls(
            Axis(seen.x, centre, unknown),
            Axis(seen.y, centre, unknown),
            Axis(seen.width, size),
            Axis(seen.height, size),
        )

    @property
    def box(self) -> Box:
        """Where it is."""
        return Box(self.x.at, self.y.at, self.width.at, self.height.at)

    @property
    def unsure(self) -> float:
        """Standard deviation of the centre, in pixels."""
        return math.sqrt(max(self.x.var_at, self.y.var_at))

    def predict(self, dt_s: float, agility: float, diagonal: float) -> None:
        """Move on by `dt_s` seconds; `agility` in object sizes per second squared."""
        scale = self.box.scale(diagonal)
        push = agility**2 * dt_s * scale**2
        drift = SIZE_DRIFT**2 * scale**2
        self.x.predict(dt_s, push, 0.0)
        self.y.predict(dt_s, push, 0.0)
        self.width.predict(dt_s, 0.0, drift)
        self.height.predict(dt_s, 0.0, drift)

    def correct(self, seen: Box, diagonal: float) -> None:
        """Take in a sighting."""
        scale = seen.scale(diagonal)
        self.x.correct(seen.x, CENTRE_NOISE * scale)
        self.y.correct(seen.y, CENTRE_NOISE * scale)
        self.width.correct(seen.width, SIZE_NOISE * scale)
        self.height.correct(seen.height, SIZE_NOISE * scale)

    def shift(self, x: float, y: float, memory_s: float) -> None:
        """Move the centre by so many pixels, because the camera moved.

        What moves on for longer than `memory_s` seconds becomes part of the rates: two aircraft in
        formation move alike as well.
        """
        self.x.shift(x, memory_s)
        self.y.shift(y, memory_s)
