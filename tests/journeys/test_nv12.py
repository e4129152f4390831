"""From a camera that gives NV12 to a broker: nobody makes the whole picture BGR."""

import json
import subprocess
from contextlib import closing
from pathlib import Path

from brokers import Broker
from camera.gst import SYSTEM_PYTHON, gst_environment
from helpers import ROOT
from journeys.daemon import Daemon

COUNTING = ROOT / "tests" / "camera" / "with_gst" / "counting.py"
AIRPLANE = ROOT / "calibration" / "V_AIRPLANE_002_0220.jpg"
FULL_HD = (
    f"gst:multifilesrc location={AIRPLANE} loop=true caps=image/jpeg,framerate=10/1 ! jpegdec "
    "! videoconvert ! videoscale ! video/x-raw,format=NV12,width=1920,height=1080 "
    "! identity sync=true"
)
FRAMES = 30


class OnGStreamer(Daemon):
    """The daemon in the system's Python, telling what it converted."""

    def start(self) -> None:
        self.process = subprocess.Popen(
            [SYSTEM_PYTHON, str(COUNTING), "run", "--config", str(self.config)],
            env={**gst_environment(), "SPOTTERD_STATE_DIR": str(self._state)},
            cwd=self._state,
            stderr=subprocess.PIPE,
            text=True,
        )


def test_detections_come_and_no_whole_picture_is_made(broker: Broker, tmp_path: Path) -> None:
    gst_environment()
    tree = {
        "cameras": {"roof": {"source": FULL_HD}},
        "engines": {"precision": "fp32", "harvest": {"keep": 0}},
        "publish": {"detections": "all"},
        "health": {"interval_s": 1},
    }
    with closing(OnGStreamer(broker, tmp_path, tree)) as one:
        seen = one.wait_for("detections/roof", lambda told: told["detections"])
        assert seen["frame_wh"] == [1920, 1080]
        assert seen["detections"][0]["label"] == "airplane"
        event = one.first("event")
        assert (event["type"], event["label"]) == ("start", "airplane")
        one.wait_for("health", lambda told: told["cameras"]["roof"]["frames"] > FRAMES)
        one.process.terminate()
        status, stderr = one.end()
    assert status == 0
    heights = json.loads(stderr.rpartition("heights:")[2])
    # The network's input, looks at the quality, and the event's picture and crops; never 1080.
    assert heights["360"] >= FRAMES
    assert "1080" not in heights
