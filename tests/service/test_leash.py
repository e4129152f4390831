"""The daemon of a demo or a measurement: it does not outlive who started it."""

import os
import subprocess
import sys
from pathlib import Path

from helpers import ROOT
from spotterd.service.leash import started

OWNER = """
import sys
from spotterd.service.leash import started
started(["run", "--source", "sim:", "--broker", "mqtt://127.0.0.1:9"])
sys.stdin.read()
"""


def test_a_daemon_stops_in_order_when_its_owner_is_killed(tmp_path: Path) -> None:
    state = {"SPOTTERD_STATE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT / "daemon")}
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        env={**os.environ, **state},
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stderr is not None
        while "starting:" not in (line := owner.stderr.readline()):
            assert line, "it ended"
        owner.kill()
        assert "Stopping: SIGTERM." in owner.stderr.read()  # to the end of the last who holds it


def test_a_key_pressed_at_the_terminal_is_the_owners_alone() -> None:
    """Who started it stops it; still importing, it would end in a traceback."""
    with started(["--help"]) as daemon:
        assert os.getpgid(daemon.pid) != os.getpgrp()
