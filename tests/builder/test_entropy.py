"""Histograms that stream, and the threshold that entropy chooses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxruntime.quantization.calibrate import HistogramCollector

from spotterd.builder.entropy import BINS, SAMPLES, Histogram, divergence, threshold


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=5), st.integers(0, 99))
@settings(max_examples=30)
def test_a_stream_counts_like_one_array(scales: list[float], seed: int) -> None:
    random = np.random.default_rng(seed)
    parts = [random.normal(0, s, 500).astype(np.float32) for s in scales]
    streamed = Histogram()
    for part in parts:
        streamed.add(part)
    whole = np.abs(np.concatenate(parts))
    edges = np.linspace(0, streamed.top, BINS + 1)
    assert streamed.counts.sum() == len(whole)
    # Values within rounding of an edge may fall to either side of it.
    there = np.histogram(whole, edges)[0]
    assert np.abs(np.cumsum(streamed.counts) - np.cumsum(there)).max() <= 3
    assert streamed.lowest == min(0, *(p.min() for p in parts))
    assert streamed.highest == max(0, *(p.max() for p in parts))
    assert streamed.top > whole.max()


def test_memory_does_not_grow_with_range_or_pictures() -> None:
    found = Histogram()
    for power in range(-6, 7):
        found.add(np.full((2, 3, 4), 10.0**power, np.float32))
    assert found.counts.shape == (BINS,)
    assert found.highest == 10.0**6


def test_large_tensors_are_sampled_but_their_extremes_are_exact() -> None:
    values = np.zeros(5 * SAMPLES, np.float32)
    values[1::7] = 1
    values[12345] = 77
    found = Histogram()
    found.add(values)
    assert found.highest == 77
    assert found.counts.sum() <= SAMPLES
    assert found.counts[0] / found.counts.sum() == pytest.approx(6 / 7, abs=0.01)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    values = np.ones(100, np.float32)
    values[50] = bad
    with pytest.raises(ValueError, match="finite"):
        Histogram().add(values)


def test_a_tensor_of_zeros_has_a_range_of_zero() -> None:
    found = Histogram()
    found.add(np.zeros(100, np.float32))
    assert found.range() == (0, 0)


def test_the_range_never_exceeds_what_was_seen() -> None:
    found = Histogram()
    found.add(np.linspace(0, 6, 10_000, dtype=np.float32))
    low, high = found.range()
    assert (low, high) == (0, 6), "ReLU6: nothing below zero, and a uniform tail is not clipped"


def test_a_far_outlier_is_clipped() -> None:
    random = np.random.default_rng(0)
    values = random.normal(0, 1, 100_000).astype(np.float32)
    values[0] = 100
    found = Histogram()
    found.add(values)
    assert 3 < found.range()[1] < 30


def test_zeros_behind_a_relu_do_not_pull_the_threshold_down() -> None:
    random = np.random.default_rng(1)
    dense = np.abs(random.normal(0, 1, 50_000)).astype(np.float32)
    sparse = np.concatenate([dense, np.zeros(10**6, np.float32)])
    alone, among = Histogram(), Histogram()
    alone.add(dense)
    for part in np.array_split(sparse, 10):
        among.add(part)
    assert among.range()[1] == pytest.approx(alone.range()[1], rel=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_thresholds_are_those_of_onnxruntime_where_nothing_is_special(seed: int) -> None:
    """The same method, written twice."""
    bins = 512
    random = np.random.default_rng(seed)
    values = np.abs(random.laplace(0, 1, 200_000)).astype(np.float32)
    top = float(values.max()) * 1.0001
    counts, edges = np.histogram(values, bins, (0, top))
    both = np.concatenate([counts[::-1], counts])
    sides = np.concatenate([-edges[::-1], edges[1:]]).astype(np.float32)
    collector = HistogramCollector("entropy", True, 2 * bins, 256, 99.9, "same")
    theirs = collector.get_entropy_threshold(
        (both, sides, -np.float32(top), np.float32(top), top), 256
    )[1]
    counted = counts.astype(np.float64)
    best = divergence(counted, threshold(counted))
    there = divergence(counted, min(round(float(theirs) / top * bins), bins))
    # The minimum is flat: what counts is that theirs is as good as mine.
    assert best <= there <= best + 1e-3
