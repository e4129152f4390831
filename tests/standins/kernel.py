"""Stand-in for the compiled letterbox kernel: the arithmetic of letterbox.cu, in NumPy.

A test holds it equal to the kernel's own source, which a C++ compiler builds for the host.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def bgr(pixels: NDArray[np.uint8], width: int, height: int) -> Ints:
    """Interleaved bytes -> (h, w, 3)."""
    return pixels.reshape(height, width, 3).astype(np.int64)


def nv12(pixels: NDArray[np.uint8], width: int, height: int) -> Ints:
    """A Y plane and interleaved U, V of half the size -> (h, w, 3) blue, green, red."""
    planes = pixels.reshape(height * 3 // 2, width).astype(np.int64)
    grey = (planes[:height] - 16).clip(0) * 1220542 + (1 << 19)
    halves = planes[height:].reshape(height // 2, width // 2, 2) - 128
    u, v = np.moveaxis(halves.repeat(2, axis=0).repeat(2, axis=1), 2, 0)
    colours = (2116026 * u, -852492 * v - 409993 * u, 1673527 * v)
    return np.stack([((grey + colour) >> 20).clip(0, 255) for colour in colours], axis=2)


def letterbox(
    image: Ints,
    columns: NDArray[np.int32],
    rows: NDArray[np.int32],
    scale: np.float32,
    pad: np.float32,
    *,
    swap: bool,
) -> NDArray[np.float32]:
    """(h, w, 3) -> (3, rows, columns), as one launch of the kernel."""
    x, y = columns.astype(np.int64), rows.astype(np.int64)
    right = x[:, 2, None], x[:, 3, None]
    lines = image[:, x[:, 0]] * right[0] + image[:, x[:, 1]] * right[1]
    north, south = lines[y[:, 0]] >> 4, lines[y[:, 1]] >> 4
    down = y[:, 2, None, None], y[:, 3, None, None]
    value = ((down[0] * north >> 16) + (down[1] * south >> 16) + 2) >> 2
    out = value.astype(np.float32) * scale
    out[y[:, 0] < 0] = pad
    out[:, x[:, 0] < 0] = pad
    return np.ascontiguousarray(np.moveaxis(out[..., ::-1] if swap else out, 2, 0))


def launch(name: str, device: Any, arguments: tuple[Any, ...]) -> None:
    """Run the kernel `name` on the memory of a stand-in GPU."""
    frame, pitch, height, columns, rows, out, width, lines, scale, pad, swap = arguments
    _, layout, dtype = name.split("_")
    decode, pixels = (bgr, 3) if layout == "bgr" else (nv12, 1)
    frame_width = pitch // pixels
    size = frame_width * height * 3 // (1 if layout == "bgr" else 2)
    tables = [
        device.bytes_at(int(table), 16 * side).view(np.int32).reshape(side, 4)
        for table, side in ((columns, width), (rows, lines))
    ]
    image = decode(device.bytes_at(int(frame), size), frame_width, height)
    made = letterbox(image, tables[0], tables[1], scale, pad, swap=bool(swap)).astype(dtype)
    device.bytes_at(int(out), made.nbytes)[:] = made.reshape(-1).view(np.uint8)
