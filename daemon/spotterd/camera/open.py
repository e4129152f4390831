"""From a camera's configuration to an open source."""

from pathlib import Path

from spotterd.camera.argus import open_csi
from spotterd.camera.base import Source
from spotterd.camera.gstreamer import Pipeline, has_element
from spotterd.camera.opencv import open_stream, open_v4l2
from spotterd.camera.pipelines import custom_pipeline, rtsp_pipeline
from spotterd.camera.replay import Looped, open_recording
from spotterd.camera.sim import open_sim
from spotterd.camera.uri import (
    add_user,
    mask_url,
    read_credentials,
    read_options,
    scheme_of,
)
from spotterd.camera.usb import UsbOptions, devices, find_node
from spotterd.config.schema import Camera
from spotterd.errors import BadInputError

KNOWN = (
    "a file or folder, usb:0, usb:vendor:product, /dev/video0, csi:0, rtsp://, rtsps://, "
    "http://, https://, gst:PIPELINE and sim:"
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
        return _open_usb(Path(source.partition("?")[0]), camera)
    scheme = "" if path.exists() else scheme_of(source)
    match scheme:
        case "":
            return open_recording(path, camera.max_fps)
        case "sim":
            return open_sim(source)
        case "usb":
            name = source.partition(":")[2].partition("?")[0]
            return _open_usb(find_node(name, devices()), camera)
        case "csi":
            return open_csi(source)
        case "gst":
            pipeline = source.partition(":")[2]
            return Pipeline(custom_pipeline(pipeline), f"gst:{mask_url(pipeline)}")
        case "rtsp" | "rtsps" | "http" | "https":
            return _open_stream(camera)
    raise BadInputError(
        f"Unknown kind of source '{scheme}:' in '{mask_url(source)}'. Known are {KNOWN}."
    )


def _open_usb(node: Path, camera: Camera) -> Source:
    return open_v4l2(node, read_options(camera.source, UsbOptions), camera.controls)


def _open_stream(camera: Camera) -> Source:
    url = camera.source
    if camera.credentials_file is not None:
        url = add_user(url, read_credentials(Path(camera.credentials_file)))
    jetson = has_element("nvv4l2decoder")
    # OpenCV's FFmpeg prefers TCP, and can be told otherwise only for all cameras at once.
    if url.startswith("rtsp") and (jetson or camera.rtsp_transport == "udp"):
        pipeline = rtsp_pipeline(url, camera.rtsp_transport, jetson=jetson)
        return Pipeline(pipeline, mask_url(url))
    return open_stream(url, camera.stall_timeout_s)
