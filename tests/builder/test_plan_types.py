"""Road 1 against the types of TensorRT 10.13, by mypy.

`plan.py` serves both worlds, so to it TensorRT is `Any`. Here the same source is checked with the
real names. The stubs are generated and a few of their classes are no Python: these are left out.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import spotterd
from spotterd.builder import plan

STUBS = Path(__file__).parents[2] / "out/pycuda/stubs/tensorrt_bindings/tensorrt.pyi"
pytestmark = pytest.mark.skipif(not STUBS.exists(), reason="TensorRT's stubs: make pycuda")

# Where the stubs are narrower than TensorRT: it takes tuples for Dims (its samples do), and None
# from get_batch is how its manual says that the pictures are over; INetworkDefinition is one of
# the classes that do not parse.
KNOWN = (
    'expected "Dims"',
    'of "get_batch" incompatible',
    '"trt.INetworkDefinition" is not defined',
)
SETTINGS = """
[mypy]
strict = true
ignore_missing_imports = true
[mypy-tensorrt]
ignore_errors = true
[mypy-spotterd.*]
ignore_errors = true
"""


def parsing_classes(text: str) -> str:
    """The stubs with defaults simplified, without the classes that are no Python."""
    kept = ["from typing import *", "import typing", "import collections.abc", "import numpy"]
    for block in re.split(r"(?m)^(?=class )", text)[1:]:
        lines = [
            re.sub(r" = [^,()]+(?:\([^()]*\))?(?=[,)])", " = ...", line)
            if " def " in line
            else line
            for line in block.splitlines()
        ]
        try:
            ast.parse("\n".join(lines))
        except SyntaxError:
            continue
        kept += lines
    return "\n".join(kept)


def with_real_types(source: str) -> str:
    """`plan.py` with TensorRT's names where it says Any."""
    for old, new in (
        ("    trt = world.trt\n", ""),
        ("(trt: Any)", "()"),
        ("trt: Any, ", ""),
        ("(trt, ", "("),
        ("builder: Any", "builder: trt.Builder"),
        ("config: Any", "config: trt.IBuilderConfig"),
        ("network: Any", "network: trt.INetworkDefinition"),
        ("  # type: ignore[misc]  # exists where TensorRT does", ""),
        (
            "from spotterd.inference.trt_world",
            "import tensorrt as trt\nfrom spotterd.inference.trt_world",
        ),
    ):
        source = source.replace(old, new)
    return source


def complaints(folder: Path, source: str) -> list[str]:
    (folder / "road1.py").write_text(source)
    (folder / "tensorrt").mkdir(exist_ok=True)
    (folder / "tensorrt" / "__init__.pyi").write_text(parsing_classes(STUBS.read_text()))
    (folder / "mypy.ini").write_text(SETTINGS)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "road1.py"],
        cwd=folder,
        env={"MYPYPATH": f"{folder}:{Path(spotterd.__file__).parents[1]}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return [
        line for line in done.stdout.splitlines() if line.startswith("road1.py") and "error" in line
    ]


def test_road_1_uses_names_and_types_of_tensorrt(tmp_path: Path) -> None:
    source = with_real_types(Path(plan.__file__).read_text())
    found = complaints(tmp_path, source)
    assert [line for line in found if not any(known in line for known in KNOWN)] == []
    assert len(found) >= len(KNOWN), "the check still sees what it should"
    wrong = complaints(
        tmp_path, source.replace("IInt8EntropyCalibrator2", "IInt8EntropyCalibrator3")
    )
    assert any("IInt8EntropyCalibrator3" in line for line in wrong)
