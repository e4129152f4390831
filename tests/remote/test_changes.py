"""Wishes are judged as a whole, in the order of their versions, and a bad start is survived."""

from pathlib import Path
from typing import Any

import pytest

from spotterd.config.load import Given
from spotterd.publish.payloads import DesiredPayload
from spotterd.remote.changes import Changes
from spotterd.remote.desired import Effect
from spotterd.remote.overlay import Overlay


class Board:
    """config.yaml, an overlay, and starts of the daemon."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "overlay.json"
        self.file: dict[str, Any] = {"node": "one"}
        self.start()

    def start(self) -> None:
        self.changes = Changes(Given(None, self.file, {}), Overlay(self.path))
        self.config = self.changes.at_start()

    def wish(self, version: int, token: str, **patch: Any) -> Effect | None:
        desired = DesiredPayload(version=version, token=token, set=patch)
        change = self.changes.judge(desired, self.config)
        if change is None:
            return None
        self.changes.begin(change)
        if change.effect < Effect.STAGE:
            self.config = change.config
            self.changes.good(change, unbuilt=False)
        return change.effect

    @property
    def told(self) -> tuple[int, str, str]:
        report = self.changes.reported(self.config)
        return report.version, report.token, report.status


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


def test_of_two_operators_with_one_version_the_first_wins_and_both_hear_it(board: Board) -> None:
    assert board.wish(1, "a", detector={"score": 0.5}) is Effect.LIVE
    assert board.wish(1, "b", detector={"score": 0.9}) is None
    assert board.told == (1, "a", "applied")
    assert board.config.detector.score == 0.5


def test_a_stale_wish_that_the_broker_keeps_changes_nothing_at_boot(board: Board) -> None:
    board.wish(7, "a", detector={"score": 0.5})
    board.wish(8, "b", detector={"score": 0.6})
    board.start()
    assert board.wish(7, "a", detector={"score": 0.5}) is None
    assert board.wish(8, "b", detector={"score": 0.6}) is None
    assert board.told == (8, "b", "applied")
    assert board.config.detector.score == 0.6


def test_a_rejected_wish_is_not_judged_again_and_spoils_nothing(board: Board) -> None:
    board.wish(1, "a", detector={"score": 0.5})
    assert board.wish(2, "b", detector={"score": 5}, node="x", healt={}) is None
    errors = {error.path for error in board.changes.reported(board.config).errors}
    assert errors == {"detector.score", "node", "healt"}
    board.start()
    assert board.told == (2, "b", "rejected")
    assert board.config.detector.score == 0.5


def test_a_start_in_the_middle_of_a_trial_takes_what_was_good(board: Board) -> None:
    board.wish(1, "a", detector={"score": 0.5})
    assert board.wish(2, "b", cameras={"main": {"source": "usb:0"}}) is Effect.STAGE
    board.start()
    assert board.told == (2, "b", "rolled_back")
    assert board.config.cameras["main"].source == "sim:"
    assert board.config.detector.score == 0.5


def test_an_overlay_that_no_longer_fits_is_left_out_and_can_be_mended(board: Board) -> None:
    zone = {"camera": "main", "polygon": [[0, 0], [1, 0], [1, 1]]}
    board.wish(1, "a", events={"zones": {"z": zone}})
    board.file = {"node": "one", "cameras": {"north": {}}}
    board.start()
    assert board.told[2] == "rejected"
    assert not board.config.events.zones
    assert board.wish(2, "b", detector={"score": 0.5}) is None, "the zone is still wrong"
    assert board.wish(3, "c", events={"zones": None}) is Effect.NONE
    assert board.told == (3, "c", "applied")


def test_the_disk_has_no_say_in_what_is_wrong_with_wishes(board: Board, caplog) -> None:
    board.path.mkdir()
    assert board.wish(1, "a", detector={"score": 0.5}) is Effect.LIVE
    assert board.told == (1, "a", "applied")
    assert "lost at the next start" in caplog.text


def test_config_yaml_read_again_keeps_what_outlives_a_reload(board: Board, caplog) -> None:
    board.wish(1, "a", detector={"score": 0.5})
    later = {"node": "two", "tracking": {"lost_s": 3}, "publish": {"outbox": {"max_mb": 1}}}
    change = board.changes.read_again(Given(None, later, {}), board.config)
    assert change.effect is Effect.LIVE
    assert change.wish is None
    assert (change.config.node, change.config.publish.outbox.max_mb) == ("one", 64)
    assert (change.config.tracking.lost_s, change.config.detector.score) == (3, 0.5)
    assert "node, publish.outbox.max_mb" in caplog.text
