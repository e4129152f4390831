"""`spotterd` on a GPU whose frames fault; only TensorRT is not NVIDIA's (see standins.trt_gpu).

python faulty_daemon.py CONFIG engine         puts an engine where a build would have put it
python faulty_daemon.py CONFIG N              runs the daemon; its Nth frame faults, 0: none
"""

import itertools
import sys
import time
from pathlib import Path

from gpu.poison import poison
from spotterd.builder import wanted
from spotterd.builder.sidecar import Sidecar, Tried
from spotterd.cli.main import main
from spotterd.config.load import Given
from spotterd.inference.base import Slot
from spotterd.inference.cuda_backend import CudaBackend
from spotterd.inference.trt_world import world_of
from standins import trt_gpu

FAULT = "The fault is here:"


def put_engine(path: Path) -> None:
    """A plan of a few small kernels, of the model's shapes."""
    config = Given.read(path, {}).with_overlay({})
    asked = wanted.want(config.detector, config.engines)
    assert asked.identity.backend == "tensorrt", asked.identity
    store = wanted.engine_store(config.engines)
    sidecar = Sidecar(
        identity=asked.identity,
        precision="fp32",
        tried=(Tried(precision="fp32"),),
        calibrated_by="",
        seconds=0.0,
        built_unix=0,
    )
    with store.workfile(".plan") as file:
        shapes = (1, 3, *asked.info.input_hw), asked.info.output_shapes[0]
        file.write_bytes(trt_gpu.plan(*shapes, layers=4, flops=1e6))
        store.save(file, sidecar)


def fault_at(number: int) -> None:
    """Let the Nth frame write where nothing is, and say when."""
    frames, submit = itertools.count(1), CudaBackend.submit

    def submit_or_fault(backend: CudaBackend, slot: Slot) -> None:
        if next(frames) == number:
            poison(backend, slot)
            print(FAULT, time.monotonic(), file=sys.stderr, flush=True)
        submit(backend, slot)  # type: ignore[arg-type]

    CudaBackend.submit = submit_or_fault  # type: ignore[assignment,method-assign]


if __name__ == "__main__":
    config, what = Path(sys.argv[1]), sys.argv[2]
    wanted.need_world = lambda: world_of(trt_gpu)
    if what == "engine":
        put_engine(config)
    else:
        fault_at(int(what))
        sys.argv = ["spotterd", "run", "--config", str(config), "--for", "60"]
        main()
