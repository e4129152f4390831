"""Makes TensorRT plans, on the road that the world allows.

1. With a calibrator (TensorRT <= 10): `IInt8EntropyCalibrator2` reads the letterboxed pictures.
2. Without (TensorRT 11, TensorRT-RTX), and where there are ranges but no pictures: explicit
   Quantize/Dequantize in the ONNX, FP16 between them.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from spotterd.builder.calibration import Calibration
from spotterd.builder.graph import load
from spotterd.builder.halve import halve
from spotterd.builder.made import Made
from spotterd.builder.plan import Feed, Plan, Settings, build_plan
from spotterd.builder.progress import Report, part
from spotterd.builder.quantize import for_tensorrt
from spotterd.builder.ranges import Ranges
from spotterd.builder.road_tensorrt import TensorRtRoad
from spotterd.config.schema import Precision
from spotterd.data import Floats
from spotterd.errors import FallBackError
from spotterd.inference.cuda import Gpu
from spotterd.inference.trt_world import World

log = logging.getLogger(__name__)

WORKSPACE_TRIES = 3  # each with half of the one before


def make_plan(
    road: TensorRtRoad, precision: Precision, calibration: Calibration, out: Path, report: Report
) -> Made:
    """As `make.make`."""
    own = precision == "int8" and road.world.has_calibrator and calibration.found.pictures
    ranges = None
    if precision == "int8" and not own:
        ranges = calibration.ranges(for_tensorrt, part(report, 0.0, 0.4))
    model = _network(road, precision, ranges)
    gpu = Gpu()
    try:
        with gpu:
            settings = Settings(
                precision,
                workspace_bytes=int(gpu.memory().free * road.workspace_share),
                dla_core=road.engines.dla_core,
                feed=_feed(calibration, gpu, part(report, 0.0, 0.4)) if own else None,
                timings=calibration.kept("timings"),
            )
            plan = _built(road.world, model, settings, part(report, 0.4, 1))
    except gpu.errors as error:
        raise FallBackError(f"the GPU failed: {error}") from error
    finally:
        gpu.close()
    out.write_bytes(plan.data)
    calibration.keep("timings", plan.timings)
    return Made(calibration.found.words(ranges) if precision == "int8" else "")


def _network(road: TensorRtRoad, precision: Precision, ranges: Ranges | None) -> bytes:
    """The ONNX to give to the builder; with ranges, it says itself what is INT8."""
    model = load(road.model, road.info.input_hw)
    if ranges is not None:
        model = for_tensorrt(model, ranges.ranges)
    if precision != "fp32" and not road.world.has_precision_flags:
        model = halve(model)
    return bytes(model.SerializeToString())


def _built(world: World, model: bytes, settings: Settings, report: Report) -> Plan:
    """Build; where the memory does not do, with half of the workspace, twice."""
    for attempt in range(WORKSPACE_TRIES):
        smaller = replace(settings, workspace_bytes=settings.workspace_bytes >> attempt)
        try:
            return build_plan(world, model, smaller, report)
        except FallBackError as error:
            if "memory" not in str(error).lower() or attempt == WORKSPACE_TRIES - 1:
                raise
            log.warning("%s Trying with half of the workspace.", error)
    raise AssertionError("unreachable")


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
