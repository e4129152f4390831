"""Python and the modules that the daemon imports: really imported, in this very environment."""

import importlib
import platform
import sys
from collections.abc import Iterator

from spotterd.health.checks.base import Finding, ok, problem, warning

OLDEST_PYTHON = (3, 10)

# Module to import, name to install it by.
REQUIRED = (
    ("cv2", "opencv-python"),
    ("lap", "lapx"),
    ("numpy", "numpy"),
    ("onnx", "onnx"),
    ("onnxruntime", "onnxruntime"),
    ("paho.mqtt", "paho-mqtt"),
    ("psutil", "psutil"),
    ("pydantic", "pydantic"),
    ("yaml", "PyYAML"),
)

# What works only with the module, and how to get it.
OPTIONAL = (
    ("systemd.journal", "log lines have no fields in the journal", "apt install python3-systemd"),
    ("gi", "csi: and gst: cameras cannot be opened", "apt install python3-gst-1.0"),
    ("gi.overrides._gi_gst", "such a camera's frames cost 2 ms", "apt install python3-gst-1.0"),
    ("prometheus_client", "metrics cannot be switched on", "pip install prometheus-client"),
)
NEEDED_FOR_TENSORRT = (
    ("tensorrt", "the model runs on the processor", "apt install python3-libnvinfer (JetPack)"),
    ("pycuda.driver", "the model runs on the processor", "pip install 'spotterd[jetson]'"),
)


def check_software(*, nvidia: bool) -> Iterator[Finding]:
    """Args: nvidia: this machine has an NVIDIA GPU, so TensorRT is expected to be there."""
    version = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        yield problem("python", f"{version} is too old", "install Python 3.10 or newer")
    else:
        yield ok("python", f"{version} at {sys.executable}")
    for module, package in REQUIRED:
        said = failure_to_import(module)
        if said:
            yield problem(module, said, f"{sys.executable} -m pip install {package}")
        else:
            yield ok(module, version_of(module))
    for module, without, remedy in (*OPTIONAL, *(NEEDED_FOR_TENSORRT if nvidia else ())):
        said = failure_to_import(module)
        if said:
            yield warning(module, f"{said}: {without}", remedy)
        else:
            yield ok(module, version_of(module))


def failure_to_import(module: str) -> str:
    """Why the module cannot be imported; empty where it can."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        return "not installed" if missing in module else f"lacks the module {missing}"
    except (ImportError, OSError, RuntimeError) as error:  # a shared library is missing or foreign
        return " ".join(str(error).split())
    return ""


def version_of(module: str) -> str:
    """The version that the module tells, or just that it is there."""
    top = module.split(".", maxsplit=1)[0]
    for name in (module, top):
        version = getattr(sys.modules[name], "__version__", None)
        if version:
            return str(version)
    return "installed"
