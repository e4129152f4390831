"""A stage survives a bad turn, and gives up aloud when nothing helps."""

import threading
from queue import SimpleQueue

import pytest

from spotterd.errors import RestartError
from spotterd.health.meters import Meters
from spotterd.service.mailbox import Closed
from spotterd.service.stage import HOPELESS, Stage


def run(turn) -> tuple[str, Exception | None, int]:
    told: SimpleQueue[tuple[str, Exception | None]] = SimpleQueue()
    meters = Meters(0)
    stage = Stage("work", turn, lambda *what: told.put(what), meters)
    stage.start()
    name, error = told.get(timeout=30)
    assert stage.join(30)
    return name, error, meters.snapshot(1).errors


def test_one_bad_turn_is_counted_and_skipped() -> None:
    turns = iter([None, ValueError("bad frame"), None, Closed()])

    def turn() -> None:
        if (what := next(turns)) is not None:
            raise what

    assert run(turn) == ("work", None, 1)


def test_it_gives_up_after_many_in_a_row() -> None:
    def turn() -> None:
        raise ValueError("broken")

    name, error, errors = run(turn)
    assert (name, str(error), errors) == ("work", "broken", HOPELESS)


def test_what_only_a_new_process_mends_is_not_tried_again() -> None:
    def turn() -> None:
        raise RestartError("The GPU failed.")

    name, error, errors = run(turn)
    assert (name, str(error), errors) == ("work", "The GPU failed.", 1)
    assert isinstance(error, RestartError)


def test_progress_is_a_finished_turn_and_not_a_failed_one() -> None:
    go, done = threading.Semaphore(0), threading.Semaphore(0)
    turns = iter([None, ValueError(), Closed()])

    def turn() -> None:
        done.release()
        assert go.acquire(timeout=30)
        if (what := next(turns)) is not None:
            raise what

    stage = Stage("work", turn, lambda *_: None, Meters(0))
    stage.start()
    assert done.acquire(timeout=30)
    at_start = stage.progress_ns
    go.release()
    assert done.acquire(timeout=30)  # the second turn begins: the first one is done
    after_one = stage.progress_ns
    assert after_one > at_start
    go.release()
    assert done.acquire(timeout=30)
    assert stage.progress_ns == after_one
    go.release()
    assert stage.join(30)


def test_meters_get_no_error_from_closing() -> None:
    def turn() -> None:
        raise Closed

    assert run(turn)[2] == 0


@pytest.mark.parametrize("timeout", [0.01])
def test_join_tells_that_a_stage_is_stuck(timeout) -> None:
    hold = threading.Event()
    stage = Stage("work", hold.wait, lambda *_: None, Meters(0))
    stage.start()
    assert not stage.join(timeout)
