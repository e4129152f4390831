"""A real fault: the engine's next run on a slot writes where nothing is."""

from functools import partial
from typing import Any

from spotterd.inference.base import Slot
from spotterd.inference.cuda_backend import CudaBackend

NOWHERE = 16


def poison(backend: CudaBackend, slot: Slot) -> None:
    """Let the slot's next run fault, in plain kernels instead of its graph."""
    engine: Any = backend._loaded._engine
    lane = backend._loaded.lanes[slot]
    lane.addresses["output0"] = NOWHERE
    lane.run = partial(engine.enqueue, lane.addresses, lane.stream.handle)
