"""nvargus-daemon that is stuck: noticed, restarted once, and never for somebody else's fault."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotterd.camera import argus
from spotterd.camera.argus import APART_NS, Wedge, open_csi
from spotterd.errors import RetryError


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a `systemctl` that obeys was called with; nothing waits for long."""
    tool = tmp_path / "systemctl"
    tool.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(argus, "_wedge", Wedge())
    monkeypatch.setattr(argus, "FIRST_PICTURE_S", 0.1)
    return tmp_path / "calls"


class Silent:
    """A pipeline that starts and never gives a picture."""

    def __init__(self, _description: str, label: str) -> None:
        self._label = label
        self._aborted = threading.Event()

    def read(self, _into: object) -> None:
        assert self._aborted.wait(30)
        raise RetryError(f"{self._label} is silent.")

    def abort(self) -> None:
        self._aborted.set()

    def close(self) -> None:
        pass


RESTART = "--no-ask-password restart nvargus-daemon.service\n"


def test_silence_three_times_restarts_the_daemon_once(
    calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(argus, "Pipeline", Silent)
    said = []
    for _ in range(7):
        camera = open_csi("csi:0")
        with pytest.raises(RetryError) as told:
            camera.read(None)
        camera.close()
        said.append(str(told.value))
    assert ["was restarted" in text for text in said] == [False, False, True] + [False] * 4
    assert calls.read_text() == RESTART


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pipelines that hang while they are started, until the end of the test."""
    let_go = threading.Event()

    class Hanging(Silent):
        def __init__(self, description: str, label: str) -> None:
            super().__init__(description, label)
            let_go.wait(60)

    monkeypatch.setattr(argus, "Pipeline", Hanging)
    yield
    let_go.set()


def test_hanging_starts_restart_it_too(
    calls: Path, monkeypatch: pytest.MonkeyPatch, hanging: None
) -> None:
    restarted = threading.Event()
    restart = argus.restart
    monkeypatch.setattr(argus, "restart", lambda: (restart(), restarted.set())[0])
    for _ in range(3):
        threading.Thread(target=open_csi, args=("csi:0",), daemon=True).start()
    assert restarted.wait(30)
    assert calls.read_text() == RESTART


def test_a_restart_that_is_not_allowed_is_told(
    calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = calls.parent / "systemctl"
    tool.write_text("#!/bin/sh\necho 'Access denied' >&2\nexit 4\n")
    assert "may not be restarted (Access denied)" in argus.restart()
    monkeypatch.setenv("PATH", "/nowhere")
    assert argus.restart() == "nvargus-daemon.service seems stuck; restart it"


def test_the_third_failure_in_a_row_restarts_and_not_again_within_a_minute() -> None:
    wedge = Wedge()
    assert [wedge.failed("silent", n) for n in range(9)] == [n == 2 for n in range(9)]
    assert wedge.failed("silent", 2 + APART_NS)


def test_no_restart_while_another_camera_streams_or_the_request_is_wrong() -> None:
    wedge = Wedge(streaming=1)
    assert not any(wedge.failed("silent", n) for n in range(9))
    wedge = Wedge()
    assert not any(wedge.failed("Invalid camera device specified", n) for n in range(9))
