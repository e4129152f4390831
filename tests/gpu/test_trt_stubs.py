"""The stand-in of the first world has NVIDIA's names and parameters, by TensorRT 10.13's stubs.

The second world's is held against NVIDIA's own RTX bindings, in test_trt_standins.py.
"""

import ast
import inspect
import re
from pathlib import Path

import pytest

from standins import trt10

STUBS = Path(__file__).parents[2] / "out/pycuda/stubs/tensorrt_bindings/tensorrt.pyi"
pytestmark = pytest.mark.skipif(not STUBS.exists(), reason="TensorRT's stubs: make pycuda")
# Of the stand-in alone.
NOT_THERE = {"prepare", "version", "config_type"}


def members(node: ast.ClassDef) -> dict[str, set[str] | None]:
    """Attributes of a class; for functions the names of their parameters, over all overloads."""
    found: dict[str, set[str] | None] = {}
    for item in node.body:
        if isinstance(item, ast.FunctionDef):
            names = found.setdefault(item.name, set())
            if names is not None:
                names |= {a.arg for a in item.args.args}
        elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            found[item.target.id] = None
    return found


@pytest.fixture(scope="module")
def classes() -> dict[str, ast.ClassDef]:
    """Every class that parses: the stubs are generated, and some are no Python (nor for mypy)."""
    found = {}
    for block in re.split(r"(?m)^(?=class )", STUBS.read_text())[1:]:
        lines = [
            re.sub(r" = [^,()]+(?:\([^()]*\))?(?=[,)])", "", line) if " def " in line else line
            for line in block.splitlines()
        ]
        try:
            (node,) = (n for n in ast.parse("\n".join(lines)).body if isinstance(n, ast.ClassDef))
        except SyntaxError:
            continue
        found[node.name] = node
    return found


def inherited(name: str, classes: dict[str, ast.ClassDef]) -> dict[str, set[str] | None]:
    found: dict[str, set[str] | None] = {}
    for base in classes[name].bases:
        if isinstance(base, ast.Name) and base.id in classes:
            found |= inherited(base.id, classes)
    return found | members(classes[name])


@pytest.mark.parametrize("name", [n for n in trt10.__all__ if inspect.isclass(getattr(trt10, n))])
def test_names_and_parameters_are_nvidias(name, classes):
    assert name in classes
    real = inherited(name, classes)
    ours = getattr(trt10, name)
    for base in ours.__mro__:
        if not base.__module__.startswith("standins"):
            continue
        for attribute, value in vars(base).items():
            if attribute.startswith("_") or attribute in NOT_THERE:
                continue
            if not isinstance(value, property) and not inspect.isfunction(value):
                continue
            assert attribute in real, f"{name}.{attribute}"
            parameters = real[attribute]
            if inspect.isfunction(value) and parameters and "arg0" not in parameters:
                extra = set(inspect.signature(value).parameters) - parameters
                assert not extra, f"{name}.{attribute}({extra})"


def test_flags_that_our_worlds_are_told_apart_by(classes):
    assert {"FP16", "INT8"} <= set(members(classes["BuilderFlag"]))
    assert "EXPLICIT_BATCH" in members(classes["NetworkDefinitionCreationFlag"])
    assert "IInt8EntropyCalibrator2" in classes
