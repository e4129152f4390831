"""The true pycuda, built here without a GPU: our calls fit it, and "no device" gives our sentence.

`make pycuda` builds what this needs (minutes, once); without it the tests skip.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "out" / "pycuda"
pytestmark = pytest.mark.skipif(
    not (BUILT / ".done").exists(), reason="the true pycuda is not built: make pycuda"
)
NOTHING_LEFT = dict.fromkeys(
    ("retained", "current", "blocks", "registered", "streams", "events", "graphs"), 0
)


def run(libcuda: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'daemon'}:{BUILT / 'site'}",
        "LD_LIBRARY_PATH": str(BUILT / libcuda),
        **variables,
    }
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("option", [[], ["--zero-copy"]])
def test_frames_go_through_the_true_pycuda_and_leave_nothing_behind(option):
    done = run("host", str(ROOT / "tests/gpu/real_pycuda.py"), *option)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"good": 100, "lost": 0, "resets": 0, **NOTHING_LEFT}
    assert "PyCUDA WARNING" not in done.stderr


@pytest.mark.parametrize("option", [[], ["--zero-copy"]])
def test_a_fault_costs_one_frame_and_one_reset(option):
    script = str(ROOT / "tests/gpu/real_pycuda.py")
    done = run("host", script, *option, SPOTTERD_FAULT_AT="50")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"good": 99, "lost": 1, "resets": 1, **NOTHING_LEFT}
    assert "an illegal memory access was encountered" in done.stderr


@pytest.mark.parametrize(
    ("libcuda", "words"),
    [
        ("nodevice", "no CUDA-capable device is detected). Check that a GPU is there"),
        ("none", "The NVIDIA driver is not installed (libcuda.so.1: cannot open shared object"),
    ],
)
def test_no_device_gives_our_sentence(libcuda, words):
    done = run(libcuda, "-c", "from spotterd.inference.cuda import Gpu; Gpu()")
    assert words in done.stderr.splitlines()[-1]
