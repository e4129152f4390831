"""SIGHUP reads the configuration again, as `systemctl reload` asks for."""

import signal
import time
from pathlib import Path
from typing import Any

import yaml

from brokers import Broker
from journeys.daemon import Daemon, daemon


def cameras(name: str) -> dict[str, Any]:
    return {
        "cameras": {name: {"source": "sim:", "max_fps": 5}},
        "health": {"interval_s": 1},
        # A reload during probation would have to wait for its end.
        "remote": {"probation_frames": 1},
    }


def turns(run: Daemon) -> None:
    """Two health messages from now: the main loop has looked around and read its notes between."""
    since_ns = time.monotonic_ns()
    for _ in range(2):
        run.wait_for("health", lambda told: told["mono_ns"] > since_ns)


def test_a_new_camera_comes_and_a_bad_file_changes_nothing(broker: Broker, tmp_path: Path) -> None:
    with daemon(broker, tmp_path, cameras("north")) as run:
        (file,) = tmp_path.glob("*.yaml")
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
        turns(run)
        file.write_text(yaml.safe_dump(tree | cameras("south")), encoding="utf-8")
        run.signal(signal.SIGHUP)
        run.wait_for("camera/north/status", lambda status: status == "")  # no longer retained
        run.wait_for("camera/south/status", lambda status: status["state"] == "online")
        run.wait_for("health", lambda told: told["cameras"].get("south", {}).get("frames", 0) > 0)
        turns(run)  # probation is over

        file.write_text("camras: {}\n", encoding="utf-8")
        run.signal(signal.SIGHUP)
        turns(run)
        run.signal(signal.SIGTERM)
        status, stderr = run.end()
    assert status == 0
    assert "did you mean 'cameras'?" in stderr
    assert "Traceback" not in stderr
