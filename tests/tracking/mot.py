"""How well tracks keep to the truth: MOTA, identity switches and IDF1.

MOTA and switches: Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking Performance:
The CLEAR MOT Metrics" (2008): MOTA = 1 - (misses + false + switches) / truths, where a pair of the
frame before is kept for as long as it is valid.
IDF1: Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking"
(2016): 2 IDTP / (truths + tracks), for the one-to-one map of identities with most shared frames.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import lap
import numpy as np

LEAST_IOU = 0.3  # of tiny boxes; MOT's 0.5 is for pedestrians


@dataclass(frozen=True)
class Scores:
    truths: int
    tracks: int
    matches: int
    switches: int
    identity_matches: int

    @property
    def idf1(self) -> float:
        return 2 * self.identity_matches / max(1, self.truths + self.tracks)

    @property
    def mota(self) -> float:
        wrong = self.truths + self.tracks - 2 * self.matches + self.switches
        return 1 - wrong / max(1, self.truths)

    @property
    def recall(self) -> float:
        return self.matches / max(1, self.truths)

    def __str__(self) -> str:
        return (
            f"IDF1 {self.idf1:.3f}  MOTA {self.mota:.3f}  recall {self.recall:.3f}  "
            f"switches {self.switches}"
        )


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU (n, m) of corners (n, 4) and (m, 4)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(c[:, 2:] - c[:, :2]).prod(axis=1) for c in (a, b)]
    return both / (areas[0][:, None] + areas[1][None, :] - both)


def centre_inside(truth: np.ndarray, tracks: np.ndarray) -> np.ndarray:
    """1 minus the distance of centres in half truth boxes, (n, m): for loose labels."""
    half = (truth[:, None, 2:] - truth[:, None, :2]) / 2
    apart = (
        tracks[None, :, :2] + tracks[None, :, 2:] - truth[:, None, :2] - truth[:, None, 2:]
    ) / 2
    return np.clip(1 - np.abs(apart / half).max(axis=2), 0, None)


def score(
    frames: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]],
    likeness=iou,
    least: float = LEAST_IOU,
) -> Scores:
    """Scores of a run, of (truth ids, truth corners, track ids, track corners) for every frame."""
    truths = tracks = matches = switches = 0
    last: dict[int, int] = {}
    pairs: Counter[tuple[int, int]] = Counter()
    for truth_id, truth, track_id, track in frames:
        truths += len(truth_id)
        tracks += len(track_id)
        if not (len(truth_id) and len(track_id)):
            continue
        like = likeness(truth, track)
        for t, k in np.argwhere(like >= least):
            pairs[int(truth_id[t]), int(track_id[k])] += 1
        cost = 1 - like
        kept = np.array([[last.get(int(t)) == int(k) for k in track_id] for t in truth_id])
        cost[kept & (like >= least)] -= 1
        _, column_of, _ = lap.lapjv(cost, extend_cost=True, cost_limit=1 - least)
        for row in np.flatnonzero(column_of >= 0):
            truly, now = int(truth_id[row]), int(track_id[column_of[row]])
            switches += last.get(truly, now) != now
            last[truly] = now
            matches += 1
    return Scores(truths, tracks, matches, switches, _best_map(pairs))


def _best_map(pairs: Counter[tuple[int, int]]) -> int:
    if not pairs:
        return 0
    truths, tracks = (sorted({pair[side] for pair in pairs}) for side in (0, 1))
    shared = np.zeros((len(truths), len(tracks)))
    for (truth, track), count in pairs.items():
        shared[truths.index(truth), tracks.index(track)] = count
    _, column_of, _ = lap.lapjv(-shared, extend_cost=True)
    rows = np.flatnonzero(column_of >= 0)
    return int(shared[rows, column_of[rows]].sum())
