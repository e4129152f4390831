"""The system's Python, where GStreamer is, with this environment's packages.

PyGObject comes from the system, and GStreamer's Python elements (the stand-ins with Jetson names)
are bound to its interpreter: what needs them runs in a child of it.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from helpers import ROOT

SYSTEM_PYTHON = "/usr/bin/python3"
NEEDED = "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstVideo', '1.0')"


def gst_environment() -> dict[str, str]:
    """Of a child in which there are both GStreamer and our packages, or skip."""
    if not Path(SYSTEM_PYTHON).exists():
        pytest.skip(f"there is no {SYSTEM_PYTHON}")
    ask = f"{NEEDED}; import sys; print('%d.%d' % sys.version_info[:2])"
    told = subprocess.run([SYSTEM_PYTHON, "-c", ask], capture_output=True, text=True, check=False)
    if told.returncode:
        pytest.skip("the system's Python has no GStreamer: apt-get install python3-gst-1.0")
    mine = "{}.{}".format(*sys.version_info[:2])
    if told.stdout.strip() != mine:
        pytest.skip(f"GStreamer is bound to Python {told.stdout.strip()}, this is {mine}")
    paths = [ROOT / "daemon", ROOT / "tests", sysconfig.get_path("purelib")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
