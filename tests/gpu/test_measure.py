"""The measuring script runs from end to end, on the stand-in: a GPU's time is not for debugging."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpu.devices import python_path

ROOT = Path(__file__).parents[2]
NAMES = ["copies", "zero-copy", "kernel", "letterboxes", "latency", "reopened", "watched",
         "planted", "faults", "endurance"]  # fmt: skip
SCRIPT = ROOT / "tests" / "gpu" / "measure.py"


@pytest.mark.parametrize("name", NAMES)
def test_a_measurement_runs_and_writes_its_figures(tmp_path, name):
    command = [sys.executable, str(SCRIPT), "--standin", "--only", name, "--out", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": python_path()}
    subprocess.run(command, env=environment, check=True, timeout=100)
    figures = json.loads((tmp_path / "gpu.json").read_text())["figures"]
    assert figures
    judged = [f for f in figures if f["limit"] and not {"p99", "copy"} & set(f["name"].split())]
    assert all(f["ok"] for f in judged), judged
    table = (tmp_path / "gpu.md").read_text()
    assert table.startswith("Measured on a stand-in")
    assert all(f["name"] in table for f in figures)
