"""An ONNX network -> a TensorRT plan, in both worlds of TensorRT.

In the first world (has precision flags, and a calibrator) the ONNX is FP32 and the builder is told
what precision to use; in the second one, networks are strongly typed and the ONNX says it all.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from spotterd.builder.progress import Report, silent
from spotterd.config.schema import Precision
from spotterd.data import Floats
from spotterd.inference.trt_world import World

log = logging.getLogger(__name__)

ADVICE = "Its log has more (spotterd --debug build)."


@dataclass(frozen=True, slots=True)
class Feed:
    """What TensorRT's own calibrator (first world) needs.

    Attributes:
        inputs: (1, 3, h, w) float32 arrays, each valid until the next.
        upload: copies one to the device and returns its address there.
        kept: the cache of an earlier calibration; b"" if there is none.
        keep: keeps the cache of this one.
    """

    inputs: Iterator[Floats]
    upload: Callable[[Floats], int]
    kept: bytes
    keep: Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How to build one plan.

    Attributes:
        precision: for the flags of the first world.
        workspace_bytes: most scratch memory that layers may use; 0: TensorRT's default.
        dla_core: deep learning accelerator to use; None: the GPU.
        feed: calibrates INT8 in the first world; None: the ONNX has its Quantize/Dequantize.
        timings: the timing cache of an earlier build on this device; b"" if there is none.
    """

    precision: Precision
    workspace_bytes: int = 0
    dla_core: int | None = None
    feed: Feed | None = None
    timings: bytes = b""


@dataclass(frozen=True, slots=True)
class Plan:
    """A built plan, and timings that make the next build on this device faster."""

    data: bytes
    timings: bytes


def build_plan(world: World, model: bytes, wanted: Settings, report: Report = silent) -> Plan:
    """Parse and build; needs no current CUDA context in the second world.

    Raises:
        FallBackError: TensorRT refused the network or could not build it; says why.
    """
    trt = world.trt
    world.log.take_errors()  # of somebody else
    builder = trt.Builder(world.log.native)
    network = builder.create_network(world.network_flags)
    parser = trt.OnnxParser(network, world.log.native)
    if not parser.parse(model):
        said = "; ".join(str(parser.get_error(at).desc()) for at in range(parser.num_errors))
        raise world.error(f"{world.name} cannot use the network: {said}", ADVICE)
    config = builder.create_builder_config()
    calibrator = _configure(world, builder, config, wanted)
    cache = _take_timings(world, config, wanted.timings)
    if hasattr(config, "progress_monitor"):
        config.progress_monitor = _monitor(trt, report)
    data = builder.build_serialized_network(network, config)
    if calibrator is not None and calibrator.failure is not None:
        raise calibrator.failure
    if data is None:
        raise world.error(f"{wanted.precision.upper()} could not be built", ADVICE)
    return Plan(bytes(data), bytes(cache.serialize()) if cache is not None else b"")


def _configure(world: World, builder: Any, config: Any, wanted: Settings) -> Any:
    """Flags, memory, accelerator; the calibrator, which must live as long as the config."""
    trt = world.trt
    calibrator = None
    if wanted.workspace_bytes:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, wanted.workspace_bytes)
    if world.has_precision_flags and wanted.precision != "fp32":
        config.set_flag(trt.BuilderFlag.FP16)  # with INT8, for the layers that are not
        if wanted.precision == "int8":
            config.set_flag(trt.BuilderFlag.INT8)
            if wanted.feed is not None:
                calibrator = entropy_calibrator(trt, wanted.feed)
                config.int8_calibrator = calibrator
    if wanted.dla_core is not None and wanted.precision != "fp32":
        _use_dla(trt, builder, config, wanted.dla_core)
    return calibrator


def _use_dla(trt: Any, builder: Any, config: Any, core: int) -> None:
    """Put what can be on the accelerator; the GPU does the rest, or all where there is none."""
    cores = getattr(builder, "num_DLA_cores", 0)
    if core >= cores:
        log.warning(
            "engines.dla_core is %d, but this device has %d accelerators: building for the GPU.",
            core, cores,
        )  # fmt: skip
        return
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)


def _take_timings(world: World, config: Any, timings: bytes) -> Any:
    """Use the timing cache; None where this TensorRT has none."""
    if world.rtx or not hasattr(config, "create_timing_cache"):
        return None  # TensorRT-RTX times kernels on the machine that runs them
    cache = config.create_timing_cache(timings)
    # False: of another device; TensorRT then starts with an empty one.
    if cache is not None and not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache


def entropy_calibrator(trt: Any, feed: Feed) -> Any:
    """An `IInt8EntropyCalibrator2` that lends batches of one.

    What goes wrong in a callback cannot be raised through TensorRT: it is kept in `failure`.
    """

    class Calibrator(trt.IInt8EntropyCalibrator2):  # type: ignore[misc]  # exists where TensorRT does
        def __init__(self) -> None:
            trt.IInt8EntropyCalibrator2.__init__(self)
            self.failure: Exception | None = None

        def get_batch_size(self) -> int:
            return 1

        def get_batch(self, names: list[str]) -> list[int] | None:  # noqa: ARG002
            try:
                return [feed.upload(next(feed.inputs))]
            except StopIteration:
                return None
            except Exception as error:  # noqa: BLE001 (raised again by build_plan)
                self.failure = error
                return None

        def read_calibration_cache(self) -> bytes | None:
            return feed.kept or None

        def write_calibration_cache(self, cache: Any) -> None:
            feed.keep(bytes(cache))

    return Calibrator()


def _monitor(trt: Any, report: Report) -> Any:
    """TensorRT's phases (nested, each with a number of steps) as one fraction."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # exists where TensorRT does
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._open: dict[str, tuple[str | None, int, int]] = {}  # parent, steps, done

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._open[phase_name] = (parent_phase, max(num_steps, 1), 0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            parent, steps, _ = self._open.get(phase_name, (None, 1, 0))
            self._open[phase_name] = (parent, steps, step + 1)
            report(self._fraction(), phase_name)
            return True

        def phase_finish(self, phase_name: str) -> None:
            self._open.pop(phase_name, None)

        def _fraction(self) -> float:
            """From the innermost phase outwards: its part is one step of its parent."""
            inner = 0.0
            for _, steps, done in reversed(self._open.values()):
                inner = min((done + inner) / steps, 1.0)
            return inner

    return Monitor()
