"""Entropy calibration: streamed histograms, and the threshold that loses least. Pure.

The method is NVIDIA's (S. Migacz, "8-bit Inference with TensorRT", GTC 2017, S7310): of all places
to clip a distribution of |x| at, take the one where 128 levels tell least lies (Kullback-Leibler).

Own code instead of `onnxruntime.quantization`'s collector, for three measured reasons (see
docs/decisions/calibration.md): that one holds the activations of every picture it is given, takes
minutes for what takes seconds here, and lets the spike of exact zeros behind a ReLU pull the
threshold down (three times the error in the scores). The first is memory, the third is accuracy.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from spotterd.data import Floats

BINS = 2048
LEVELS = 128
SAMPLES = 1 << 19  # values counted of one tensor of one picture; its extremes are of all of them
STRIDE = 8  # every so many bins a threshold is tried: 241 candidates, 0.4 % of the range apart
TINY = 1e-12


class Histogram:
    """Counts of |x| of one tensor over a stream of pictures, in bounded memory.

    When a larger value comes, the range doubles and neighbouring bins are added up: no value is
    looked at twice and none is clipped.
    """

    def __init__(self) -> None:
        self.counts: NDArray[np.float64] = np.zeros(BINS)
        self.top = 0.0  # upper end of the last bin
        self.lowest = 0.0
        self.highest = 0.0

    def add(self, values: Floats) -> None:
        """Count a tensor of any shape.

        Raises:
            ValueError: it holds something that is not a number: nothing to calibrate by.
        """
        flat = values.reshape(1, -1)
        lowest, highest, _, _ = cv2.minMaxLoc(flat)
        sample = np.abs(flat[:, :: -(-flat.size // SAMPLES)])
        largest = max(-lowest, highest)
        if not (np.isfinite(largest) and np.isfinite(sample.sum())):
            raise ValueError("an activation is not a finite number")
        self.lowest, self.highest = min(self.lowest, lowest), max(self.highest, highest)
        if largest:  # a tensor of zeros counts for nothing
            self._reach(largest)
            self.counts += cv2.calcHist([sample], [0], None, [BINS], [0, self.top]).ravel()

    def _reach(self, largest: float) -> None:
        """Widen the range until `largest` is inside (`calcHist` leaves the upper end out)."""
        if not self.top:
            self.top = largest * 1.0001
        while largest >= self.top:
            self.counts[: BINS // 2] = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts[BINS // 2 :] = 0
            self.top *= 2

    def range(self) -> tuple[float, float]:
        """Lowest and highest value to be told apart; between them lies zero."""
        limit = threshold(self.counts) * self.top / BINS
        return max(self.lowest, -limit), min(self.highest, limit)


def threshold(counts: NDArray[np.float64]) -> int:
    """The number of bins to keep: where clipping there distorts the distribution least."""
    counts = counts.copy()
    counts[0] = counts[1]  # exact zeros cost nothing in any quantization: they must not decide
    if not counts.any():
        return len(counts)
    kept = range(LEVELS, len(counts) + 1, STRIDE)
    losses = [divergence(counts, keep) for keep in kept]
    return kept[int(np.argmin(losses))]


def divergence(counts: NDArray[np.float64], keep: int) -> float:
    """KL divergence of the first `keep` bins, the rest clipped into the last, from 128 levels."""
    wanted = counts[:keep].copy()
    wanted[-1] += counts[keep:].sum()
    edges = np.linspace(0, keep, LEVELS, endpoint=False).astype(np.int64)
    filled = counts[:keep] > 0
    # Each level is spread evenly over those of its bins that hold anything.
    level = np.searchsorted(edges, np.arange(keep), side="right") - 1
    share = np.add.reduceat(counts[:keep], edges) / np.maximum(
        np.add.reduceat(filled.astype(np.float64), edges), 1
    )
    told = np.where(filled, share[level], 0.0)
    p, q = wanted / max(wanted.sum(), TINY), told / max(told.sum(), TINY)
    held = p > 0
    return float(np.sum(p[held] * np.log(p[held] / np.maximum(q[held], TINY))))
