"""Real faults, for what has to notice them: in the next run of the engine on a slot."""

from functools import partial
from typing import Any

from spotterd.inference.base import Slot
from spotterd.inference.cuda_backend import CudaBackend

NOWHERE = 16
LEFT: list[Any] = []  # blocks of the GPU's memory that outlast their context


def poison(backend: CudaBackend, slot: Slot) -> None:
    """Let it write where nothing is."""
    _redirect(backend, slot, "output0", NOWHERE)


def forget(backend: CudaBackend, slot: Slot) -> int:
    """Let it read a block that nobody has written and nobody gives back; its bytes."""
    nbytes = backend._loaded.slots[0].input.nbytes
    with backend._gpu:
        LEFT.append(backend._gpu.drv.mem_alloc(nbytes))
    _redirect(backend, slot, "images", int(LEFT[-1]))
    return nbytes


def _redirect(backend: CudaBackend, slot: Slot, name: str, address: int) -> None:
    """In plain kernels instead of the graph, which keeps its addresses."""
    engine: Any = backend._loaded._engine
    lane = backend._loaded.lanes[slot]
    lane.addresses[name] = address
    lane.run = partial(engine.enqueue, lane.addresses, lane.stream.handle)
