"""GStreamer pipelines as text. Pure: options in, a `gst-launch` string out."""

from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import Field

from spotterd.config.patterns import matching
from spotterd.config.schema import Section

# One buffer, always the newest; formats that `gstreamer.py` turns into BGR in one pass.
SINK = (
    "appsink name=frames max-buffers=1 drop=true sync=false "
    'caps="video/x-raw,format=(string){NV12,BGR,BGRx}"'
)

Flip: TypeAlias = Literal["none", "ccw", "180", "cw", "horizontal", "diagonal", "vertical"]
WhiteBalance: TypeAlias = Literal[
    "off",
    "auto",
    "incandescent",
    "fluorescent",
    "warm-fluorescent",
    "daylight",
    "cloudy-daylight",
    "twilight",
    "shade",
]
# The order is that of nvvidconv's `flip-method` and of nvarguscamerasrc's `wbmode`.
FLIPS: tuple[Flip, ...] = get_args(Flip)
WHITE_BALANCES: tuple[WhiteBalance, ...] = get_args(WhiteBalance)
_Range: TypeAlias = Annotated[
    str, matching(r"[0-9.]+(-[0-9.]+)?", "a number, or two as least-most")
]


class CsiOptions(Section):
    """What may be written after `csi:0?`."""

    width: int = Field(1920, ge=16, le=8192, multiple_of=2)
    height: int = Field(1080, ge=16, le=8192, multiple_of=2)
    fps: int = Field(30, ge=1, le=240)
    flip: Flip = "none"
    mode: int | None = Field(None, ge=0, le=255, description="sensor mode; the driver's choice")
    exposure_us: _Range | None = Field(None, description="one value, or least-most")
    gain: _Range | None = Field(None, description="one value, or least-most")
    wb: WhiteBalance = "auto"


def csi_pipeline(sensor: int, options: CsiOptions) -> str:
    """A camera on the CSI connector of a Jetson, through libargus."""
    source = [f"nvarguscamerasrc sensor-id={sensor}"]
    if options.mode is not None:
        source.append(f"sensor-mode={options.mode}")
    if options.exposure_us is not None:
        source.append(f'exposuretimerange="{_span(options.exposure_us, 1000, ".0f")}"')
    if options.gain is not None:
        source.append(f'gainrange="{_span(options.gain, 1, "g")}"')
    if options.wb != "auto":
        source.append(f"wbmode={WHITE_BALANCES.index(options.wb)}")
    size = f"width={options.width},height={options.height},framerate={options.fps}/1"
    return " ! ".join(
        [
            " ".join(source),
            f"video/x-raw(memory:NVMM),format=NV12,{size}",
            f"nvvidconv flip-method={FLIPS.index(options.flip)}",
            "video/x-raw,format=NV12",
            SINK,
        ]
    )


def rtsp_pipeline(url: str, transport: Literal["tcp", "udp"], *, jetson: bool) -> str:
    """A network camera; on a Jetson decoded by its video engine (`nvv4l2decoder`)."""
    # decodebin takes nvv4l2decoder first where it exists: H.264 and H.265 without being told.
    convert = "nvvidconv ! video/x-raw,format=NV12" if jetson else "videoconvert"
    return (
        f"rtspsrc location={quoted(url)} protocols={transport} latency=100 drop-on-latency=true "
        f"! decodebin ! {convert} ! {SINK}"
    )


def custom_pipeline(pipeline: str) -> str:
    """The user's own `gst:PIPELINE`, up to raw video in any format."""
    return f"{pipeline.strip().rstrip('!').strip()} ! videoconvert ! {SINK}"


def quoted(text: str) -> str:
    """`text` as one value of a pipeline."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _span(text: str, factor: int, form: str) -> str:
    """`5` or `5-10` as libargus wants ranges: two numbers and a blank."""
    least, _, most = text.partition("-")
    return " ".join(format(float(value) * factor, form) for value in (least, most or least))
