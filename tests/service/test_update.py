"""Model updates from order to end, with the main thread's hands and no model at all."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spotterd.config.load import validate
from spotterd.config.schema import Config
from spotterd.errors import RetryError
from spotterd.health.meters import CameraFigures, Figures, Percentiles
from spotterd.publish.payloads import ResponsePayload
from spotterd.remote.model import UNPROVEN, Phase, Record
from spotterd.remote.modelroom import ModelRoom
from spotterd.remote.requests import ModelArgs
from spotterd.service import update as module
from spotterd.service.delivery import Delivery, PhaseDone, Undelivered, Underway
from spotterd.service.trial import Moment
from spotterd.service.update import ModelAsked, ModelUpdate

CONFIG = validate(
    {"remote": {"probation_frames": 5, "probation_s": 10, "models": {"canary_s": 60}}}, "It"
)
SHA = "0" * 64
PHASES = (Phase.DOWNLOADING, Phase.VERIFYING, Phase.BUILDING)


class Idle(Delivery):
    """Fetches nothing: the test says how it goes."""

    cancelled = False

    def start(self) -> None: ...

    def cancel(self) -> None:
        self.cancelled = True


def moment(now_s: float, frames: int, objects: int = 0, latency_ms: float = 50) -> Moment:
    camera = CameraFigures("main", frames, 0, frames, 10.0)
    took = Percentiles(latency_ms, latency_ms, latency_ms)
    figures = Figures(
        uptime_s=now_s,
        fps=10.0,
        latency=took,
        cameras=(camera,),
        stages=(),
        cpu_s={},
        queues=(),
        errors=0,
    )
    return Moment(now_s, figures, objects)


class Board:
    """One start of the daemon after another, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start()

    def start(self) -> None:
        self.states: list[str] = []
        self.responses: list[ResponsePayload] = []
        self.room = ModelRoom(self.folder)
        self.update = ModelUpdate(self.room, self, lambda _news: None, span_s=60)
        self.update.start(CONFIG)

    def model(self, record: Record, progress: float | None, doing: str) -> None:
        self.states.append(record.phase.value)

    def response(self, payload: ResponsePayload) -> None:
        self.responses.append(payload)

    def order(self, token: str = "t", **args: Any) -> None:
        told = {"url": "https://h/new.onnx", "sha256": SHA, "size": 5, **args}
        assert not self.update.asked(ModelAsked(token, ModelArgs(**told)), CONFIG)

    def roll_back(self, token: str = "back") -> bool:
        return self.update.asked(ModelAsked(token, ModelArgs(rollback=True)), CONFIG)

    def hear(self, what: Any, *more: Any, config: Config = CONFIG) -> bool:
        return self.update.heard(what(self.delivery, *more), config)

    def deliver(self) -> bool:
        return [self.hear(PhaseDone, phase) for phase in PHASES][-1]

    def fill_disk(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(room: ModelRoom, record: Record) -> None:
            room.record = record
            raise RetryError("The disk is full.")

        monkeypatch.setattr(ModelRoom, "keep", full)

    def on_trial(self) -> None:
        self.order()
        assert self.deliver()
        self.update.try_out()
        self.update.begun(moment(100, 1000), CONFIG)

    @property
    def delivery(self) -> Idle:
        return self.update._delivery

    @property
    def record(self) -> Record:
        return ModelRoom(self.folder).record

    @property
    def answers(self) -> dict[str, tuple[bool, str]]:
        return {r.token: (r.ok, r.message) for r in self.responses if r.progress is None}


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    monkeypatch.setattr(module, "Delivery", Idle)
    monkeypatch.setattr(ModelRoom, "damage", lambda _self, _model: "")
    return Board(tmp_path / "models")


def test_from_order_to_use(board: Board) -> None:
    for second in range(20):
        board.update.look(moment(second, second * 10, second * 10))
    board.order()
    assert board.record.before.objects == 1.0
    assert board.record.before.latency_ms == 50
    board.hear(Underway, 0.5, "half")
    assert board.responses[-1].progress == 0.5
    assert board.deliver()
    assert board.update.in_use is None
    board.update.try_out()
    assert board.update.on_trial
    board.update.begun(moment(100, 1000, 1000), CONFIG)
    assert not board.update.look(moment(130, 1300, 1300))
    assert board.update.on_trial
    assert not board.update.look(moment(160, 1600, 1600))
    assert board.record.phase is Phase.CURRENT
    assert board.answers == {"t": (True, "new is in use.")}
    assert board.update.in_use == board.record.current
    assert board.update.applied_to(CONFIG).detector.model.endswith("new.onnx")


def test_a_trial_without_a_frame_goes_on(board: Board) -> None:
    board.order()
    board.deliver()
    board.update.try_out()
    away = moment(100, 0)
    silent = replace(away.figures.cameras[0], fps=0.0)
    board.update.begun(replace(away, figures=replace(away.figures, cameras=(silent,))), CONFIG)
    assert not board.update.look(moment(500, 4))
    assert board.update.on_trial
    board.update.look(moment(501, 5))
    assert board.record.phase is Phase.CURRENT


def test_too_few_frames_take_it_back(board: Board) -> None:
    board.on_trial()
    assert not board.update.look(moment(109, 1004))
    assert board.update.look(moment(111, 1004))
    assert board.record.phase is Phase.ROLLED_BACK
    assert "Too few frames" in board.answers["t"][1]
    assert board.update.in_use is None


def test_what_fails_is_told_and_another_may_come(board: Board) -> None:
    board.order("a")
    board.hear(Undelivered, "No such file.")
    assert board.answers["a"] == (False, "No such file.")
    board.order("b")
    assert board.record.phase is Phase.DOWNLOADING


def test_a_second_order_and_a_large_one_are_refused(board: Board) -> None:
    board.order("large", size=1 << 40)
    assert "larger than" in board.answers["large"][1]
    board.order("a")
    board.order("b")
    assert "under way (downloading)" in board.answers["b"][1]
    assert "a" not in board.answers


def test_a_rollback_ends_what_is_under_way(board: Board) -> None:
    board.order("a")
    first = board.delivery
    assert not board.roll_back()
    assert first.cancelled
    assert (board.answers["a"][0], board.answers["back"][0]) == (False, True)
    late = PhaseDone(first, Phase.DOWNLOADING)
    assert not board.update.heard(late, CONFIG)
    assert board.record.phase is Phase.FAILED
    board.order("c")
    assert not board.update.heard(late, CONFIG)
    assert board.record.phase is Phase.DOWNLOADING


def test_a_rollback_ends_a_trial(board: Board) -> None:
    board.on_trial()
    assert board.roll_back()
    assert (board.answers["t"][0], board.answers["back"][0]) == (False, True)
    assert board.update.in_use is None


def test_a_rollback_with_nothing_before_is_refused(board: Board) -> None:
    assert not board.roll_back()
    assert board.answers["back"] == (False, "There is no model before this one.")


def test_an_engine_for_other_options_is_built_again(board: Board) -> None:
    board.order()
    for phase in PHASES[:2]:
        board.hear(PhaseDone, phase)
    other = validate({"engines": {"threads": 1}}, "It")
    assert not board.hear(PhaseDone, Phase.BUILDING, config=other)
    assert board.record.phase is Phase.BUILDING
    assert board.delivery.phase is Phase.BUILDING
    assert board.hear(PhaseDone, Phase.BUILDING, config=other)


@pytest.mark.parametrize("phases", [0, 1, 2])
def test_a_restart_goes_on_where_it_was(board: Board, phases: int) -> None:
    board.order()
    for phase in PHASES[:phases]:
        board.hear(PhaseDone, phase)
    board.update.stop()
    board.start()
    assert board.delivery.phase is PHASES[phases]
    assert not board.answers


def test_an_end_in_order_pauses_a_trial_and_a_crash_ends_it(board: Board) -> None:
    board.on_trial()
    board.update.stop()
    board.start()
    assert board.record.phase is Phase.BUILT
    board.update.try_out()
    assert board.update.on_trial
    board.start()
    assert board.record.phase is Phase.ROLLED_BACK
    assert board.answers == {"t": (False, UNPROVEN)}
    board.start()
    assert not board.answers, "told once"


def test_a_disk_that_takes_nothing_ends_the_update(board: Board, monkeypatch) -> None:
    board.order()
    first = board.delivery
    board.fill_disk(monkeypatch)
    board.hear(PhaseDone, Phase.DOWNLOADING)
    assert "disk" in board.answers["t"][1]
    assert first.cancelled
    assert not board.update.heard(PhaseDone(first, Phase.VERIFYING), CONFIG)


def test_no_model_is_tried_where_a_crash_would_not_be_noticed(board: Board, monkeypatch) -> None:
    board.order()
    board.deliver()
    board.fill_disk(monkeypatch)
    board.update.try_out()
    assert not board.update.on_trial
    assert board.update.in_use is None
    assert "disk" in board.answers["t"][1]
