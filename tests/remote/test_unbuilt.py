"""A good change whose engine comes to nothing later goes back, and takes nothing else along."""

from pathlib import Path

import pytest

from spotterd.config.explain import Problem
from spotterd.config.load import Given
from spotterd.publish.payloads import DesiredPayload
from spotterd.remote.changes import Changes
from spotterd.remote.desired import with_engine_of
from spotterd.remote.overlay import Overlay

WHY = Problem("engines.precision", "INT8 is not used: it sees nothing.")


class Board:
    """Changes of one board, over restarts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start()

    def start(self) -> None:
        self.overlay = Overlay(self.folder / "overlay.json")
        self.changes = Changes(Given(None, {"node": "one"}, {}), self.overlay)
        self.config = self.changes.at_start()

    def wish(self, version: int, *, unbuilt: bool = False, **patch: object) -> None:
        desired = DesiredPayload(version=version, token=f"t{version}", set=patch)
        change = self.changes.judge(desired, self.config)
        assert change is not None
        self.changes.begin(change)
        self.config = change.config
        self.changes.good(change, unbuilt=unbuilt)


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


@pytest.mark.parametrize("restarted", [False, True])
def test_the_engine_before_returns_and_other_changes_stay(board: Board, restarted: bool) -> None:
    board.wish(1, engines={"precision": "fp16"})
    board.wish(2, unbuilt=True, engines={"precision": "int8"})
    board.wish(3, detector={"score": 0.5})
    board.wish(4, unbuilt=True, cameras={"two": {}})
    if restarted:
        board.start()
    config = board.changes.unbuilt(WHY, board.config)
    assert config is not None
    assert (config.engines.precision, config.detector.score) == ("fp16", 0.5)
    assert set(config.cameras) == {"two"}
    told = board.changes.reported(config)
    assert (told.version, told.token, told.status) == (4, "t4", "rolled_back")
    assert told.errors[0].message == f"Version 2: {WHY.message}"
    assert told.errors[0].path == "engines.precision"
    board.start()
    assert board.config.engines.precision == "fp16"
    assert board.changes.unbuilt(WHY, board.config) is None


def test_of_two_that_wait_the_last_good_one_returns(board: Board) -> None:
    board.wish(1, unbuilt=True, engines={"precision": "fp16"})
    board.wish(2, unbuilt=True, engines={"precision": "int8", "threads": 1})
    config = board.changes.unbuilt(WHY, board.config)
    assert config is not None
    assert (config.engines.precision, config.engines.threads) == ("auto", 0)


def test_what_was_built_stays(board: Board) -> None:
    board.wish(1, unbuilt=True, engines={"precision": "fp16"})
    board.changes.built()
    assert board.changes.unbuilt(WHY, board.config) is None
    board.wish(2, unbuilt=True, engines={"precision": "int8"})
    board.wish(3, engines={"precision": "fp32"})
    assert board.changes.unbuilt(WHY, board.config) is None
    assert board.config.engines.precision == "fp32"


def test_a_rejected_wish_meanwhile_changes_nothing_about_it(board: Board) -> None:
    board.wish(1, unbuilt=True, engines={"precision": "int8"})
    desired = DesiredPayload(version=2, token="x", set={"node": "two"})
    assert board.changes.judge(desired, board.config) is None
    config = board.changes.unbuilt(WHY, board.config)
    assert config is not None
    assert config.engines.precision == "auto"


@pytest.mark.parametrize(
    ("tree", "other", "after"),
    [
        ({}, {}, {}),
        ({"engines": {"precision": "int8"}}, {}, {}),
        (
            {"engines": {"precision": "int8", "threads": 2}, "log": {"level": "debug"}},
            {"engines": {"precision": "fp16"}, "log": {"level": "error"}},
            {"engines": {"precision": "fp16"}, "log": {"level": "debug"}},
        ),
        (
            {"detector": {"input_size": 320, "score": 0.5}},
            {"detector": {"input_size": 640, "score": 0.1}},
            {"detector": {"input_size": 640, "score": 0.5}},
        ),
        ({"detector": {"model": "sky"}}, {}, {}),
    ],
)
def test_an_overlay_with_the_engine_of_another(tree: dict, other: dict, after: dict) -> None:
    assert with_engine_of(tree, other) == after
