"""The two worlds of TensorRT, behind one door: the only file that imports it.

1. TensorRT up to 10 (JetPack 5, 6, 7.0-7.2) calibrates INT8 itself and has FP16/INT8 builder flags.
2. TensorRT 11 and TensorRT-RTX have neither: networks are strongly typed, precision is in the ONNX.

Everything else asks a `World` for the feature, never for the version.
"""

import importlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from spotterd.errors import FallBackError

log = logging.getLogger(__name__)

# JetPack's and pip's name, then the names that TensorRT for RTX has had.
MODULES = ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings")
ERROR_TEXT_CHARS = 400


class TrtLog:
    """TensorRT's log: passed on to `logging`, its errors kept for the sentences of ours.

    TensorRT keeps one logger for the whole process (the first that it is given), so there is one of
    these for a world, made by `world_of`. It may be called from TensorRT's own threads.
    """

    def __init__(self, trt: Any) -> None:
        severity = trt.ILogger.Severity
        self._levels = {
            severity.INTERNAL_ERROR: logging.ERROR,
            severity.ERROR: logging.ERROR,
            severity.WARNING: logging.INFO,
            severity.INFO: logging.DEBUG,
        }
        self._errors: deque[str] = deque(maxlen=8)
        self.native = _native_logger(trt, self._say)

    def take_errors(self) -> str:
        """What TensorRT complained about since the last call, as one line; "" if nothing."""
        said = []
        while self._errors:
            said.append(self._errors.popleft())
        text = "; ".join(dict.fromkeys(said))
        return text if len(text) <= ERROR_TEXT_CHARS else text[: ERROR_TEXT_CHARS - 3] + "..."

    def _say(self, severity: Any, text: str) -> None:
        level = self._levels.get(severity)
        if level is None:  # verbose: thousands of lines a build
            return
        if level == logging.ERROR:
            # The caller puts it into its own error; here it is kept for the curious only.
            self._errors.append(" ".join(text.split()))
            level = logging.INFO
        log.log(level, "TensorRT: %s", text)


def _native_logger(trt: Any, say: Callable[[Any, str], None]) -> Any:
    class Bridge(trt.ILogger):  # type: ignore[misc]  # the base exists only where TensorRT does
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            say(severity, msg)

    return Bridge()


@dataclass(frozen=True, slots=True)
class World:
    """The TensorRT of this machine.

    Attributes:
        trt: the module itself.
        name: what people call it, e.g. "TensorRT 10.3.0".
        version: as the module gives it; part of an engine's identity, never asked for a feature.
        rtx: TensorRT for RTX; its plans are compiled further on the machine that runs them.
        has_calibrator: INT8 can be calibrated by TensorRT (`IInt8EntropyCalibrator2`).
        has_precision_flags: FP16 and INT8 are flags of the builder; else the ONNX says it.
        network_flags: what `Builder.create_network` must be given (explicit batch where it exists).
        log: the process-wide logger.
    """

    trt: Any
    name: str
    version: str
    rtx: bool
    has_calibrator: bool
    has_precision_flags: bool
    network_flags: int
    log: TrtLog

    def error(self, what: str, advice: str) -> FallBackError:
        """An error that tells what failed, why in TensorRT's own words, and what to do."""
        why = self.log.take_errors() or "no reason given"
        if "driver version is insufficient" in why:
            advice = "There is no NVIDIA driver, or one that is too old: update it, or JetPack."
        return FallBackError(f"{what} ({self.name}: {why.rstrip('.')}). {advice}")


def find_world() -> World | None:
    """The TensorRT of this machine, or None; why not is logged at DEBUG."""
    for name in MODULES:
        try:
            module = importlib.import_module(name)
        except (ImportError, OSError, RuntimeError) as error:
            # OSError, RuntimeError: pip's package without its libraries, or a library too old.
            log.debug("No %s: %s", name, error)
            continue
        if hasattr(module, "Runtime"):  # an empty folder of that name imports, too
            return world_of(module)
    return None


def need_world() -> World:
    """As `find_world`.

    Raises:
        FallBackError: there is no TensorRT here.
    """
    world = find_world()
    if world is None:
        raise FallBackError(
            "TensorRT is not installed for this Python (tried "
            f"{', '.join(MODULES)}). On a Jetson: apt install python3-libnvinfer, and make the "
            "environment with --system-site-packages."
        )
    return world


@cache
def world_of(trt: ModuleType) -> World:
    """Describe a TensorRT module by its features."""
    rtx = "rtx" in trt.__name__
    flags = trt.NetworkDefinitionCreationFlag
    explicit_batch = getattr(flags, "EXPLICIT_BATCH", None)
    return World(
        trt=trt,
        name=f"{'TensorRT-RTX' if rtx else 'TensorRT'} {trt.__version__}",
        version=trt.__version__,
        rtx=rtx,
        has_calibrator=hasattr(trt, "IInt8EntropyCalibrator2"),
        has_precision_flags=hasattr(trt.BuilderFlag, "FP16"),
        network_flags=0 if explicit_batch is None else 1 << int(explicit_batch),
        log=TrtLog(trt),
    )
