"""CSI, `gst:` and RTSP cameras on real GStreamer.

PyGObject comes from the system, and GStreamer's Python elements (the stand-ins with Jetson names)
are bound to its interpreter: these tests run in a child of it, on this environment's packages.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from helpers import ROOT, shared

SYSTEM_PYTHON = "/usr/bin/python3"
HERE = Path(__file__).parent / "with_gst"
NEEDED = "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstVideo', '1.0')"


@pytest.fixture(scope="module")
def system_python() -> dict[str, str]:
    """The environment in which the system's Python has both GStreamer and our packages."""
    if not Path(SYSTEM_PYTHON).exists():
        pytest.skip(f"there is no {SYSTEM_PYTHON}")
    ask = f"{NEEDED}; import sys; print('%d.%d' % sys.version_info[:2])"
    told = subprocess.run([SYSTEM_PYTHON, "-c", ask], capture_output=True, text=True, check=False)
    if told.returncode:
        pytest.skip(
            "the system's Python has no GStreamer: apt-get install gir1.2-gst-plugins-base-1.0"
        )
    mine = "{}.{}".format(*sys.version_info[:2])
    if told.stdout.strip() != mine:
        pytest.skip(f"GStreamer is bound to Python {told.stdout.strip()}, this is {mine}")
    paths = [ROOT / "daemon", ROOT / "tests", sysconfig.get_path("purelib")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}


def run_checks(name: str, environment: dict[str, str]) -> None:
    """Run one file of checks; what failed in it is shown."""
    command = [SYSTEM_PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / name)]
    done = subprocess.run(
        [*command, "--noconftest", "-o", "addopts=--import-mode=importlib"],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False,
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
