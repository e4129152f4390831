"""A trial ends with the model going where it sees or takes far from what it did before."""

import pytest

from spotterd.remote.canary import Canary, Sight, Sights
from spotterd.remote.model import Before

BEGUN = Sight(100.0, 1000, 500)


def failed(
    before: Before, at_s: float, frames: int, objects: int, latency_ms: float | None = 50.0
) -> str:
    canary = Canary(BEGUN, 160.0, before, slower=1.5, busier=5.0)
    now = Sight(at_s, BEGUN.frames + frames, BEGUN.objects + objects)
    return canary.failed(now, latency_ms)


@pytest.mark.parametrize(
    ("before", "at_s", "frames", "objects", "latency_ms", "said"),
    [
        (Before(latency_ms=50, objects=1.0), 160, 600, 600, 60, ""),
        # A flood is told at once, but not by a few frames.
        (Before(latency_ms=50, objects=1.0), 110, 200, 1200, 60, "6.00 objects a frame"),
        (Before(latency_ms=50, objects=1.0), 110, 50, 3000, 60, ""),
        (Before(objects=0.0), 110, 200, 90, 60, ""),
        (Before(objects=0.0), 110, 200, 110, 60, "0.55 objects"),
        # A blind one is told at the end, where the one before saw something.
        (Before(objects=1.0), 159, 600, 0, 60, ""),
        (Before(objects=1.0), 160, 600, 0, 60, "only 0.00"),
        (Before(objects=0.04), 160, 600, 0, 60, ""),
        # A slow one at the end.
        (Before(latency_ms=50), 159, 600, 0, 500, ""),
        (Before(latency_ms=50), 160, 600, 0, 95, ""),
        (Before(latency_ms=50), 160, 600, 0, 96, "96 ms to the broker; before it were 50"),
        # What is not known is not judged.
        (Before(), 160, 600, 9000, 9000, ""),
        (Before(latency_ms=50, objects=1.0), 160, 0, 0, None, ""),
    ],
)
def test_verdicts(before, at_s, frames, objects, latency_ms, said) -> None:
    why = failed(before, at_s, frames, objects, latency_ms)
    assert (said in why) if said else (why == "")


def test_sights_remember_a_while() -> None:
    sights = Sights(span_s=10)
    assert sights.objects is None
    for second in range(100):
        sights.add(Sight(second, second * 30, second * (15 if second < 50 else 60)))
    assert sights.objects == pytest.approx(2.0)
    few = Sights(span_s=10)
    few.add(Sight(0, 0, 0))
    few.add(Sight(1, 30, 30))
    assert few.objects is None
