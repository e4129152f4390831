"""The true pycuda: our calls fit it, on a GPU if there is one, and on devices of ours.

`make pycuda` builds it for the latter (minutes, once); without it, or a GPU, the tests skip.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpu.devices import BUILT, environment, on_host

SCRIPT = str(Path(__file__).with_name("real_pycuda.py"))
NOTHING_LEFT = dict.fromkeys(
    ("retained", "current", "blocks", "registered", "streams", "events", "graphs"), 0
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Keeps what is compiled."""
    return tmp_path_factory.mktemp("kernels")


def run(device: dict[str, str], folder: Path, *arguments: str, **variables: str):
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **device, **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("option", [[], ["--zero-copy"]])
@pytest.mark.parametrize("device", ["gpu", "host"])
def test_frames_go_through_the_true_pycuda_and_leave_nothing_behind(folder, device, option):
    done = run(environment(device, folder), folder, SCRIPT, *option)
    assert done.returncode == 0, done.stderr
    left = NOTHING_LEFT if device == "host" else {}
    assert json.loads(done.stdout) == {"good": 100, "frames": 10, **left}
    assert "PyCUDA WARNING" not in done.stderr


@pytest.mark.parametrize("option", [[], ["--zero-copy"]])
def test_a_fault_ends_in_its_sentence_and_nothing_of_the_dead_context_is_freed(folder, option):
    host = environment("host", folder)
    done = run(host, folder, SCRIPT, *option, SPOTTERD_FAULT_AT="50")
    assert "RestartError: The GPU failed (cuEventSynchronize" in done.stderr.splitlines()[-1]
    assert done.returncode == 1  # not a signal
    assert "PyCUDA WARNING" not in done.stderr


@pytest.mark.parametrize(
    ("libcuda", "words"),
    [
        ("nodevice", "no CUDA-capable device is detected). Check that a GPU is there"),
        ("none", "The NVIDIA driver is not installed (libcuda.so.1: cannot open shared object"),
    ],
)
def test_no_device_gives_our_sentence(tmp_path, libcuda, words):
    command = ["-c", "from spotterd.inference.cuda import Gpu; Gpu()"]
    done = run(on_host(tmp_path, libcuda), tmp_path, *command)
    assert words in done.stderr.splitlines()[-1]


@pytest.mark.skipif(not (BUILT / ".done").exists(), reason="not built: make pycuda")
@pytest.mark.parametrize("arch", ["sm_87", "sm_90", "sm_110"])
def test_nvidias_compiler_takes_the_kernel_for_orin_hopper_and_thor(arch):
    cubin = (BUILT / "cubin" / f"letterbox-{arch}.cubin").read_bytes()
    assert cubin.startswith(b"\x7fELF")
    for layout in ("bgr", "nv12"):
        for dtype in ("float32", "float16"):
            assert f"letterbox_{layout}_{dtype}".encode() in cubin
