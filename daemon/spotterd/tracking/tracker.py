"""Detections and times in, tracks out: two-stage association after ByteTrack.

Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box" (ECCV 2022):
strong detections are given to tracks first, then weak ones to the tracks that are still without;
only strong ones start tracks. Times here are seconds between captures, not counts of frames, so
dropped frames and slow boards change nothing but the precision.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spotterd.data import Bools, Columns, Detections, Doubles, Ints, Tracks
from spotterd.tracking.match import assign, common_shift, overlap, repeats
from spotterd.tracking.motion import Motion, scale_of
from spotterd.tracking.params import Params

LEAST_OVERLAP = 0.2  # buffered IoU below which a detection is not this track
SHAKE_REACH = 0.08  # moves of the camera looked for between two frames, in frame diagonals
SHAKE_LEAST = 0.002  # shorter ones do not matter, in frame diagonals
SHAKE_MEMORY_S = 1.0  # a common move that goes on for longer is taken for the objects' own


@dataclass(frozen=True, slots=True, eq=False)
class Lives(Columns):
    """What is known of n tracks besides their motion; the arrays are changed in place.

    Attributes:
        id: (n,) from 1, never used twice.
        first_ns: (n,) stream time of the first sighting.
        age_s: (n,) seconds since then, as far as time went forward.
        seen: (n,) sighted in the last frame.
        unseen_s: (n,) seconds since the last sighting.
        hits: (n,) sightings.
        score: (n,) of the last sighting.
        scores: (n,) sum over all sightings.
        label: (n,) class.
        surety: (n,) by how many seconds of score 1 the label leads the vote.
        confirmed: (n,) seen often and well enough to tell people about.
    """

    id: Ints
    first_ns: Ints
    age_s: Doubles
    seen: Bools
    unseen_s: Doubles
    hits: Ints
    score: Doubles
    scores: Doubles
    label: Ints
    surety: Doubles
    confirmed: Bools

    @classmethod
    def begin(cls, ids: Sequence[int], time_ns: int, score: Doubles, label: Ints) -> "Lives":
        """Lives of tracks that begin with one sighting each."""
        count = len(score)
        return cls(
            id=np.array(ids, np.int64),
            first_ns=np.full(count, time_ns, np.int64),
            age_s=np.zeros(count),
            seen=np.ones(count, np.bool_),
            unseen_s=np.zeros(count),
            hits=np.ones(count, np.int64),
            score=score.copy(),
            scores=score.copy(),
            label=label.copy(),
            surety=np.zeros(count),
            confirmed=np.zeros(count, np.bool_),
        )


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
        self.reset()

    def reset(self) -> None:
        """Forget all tracks, as when the camera was away; their ids are not used again."""
        none = np.empty(0)
        self._motion = Motion.begin(np.empty((0, 4)), self._diagonal)
        self._lives = Lives.begin((), 0, none, none.astype(np.int64))

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
        seen, score, label = self._sightings(detections)
        if not (len(seen) or len(self._lives)):
            return Tracks.empty()
        strong = score >= self.params.high_score
        self._motion.predict(dt_s, self.params.agility, self._diagonal)
        self._follow_camera(seen)
        rows, cols = self._associate(seen, strong)
        self._motion.correct(rows, seen[cols], self._diagonal)
        self._note(rows, score[cols], label[cols], dt_s)
        self._end()
        strong[cols] = False
        self._begin(seen[strong], score[strong], label[strong], time_ns)
        return self._tracks()

    def _elapsed(self, time_ns: int) -> float:
        before, self._time_ns = self._time_ns, time_ns
        return 0.0 if before is None else max(0, time_ns - before) / 1e9

    def _sightings(self, detections: Detections) -> tuple[Doubles, Doubles, Ints]:
        """Boxes (m, 4: centre, width, height), scores, labels; without nonsense and repeats."""
        corners = detections.xyxy.astype(np.float64)
        wh = corners[:, 2:] - corners[:, :2]
        boxes = np.concatenate((corners[:, :2] + wh / 2.0, wh), axis=1)
        score = detections.score.astype(np.float64)
        # A model broken by quantization says NaN, which the filters would never forget.
        sane = (wh > 0.0) & (wh < np.inf)
        good = (sane[:, 0] & sane[:, 1] & (score >= self.params.low_score)).nonzero()[0]
        if len(good) > 1:
            good = good[~repeats(boxes[good])]
        return boxes[good], score[good], detections.label[good]

    def _follow_camera(self, seen: Doubles) -> None:
        """Move all predictions along if the objects of the last frame moved off theirs alike."""
        rows = self._recent().nonzero()[0]
        if len(rows) < 2 or len(seen) < 2:  # noqa: PLR2004 (see common_shift)
            return
        expected = self._motion.at[rows]
        margin = np.full(len(rows), SHAKE_REACH * self._diagonal)
        found, cols = assign(overlap(expected, margin, seen), LEAST_OVERLAP)
        off = seen[cols, :2] - expected[found, :2]
        shift = common_shift(off, SHAKE_LEAST * self._diagonal)
        if shift is not None:
            self._motion.shift(shift, SHAKE_MEMORY_S)

    def _associate(self, seen: Doubles, strong: Bools) -> tuple[Ints, Ints]:
        """Pairs of track and detection: confirmed tracks choose first, weak ones are left last."""
        motion, lives = self._motion, self._lives
        unsure = np.sqrt(np.maximum(motion.var_at[:, 0], motion.var_at[:, 1]))
        margin = self.params.reach * scale_of(motion.at, self._diagonal)[:, 0] + unsure
        likeness = overlap(motion.at, margin, seen)
        recent = self._recent()
        column_of, free = np.full(len(lives), -1), np.ones(len(seen), np.bool_)
        for who, what in (
            (lives.confirmed, strong),
            (~lives.confirmed, strong),
            (recent, ~strong),
        ):
            rows, cols = (who & (column_of < 0)).nonzero()[0], (what & free).nonzero()[0]
            if len(rows) and len(cols):
                at, to = assign(likeness[rows[:, None], cols], LEAST_OVERLAP)
                column_of[rows[at]] = cols[to]
                free[cols[to]] = False
        self._associate_lone(seen, strong.nonzero()[0], column_of)
        rows = (column_of >= 0).nonzero()[0]
        return rows, column_of[rows]

    def _associate_lone(self, seen: Doubles, strong: Ints, column_of: Ints) -> None:
        """Pair a lone object and a lone detection further off: somebody turned the camera.

        `common_shift` had nothing to compare its move with. It is treated as one, so that a false
        alarm, should it be one, does not throw the track.
        """
        if len(strong) != 1 or strong[0] in column_of:
            return
        lone = (self._lives.confirmed & self._recent()).nonzero()[0]
        if len(lone) == 1 and column_of[lone[0]] < 0:
            far = np.full(1, SHAKE_REACH * self._diagonal)
            if overlap(self._motion.at[lone], far, seen[strong]) >= LEAST_OVERLAP:
                column_of[lone] = strong
                self._motion.shift((seen[strong] - self._motion.at[lone])[0, :2], SHAKE_MEMORY_S)

    def _recent(self) -> Bools:
        """Tracks (n,) seen in the last frame or a moment before."""
        return self._lives.unseen_s <= self.params.tentative_s

    def _note(self, rows: Ints, score: Doubles, label: Ints, dt_s: float) -> None:
        """Write sightings of these rows down, let them vote, and confirm who has earned it."""
        lives, params = self._lives, self.params
        np.add(lives.age_s, dt_s, out=lives.age_s)
        np.add(lives.unseen_s, dt_s, out=lives.unseen_s)
        lives.unseen_s[rows] = 0.0
        lives.seen[:] = False
        lives.seen[rows] = True
        lives.hits[rows] += 1
        lives.score[rows] = score
        lives.scores[rows] += score
        # Weighted majority vote after Boyer and Moore: one candidate and its lead are enough.
        agrees = lives.label[rows] == label
        lead = lives.surety[rows] + np.where(agrees, score, -score) * dt_s
        lives.label[rows] = np.where(lead < 0.0, label, lives.label[rows])
        lives.surety[rows] = np.minimum(np.abs(lead), params.label_hold_s)
        lives.confirmed[rows] |= (
            (lives.hits[rows] >= params.confirm_hits)
            & (lives.age_s[rows] >= params.confirm_s)
            & (lives.scores[rows] >= params.confirm_score * lives.hits[rows])
        )

    def _end(self) -> None:
        """Forget who was unseen for too long; soon, if it should be outside of the picture.

        Else the next one that comes in over the same edge would be taken for it.
        """
        lives, params, centre = self._lives, self.params, self._motion.at[:, :2]
        inside = (centre >= 0.0) & (centre <= self._frame_wh)
        patient = lives.confirmed & inside[:, 0] & inside[:, 1]
        stays = lives.unseen_s <= np.where(patient, params.lost_s, params.tentative_s)
        if not stays.all():
            self._lives, self._motion = lives[stays], self._motion[stays]

    def _begin(self, seen: Doubles, score: Doubles, label: Ints, time_ns: int) -> None:
        if len(seen):
            ids = tuple(itertools.islice(self._ids, len(seen)))
            born = Lives.begin(ids, time_ns, score, label)
            self._lives = self._lives.joined(born)
            self._motion = self._motion.joined(Motion.begin(seen, self._diagonal))

    def _tracks(self) -> Tracks:
        """A copy for others, clipped to the frame."""
        at, lives = self._motion.at, self._lives
        half = at[:, 2:] / 2.0
        corners = np.concatenate((at[:, :2] - half, at[:, :2] + half), axis=1)
        return Tracks(
            id=lives.id.copy(),
            xyxy=np.minimum(np.maximum(corners, 0.0), self._frame_wh * 2).astype(np.float32),
            score=lives.score.astype(np.float32),
            label=lives.label.copy(),
            confirmed=lives.confirmed.copy(),
            seen=lives.seen.copy(),
            velocity=self._motion.rate[:, :2].astype(np.float32),
            first_ns=lives.first_ns.copy(),
        )
