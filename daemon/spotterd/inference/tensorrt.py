"""TensorRT engines of both worlds on a GPU.

Both are run alike: named tensors, `execute_async_v3`; types and shapes are read from the engine.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from spotterd.config.schema import Engines, Precision
from spotterd.errors import BadInputError, FallBackError
from spotterd.inference.base import ModelInfo
from spotterd.inference.cuda import MIB, Gpu, GpuFault
from spotterd.inference.cuda_backend import CudaBackend
from spotterd.inference.cuda_loaded import Recipe
from spotterd.inference.cuda_slots import Binding
from spotterd.inference.trt_world import World

REBUILD = "Delete it so that it is built again."


class TrtEngine:
    """A deserialized plan with one execution context. Needs the CUDA context to be current.

    Args:
        world: the TensorRT to run it.
        plan: the plan's bytes.
        name: of the plan, for messages.
        input_hw: wanted height and width; only engines with a dynamic input have a choice.

    Raises:
        FallBackError: foreign or broken plan, not enough memory, or no such input size.
    """

    def __init__(self, world: World, plan: bytes, name: str, input_hw: tuple[int, int]) -> None:
        self._world = world
        self._name = name
        world.log.take_errors()  # of somebody else
        self._runtime: Any = world.trt.Runtime(world.log.native)
        self._engine: Any = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise world.error(f"The engine {name} cannot be loaded", REBUILD)
        self._context: Any = self._engine.create_execution_context()
        scratch = _scratch_bytes(self._engine)
        if self._context is None:
            raise world.error(
                f"The engine {name} cannot get its {scratch / MIB:.1f} MiB of scratch memory",
                "Stop other programs that use the GPU, or use a smaller model or input_size.",
            )
        self.device_bytes = scratch + len(plan)
        self._fix_shape(input_hw)
        self.bindings = self._read_bindings()

    def enqueue(self, addresses: Mapping[str, int], stream: int) -> None:
        """Put one run on a stream.

        Raises:
            GpuFault: TensorRT refused it.
        """
        for tensor, address in addresses.items():
            self._context.set_tensor_address(tensor, address)
        if not self._context.execute_async_v3(stream):
            why = self._world.log.take_errors() or "no reason given"
            raise GpuFault(f"TensorRT refused to run {self._name}: {why}")

    def close(self) -> None:
        """Free it: context before engine before runtime, as TensorRT asks."""
        self._context = None
        self._engine = None
        self._runtime = None

    def _names(self) -> list[str]:
        engine = self._engine
        return [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]

    def _is_input(self, name: str) -> bool:
        mode: bool = self._engine.get_tensor_mode(name) == self._world.trt.TensorIOMode.INPUT
        return mode

    def _fix_shape(self, input_hw: tuple[int, int]) -> None:
        """Settle what is dynamic, and refuse what is not one picture of the wanted size."""
        inputs = [name for name in self._names() if self._is_input(name)]
        wanted = (1, 3, *input_hw)
        shapes = {name: tuple(self._engine.get_tensor_shape(name)) for name in inputs}
        fits = len(inputs) == 1 and all(
            len(shape) == len(wanted)
            and all(a in (-1, b) for a, b in zip(shape, wanted, strict=True))
            for shape in shapes.values()
        )
        if not fits:
            raise FallBackError(
                f"The engine {self._name} takes {shapes}, not one picture of {wanted}. {REBUILD}"
            )
        if -1 in shapes[inputs[0]] and not self._context.set_input_shape(inputs[0], wanted):
            low, _, high = self._engine.get_tensor_profile_shape(inputs[0], 0)
            raise self._world.error(
                f"The engine {self._name} was built for inputs from {tuple(low)} to {tuple(high)}, "
                f"not {wanted}",
                f"Choose a detector.input_size between them. {REBUILD}",
            )

    def _read_bindings(self) -> tuple[Binding, ...]:
        """Inputs and outputs; shapes are the context's, where nothing is dynamic any more."""
        nptype = self._world.trt.nptype
        bindings = tuple(
            Binding(
                name,
                tuple(int(side) for side in self._context.get_tensor_shape(name)),
                np.dtype(nptype(self._engine.get_tensor_dtype(name))),
                self._is_input(name),
            )
            for name in self._names()
        )
        unsized = [b.name for b in bindings if -1 in b.shape]
        if unsized:
            raise FallBackError(
                f"The engine {self._name} has outputs whose size depends on the picture "
                f"({', '.join(unsized)}). Export the model without NMS inside."
            )
        return bindings


def _scratch_bytes(engine: Any) -> int:
    """Device memory of one execution context; the name has changed once."""
    for name in ("device_memory_size_v2", "device_memory_size"):
        size = getattr(engine, name, None)
        if size is not None:
            return int(size)
    return 0


def open_tensorrt(
    world: World,
    plan: Path,
    model: ModelInfo,
    precision: Precision,
    *,
    engines: Engines,
    kernels: Path,
) -> CudaBackend:
    """Load a plan that the store has found to be the wanted one.

    Args:
        world: the TensorRT that built it.
        plan: its file.
        model: of the ONNX that it was built from.
        precision: what it was built for.
        engines: how to run it.
        kernels: folder that keeps the compiled letterbox.

    Raises:
        BadInputError: the file cannot be read.
        FallBackError: no GPU, or the engine cannot run on it.
    """
    try:
        content = plan.read_bytes()
    except OSError as error:
        raise BadInputError(
            f"Cannot read the engine {plan}: {error.strerror}. Check its permissions."
        ) from error
    gpu = Gpu()
    recipe = Recipe(
        partial(TrtEngine, world, content, plan.name, model.input_hw),
        engines.slots,
        zero_copy=engines.zero_copy == "on" or (engines.zero_copy == "auto" and gpu.integrated),
        kernels=None if engines.letterbox == "cpu" else kernels,
    )
    backend = CudaBackend(gpu, recipe, model, precision)
    if engines.letterbox == "auto":
        backend.choose_letterbox()
    return backend
