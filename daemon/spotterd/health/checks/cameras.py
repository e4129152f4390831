"""What a configured source needs, without opening it: the daemon may be using it right now."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from spotterd.health.checks.base import Finding, ok, problem, warning

ARGUS_SOCKET = Path("/tmp/argus_socket")  # noqa: S108 (where nvargus-daemon puts it)
CSI_ELEMENTS = ("nvarguscamerasrc", "nvvidconv", "appsink")
PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
TIMEOUT_S = 5.0
_NODE = re.compile(r"usb:(\d+)(?=\?|$)|(/dev/[^?]+)")


def check_camera(name: str, source: str) -> Iterator[Finding]:
    """Findings about one entry of `cameras`."""
    what = f"camera {name}"
    scheme = source.split(":", 1)[0]
    if scheme == "sim":
        yield ok(what, "sim: needs nothing")
    elif scheme in PORTS:
        yield _stream(what, source)
    elif scheme == "csi":
        yield from _csi(what)
    elif scheme == "gst":
        yield from _elements(what, ("appsink",))
    elif node := _NODE.match(source):
        yield _device(what, Path(node[2] or f"/dev/video{node[1]}"))
    elif scheme in ("usb", "http", "https"):
        yield ok(what, f"{scheme}: `spotterd doctor --camera` takes a picture of it")
    else:
        yield _file(what, Path(source))


def _device(what: str, device: Path) -> Finding:
    if not device.exists():
        return problem(what, f"{device} is not there", "plug it in; `v4l2-ctl --list-devices`")
    if not os.access(device, os.R_OK | os.W_OK):
        return problem(what, f"{device} may not be opened by this user",
                       "sudo usermod -aG video $USER, then log in again")  # fmt: skip
    return ok(what, f"{device} is there and may be opened")


def _file(what: str, path: Path) -> Finding:
    if os.access(path, os.R_OK):
        return ok(what, f"{path} is there")
    return problem(what, f"{path} is not there, or not readable", "check the path in the config")


def _stream(what: str, source: str) -> Finding:
    url = urlsplit(source)
    port = url.port or PORTS[url.scheme]
    where = f"{url.hostname}:{port}"  # without user and password
    try:
        socket.create_connection((url.hostname or "", port), TIMEOUT_S).close()
    except OSError as error:
        return problem(what, f"{where} cannot be reached: {error}", "check address and cable")
    return ok(what, f"{where} answers")


def _csi(what: str) -> Iterator[Finding]:
    if ARGUS_SOCKET.exists():
        yield ok(what, "nvargus-daemon is listening")
    else:
        yield problem(what, f"{ARGUS_SOCKET} is not there", "sudo systemctl restart nvargus-daemon")
    yield from _elements(what, CSI_ELEMENTS)


def _elements(what: str, names: tuple[str, ...]) -> Iterator[Finding]:
    inspect = shutil.which("gst-inspect-1.0")
    if inspect is None:
        remedy = "apt install gstreamer1.0-tools gstreamer1.0-plugins-base"
        yield warning(what, "GStreamer's elements cannot be listed", remedy)
        return
    for name in names:
        if subprocess.run([inspect, "--exists", name], check=False).returncode == 0:  # noqa: S603
            yield ok(what, f"GStreamer has {name}")
        else:
            remedy = "apt install nvidia-l4t-gstreamer gstreamer1.0-plugins-base"
            yield problem(what, f"GStreamer has no {name}", remedy)
