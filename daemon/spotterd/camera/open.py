"""From a camera's configuration to an open source."""

from pathlib import Path

from spotterd.camera.argus import open_csi
from spotterd.camera.base import Source
from spotterd.camera.gstreamer import Pipeline, has_element
from spotterd.camera.opencv import open_stream, open_usb
from spotterd.camera.pipelines import custom_pipeline, rtsp_pipeline
from spotterd.camera.replay import Looped, open_recording
from spotterd.camera.sim import open_sim
from spotterd.camera.uri import mask_url, scheme_of
from spotterd.config.schema import Camera
from spotterd.errors import BadInputError

KNOWN = (
    "a file or folder, usb:0, /dev/video0, csi:0, rtsp://, rtsps://, http://, https://, "
    "gst:PIPELINE and sim:"
)


def open_source(camera: Camera) -> Source:
    """Open what `camera.source` names; may take seconds.

    Raises:
        BadInputError: it can never work: unknown kind, missing or damaged file, wrong option.
        RetryError: a camera or stream that is not there now.
    """
    source = _open(camera)
    if camera.loop and not source.live:
        source.close()
        return Looped(lambda: _open(camera))
    return source


def _open(camera: Camera) -> Source:
    source = camera.source
    path = Path(source).expanduser()
    if source.startswith("/dev/"):
        return open_usb(path)
    scheme = "" if path.exists() else scheme_of(source)
    match scheme:
        case "":
            return open_recording(path, camera.max_fps)
        case "sim":
            return open_sim(source)
        case "usb":
            return open_usb(_usb_node(source))
        case "csi":
            return open_csi(source)
        case "gst":
            pipeline = source.partition(":")[2]
            return Pipeline(custom_pipeline(pipeline), f"gst:{mask_url(pipeline)}")
        case "rtsp" | "rtsps" if has_element("nvv4l2decoder"):
            return Pipeline(rtsp_pipeline(source, "tcp", jetson=True), mask_url(source))
        case "rtsp" | "rtsps" | "http" | "https":
            return open_stream(source, camera.stall_timeout_s)
    raise BadInputError(
        f"Unknown kind of source '{scheme}:' in '{mask_url(source)}'. Known are {KNOWN}."
    )


def _usb_node(source: str) -> Path:
    number = source.partition(":")[2]
    if not number.isdecimal():
        raise BadInputError(f"'{source}' is not a camera: write usb:0 for /dev/video0.")
    return Path(f"/dev/video{number}")
