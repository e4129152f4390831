"""Where a test may find a GPU through the true pycuda: environments for its processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpu import host_kernels

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "out" / "pycuda"
OURS = f"{ROOT / 'daemon'}:{ROOT / 'tests'}"
# What is asked of nvcc; the letterbox itself is built by g++, see host_kernels.
NVCC = """#!/bin/sh
case "$*" in
*--version*) echo "release 13.0" ;;
*" -o "*) for last; do [ "$before" != -o ] || echo cubin >"$last"; before=$last; done ;;
*--cubin*) echo cubin >kernel.cubin ;;
esac
"""
LOOK = "import pycuda.driver as d; d.init(); d.Device(0)"


def environment(device: str, folder: Path) -> dict[str, str]:
    """What a process needs to find the device "gpu" or "host"; skips where there is none.

    Args:
        device: "gpu": a real one, with the pycuda on PYTHONPATH; "host": in the host's memory.
        folder: keeps the host's nvcc and kernels.
    """
    if device == "gpu":
        return on_gpu()
    host = on_host(folder)
    host_kernels.build(folder)
    (folder / "nvcc").write_text(NVCC)
    (folder / "nvcc").chmod(0o755)
    return host


def python_path() -> str:
    """Ours, before what this machine needs to find its packages."""
    return ":".join(filter(None, [OURS, os.environ.get("PYTHONPATH")]))


def on_gpu() -> dict[str, str]:
    """A real GPU."""
    path = python_path()
    look = [sys.executable, "-c", LOOK]
    found = subprocess.run(
        look, env={**os.environ, "PYTHONPATH": path}, capture_output=True, check=False, text=True
    )
    if found.returncode:
        pytest.skip(f"no GPU with pycuda here: {found.stderr.splitlines()[-1]}")
    return {"PYTHONPATH": path}


def on_host(folder: Path, libcuda: str = "host") -> dict[str, str]:
    """The true pycuda on a libcuda of ours: "host", "nodevice" or "none"."""
    if not (BUILT / ".done").exists():
        pytest.skip("the true pycuda is not built: make pycuda")
    return {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PYTHONPATH": f"{OURS}:{BUILT / 'site'}",
        "TMPDIR": str(folder),
        "LD_LIBRARY_PATH": str(BUILT / libcuda),
        "SPOTTERD_HOST_KERNELS": str(folder / "host_kernels.so"),
    }
