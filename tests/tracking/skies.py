"""Made-up skies with known truth, as hard as the real ones: noise, misses, false alarms, shake."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from spotterd.data import Detections


@dataclass(frozen=True)
class Sky:
    """How a made-up sky is; lengths in pixels, times in seconds."""

    seconds: float = 12.0
    fps: float = 30.0
    objects: int = 3
    size: tuple[float, float] = (10, 40)
    speed: tuple[float, float] = (10, 150)
    turn: float = 0.3  # radians a second
    noise: float = 0.08  # of the centre and sides, object sizes
    miss: float = 0.1  # chance that an object is not seen at all
    weak: float = 0.2  # chance that it is seen with a score below 0.35
    false: float = 0.3  # false alarms a frame
    shake: float = 0.0
    dropped: float = 0.0  # chance that a frame is not there
    hidden: tuple[float, float] | None = None  # nothing is seen between these times
    wh: tuple[int, int] = (640, 512)
    seed: int = 1


@dataclass(frozen=True)
class Shown:
    """One frame: the truth (clipped to what is in view) and what the detector made of it."""

    time_ns: int
    ids: np.ndarray
    truth: np.ndarray
    detections: Detections


def frames(sky: Sky) -> Iterator[Shown]:
    """The frames that are not dropped."""
    rng = np.random.default_rng(sky.seed)
    wh = np.array(sky.wh)
    fleet = _fleet(sky, rng)
    ids = np.arange(sky.objects)
    for n in range(int(sky.seconds * sky.fps)):
        fleet.heading[:] += fleet.turn / sky.fps
        step = np.stack((np.cos(fleet.heading), np.sin(fleet.heading)), 1)
        fleet.at[:] += step * fleet.speed[:, None] / sky.fps
        gone = ((fleet.at < 0) | (fleet.at > wh)).any(1)
        for column, fresh in zip(fleet, _fleet(sky, rng), strict=True):
            column[gone] = fresh[gone]
        ids[gone] = ids.max() + 1 + np.arange(gone.sum())
        shaken = fleet.at + rng.normal(0, 1, 2) * sky.shake
        truth = np.hstack((shaken - fleet.size / 2, shaken + fleet.size / 2))
        if rng.random() < sky.dropped:
            continue
        hidden = sky.hidden and sky.hidden[0] <= n / sky.fps < sky.hidden[1]
        seen = np.flatnonzero(rng.random(sky.objects) >= (1.0 if hidden else sky.miss))
        detections = _detect(sky, rng, truth, fleet.label, seen)
        yield Shown(int(n / sky.fps * 1e9), ids.copy(), truth, detections)


class Fleet(NamedTuple):
    at: np.ndarray
    size: np.ndarray
    heading: np.ndarray
    speed: np.ndarray
    turn: np.ndarray
    label: np.ndarray


def _fleet(sky: Sky, rng: np.random.Generator) -> Fleet:
    n = sky.objects
    return Fleet(
        at=rng.uniform(0.1, 0.9, (n, 2)) * sky.wh,
        size=rng.uniform(*sky.size, (n, 1)) * rng.uniform(0.8, 1.25, (n, 2)),
        heading=rng.uniform(0, 2 * np.pi, n),
        speed=rng.uniform(*sky.speed, n),
        turn=rng.uniform(-sky.turn, sky.turn, n),
        label=rng.integers(0, 3, n),
    )


def _detect(
    sky: Sky, rng: np.random.Generator, truth: np.ndarray, label: np.ndarray, seen: np.ndarray
) -> Detections:
    sides = truth[seen, 2:] - truth[seen, :2]
    scale = np.sqrt(sides.prod(1, keepdims=True)) * sky.noise
    noisy = truth[seen] + rng.normal(0, 1, (len(seen), 4)) * scale
    weak = rng.random(len(seen)) < sky.weak
    score = np.where(weak, rng.uniform(0.1, 0.35, len(seen)), rng.uniform(0.4, 0.9, len(seen)))
    false = rng.poisson(sky.false)
    corner = rng.uniform(0, 1, (false, 2)) * sky.wh
    ghosts = np.hstack((corner, corner + rng.uniform(*sky.size, (false, 2))))
    xyxy = np.vstack((noisy, ghosts)).clip(0, [*sky.wh, *sky.wh])
    score = np.concatenate((score, rng.uniform(0.1, 0.6, false)))
    mistaken = rng.random(len(seen)) < 0.15
    labels = np.concatenate((np.where(mistaken, 3, label[seen]), rng.integers(0, 4, false)))
    best = np.argsort(-score)
    return Detections(
        xyxy[best].astype(np.float32), score[best].astype(np.float32), labels[best].astype(np.int64)
    )
