"""Where tracks are and where they will be: constant-velocity Kalman filters, a row a track.

Each of centre x, centre y, width and height has its own filter of two states, position and rate,
which is exact as long as their noises are independent. So a step is a few lines of arithmetic on
(n, 4) arrays, without matrices. Formulas: Bar-Shalom, Li, Kirubarajan, "Estimation with
Applications to Tracking and Navigation" (2001), section 5.2 (filter) and 6.2.2 (process noise).

A centre is driven by random acceleration. A size has no rate: it drifts.
"""

from dataclasses import dataclass

import numpy as np
from typing_extensions import Self

from spotterd.data import Columns, Doubles, Ints

CENTRE_NOISE = 0.1  # spread of a detection's centre, in object sizes
SIZE_NOISE = 0.2  # spread of its width and height, in object sizes
SIZE_DRIFT = 0.3  # how far true width and height drift in a second, in object sizes
START_SPEED = 0.25  # spread of a new track's unknown speed, in frame diagonals per second
LEAST_SIZE = 0.01  # smaller objects get the noises of this size, in frame diagonals

IS_CENTRE = np.array([1.0, 1.0, 0.0, 0.0])
NOISE = np.where(IS_CENTRE, CENTRE_NOISE, SIZE_NOISE)
DRIFT_VARIANCE = np.where(IS_CENTRE, 0.0, SIZE_DRIFT**2)


@dataclass(frozen=True, slots=True, eq=False)
class Motion(Columns):
    """The filters of n tracks; the arrays are changed in place by `predict` and `correct`.

    Columns of each: centre x, centre y, width, height; pixels and seconds.

    Attributes:
        at: (n, 4) position.
        rate: (n, 4) its change a second.
        var_at: (n, 4) variance of the position.
        var_rate: (n, 4) variance of the rate.
        cov: (n, 4) covariance of the two.
    """

    at: Doubles
    rate: Doubles
    var_at: Doubles
    var_rate: Doubles
    cov: Doubles

    @classmethod
    def begin(cls, seen: Doubles, diagonal: float) -> Self:
        """Filters of tracks first seen at `seen` (m, 4), in frames of this diagonal in pixels."""
        still = np.zeros_like(seen)
        unknown = np.broadcast_to(IS_CENTRE * (START_SPEED * diagonal) ** 2, seen.shape)
        noise = NOISE * scale_of(seen, diagonal)
        return cls(seen.copy(), still, noise**2, unknown.copy(), still.copy())

    def predict(self, dt_s: float, agility: float, diagonal: float) -> None:
        """Move on by `dt_s` seconds; `agility` in object sizes per second squared."""
        at, rate, var_at, var_rate, cov = self.at, self.rate, self.var_at, self.var_rate, self.cov
        size2 = scale_of(at, diagonal) ** 2
        push = (agility**2 * dt_s) * size2 * IS_CENTRE
        at += dt_s * rate
        var_at += dt_s * (2.0 * cov + dt_s * (var_rate + push / 3.0) + DRIFT_VARIANCE * size2)
        cov += dt_s * (var_rate + push / 2.0)
        var_rate += push

    def correct(self, rows: Ints, seen: Doubles, diagonal: float) -> None:
        """Take in what was seen (k, 4) of the tracks in these rows (k,), no row twice."""
        var_at, cov = self.var_at[rows], self.cov[rows]
        unsure = var_at + (NOISE * scale_of(seen, diagonal)) ** 2
        off = seen - self.at[rows]
        gain_at, gain_rate = var_at / unsure, cov / unsure
        self.at[rows] += gain_at * off
        self.rate[rows] += gain_rate * off
        self.var_at[rows] -= gain_at * var_at
        self.var_rate[rows] -= gain_rate * cov
        self.cov[rows] -= gain_at * cov

    def shift(self, by: Doubles, memory_s: float) -> None:
        """Move all centres `by` (2,) pixels, because the camera moved.

        What moves on for longer than `memory_s` seconds becomes part of the rates: two aircraft in
        formation move alike as well.
        """
        self.at[:, :2] += by
        self.rate[:, :2] += by / memory_s


def scale_of(boxes: Doubles, diagonal: float) -> Doubles:
    """Object sizes of boxes (n, 4: centre, width, height) in pixels, (n, 1), never near 0."""
    return np.maximum(np.sqrt(boxes[:, 2:3] * boxes[:, 3:4]), LEAST_SIZE * diagonal)
