"""The true pycuda, built here without a GPU: our calls fit it, and "no device" gives our sentence.

`make pycuda` builds what this needs (minutes, once); without it the tests skip.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpu import host_kernels

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "out" / "pycuda"
SCRIPT = str(ROOT / "tests" / "gpu" / "real_pycuda.py")
pytestmark = pytest.mark.skipif(
    not (BUILT / ".done").exists(), reason="the true pycuda is not built: make pycuda"
)
NOTHING_LEFT = dict.fromkeys(
    ("retained", "current", "blocks", "registered", "streams", "events", "graphs"), 0
)


# What is asked of nvcc; the letterbox itself is built by g++, see host_kernels.
NVCC = """#!/bin/sh
case "$*" in
*--version*) echo "release 13.0" ;;
*" -o "*) for last; do [ "$before" != -o ] || echo cubin >"$last"; before=$last; done ;;
*--cubin*) echo cubin >kernel.cubin ;;
esac
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Holds the kernel, built for the host, and an nvcc."""
    folder = tmp_path_factory.mktemp("kernels")
    host_kernels.build(folder)
    (folder / "nvcc").write_text(NVCC)
    (folder / "nvcc").chmod(0o755)
    return folder


def run(libcuda: str, folder: Path, *arguments: str, **variables: str):
    environment = {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'daemon'}:{ROOT / 'tests'}:{BUILT / 'site'}",
        "TMPDIR": str(folder),
        "LD_LIBRARY_PATH": str(BUILT / libcuda),
        "SPOTTERD_HOST_KERNELS": str(folder / "host_kernels.so"),
        **variables,
    }
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("option", [[], ["--zero-copy"]])
def test_frames_go_through_the_true_pycuda_and_leave_nothing_behind(folder, option):
    done = run("host", folder, SCRIPT, *option)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"good": 100, "frames": 10, **NOTHING_LEFT}
    assert "PyCUDA WARNING" not in done.stderr


@pytest.mark.parametrize("option", [[], ["--zero-copy"]])
def test_a_fault_ends_in_its_sentence_and_nothing_of_the_dead_context_is_freed(folder, option):
    done = run("host", folder, SCRIPT, *option, SPOTTERD_FAULT_AT="50")
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
    done = run(libcuda, tmp_path, "-c", "from spotterd.inference.cuda import Gpu; Gpu()")
    assert words in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("arch", ["sm_87", "sm_90", "sm_110"])
def test_nvidias_compiler_takes_the_kernel_for_orin_hopper_and_thor(arch):
    cubin = (BUILT / "cubin" / f"letterbox-{arch}.cubin").read_bytes()
    assert cubin.startswith(b"\x7fELF")
    for layout in ("bgr", "nv12"):
        for dtype in ("float32", "float16"):
            assert f"letterbox_{layout}_{dtype}".encode() in cubin
