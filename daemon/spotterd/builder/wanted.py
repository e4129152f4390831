"""From the configuration and this machine to the engine that is wanted."""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import onnxruntime as ort

from spotterd.builder import device
from spotterd.builder.identity import Identity, hash_of_hashes
from spotterd.builder.pictures import hash_of_folder
from spotterd.builder.ranges import shipped_ranges
from spotterd.builder.road import rungs
from spotterd.builder.road_onnx import OnnxRoad
from spotterd.builder.road_tensorrt import TensorRtRoad
from spotterd.builder.sidecar import Sidecar, Tried
from spotterd.builder.sources import Sources, folder_in_force, sources
from spotterd.builder.store import Engine, Store
from spotterd.config import schema
from spotterd.errors import FallBackError
from spotterd.inference.base import Backend, ModelInfo
from spotterd.inference.cuda import Gpu
from spotterd.inference.model import inspect, labels_of
from spotterd.inference.open import model_path
from spotterd.inference.trt_world import World, need_world
from spotterd.paths import state_dir

log = logging.getLogger(__name__)

PREPROCESSING = "letterbox, bilinear, pad 114, RGB or BGR as the model's head wants: 1"


@dataclass(frozen=True)
class Wanted:
    """What the configuration asks for on this machine.

    Attributes:
        identity: of the engine.
        model: the ONNX file.
        info: what it says of itself.
        labels: class names by index.
        detector: the configuration that it comes from, as is the next one.
        engines: as said.
        road: how to build and to run it.
    """

    identity: Identity
    model: Path
    info: ModelInfo
    labels: tuple[str, ...]
    detector: schema.Detector
    engines: schema.Engines
    road: OnnxRoad | TensorRtRoad

    @cached_property
    def calibration_key(self) -> str:
        """Of what calibration ranges depend on: neither precision nor flags."""
        return self.identity.model_copy(update={"precision": "", "flags": ()}).key

    def find(self) -> Engine | None:
        """The engine: kept, or where the road runs the model itself and no more is asked for, that.

        None: it has to be built.
        """
        if self.road.runs_models and rungs(self.engines.precision, self.road) == ["fp32"]:
            return Engine(None, _as_it_is(self.identity))
        return engine_store(self.engines).load(self.identity)

    def sources(self) -> Sources:
        """What there is to calibrate by; looks at every picture."""
        folder = folder_in_force(self.engines.calibration)
        return sources(folder, self.model, self.info.sha256)

    def open(self, engine: Engine) -> Backend:
        """Run an engine of this identity.

        Raises:
            FallBackError: it cannot run here.
        """
        return self.road.open(engine.path, engine.sidecar.precision)


def _as_it_is(identity: Identity) -> Sidecar:
    """Nothing was built."""
    return Sidecar(
        identity=identity,
        precision="fp32",
        tried=(Tried(precision="fp32"),),
        calibrated_by="",
        seconds=0.0,
        built_unix=0,
    )


def engine_store(engines: schema.Engines) -> Store:
    """Where built engines lie."""
    return Store(state_dir() / "engines", engines.max_bytes)


def want(detector: schema.Detector, engines: schema.Engines) -> Wanted:
    """What engine a configuration wants on this machine.

    Raises:
        BadInputError: the model or its labels cannot be used.
    """
    path = model_path(detector.model)
    info = inspect(path, detector.input_hw)
    labels = labels_of(info, detector.labels)
    here, runtime, road = _road(path, info, detector, engines)
    floor = engines.gate
    flags = {"gate": f"{floor.recall:g}/{floor.agreement:g}/{floor.score_shift:g}"}
    if isinstance(road, OnnxRoad):
        flags["threads"] = str(engines.threads)
    else:
        flags["dla_core"] = str(engines.dla_core)
    identity = Identity(
        model_sha256=info.sha256,
        labels=labels,
        input_hw=info.input_hw,
        preprocessing=PREPROCESSING,
        backend="onnxruntime" if isinstance(road, OnnxRoad) else "tensorrt",
        precision=engines.precision,
        flags=tuple(f"{name}={value}" for name, value in sorted(flags.items())),
        calibration=_calibrated_by(engines, path, info.sha256),
        runtime=runtime,
        device=here.name,
        capability=here.capability,
        driver=here.driver,
        system=here.system,
    )
    return Wanted(identity, path, info, labels, detector, engines, road)


def _calibrated_by(engines: schema.Engines, model: Path, model_sha256: str) -> str:
    """Hash of everything that INT8 could be calibrated by; "" where it is not asked for."""
    if engines.precision in {"fp16", "fp32"}:
        return ""
    hashes = [hash_of_folder(folder_in_force(engines.calibration))]
    ranges = shipped_ranges(model, model_sha256)
    if ranges is not None:
        hashes.append(hash_of_hashes([ranges.model_dump_json()]))
    return hash_of_hashes(hashes)


def _road(
    path: Path, info: ModelInfo, detector: schema.Detector, engines: schema.Engines
) -> tuple[device.Device, str, OnnxRoad | TensorRtRoad]:
    if engines.backend != "onnxruntime":
        try:
            return _tensorrt(path, info, engines)
        except FallBackError as error:
            level = logging.WARNING if engines.backend == "tensorrt" else logging.INFO
            log.log(level, "No TensorRT here: %s Taking ONNX Runtime.", error)
    road = OnnxRoad(path, info, detector, engines)
    providers = ", ".join(ort.get_available_providers())
    return device.cpu(), f"onnxruntime {ort.__version__} ({providers})", road


def _tensorrt(
    path: Path, info: ModelInfo, engines: schema.Engines
) -> tuple[device.Device, str, OnnxRoad | TensorRtRoad]:
    gpu = Gpu()  # first: to load TensorRT takes 120 MiB, also where there is nothing to run it on
    try:
        here = device.of_gpu(gpu)
    finally:
        gpu.close()
    world: World = need_world()
    return here, world.name, TensorRtRoad(world, path, info, engines)
