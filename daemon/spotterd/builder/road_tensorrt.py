"""TensorRT on this GPU, on the road that its world allows.

1. With a calibrator (TensorRT <= 10): `IInt8EntropyCalibrator2` reads the letterboxed pictures.
2. Without (TensorRT 11, TensorRT-RTX), and where there are ranges but no pictures: explicit
   Quantize/Dequantize in the ONNX, FP16 between them.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spotterd.builder.calibration import Calibration
from spotterd.builder.graph import load
from spotterd.builder.halve import halve
from spotterd.builder.plan import Feed, Plan, Settings, build_plan
from spotterd.builder.progress import Report, part
from spotterd.builder.quantize import for_tensorrt
from spotterd.config.schema import Engines, Precision
from spotterd.data import Floats
from spotterd.errors import FallBackError
from spotterd.inference.base import Backend, ModelInfo
from spotterd.inference.cuda import Gpu
from spotterd.inference.tensorrt import open_tensorrt
from spotterd.inference.trt_world import World
from spotterd.paths import state_dir

log = logging.getLogger(__name__)

WORKSPACE_SHARE = 0.5  # of the memory that is free when the build begins
WORKSPACE_TRIES = 3  # each with half of the one before


@dataclass(frozen=True, slots=True)
class TensorRtRoad:
    """One TensorRT and one GPU.

    Attributes:
        workspace_share: of the free memory; less after a build was killed.
    """

    world: World
    model: Path
    info: ModelInfo
    engines: Engines
    workspace_share: float = WORKSPACE_SHARE
    ladder: tuple[Precision, ...] = ("int8", "fp16", "fp32")
    suffix: str = ".plan"
    races: bool = False

    def smaller(self) -> "TensorRtRoad | None":
        """As `Road.smaller`: half of the workspace, once."""
        if self.workspace_share < WORKSPACE_SHARE:
            return None
        return replace(self, workspace_share=self.workspace_share / 2)

    def make(
        self, precision: Precision, calibration: Calibration, out: Path, report: Report
    ) -> bool:
        """As `Road.make`."""
        own = precision == "int8" and self.world.has_calibrator and calibration.found.pictures
        model = self._network(precision, calibration, part(report, 0.0, 0.4), explicit=not own)
        gpu = Gpu()
        try:
            with gpu:
                settings = Settings(
                    precision,
                    workspace_bytes=int(gpu.memory().free * self.workspace_share),
                    dla_core=self.engines.dla_core,
                    feed=_feed(calibration, gpu, part(report, 0.0, 0.4)) if own else None,
                    timings=calibration.kept("timings"),
                )
                plan = self._built(model, settings, part(report, 0.4, 1))
        except gpu.errors as error:
            raise FallBackError(f"the GPU failed: {error}") from error
        finally:
            gpu.close()
        out.write_bytes(plan.data)
        calibration.keep("timings", plan.timings)
        return True

    def _network(
        self, precision: Precision, calibration: Calibration, report: Report, *, explicit: bool
    ) -> bytes:
        """The ONNX to give to the builder; `explicit`: it says the precision itself."""
        model = load(self.model, self.info.input_hw)
        if explicit and precision == "int8":
            model = for_tensorrt(model, calibration.ranges(for_tensorrt, report).ranges)
        if precision != "fp32" and not self.world.has_precision_flags:
            model = halve(model)
        return bytes(model.SerializeToString())

    def _built(self, model: bytes, settings: Settings, report: Report) -> Plan:
        """Build; where the memory does not do, with half of the workspace, twice."""
        for attempt in range(WORKSPACE_TRIES):
            smaller = replace(settings, workspace_bytes=settings.workspace_bytes >> attempt)
            try:
                return build_plan(self.world, model, smaller, report)
            except FallBackError as error:
                if "memory" not in str(error).lower() or attempt == WORKSPACE_TRIES - 1:
                    raise
                log.warning("%s Trying with half of the workspace.", error)
        raise AssertionError("unreachable")

    def open(self, path: Path | None, precision: Precision) -> Backend:
        """As `Road.open`."""
        if path is None:
            raise FallBackError("TensorRT cannot run an ONNX file as it is")
        return open_tensorrt(
            self.world,
            path,
            self.info,
            precision,
            engines=self.engines,
            kernels=state_dir() / "kernels",
        )


def _feed(calibration: Calibration, gpu: Gpu, report: Report) -> Feed:
    """Pictures for TensorRT's calibrator, each copied to one buffer on the device."""
    drv = gpu.drv
    buffers: list[Any] = []
    total = len(calibration.found.pictures)

    def upload(picture: Floats) -> int:
        if not buffers:
            buffers.append(drv.mem_alloc(picture.nbytes))
        drv.memcpy_htod(buffers[0], picture)
        return int(buffers[0])

    return Feed(
        inputs=counted(calibration.inputs(), total, report),
        upload=upload,
        kept=calibration.kept("calibration"),
        keep=lambda cache: calibration.keep("calibration", cache),
    )


def counted(inputs: Iterator[Floats], total: int, report: Report) -> Iterator[Floats]:
    """The same arrays, told about one by one."""
    for done, picture in enumerate(inputs, start=1):
        yield picture
        report(done / total, f"calibrating, picture {done} of {total}")
