"""Fed by progress only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotterd.service.watchdog import Progress, judge

S = 1_000_000_000
FRESH = Progress("detect", at_ns=99 * S, limit_s=10)
LATE = Progress("interpret", at_ns=80 * S, limit_s=10)
LATE_BUT_SPARE = Progress("camera north", at_ns=60 * S, limit_s=10, required=False)


@pytest.mark.parametrize(
    ("stages", "feed", "reason"),
    [
        ([], True, ""),
        ([FRESH], True, ""),
        ([FRESH, LATE], False, "interpret made no progress for 20 s"),
        ([FRESH, LATE_BUT_SPARE], True, "camera north made no progress for 40 s"),
        (
            [LATE, LATE_BUT_SPARE, FRESH],
            False,
            "camera north made no progress for 40 s; interpret made no progress for 20 s",
        ),
        ([Progress("main", at_ns=90 * S, limit_s=10)], True, ""),
        ([Progress("main", at_ns=101 * S, limit_s=10)], True, ""),
    ],
)
def test_verdict_at_second_100(stages: list[Progress], feed: bool, reason: str) -> None:
    verdict = judge(stages, 100 * S)
    assert (verdict.feed, verdict.reason) == (feed, reason)


STAGES = st.builds(
    Progress,
    name=st.sampled_from("abc"),
    at_ns=st.integers(0, 10 * S),
    limit_s=st.floats(0.1, 5),
    required=st.booleans(),
)


@given(st.lists(STAGES), st.integers(0, 20 * S))
def test_fed_exactly_while_no_required_stage_is_late(stages: list[Progress], now_ns: int) -> None:
    verdict = judge(stages, now_ns)
    assert verdict.feed == all(not stage.required for stage in verdict.late)
    assert set(verdict.late) == {s for s in stages if (now_ns - s.at_ns) / 1e9 > s.limit_s}
    assert bool(verdict.reason) == bool(verdict.late)
