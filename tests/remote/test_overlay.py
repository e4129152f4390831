"""What was changed from afar survives, and a change that never became good does not."""

from pathlib import Path

import pytest

from spotterd.publish.payloads import ConfigProblem
from spotterd.remote.overlay import Overlay, Wish, read_set

GOOD = {"detector": {"score": 0.5}}
TRIED = {"cameras": {"main": {"source": "usb:9"}}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "overlay.json"


def test_a_good_change_is_there_at_the_next_start(path: Path) -> None:
    Overlay(path).good(Wish(version=3, token="t"), GOOD)
    kept = Overlay(path).kept
    assert (kept.set, kept.wish.version, kept.status, kept.trial) == (GOOD, 3, "applied", None)
    assert read_set(path) == GOOD


def test_a_change_on_probation_is_not_in_force_at_the_next_start(path: Path) -> None:
    overlay = Overlay(path)
    overlay.good(Wish(version=3), GOOD)
    overlay.begin(Wish(version=4), TRIED)
    kept = Overlay(path).kept
    assert kept.set == GOOD
    assert kept.trial is not None
    assert kept.trial.wish.version == 4
    assert read_set(path) == GOOD


def test_a_bad_wish_keeps_what_was_good_and_why(path: Path) -> None:
    overlay = Overlay(path)
    overlay.good(Wish(version=3), GOOD)
    overlay.begin(Wish(version=4), TRIED)
    overlay.bad(Wish(version=4), "rolled_back", (ConfigProblem(path="", message="no frames"),))
    kept = Overlay(path).kept
    assert (kept.set, kept.wish.version, kept.status) == (GOOD, 4, "rolled_back")
    assert kept.errors[0].message == "no frames"
    assert kept.trial is None


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"{", b'{"set": 5}', b'{"sett": {}}'])
def test_a_broken_file_is_set_aside(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert Overlay(path).kept.set == {}
    assert path.with_suffix(".broken").read_bytes() == content


def test_a_disk_that_takes_nothing_is_told_and_survived(path: Path, caplog) -> None:
    path.parent.joinpath("file").write_text("")
    overlay = Overlay(path.parent / "file" / "overlay.json")
    overlay.good(Wish(version=1), GOOD)
    assert overlay.kept.set == GOOD
    assert "lost at the next start" in caplog.text
