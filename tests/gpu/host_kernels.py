"""Build the letterbox kernel's own source for the host, and launch it there."""

import ctypes
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from spotterd.inference.preprocess import PARAMETERS, SOURCE

HERE = Path(__file__).parent


def build(folder: Path) -> Path:
    """The library of `host_kernels.cpp`; skips where there is no C++ compiler that can."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ to build the kernel's source with")
    (folder / "cuda_fp16.h").touch()
    library = folder / "host_kernels.so"
    command = [compiler, "-O2", "-shared", "-fPIC", f"-I{folder}", f"-I{HERE}"]
    command += [f'-DKERNELS="{SOURCE}"', "-o", str(library), str(HERE / "host_kernels.cpp")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "_Float16" in done.stderr:
        pytest.skip("this g++ has no half floats")
    assert done.returncode == 0, done.stderr
    return library


def launch(library: Path, name: str, width: int, height: int, arguments: tuple[Any, ...]) -> None:
    """One launch over `width` x `height` outputs, with the arguments packed as pycuda does."""
    packed = struct.pack(PARAMETERS, *arguments)
    grid = -(-width // 32), -(-height // 8)
    code = ctypes.CDLL(str(library)).host_launch(name.encode(), *grid, 32, 8, packed)
    assert code == 0
