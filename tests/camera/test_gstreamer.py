"""CSI, `gst:` and RTSP cameras on real GStreamer."""

import subprocess
from pathlib import Path

import pytest

from camera.gst import SYSTEM_PYTHON, gst_environment
from helpers import ROOT, shared

HERE = Path(__file__).parent / "with_gst"


@pytest.fixture(scope="module")
def system_python() -> dict[str, str]:
    """The environment in which the system's Python has both GStreamer and our packages."""
    return gst_environment()


def run_checks(name: str, environment: dict[str, str]) -> None:
    """Run one file of checks; what failed in it is shown."""
    command = [SYSTEM_PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / name)]
    done = subprocess.run(
        [*command, "--noconftest", "-o", "addopts=--import-mode=importlib"],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    print(done.stdout[-8000:], done.stderr[-2000:])
    assert done.returncode == 0
    if " passed" not in done.stdout:
        pytest.skip(done.stdout.strip().splitlines()[-1])


def test_pipelines(system_python: dict[str, str]) -> None:
    run_checks("check_pipeline.py", system_python)


def test_rtsp_over_udp(system_python: dict[str, str]) -> None:
    run_checks("check_rtsp.py", system_python)


def test_csi_with_jetson_names(system_python: dict[str, str], tmp_path: Path) -> None:
    shim = {
        "GST_PLUGIN_PATH": str(shared("lab/gst")),
        "GST_REGISTRY": str(tmp_path / "registry.bin"),
        "SHIM_SENSORS": "2",
    }
    run_checks("check_csi.py", {**system_python, **shim})
