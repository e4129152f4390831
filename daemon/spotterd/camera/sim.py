"""`sim:` - a made-up sky with moving craft and known truth, the same for the same seed."""

import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field

from spotterd.camera.base import Shot
from spotterd.camera.craft import DRAWINGS
from spotterd.camera.sprites import PHASES, Sprite, draw, lay
from spotterd.camera.uri import read_options
from spotterd.config.patterns import matching
from spotterd.config.schema import Section
from spotterd.data import Floats, Image, Ints, Pixels
from spotterd.errors import RetryError

LABELS = tuple(DRAWINGS)
_SKIES = 4  # the same sky with other sensor noise, shown in turn
_ANIMATION_HZ = 8.0


class SimOptions(Section):
    """What may be written after `sim:?`."""

    seed: int = Field(1, ge=0, description="another seed, another sky")
    fps: float = Field(30.0, gt=0, le=1000)
    size: Annotated[
        str, matching(r"[1-9][0-9]{1,3}x[1-9][0-9]{1,3}", "WIDTHxHEIGHT in pixels, such as 640x512")
    ] = "640x512"
    craft: int = Field(3, ge=0, le=50, description="how many fly at the same time")
    live: bool = Field(True, description="1: at its rate, as a camera; 0: as a recording")
    seconds: float = Field(0.0, ge=0, description="end after this; 0: never")

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        width, height = self.size.split("x")
        return int(width), int(height)


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What really flies in one frame; parallel columns.

    Attributes:
        id: (n,) int64, one number a flight.
        label: n class names.
        xyxy: (n, 4) float32, tight boxes in pixels, clipped to the frame.
    """

    id: Ints
    label: tuple[str, ...]
    xyxy: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Flight:
    """One craft on its way across the sky."""

    id: int
    label: str
    start: tuple[float, float]
    velocity: tuple[float, float]  # pixels per second
    bob: tuple[float, float]  # pixels, radians per second
    sprites: list[Sprite]

    def corner(self, age_s: float) -> tuple[float, float]:
        """Top left corner of the sprite."""
        x = self.start[0] + self.velocity[0] * age_s
        y = self.start[1] + self.velocity[1] * age_s
        return x, y + self.bob[0] * float(np.sin(self.bob[1] * age_s))

    def sprite(self, age_s: float) -> Sprite:
        """The phase shown at that time."""
        return self.sprites[int(age_s * _ANIMATION_HZ) % PHASES]


@lru_cache(maxsize=128)
def flight(options: SimOptions, craft: int, number: int) -> Flight:
    """The `number`-th flight of a craft."""
    dice = np.random.default_rng((options.seed, craft, number))
    width, height = options.size_wh
    label = LABELS[(craft + number) % len(LABELS)]
    length = dice.uniform(30, 60) * width / 640
    side = length / 0.9
    takes_s = _takes_s(craft)
    to_left = bool(dice.integers(2))
    speed = (width + 2 * side) / takes_s
    # Heights apart by the golden ratio: craft seldom cover one another, and still cross at times.
    y = (0.1 + 0.65 * ((0.618 * craft + dice.uniform(0, 0.25)) % 1)) * (height - side)
    climb = dice.uniform(-0.1, 0.1) * height / takes_s
    wobble = length * 0.15 if label in ("drone", "bird") else 0.0
    sprites = draw(label, length, mirrored=to_left, haze=(215, 190, 165))
    start = (float(width + side) if to_left else -2 * side, y)
    identity = number * options.craft + craft + 1
    velocity = (-speed if to_left else speed, climb)
    return Flight(identity, label, start, velocity, (wobble, 2.5), sprites)


def _takes_s(craft: int) -> float:
    return 8.0 + 1.3 * (craft % 5)


class Sim:
    """A source that draws its frames."""

    def __init__(self, options: SimOptions) -> None:
        self.live = options.live
        self.fps = options.fps
        self._options = options
        self._skies = _skies(options)
        self._seq = 0
        self._due_ns = time.monotonic_ns()
        self._aborted = threading.Event()

    def read(self, into: Pixels | None) -> Shot | None:
        """Draw the next frame, when it is due; None after `seconds`."""
        at_s = self._seq / self.fps
        if self._options.seconds and at_s >= self._options.seconds:
            return None
        if self.live:
            self._wait()
        frame = self.render(self._seq, into)
        self._seq += 1
        now_ns = time.monotonic_ns()
        return Shot(frame, now_ns, now_ns if self.live else int(at_s * 1e9), time.time_ns())

    def _wait(self) -> None:
        now_ns = time.monotonic_ns()
        if self._aborted.wait(max(0, self._due_ns - now_ns) / 1e9):
            raise RetryError("The made-up sky was closed while it was being watched.")
        # Behind by more than a frame (a busy machine): a camera would have lost it; no hurry.
        period_ns = int(1e9 / self.fps)
        self._due_ns = max(self._due_ns, now_ns - period_ns) + period_ns

    def render(self, seq: int, into: Pixels | None = None) -> Image:
        """The frame with number `seq`, drawn into `into` if it fits."""
        sky = self._skies[seq % _SKIES]
        frame = into if into is not None and into.shape == sky.shape else np.empty_like(sky)
        np.copyto(frame, sky)
        for one, age_s in self._flying(seq):
            lay(frame, one.sprite(age_s), one.corner(age_s))
        return frame

    def truth(self, seq: int) -> Truth:
        """What flies in the frame with number `seq`; craft less than half in view are left out."""
        width, height = self._options.size_wh
        ids, labels, boxes = [], [], []
        for one, age_s in self._flying(seq):
            x, y = one.corner(age_s)
            whole = np.add(one.sprite(age_s).xyxy, (x, y, x, y), dtype=np.float32)
            box = np.clip(whole, 0, np.array((width, height) * 2, np.float32))
            if _area(box) >= 0.5 * _area(whole):
                ids.append(one.id)
                labels.append(one.label)
                boxes.append(box)
        columns = np.array(boxes, np.float32).reshape(-1, 4)
        return Truth(np.array(ids, np.int64), tuple(labels), columns)

    def _flying(self, seq: int) -> list[tuple[Flight, float]]:
        found = []
        for craft in range(self._options.craft):
            # Spread out, so that a few are in view from the first frame on.
            at_s = seq / self.fps + _takes_s(craft) * (0.3 + 0.17 * craft % 0.5)
            number, age_s = divmod(at_s, _takes_s(craft))
            found.append((flight(self._options, craft, int(number)), age_s))
        return found

    def abort(self) -> None:
        """End a `read` that waits for its time."""
        self._aborted.set()

    def close(self) -> None:
        """Nothing is kept open."""


def open_sim(source: str) -> Sim:
    """Open `sim:` or `sim:?seed=1&fps=30&size=640x512&craft=3&live=1&seconds=0`.

    Raises:
        BadInputError: an unknown or wrong option.
    """
    return Sim(read_options(source, SimOptions))


def _area(xyxy: Floats) -> float:
    return float(max(0, xyxy[2] - xyxy[0]) * max(0, xyxy[3] - xyxy[1]))


def _skies(options: SimOptions) -> list[Image]:
    """A graded sky with clouds, with the noise of a sensor."""
    dice = np.random.default_rng(options.seed)
    width, height = options.size_wh
    fall = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    zenith = np.array((205, 150, 100), np.float32)
    horizon = np.array((225, 205, 185), np.float32)
    sky = zenith * (1 - fall) + horizon * fall
    clouds = np.zeros((height, width), np.float32)
    for octave in range(1, 5):
        grid = dice.random((2**octave + 1, 2 ** (octave + 1)), np.float32)
        clouds += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    cover = np.clip((clouds - 0.5) * 1.4, 0, 0.7)[..., None]
    sky = sky * (1 - cover) + np.float32(238) * cover
    noise = dice.normal(0, 1.2, (_SKIES, height, width, 1))
    return [np.clip(sky + grain, 0, 255).astype(np.uint8) for grain in noise]
