"""A real Home Assistant makes entities of our announcement: `make homeassistant-test`."""

import json
import os
import subprocess
from pathlib import Path

import pytest

import tiny_models
from brokers import Mosquitto
from journeys.daemon import daemon

PYTHON = os.environ.get("SPOTTERD_HOMEASSISTANT", "")
SCRIPT = Path(__file__).with_name("with_ha") / "entities.py"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not PYTHON, reason="run by `make homeassistant-test`"),
]


def test_entities_appear_with_values_and_a_button_works(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    tree = {
        "cameras": {"north": {"source": "sim:?size=384x256&fps=5"}},
        "detector": {"model": str(tiny_models.sees_dark(tmp_path / "dark.onnx"))},
        "publish": {"homeassistant": {"discovery": True}},
    }
    with daemon(mosquitto, tmp_path, tree, node="roof-1") as board:
        board.wait_for_state("running")
        done = subprocess.run(
            [PYTHON, SCRIPT, tmp_path / "ha", str(mosquitto.port), "button.roof_1_take_a_picture"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert board.wait_for("response/snapshot")["ok"]
    found = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(found, indent=1))
    ours = {
        name.partition("roof_1_")[2]: value for name, value in found.items() if "roof_1" in name
    }
    assert ours["state"] == "running"
    assert ours["camera_north"] == "on"
    assert ours["airplane_at_north"] in ("on", "off")
    assert float(ours["frame_rate"]) > 0
    assert float(ours["processor"]) >= 0
    assert float(ours["free_disk"]) > 0
    assert int(ours["waiting_messages"]) >= 0
    assert "track" in ours
    assert {"take_a_picture", "rebuild_the_engine", "restart", "latest_at_north"} <= ours.keys()
    assert "ERROR" not in done.stderr, done.stderr
