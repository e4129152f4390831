"""What all tests share: brokers, and a state directory that is not the user's."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# OpenCV reads this once, when it first opens or writes a video: a test may do so before the daemon.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

pytest_plugins = ("brokers",)

# The same examples every time, however slow the machine: a red is about the change at hand. To look
# for more, now and then: `pytest --hypothesis-profile=default`.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands under test keep their outbox here; two daemons cannot share one."""
    monkeypatch.setenv("SPOTTERD_STATE_DIR", str(tmp_path / "state"))
