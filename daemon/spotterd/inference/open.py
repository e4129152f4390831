"""From the configuration to a backend and a detector."""

import logging
from pathlib import Path

import onnxruntime as ort

from spotterd import paths
from spotterd.config import schema
from spotterd.errors import BadInputError, FallBackError
from spotterd.inference.base import Backend
from spotterd.inference.detector import Detector
from spotterd.inference.model import labels_of
from spotterd.inference.onnx import OnnxBackend, Provider

logger = logging.getLogger(__name__)

BUNDLED = ("sky", "sky-s")
# In the order to try them; the CPU comes after all.
PROVIDERS: dict[str, tuple[Provider, ...]] = {
    "auto": ("CUDA",),
    "onnxruntime": ("CUDA",),
    "tensorrt": ("Tensorrt", "CUDA"),
}


def model_path(model: str) -> Path:
    """The file of a bundled model, or the user's own."""
    if model in BUNDLED:
        return paths.shipped(f"engines/{model}.onnx")
    return Path(model).expanduser()


def open_backend(detector: schema.Detector, engines: schema.Engines) -> Backend:
    """What runs the configured model, on the best device that ONNX Runtime can use.

    Raises:
        BadInputError: the model or the options cannot be used.
    """
    available = ort.get_available_providers()
    for provider in PROVIDERS[engines.backend]:
        if f"{provider}ExecutionProvider" in available:
            try:
                return _onnx(detector, engines, provider)
            except FallBackError as error:
                logger.warning("%s The next provider is tried.", error)
    try:
        return _onnx(detector, engines, "CPU")
    except FallBackError as error:  # there is nothing left to fall back to
        raise BadInputError(f"The model {detector.model} cannot be used. {error}") from error


def open_detector(detector: schema.Detector, engines: schema.Engines) -> Detector:
    """The configured detector; close its `backend` when done.

    Raises:
        BadInputError: the model, its labels or the options cannot be used.
    """
    backend = open_backend(detector, engines)
    try:
        labels = labels_of(backend.model, detector.labels)
        return Detector(backend, labels, detector.score, detector.iou, detector.max_detections)
    except BaseException:
        backend.close()
        raise


def _onnx(detector: schema.Detector, engines: schema.Engines, provider: Provider) -> OnnxBackend:
    return OnnxBackend(
        model_path(detector.model),
        threads=engines.threads,
        input_hw=detector.input_hw,
        provider=provider,
        cache=paths.state_dir() / "onnxruntime",
    )
