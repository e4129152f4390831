"""The letterbox of `vision.letterbox` on the GPU: a frame's bytes go over, a kernel does the rest.

The kernel (letterbox.cu) repeats OpenCV's arithmetic: it differs from the CPU letterbox in no pixel
where the frame is scaled down, and by at most one of 255 grey levels where it is scaled up.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spotterd.data import Ints, Pixels, is_nv12
from spotterd.inference.cuda import Gpu
from spotterd.inference.cuda_slots import Binding, CudaSlot, Lane, page_aligned
from spotterd.vision.letterbox import PAD, Letterbox

SOURCE = Path(__file__).with_name("letterbox.cu")
WEIGHT_ONE = 1 << 11  # OpenCV's INTER_RESIZE_COEF_SCALE
BLOCK = (32, 8, 1)
PARAMETERS = "PiiPPPiiffi"  # pycuda's types of the kernel's parameters
GEOMETRIES = 8  # whose tables are kept; a board has fewer kinds of cameras

Taps = NDArray[np.int32]


def axis_taps(frame_side: int, scaled_side: int, offset: int, input_side: int) -> Taps:
    """Which two frame pixels make an input pixel, along one axis, and with which weights.

    The weights are those of OpenCV's `resize` (INTER_LINEAR, uint8), rounding included.

    Returns:
        (input_side, 4) int32: first, second, weight of first, weight of second; first is -1 in
        the padding.
    """
    scale = 1.0 / (scaled_side / frame_side)
    place = ((np.arange(scaled_side) + 0.5) * scale - 0.5).astype(np.float32)
    first: Ints = np.floor(place).astype(np.int64)
    beyond = place - first.astype(np.float32)
    beyond[(first < 0) | (first >= frame_side - 1)] = 0
    first = first.clip(0, frame_side - 1)
    taps: Taps = np.full((input_side, 4), -1, np.int32)
    inside = taps[offset : offset + scaled_side]
    inside[:, 0] = first
    inside[:, 1] = np.minimum(first + 1, frame_side - 1)
    inside[:, 2] = np.rint((np.float32(1) - beyond) * np.float32(WEIGHT_ONE))
    inside[:, 3] = np.rint(beyond * np.float32(WEIGHT_ONE))
    return taps


def taps(letterbox: Letterbox) -> tuple[Taps, Taps]:
    """Tables of the columns and of the rows."""
    frames, scaled, offsets = letterbox.frame_wh, letterbox.size_wh, letterbox.offset_xy
    columns, rows = (
        axis_taps(*axis)
        for axis in zip(frames, scaled, offsets, letterbox.input_hw[::-1], strict=True)
    )
    return columns, rows


class GpuLetterbox:
    """The kernel and its tables, in one context; current wherever this is used.

    Args:
        cache: folder for the compiled kernel.
        binding: the engine's input, float32 or float16.

    Raises:
        FallBackError: the kernel cannot be compiled here.
    """

    def __init__(self, gpu: Gpu, cache: Path, binding: Binding) -> None:
        self._drv = gpu.drv
        self._module = gpu.kernels(SOURCE, cache)
        self._kernels = [
            self._module.get_function(f"letterbox_{layout}_{binding.dtype}")
            for layout in ("bgr", "nv12")
        ]
        for kernel in self._kernels:
            kernel.prepare(PARAMETERS)
        self._tables: dict[Letterbox, tuple[Any, Any]] = {}

    def queue(self, frame: int, letterbox: Letterbox, out: int, stream: Any, *, nv12: bool) -> None:
        """Put the kernel on a stream.

        Args:
            frame: device address of a frame, rows without gaps.
            letterbox: for frames of that size.
            out: device address of the (1, 3, h, w) input.
            stream: pycuda's.
            nv12: the frame is that, not BGR.
        """
        columns, rows = self._tables_of(letterbox)
        (frame_width, frame_height), (height, width) = letterbox.frame_wh, letterbox.input_hw
        look = letterbox.preprocess
        grid = (-(-width // BLOCK[0]), -(-height // BLOCK[1]))
        scale = np.float32(look.scale)
        self._kernels[nv12].prepared_async_call(
            grid,
            BLOCK,
            stream,
            frame,
            frame_width * (1 if nv12 else 3),
            frame_height,
            int(columns),
            int(rows),
            out,
            width,
            height,
            scale,
            scale * np.float32(PAD),
            int(look.rgb),
        )

    def close(self) -> None:
        """Free the tables; nothing may be in flight."""
        for tables in self._tables.values():
            for table in tables:
                table.free()
        self._tables.clear()

    def _tables_of(self, letterbox: Letterbox) -> tuple[Any, Any]:
        if letterbox not in self._tables:
            if len(self._tables) == GEOMETRIES:
                self._drv.Context.synchronize()
                self.close()
            columns, rows = taps(letterbox)
            self._tables[letterbox] = self._uploaded(columns), self._uploaded(rows)
        return self._tables[letterbox]

    def _uploaded(self, table: Taps) -> Any:
        memory = self._drv.mem_alloc(table.nbytes)
        self._drv.memcpy_htod(memory, table)
        return memory


class CudaFrameSlot(CudaSlot):
    """A slot that also takes a whole frame, to be letterboxed on the GPU.

    Attributes:
        on_gpu: False: `take` declines, which has turned out to be faster here.
        letterbox: of the frame that was taken, until it is submitted.
        nv12: the frame that was taken is NV12, not BGR.
        staging: page-aligned bytes that the frame is copied through; grows with the frames.
    """

    def __init__(self, bindings: tuple[Binding, ...]) -> None:
        super().__init__(bindings)
        self.on_gpu = True
        self.letterbox: Letterbox | None = None
        self.nv12 = False
        self.staging: NDArray[np.uint8] = page_aligned((1,), np.dtype(np.uint8))
        self.staged_bytes = 0

    def take(self, pixels: Pixels, letterbox: Letterbox) -> bool:
        """Copy a frame; False where `input` is to be filled instead."""
        self.letterbox = None
        if not self.on_gpu:
            return False
        if self.staging.nbytes < pixels.nbytes:
            self.staging = page_aligned((pixels.nbytes,), np.dtype(np.uint8))
        np.copyto(self.staging[: pixels.nbytes].reshape(pixels.shape), pixels)
        self.staged_bytes = pixels.nbytes
        self.nv12 = is_nv12(pixels)
        self.letterbox = letterbox
        return True


class FrameLane(Lane):
    """A lane whose copy-in is a frame and a kernel, when its slot has taken a frame."""

    def __init__(
        self,
        gpu: Gpu,
        slot: CudaFrameSlot,
        bindings: tuple[Binding, ...],
        letterbox: GpuLetterbox,
        *,
        zero_copy: bool,
    ) -> None:
        self._frames = slot
        self._letterbox = letterbox
        self._input_name = next(b.name for b in bindings if b.is_input)
        self._locked: NDArray[np.uint8] | None = None
        self._frame: Any = 0  # where the GPU sees the staging memory, or its copy
        self._unlock: list[Callable[[], None]] = []
        super().__init__(gpu, slot, bindings, zero_copy=zero_copy)

    def copy_in(self) -> None:
        """Queue the frame's copy and the kernel, or the plain copy of the input."""
        letterbox, self._frames.letterbox = self._frames.letterbox, None
        if letterbox is None:
            super().copy_in()
            return
        if self._locked is not self._frames.staging:
            self._lock(self._frames.staging)
        if not self._zero_copy:
            staged = self._frames.staging[: self._frames.staged_bytes]
            self._drv.memcpy_htod_async(self._frame, staged, self.stream)
        out = self.addresses[self._input_name]
        nv12 = self._frames.nv12
        self._letterbox.queue(int(self._frame), letterbox, out, self.stream, nv12=nv12)

    def close(self) -> None:
        """Free everything; nothing may be in flight."""
        self._release_frame()
        super().close()

    def _lock(self, staging: NDArray[np.uint8]) -> None:
        """Follow staging memory that has grown; the old one is not in flight: the slot is ours."""
        self._release_frame()
        self._unlock.append(self._lib.lock_pages(staging.ctypes.data, staging.nbytes))
        if self._zero_copy:
            self._frame = self._lib.device_address(staging.ctypes.data)
        else:
            self._frame = self._drv.mem_alloc(staging.nbytes)
            self._unlock.append(self._frame.free)
        self._locked = staging

    def _release_frame(self) -> None:
        self._locked = None
        while self._unlock:
            self._unlock.pop()()
