"""Detections and times in, tracks out: two-stage association after ByteTrack.

Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box" (ECCV 2022):
strong detections are given to tracks first, then weak ones to the tracks that are still without;
only strong ones start tracks. Times here are seconds between captures, not counts of frames, so
dropped frames and slow boards change nothing but the precision.

Between the arrays that come in and go out there are plain numbers: for the few objects of a sky
NumPy takes two to three times as long (docs/decisions/own-tracker.md).
"""

import itertools
import math
from collections.abc import Iterator

import numpy as np

from spotterd.data import Detections, Tracks
from spotterd.tracking.match import alike, assign, common_shift, repeats
from spotterd.tracking.motion import Box
from spotterd.tracking.params import Params
from spotterd.tracking.track import Sighting, Track

LEAST_OVERLAP = 0.2  # buffered IoU below which a detection is not this track
SHAKE_REACH = 0.08  # moves of the camera looked for between two frames, in frame diagonals
SHAKE_LEAST = 0.002  # shorter ones do not matter, in frame diagonals
SHAKE_MEMORY_S = 1.0  # a common move that goes on for longer is taken for the objects' own


class Tracker:
    """Follows the objects of one camera.

    Args:
        params: as the attribute.
        ids: where the numbers of new tracks come from, ascending; none: from 1.

    Attributes:
        params: may be replaced between two steps; the tracks go on.
    """

    def __init__(self, params: Params, ids: Iterator[int] | None = None) -> None:
        self.params = params
        self._ids = ids or itertools.count(1)
        self._time_ns: int | None = None
        self._frame_wh = (0, 0)
        self._diagonal = 1.0
        self._tracks: list[Track] = []

    def reset(self) -> None:
        """Forget all tracks, as when the camera was away; their ids are not used again."""
        self._tracks = []

    def step(self, detections: Detections, time_ns: int, frame_wh: tuple[int, int]) -> Tracks:
        """Take in one frame.

        Args:
            detections: best first, from `Params.low_score` on; none is fine.
            time_ns: `stream_ns` of the frame. After a step back, time goes on from there; after a
                gap longer than `Params.lost_s` all tracks begin anew.
            frame_wh: width and height in pixels; a change of it makes all tracks begin anew.
        """
        dt_s = self._elapsed(time_ns)
        if dt_s > self.params.lost_s or frame_wh != self._frame_wh:
            self._frame_wh, self._diagonal = frame_wh, math.hypot(*frame_wh)
            self.reset()
        seen = self._sightings(detections)
        if not (seen or self._tracks):
            return Tracks.empty()
        for track in self._tracks:
            track.motion.predict(dt_s, self.params.agility, self._diagonal)
        self._follow_camera(seen)
        pairs = self._associate(seen)
        for row, track in enumerate(self._tracks):
            sighting = seen[pairs[row]] if row in pairs else None
            track.note(sighting, dt_s, self.params, self._diagonal)
        self._tracks = [t for t in self._tracks if t.lasts(self.params, frame_wh)]
        self._begin(seen, set(pairs.values()), time_ns)
        return self._told()

    def _elapsed(self, time_ns: int) -> float:
        before, self._time_ns = self._time_ns, time_ns
        return 0.0 if before is None else max(0, time_ns - before) / 1e9

    def _sightings(self, detections: Detections) -> list[Sighting]:
        """The detections without nonsense and repeats."""
        found = []
        for (left, top, right, bottom), score, label in zip(
            detections.xyxy.tolist(),
            detections.score.tolist(),
            detections.label.tolist(),
            strict=True,
        ):
            width, height = right - left, bottom - top
            # A model broken by quantization says NaN, which the filters would never forget.
            sane = 0.0 < width < math.inf and 0.0 < height < math.inf
            if sane and score >= self.params.low_score:
                box = Box(left + width / 2.0, top + height / 2.0, width, height)
                found.append(Sighting(box, score, label))
        again = repeats([sighting.box for sighting in found])
        return [sighting for place, sighting in enumerate(found) if place not in again]

    def _follow_camera(self, seen: list[Sighting]) -> None:
        """Move all predictions along if the objects of the last frame moved off theirs alike."""
        expected = [track.motion.box for track in self._tracks if track.recent(self.params)]
        if len(expected) < 2 or len(seen) < 2:  # noqa: PLR2004 (see common_shift)
            return
        reach = SHAKE_REACH * self._diagonal
        boxes = [sighting.box for sighting in seen]
        likeness = alike(expected, [reach] * len(expected), boxes, LEAST_OVERLAP)
        off = [
            (boxes[column].x - expected[row].x, boxes[column].y - expected[row].y)
            for row, column in assign(likeness, LEAST_OVERLAP)
        ]
        shift = common_shift(off, SHAKE_LEAST * self._diagonal)
        if shift is not None:
            for track in self._tracks:
                track.motion.shift(*shift, SHAKE_MEMORY_S)

    def _associate(self, seen: list[Sighting]) -> dict[int, int]:
        """Which sighting is which track: confirmed ones choose first, weak ones are left last."""
        boxes = [track.motion.box for track in self._tracks]
        margins = [
            self.params.reach * box.scale(self._diagonal) + track.motion.unsure
            for box, track in zip(boxes, self._tracks, strict=True)
        ]
        likeness = alike(boxes, margins, [sighting.box for sighting in seen], LEAST_OVERLAP)
        pairs: dict[int, int] = {}
        for may in (self._confirmed_and_strong, self._tentative_and_strong, self._recent_and_weak):
            taken = set(pairs.values())
            free = {
                (row, column): value
                for (row, column), value in likeness.items()
                if not (row in pairs or column in taken) and may(self._tracks[row], seen[column])
            }
            pairs.update(assign(free, LEAST_OVERLAP))
        self._associate_lone(seen, pairs)
        return pairs

    def _confirmed_and_strong(self, track: Track, sighting: Sighting) -> bool:
        return track.confirmed and sighting.score >= self.params.high_score

    def _tentative_and_strong(self, track: Track, sighting: Sighting) -> bool:
        return not track.confirmed and sighting.score >= self.params.high_score

    def _recent_and_weak(self, track: Track, sighting: Sighting) -> bool:
        return track.recent(self.params) and sighting.score < self.params.high_score

    def _associate_lone(self, seen: list[Sighting], pairs: dict[int, int]) -> None:
        """Pair a lone object and a lone detection further off: somebody turned the camera.

        `common_shift` had nothing to compare its move with. It is treated as one, so that a false
        alarm, should it be one, does not throw the track.
        """
        strong = [n for n, one in enumerate(seen) if one.score >= self.params.high_score]
        if len(strong) != 1 or strong[0] in pairs.values():
            return
        lone = [
            n for n, one in enumerate(self._tracks) if one.confirmed and one.recent(self.params)
        ]
        if len(lone) == 1 and lone[0] not in pairs:
            motion, box = self._tracks[lone[0]].motion, seen[strong[0]].box
            if alike([motion.box], [SHAKE_REACH * self._diagonal], [box], LEAST_OVERLAP):
                pairs[lone[0]] = strong[0]
                motion.shift(box.x - motion.x.at, box.y - motion.y.at, SHAKE_MEMORY_S)

    def _begin(self, seen: list[Sighting], taken: set[int], time_ns: int) -> None:
        self._tracks += (
            Track.begin(next(self._ids), time_ns, sighting, self._diagonal)
            for column, sighting in enumerate(seen)
            if column not in taken and sighting.score >= self.params.high_score
        )

    def _told(self) -> Tracks:
        """The tracks for others, clipped to the frame."""
        tracks = self._tracks
        if not tracks:
            return Tracks.empty()
        return Tracks(
            id=np.array([t.id for t in tracks], np.int64),
            xyxy=np.array([t.motion.box.corners(self._frame_wh) for t in tracks], np.float32),
            score=np.array([t.score for t in tracks], np.float32),
            label=np.array([t.label for t in tracks], np.int64),
            confirmed=np.array([t.confirmed for t in tracks], np.bool_),
            seen=np.array([t.seen for t in tracks], np.bool_),
            velocity=np.array([(t.motion.x.rate, t.motion.y.rate) for t in tracks], np.float32),
            first_ns=np.array([t.first_ns for t in tracks], np.int64),
        )
