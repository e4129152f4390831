"""The bundled model through the GPU path sees what it sees through ONNX Runtime."""

from pathlib import Path

import numpy as np
import pytest

from inference.trt_models import build
from spotterd.builder.graph import load
from spotterd.config.schema import Engines
from spotterd.inference.detector import Detector
from spotterd.inference.model import labels_of
from spotterd.inference.onnx import OnnxBackend
from spotterd.inference.open import model_path
from spotterd.inference.tensorrt import open_tensorrt
from spotterd.inference.trt_world import world_of
from standins import pycuda_driver, trt10, trt11


def picture() -> np.ndarray:
    """A sky with dark shapes, of a size that is scaled down."""
    picture = np.full((720, 1280, 3), (200, 160, 120), np.uint8)
    random = np.random.default_rng(3)
    for x, y, w, h in random.integers((0, 0, 8, 4), (1200, 680, 80, 40), (12, 4)):
        picture[y : y + h, x : x + w] = random.integers(0, 90, 3)
    return picture


@pytest.mark.parametrize(("trt", "letterbox"), [(trt10, "cpu"), (trt11, "gpu")], ids=["10", "11"])
def test_both_worlds_see_what_onnx_runtime_sees(tmp_path: Path, device, trt, letterbox):
    model = model_path("sky")
    reference = OnnxBackend(model)
    plan = tmp_path / "sky.plan"
    plan.write_bytes(build(trt, load(model, reference.model.input_hw).SerializeToString()))
    engines = Engines(letterbox=letterbox)
    backend = open_tensorrt(
        world_of(trt), plan, reference.model, "fp32", engines=engines, kernels=tmp_path
    )
    labels = labels_of(reference.model, None)
    expected, seen = (
        Detector(b, labels, 0.001, 0.6, 100).run_once(picture()) for b in (reference, backend)
    )
    backend.close()
    assert len(expected) > 5
    assert np.array_equal(seen.label, expected.label)
    assert np.allclose(seen.score, expected.score, atol=1e-4)
    assert np.allclose(seen.xyxy, expected.xyxy, atol=0.1)
    assert pycuda_driver.counts["launches"] == (letterbox == "gpu")
