"""Which `/dev/video*` a camera is today, and which of its modes to take. Pure, but for sysfs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from spotterd.camera.v4l2 import Mode
from spotterd.config.schema import Section
from spotterd.errors import BadInputError, RetryError

SYSFS = Path("/sys/class/video4linux")
LARGEST_WH = (1920, 1080)  # nobody asked for more: detectors look at 640 to 1280 pixels
ENOUGH_FPS = 25.0
# What a picture costs the CPU, relative: nothing to unpack, twice the bytes, a JPEG to decode.
COST = {"NV12": 1, "YUYV": 2, "MJPG": 6}
_USB = re.compile(r"(?i)^([0-9a-f]{4}):([0-9a-f]{4})(?::(.+))?$")


class UsbOptions(Section):
    """What may be written after `usb:0?` or `/dev/video0?`."""

    width: int | None = Field(None, ge=16, le=8192)
    height: int | None = Field(None, ge=16, le=8192)
    fps: float | None = Field(None, gt=0, le=1000)
    format: Literal["auto", "mjpg", "yuyv", "nv12"] = "auto"


@dataclass(frozen=True, slots=True)
class Device:
    """One video node as the kernel tells it.

    Attributes:
        node: `/dev/videoN`.
        name: of the product.
        index: number of the node within its camera; pictures usually come from 0.
        vendor, product, serial: of the USB device; empty for others.
    """

    node: Path
    name: str
    index: int
    vendor: str = ""
    product: str = ""
    serial: str = ""

    @property
    def usb(self) -> str:
        """`vendor:product[:serial]`, the name that stays when it is plugged in elsewhere."""
        parts = (self.vendor, self.product, self.serial)
        return ":".join(part for part in parts if part)


def devices(sysfs: Path = SYSFS) -> list[Device]:
    """Every video node, cameras in the order of their numbers."""
    if not sysfs.is_dir():
        return []
    found = sorted(sysfs.glob("video*"), key=lambda entry: int(entry.name.removeprefix("video")))
    return [_device(entry) for entry in found]


def _device(entry: Path) -> Device:
    usb = _usb_parent((entry / "device").resolve())
    return Device(
        Path("/dev") / entry.name,
        _read(entry / "name"),
        int(_read(entry / "index") or 0),
        *(_read(usb / key) if usb else "" for key in ("idVendor", "idProduct", "serial")),
    )


def _usb_parent(path: Path) -> Path | None:
    """The USB device above an interface; None for cameras of other buses."""
    return next((one for one in (path, *path.parents) if (one / "idVendor").is_file()), None)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def find_node(name: str, known: Sequence[Device]) -> Path:
    """The node of `0`, `046d:0825` or `046d:0825:SERIAL`, wherever it is plugged in now.

    Raises:
        BadInputError: `name` is none of these.
        RetryError: it is not plugged in.
    """
    if name.isdecimal():
        return Path(f"/dev/video{name}")
    asked = _USB.match(name)
    if asked is None:
        raise BadInputError(
            f"'usb:{name}' is not a camera: write usb:0 for /dev/video0, or usb:vendor:product "
            "as lsusb shows them."
        )
    vendor, product, serial = asked.groups()
    wanted = (vendor.lower(), product.lower())
    for device in sorted(known, key=lambda one: (one.index, str(one.node))):
        same = (device.vendor, device.product) == wanted
        if same and (serial is None or device.serial == serial):
            return device.node
    here = ", ".join(sorted({f"usb:{one.usb} ({one.name})" for one in known if one.vendor}))
    raise RetryError(f"No camera usb:{name} is plugged in. There is: {here or 'no USB camera'}.")


def choose_mode(modes: Sequence[Mode], options: UsbOptions) -> Mode | None:
    """The mode that fits best; None where the driver lists none that can be read.

    The size comes first (as asked, else the largest up to 1920x1080), then enough pictures a second
    (as asked, else 25), then what costs the CPU least, then the slowest that is enough.
    """
    wanted = options.format.upper()
    readable = [
        one for one in modes if one.format == wanted or (wanted == "AUTO" and one.format in COST)
    ]
    if not readable:
        return None
    enough = (options.fps or ENOUGH_FPS) * 0.99

    def rank(mode: Mode) -> tuple[float, ...]:
        short = max(0.0, enough - mode.fps)
        return (*_size_rank(mode, options), short, COST.get(mode.format, 9), mode.fps)

    return min(readable, key=rank)


def _size_rank(mode: Mode, options: UsbOptions) -> tuple[float, ...]:
    """Smaller is better."""
    if options.width or options.height:
        missed = abs(mode.width - (options.width or mode.width))
        return (missed + abs(mode.height - (options.height or mode.height)),)
    too_large = mode.width > LARGEST_WH[0] or mode.height > LARGEST_WH[1]
    area = mode.width * mode.height
    return (too_large, area if too_large else -area)
