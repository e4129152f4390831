"""The backend that runs everywhere: ONNX Runtime, on the CPU or through its GPU providers."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal, TypeAlias

import numpy as np
import onnxruntime as ort

from spotterd.config.schema import Precision
from spotterd.data import Floats
from spotterd.errors import FallBackError
from spotterd.inference.base import Slot
from spotterd.inference.model import ORT_ERRORS, describe, load, short
from spotterd.memory import return_freed

Provider: TypeAlias = Literal["CPU", "CUDA", "Tensorrt"]


@dataclass(frozen=True, slots=True, eq=False)
class OnnxSlot:
    """Arrays of this process that ONNX Runtime reads and writes in place."""

    input: Floats
    outputs: tuple[Floats, ...]


class OnnxBackend:
    """Runs an ONNX file; `submit` returns when the outputs are there.

    Args:
        path: the model.
        precision: of the file's arithmetic (inputs and outputs are float32 in any case).
        threads: CPU threads for one inference; 0: all cores this process may use.
        input_hw: the wanted input, for a model of dynamic size; None: the model's own.
        provider: which of ONNX Runtime's execution providers does the work.
        slots: how many frames can be in the works at once.
        cache: folder where the TensorRT provider keeps what it takes minutes to build.

    Raises:
        BadInputError: the file is not a usable model.
        FallBackError: the provider is not there, or cannot run this model.
    """

    name = "onnxruntime"

    def __init__(
        self,
        path: Path,
        *,
        precision: Precision = "fp32",
        threads: int = 0,
        input_hw: tuple[int, int] | None = None,
        provider: Provider = "CPU",
        slots: int = 2,
        cache: Path | None = None,
    ) -> None:
        threads = threads or len(os.sched_getaffinity(0))
        self._session = load(path, _options(threads), _providers(provider, cache))
        if provider != "CPU" and self._session.get_providers()[0] != f"{provider}ExecutionProvider":
            # ONNX Runtime takes the next one by itself, and says so only in its log.
            raise FallBackError(f"ONNX Runtime could not start {provider} for {path}.")
        self.precision: Precision = precision
        self.device = provider if provider != "CPU" else f"CPU, {threads} threads"
        self.slots = slots
        model = describe(self._session, path, input_hw)
        # Only a run tells dynamic shapes for sure; it also pays for what is allocated lazily.
        first = self._first_run(model.input_hw)
        self.model = replace(model, output_shapes=tuple(output.shape for output in first))
        return_freed()  # loading took twice the model's size for a moment: 25 MB of sky
        self._free: SimpleQueue[Slot] = SimpleQueue()
        self._bindings: dict[Slot, Any] = {}
        for _ in range(slots):
            slot = self._slot()
            self._bindings[slot] = self._bound(slot)
            self._free.put(slot)

    def acquire(self) -> Slot:
        """A free slot; waits until one is released."""
        return self._free.get()

    def submit(self, slot: Slot) -> None:
        """Run the inference of a filled slot.

        Raises:
            FallBackError: ONNX Runtime failed.
        """
        try:
            self._session.run_with_iobinding(self._bindings[slot])
        except ORT_ERRORS as error:
            raise self._failed(error) from error

    def wait(self, slot: Slot) -> None:
        """Nothing to wait for: `submit` has done it all."""

    def release(self, slot: Slot) -> None:
        """Give a slot back once its outputs have been read."""
        self._free.put(slot)

    def close(self) -> None:
        """Free the network; slots must not be used after. Safe to call twice."""
        self._bindings.clear()
        self._session = None
        return_freed()

    def _first_run(self, input_hw: tuple[int, int]) -> list[Floats]:
        picture = np.zeros((1, 3, *input_hw), np.float32)
        name = self._session.get_inputs()[0].name
        try:
            outputs: list[Floats] = self._session.run(None, {name: picture})
        except ORT_ERRORS as error:
            raise self._failed(error) from error
        return outputs

    def _failed(self, error: Exception) -> FallBackError:
        return FallBackError(
            f"ONNX Runtime ({self.device}) failed to run the model: {short(error)}."
        )

    def _slot(self) -> OnnxSlot:
        picture = np.zeros((1, 3, *self.model.input_hw), np.float32)
        outputs = (np.zeros(shape, np.float32) for shape in self.model.output_shapes)
        return OnnxSlot(picture, tuple(outputs))

    def _bound(self, slot: OnnxSlot) -> Any:
        """A binding that points at the slot's arrays for ever."""
        binding = self._session.io_binding()
        _bind(binding.bind_input, self._session.get_inputs()[0].name, slot.input)
        for tensor, output in zip(self._session.get_outputs(), slot.outputs, strict=True):
            _bind(binding.bind_output, tensor.name, output)
        return binding


def _bind(bind: Any, name: str, array: Floats) -> None:
    bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)


def _options(threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    # Idle threads of ONNX Runtime spin by default: a whole core for nothing between two frames.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The arena stays on: without it sky takes 60 MB less, but 80 ms instead of 55 (page faults).
    # The plan for it goes: made from what the first run took, it is held beside that, 16 MiB of
    # sky, and saves no time that can be measured.
    options.enable_mem_pattern = False
    return options


def _providers(provider: Provider, cache: Path | None) -> list[Any]:
    """The wanted one, and who does what it cannot."""
    wanted = f"{provider}ExecutionProvider"
    if wanted not in ort.get_available_providers():
        raise FallBackError(
            f"This ONNX Runtime ({ort.__version__}) has no {wanted}; JetPack's onnxruntime-gpu has."
        )
    if provider == "Tensorrt":
        return [(wanted, _engine_cache(cache)), "CUDAExecutionProvider", "CPUExecutionProvider"]
    return list(dict.fromkeys([wanted, "CPUExecutionProvider"]))


def _engine_cache(folder: Path | None) -> dict[str, str]:
    if folder is None:
        return {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FallBackError(f"Cannot make the folder {folder}: {error.strerror}.") from error
    return {"trt_engine_cache_enable": "True", "trt_engine_cache_path": str(folder)}
