"""What only building needs stays out of the process that serves: 22 MB, and a second of start."""

import os
import subprocess
import sys
from pathlib import Path

import spotterd

HEAVY = (
    "faster_coco_eval",
    "matplotlib",
    "onnx",
    "onnxruntime.quantization",
    "onnxruntime.transformers",
    "spotterd.builder.calibration",
    "spotterd.builder.make",
)
RUN = f"""
import sys
from spotterd.cli.main import app
app(sys.argv[1:], standalone_mode=False)
print(sorted(set({HEAVY!r}) & set(sys.modules)))
"""


def test_a_daemon_never_imports_what_only_building_needs(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("engines: {backend: onnxruntime}")
    source = str(Path(spotterd.__file__).parents[1])
    env = os.environ | {"PYTHONPATH": source, "SPOTTERD_STATE_DIR": str(tmp_path / "state")}
    arguments = ["run", "--config", str(config), "--broker", "mqtt://127.0.0.1:9", "--for", "3"]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
