"""The way of a delivered model: whatever ends in between, a model that works is in use."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from spotterd.config.load import validate
from spotterd.remote.model import (
    AT_REST,
    PREPARING,
    REPLACED,
    UNPROVEN,
    Before,
    Delivered,
    Order,
    Phase,
    Record,
    with_model,
)


def model(number: int) -> Delivered:
    return Delivered(name=f"m{number}", sha256=f"{number:064x}", size=number)


def order(number: int) -> Order:
    return Order(token=f"t{number}", url="https://u:p@h/x", signature="s", model=model(number))


def on_trial(record: Record, number: int) -> Record:
    ready = record.ordered(order(number), Before()).downloaded().verified().built()
    return ready.tried()


def test_a_model_that_proves_itself_is_in_use_and_the_one_before_is_kept() -> None:
    first = on_trial(Record(), 1)
    assert (first.phase, first.in_use, first.current) == (Phase.CANARY, model(1), None)
    first = first.proven()
    assert (first.phase, first.history) == (Phase.CURRENT, (model(1), None))
    second = on_trial(first, 2).proven()
    assert second.history == (model(2), model(1))


def test_back_and_forth_by_hand() -> None:
    record = on_trial(Record(), 1).proven().swapped("op")
    assert (record.phase, record.history, record.reason) == (
        Phase.ROLLED_BACK,
        (None, model(1)),
        REPLACED,
    )
    assert record.fulfilled
    assert record.swapped("op").in_use == model(1)
    with pytest.raises(ValueError, match="not enough values"):
        Record().swapped("op")


def test_an_end_in_order_begins_the_trial_anew_and_a_crash_goes_back() -> None:
    record = on_trial(Record(), 1)
    assert record.paused().at_start().phase is Phase.BUILT
    crashed = record.at_start()
    assert (crashed.phase, crashed.in_use, crashed.reason) == (Phase.ROLLED_BACK, None, UNPROVEN)
    assert not crashed.fulfilled


def test_what_is_over_holds_no_password() -> None:
    for over in (
        on_trial(Record(), 1).proven(),
        on_trial(Record(), 1).back("why"),
        Record().ordered(order(1), Before()).failed("why"),
    ):
        assert "u:p" not in over.model_dump_json()
        assert over.order.token == "t1"


def test_a_current_model_that_is_lost_leaves_the_one_before() -> None:
    record = on_trial(on_trial(Record(), 1).proven(), 2).proven()
    lost = record.lost("gone")
    assert (lost.in_use, lost.phase, lost.reason) == (model(1), Phase.ROLLED_BACK, "gone")
    assert lost.lost("gone, too").in_use is None
    assert lost.lost("").lost("").in_use is None
    assert record.ordered(order(3), Before()).lost("x").phase is Phase.DOWNLOADING


def test_the_configuration_yields_to_the_model_in_use() -> None:
    config = validate({"detector": {"labels": ["a"], "score": 0.6}}, "It")
    assert with_model(config, None, "") is config
    dressed = with_model(config, model(1), "/f.onnx").detector
    assert (dressed.model, dressed.labels, dressed.score) == ("/f.onnx", None, 0.6)


class Life(RuleBasedStateMachine):
    """Orders, steps, crashes and ends in any order that the daemon can take."""

    def __init__(self) -> None:
        super().__init__()
        self.record = Record()
        self.proven: set[Delivered | None] = {None}

    @precondition(lambda self: self.record.phase in AT_REST)
    @rule(number=st.integers(1, 4))
    def order(self, number: int) -> None:
        self.record = self.record.ordered(order(number), Before())

    @precondition(lambda self: self.record.phase in (*PREPARING, Phase.BUILT))
    @rule()
    def step(self) -> None:
        record = self.record
        steps = {
            Phase.DOWNLOADING: record.downloaded,
            Phase.VERIFYING: record.verified,
            Phase.BUILDING: record.built,
            Phase.BUILT: record.tried,
        }
        self.record = steps[record.phase]()

    @precondition(lambda self: self.record.phase in (*PREPARING, Phase.BUILT))
    @rule()
    def fail(self) -> None:
        self.record = self.record.failed("why")

    @precondition(lambda self: self.record.phase is Phase.CANARY)
    @rule(good=st.booleans())
    def judge(self, good: bool) -> None:
        if good:
            self.proven.add(self.record.in_use)
        self.record = self.record.proven() if good else self.record.back("why")

    @precondition(lambda self: self.record.phase in AT_REST and len(self.record.history) > 1)
    @rule()
    def swap(self) -> None:
        self.record = self.record.swapped("op")

    @rule(in_order=st.booleans())
    def restart(self, in_order: bool) -> None:
        record = self.record.paused() if in_order else self.record
        self.record = Record.model_validate_json(record.model_dump_json()).at_start()
        assert self.record.in_use in self.proven

    @invariant()
    def what_is_in_use_is_proven_or_on_trial(self) -> None:
        assert set(self.record.history) <= self.proven
        assert len(self.record.history) <= 2
        if self.record.phase is not Phase.CANARY:
            assert self.record.in_use in self.proven


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize(
    ("phase", "step"),
    [
        (Phase.IDLE, "downloaded"),
        (Phase.DOWNLOADING, "verified"),
        (Phase.DOWNLOADING, "tried"),
        (Phase.BUILT, "proven"),
        (Phase.CANARY, "built"),
        (Phase.CURRENT, "tried"),
    ],
)
def test_a_step_that_does_not_follow_raises(phase: Phase, step: str) -> None:
    record = Record(phase=phase, order=order(1))
    with pytest.raises(ValueError, match="no way leads"):
        getattr(record, step)()
