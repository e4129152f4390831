"""The little of V4L2 that OpenCV does not tell: formats, rates, controls (see videodev2.h)."""

import fcntl
import os
import struct
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spotterd.errors import RetryError

_READ, _WRITE = 2, 1
_VIDEO_CAPTURE = 0x1
_DEVICE_CAPS = 0x80000000
_NEXT_CONTROL = 0x80000000
_DISCRETE = 1


def _request(direction: int, number: int, size: int) -> int:
    """The number of an ioctl, as _IOC of asm-generic/ioctl.h makes it."""
    return direction << 30 | size << 16 | ord("V") << 8 | number


_QUERYCAP = struct.Struct("16s32s32s3I12x")
_FMTDESC = struct.Struct("3I32sI16x")
_FRMSIZE = struct.Struct("3I24s8x")
_FRMIVAL = struct.Struct("5I24s8x")
_QUERYCTRL = struct.Struct("2I32s4iI8x")
_CONTROL = struct.Struct("Ii")

VIDIOC_QUERYCAP = _request(_READ, 0, _QUERYCAP.size)
VIDIOC_ENUM_FMT = _request(_READ | _WRITE, 2, _FMTDESC.size)
VIDIOC_S_CTRL = _request(_READ | _WRITE, 28, _CONTROL.size)
VIDIOC_QUERYCTRL = _request(_READ | _WRITE, 36, _QUERYCTRL.size)
VIDIOC_ENUM_FRAMESIZES = _request(_READ | _WRITE, 74, _FRMSIZE.size)
VIDIOC_ENUM_FRAMEINTERVALS = _request(_READ | _WRITE, 75, _FRMIVAL.size)

_INTERVALS = (VIDIOC_ENUM_FRAMEINTERVALS, _FRMIVAL)


@dataclass(frozen=True, slots=True, order=True)
class Mode:
    """One way a camera can give pictures; `format` is V4L2's four letters (MJPG, YUYV, NV12)."""

    format: str
    width: int
    height: int
    fps: float

    def __str__(self) -> str:
        return f"{self.format} {self.width}x{self.height} {self.fps:g} fps"


@dataclass(frozen=True, slots=True)
class Control:
    """One thing that can be set, named as `v4l2-ctl -l` names it."""

    id: int
    name: str
    least: int
    most: int
    default: int

    def __str__(self) -> str:
        return f"{self.name} {self.least}..{self.most} ({self.default})"


@contextmanager
def opened(node: Path) -> Iterator[int]:
    """The device as a file descriptor; does not disturb whoever captures from it.

    Raises:
        RetryError: it is gone, or its driver refuses.
    """
    try:
        fd = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise RetryError(f"{node} cannot be opened: {error.strerror}.") from error
    try:
        yield fd
    finally:
        os.close(fd)


def captures(fd: int) -> bool:
    """Whether this node gives pictures (cameras have others, for metadata)."""
    data = bytearray(_QUERYCAP.size)
    try:
        fcntl.ioctl(fd, VIDIOC_QUERYCAP, data)
    except OSError:
        return False
    *_, _version, all_caps, own_caps = _QUERYCAP.unpack(data)
    return bool((own_caps if all_caps & _DEVICE_CAPS else all_caps) & _VIDEO_CAPTURE)


def modes(fd: int, formats: Container[str] | None = None) -> list[Mode]:
    """Every discrete mode, and the largest and fastest of ranges; of these formats, or of all."""
    found = []
    for answer in _enumerate(fd, VIDIOC_ENUM_FMT, _FMTDESC, 0, _VIDEO_CAPTURE):
        fourcc = answer[4]
        name = fourcc.to_bytes(4, "little").decode("ascii", "replace").strip()
        if formats is not None and name not in formats:
            continue
        for *_, kind, raw in _enumerate(fd, VIDIOC_ENUM_FRAMESIZES, _FRMSIZE, 0, fourcc):
            width, height = _size(kind, raw)
            asked = (0, fourcc, width, height)
            rates = [_fps(one[-1]) for one in _enumerate(fd, *_INTERVALS, *asked)]
            found += [Mode(name, width, height, fps) for fps in rates or [0.0]]
    return found


def controls(fd: int) -> list[Control]:
    """Everything that can be set."""
    found: list[Control] = []
    number = 0
    while True:
        data = bytearray(_QUERYCTRL.size)
        struct.pack_into("I", data, 0, number | _NEXT_CONTROL)
        try:
            fcntl.ioctl(fd, VIDIOC_QUERYCTRL, data)
        except OSError:
            return found
        number, _type, raw, least, most, _step, default, _flags = _QUERYCTRL.unpack(data)
        found.append(Control(number, control_name(_text(raw)), least, most, default))


def set_control(fd: int, control: Control, value: int) -> None:
    """Set one control; OSError where the driver refuses."""
    fcntl.ioctl(fd, VIDIOC_S_CTRL, _CONTROL.pack(control.id, value))


def control_name(title: str) -> str:
    """`White Balance, Automatic` -> `white_balance_automatic`, as `v4l2-ctl` does."""
    letters = "".join(c if c.isalnum() else " " for c in title)
    return "_".join(letters.lower().split())


def _enumerate(
    fd: int, request: int, layout: struct.Struct, *head: int
) -> Iterator[tuple[Any, ...]]:
    """Ask with index 0, 1, 2 ... until the driver says that there is no more."""
    index = 0
    while True:
        data = bytearray(layout.size)
        struct.pack_into(f"{len(head)}I", data, 0, index, *head[1:])
        try:
            fcntl.ioctl(fd, request, data)
        except OSError:
            return
        yield layout.unpack(data)
        index += 1


def _size(kind: int, raw: bytes) -> tuple[int, int]:
    """Width and height; of a range the largest."""
    numbers = struct.unpack("6I", raw)
    return (numbers[0], numbers[1]) if kind == _DISCRETE else (numbers[1], numbers[4])


def _fps(raw: bytes) -> float:
    """Pictures per second; of a range (shortest interval first) the fastest."""
    numerator, denominator = struct.unpack_from("2I", raw)
    return round(denominator / numerator, 3) if numerator else 0.0


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8", "replace")
