"""The protocol every backend speaks: lend an input slot, run it, lend its outputs.

A slot owns one input array and, once waited for, the outputs. The pre-processor writes INTO
`slot.input`; nobody rebinds it (on CUDA it is pinned memory that an asynchronous copy reads).
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from spotterd.config.schema import Precision
from spotterd.data import Floats, Pixels
from spotterd.vision.letterbox import Letterbox


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model says of itself.

    Attributes:
        name: file name without its suffix.
        sha256: of the model's bytes, hex.
        labels: class names by index, as in the metadata; empty where the model has none.
        input_hw: height and width of the input in pixels.
        output_shapes: shape of every output, in the model's order; -1 where only a run can tell.
        metadata: the ONNX metadata, as it is.
    """

    name: str
    sha256: str
    labels: tuple[str, ...]
    input_hw: tuple[int, int]
    output_shapes: tuple[tuple[int, ...], ...]
    metadata: dict[str, str]


class Slot(Protocol):
    """One inference in flight."""

    @property
    def input(self) -> Floats:
        """(1, 3, h, w) float32, C-contiguous, the same memory for the slot's whole life."""

    @property
    def outputs(self) -> tuple[Floats, ...]:
        """The model's outputs; valid from `Backend.wait` until `Backend.release`."""


@runtime_checkable
class FrameSlot(Slot, Protocol):
    """A slot whose device can do the letterboxing."""

    def take(self, pixels: Pixels, letterbox: Letterbox) -> bool:
        """Take a frame instead of an input; False: it declines, fill `input`.

        The pixels are copied before it returns.
        """


class Backend(Protocol):
    """Runs one model. Used by one thread, except `release`, which any thread may call."""

    name: str  # "onnxruntime", "tensorrt"
    device: str  # what people call it: "CPU, 2 threads", "Orin"
    precision: Precision
    model: ModelInfo
    slots: int  # two at least: one to infer, one to read

    def acquire(self) -> Slot:
        """A free slot; waits until one is released."""

    def submit(self, slot: Slot) -> None:
        """Start the inference of a filled slot; may return before it is done."""

    def wait(self, slot: Slot) -> None:
        """Return when the slot's outputs are there."""

    def release(self, slot: Slot) -> None:
        """Give a slot back once its outputs have been read."""

    def close(self) -> None:
        """Free everything; slots must not be used after."""
