"""From a picture to detections on ONNX Runtime, with a model whose answers are known."""

import os
import subprocess
import sys
import threading
import tracemalloc
import weakref
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

import spotterd
import tiny_models
from spotterd.config.schema import Detector as DetectorConfig
from spotterd.config.schema import Engines
from spotterd.errors import BadInputError, FallBackError
from spotterd.inference.detector import Detector, Thresholds
from spotterd.inference.onnx import OnnxBackend
from spotterd.inference.open import open_detector

LABELS = ("airplane", "helicopter", "drone")
BRIGHT = np.full((512, 640, 3), 255, np.uint8)
DARK = np.full((512, 640, 3), 25, np.uint8)


@pytest.fixture
def backend(tmp_path):
    made = OnnxBackend(tiny_models.sees_bright(tmp_path / "m.onnx"), threads=1)
    yield made
    made.close()


@pytest.fixture
def detector(backend) -> Detector:
    return Detector(backend, LABELS, 0.35, 0.6, 100)


def test_a_known_picture_gives_the_known_box_in_its_pixels(detector) -> None:
    found = detector.run_once(BRIGHT)
    # 640x512 fits 96x64 as 80x64 with 8 pixels left and right: factor 8.
    assert found.xyxy.tolist() == [[128, 64, 384, 320]]
    assert found.label.tolist() == [2]
    assert found.score[0] > 0.9
    assert len(detector.run_once(DARK)) == 0


@pytest.mark.parametrize("wh", [(1, 1), (7680, 4320), (1, 4000), (96, 64)])
def test_pictures_of_any_size(detector, wh) -> None:
    found = detector.run_once(np.full((wh[1], wh[0], 3), 255, np.uint8))
    assert (found.xyxy >= 0).all()
    assert (found.xyxy <= np.tile(wh, 2)).all()


def test_sizes_in_turn_do_not_leave_traces(detector) -> None:
    alone = detector.run_once(BRIGHT)
    for _ in range(3):
        detector.run_once(np.full((900, 300, 3), 255, np.uint8))
        again = detector.run_once(BRIGHT)
        assert again.score.tolist() == alone.score.tolist()


def test_thresholds_are_replaced_live(detector) -> None:
    detector.thresholds = Thresholds(0.99, 0.6, 100)
    assert len(detector.run_once(BRIGHT)) == 0
    detector.thresholds = Thresholds(0.5, 0.6, 100)
    assert len(detector.run_once(BRIGHT)) == 1


def test_slots_are_the_same_memory_for_ever(detector, backend) -> None:
    pointers = set()
    for _ in range(50):
        slot = backend.acquire()
        detector.prepare(BRIGHT, slot)
        backend.submit(slot)
        backend.wait(slot)
        pointers.add((slot.input.ctypes.data, slot.outputs[0].ctypes.data))
        backend.release(slot)
    assert len(pointers) == backend.slots == 2


def test_outputs_of_one_slot_survive_the_next_inference(detector, backend) -> None:
    first, second = backend.acquire(), backend.acquire()
    box = detector.prepare(BRIGHT, first)
    backend.submit(first)
    detector.prepare(DARK, second)
    backend.submit(second)
    assert len(detector.decode(first, box)) == 1
    assert len(detector.decode(second, box)) == 0
    backend.release(first)
    backend.release(second)


GROWTH = """
import psutil
from spotterd.inference.onnx import OnnxBackend
from spotterd.inference.open import model_path
def rss(): return psutil.Process().memory_info().rss >> 20
before = []
for turn in range(4):
    backend = OnnxBackend(model_path("sky"), threads=1)
    loaded = rss()
    backend.close()
    before.append(rss())
print(before[-1] - before[0], loaded - before[-1])
"""


def test_closing_gives_the_memory_back() -> None:
    source = str(Path(spotterd.__file__).parents[1])
    env = os.environ | {"PYTHONPATH": source}
    run = [sys.executable, "-c", GROWTH]
    done = subprocess.run(run, env=env, capture_output=True, text=True, check=True)
    growth_mib, given_back_mib = map(int, done.stdout.split())
    assert growth_mib < 20, "a swap of engines leaves nothing behind"
    assert given_back_mib > 15


def test_closing_frees_the_network_and_may_be_repeated(tmp_path) -> None:
    made = OnnxBackend(tiny_models.sees_bright(tmp_path / "m.onnx"), threads=1)
    network = weakref.ref(made._session)
    made.close()
    made.close()
    assert network() is None


def test_acquire_waits_for_a_release(backend) -> None:
    lent = [backend.acquire() for _ in range(backend.slots)]
    got = threading.Event()
    waiting = threading.Thread(target=lambda: (backend.acquire(), got.set()), daemon=True)
    waiting.start()
    assert not got.wait(0.05)
    backend.release(lent[0])
    assert got.wait(5)


def test_a_frame_costs_no_large_memory(detector) -> None:
    for _ in range(3):
        detector.run_once(BRIGHT)
    tracemalloc.start()
    detector.run_once(BRIGHT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


@pytest.mark.parametrize("size", [None, 64, (96, 64)])
def test_dynamic_models_take_the_configured_size(tmp_path, size) -> None:
    path = tiny_models.sees_bright(
        tmp_path / "m.onnx", shape=("b", 3, "h", "w"), output_shape=("b", 7, "n")
    )
    backend = OnnxBackend(path, threads=1, input_hw=size and ((64, 96) if size != 64 else (64, 64)))
    assert backend.model.output_shapes == ((1, 7, 126),)  # what it gave, not what it says
    backend.close()


def test_the_configuration_opens_a_detector(tmp_path) -> None:
    path = tiny_models.sees_bright(tmp_path / "möwe.onnx")
    config = DetectorConfig(model=str(path), input_size=(96, 64), score=0.5)
    detector = open_detector(config, Engines(threads=1))
    assert detector.labels == LABELS
    assert (detector.backend.name, detector.backend.device) == ("onnxruntime", "CPU, 1 threads")
    assert len(detector.run_once(BRIGHT)) == 1
    detector.backend.close()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"labels": ("a", "b")}, "which is 3 classes, but there are 2 labels"),
        ({"labels": "/nowhere/names.txt"}, "Cannot read the labels /nowhere/names.txt"),
        ({"input_size": 640}, "fixed input of 96x64"),
    ],
)
def test_a_configuration_that_does_not_fit_the_model(tmp_path, config, said) -> None:
    path = tiny_models.sees_bright(tmp_path / "m.onnx")
    with pytest.raises(BadInputError, match=said):
        open_detector(DetectorConfig(model=str(path), **config), Engines(threads=1))


def test_a_model_without_outputs(tmp_path) -> None:
    path = tiny_models.sees_bright(tmp_path / "m.onnx", outputs=())
    with pytest.raises(BadInputError, match="has no output"):
        open_detector(DetectorConfig(model=str(path)), Engines(threads=1))


def test_a_provider_that_is_not_there(tmp_path) -> None:
    path = tiny_models.sees_bright(tmp_path / "m.onnx")
    with pytest.raises(FallBackError, match="has no CUDAExecutionProvider"):
        OnnxBackend(path, provider="CUDA")


class Refusing:
    """An ONNX Runtime of a GPU build whose GPU cannot be used: it takes the CPU, and is quiet."""

    def __init__(self, monkeypatch) -> None:
        self.asked: list = []
        self._real = ort.InferenceSession
        monkeypatch.setattr(ort, "InferenceSession", self._open)
        kinds = ("Tensorrt", "CUDA", "CPU")
        names = [f"{kind}ExecutionProvider" for kind in kinds]
        monkeypatch.setattr(ort, "get_available_providers", lambda: names)

    def _open(self, path, options, providers):
        self.asked.append(providers)
        return self._real(path, options, providers=["CPUExecutionProvider"])


def test_gpu_providers_are_tried_first_and_not_believed(tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setenv("SPOTTERD_STATE_DIR", str(tmp_path / "state"))
    runtime = Refusing(monkeypatch)
    path = tiny_models.sees_bright(tmp_path / "m.onnx")
    detector = open_detector(DetectorConfig(model=str(path)), Engines(backend="tensorrt"))
    assert detector.backend.device.startswith("CPU")
    tensorrt, cuda, cpu = runtime.asked
    kept = {"trt_engine_cache_enable": "True", "trt_engine_cache_path": mock.ANY}
    assert tensorrt[0] == ("TensorrtExecutionProvider", kept)
    assert Path(tensorrt[0][1]["trt_engine_cache_path"]).is_dir()
    assert cuda == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert cpu == ["CPUExecutionProvider"]
    assert [line.levelname for line in caplog.records] == ["WARNING", "WARNING"]
    detector.backend.close()


def test_a_model_that_loads_but_cannot_run(tmp_path) -> None:
    path = tmp_path / "m.onnx"
    tiny_models.sees_bright(path, shape=("b", 3, "h", "w"))
    model = onnx.load(path)
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 3, 32, 32]), "fixed"))
    model.graph.node.insert(0, helper.make_node("Reshape", ["images", "fixed"], ["fitted"]))
    model.graph.node[1].input[0] = "fitted"
    onnx.save(model, path)
    with pytest.raises(FallBackError, match="failed to run the model"):
        OnnxBackend(path, threads=1, input_hw=(64, 96))
    with pytest.raises(BadInputError, match=r"m\.onnx cannot be used. ONNX Runtime"):
        open_detector(DetectorConfig(model=str(path)), Engines(threads=1))


def test_boxes_of_a_craft_that_fills_the_picture_are_one(tmp_path) -> None:
    """They reach beyond the picture, each in its own way: clipped, they are alike."""
    answer = np.zeros((1, 7, 126), np.float32)
    answer[0, :4, 3] = (48, 32, 100, 68)
    answer[0, :4, 4] = (48, 32, 260, 200)
    answer[0, 4, 3:5] = (0.9, 0.8)
    model = tiny_models.save(tmp_path / "m.onnx", answer)
    backend = OnnxBackend(model, threads=1)
    found = Detector(backend, LABELS, 0.35, 0.6, 100).run_once(np.zeros((64, 96, 3), np.uint8))
    backend.close()
    assert found.xyxy.tolist() == [[0, 0, 96, 64]]


def test_what_is_no_number_is_not_seen_and_no_score_is_above_one(tmp_path) -> None:
    answer = np.zeros((1, 7, 126), np.float32)
    answer[0, :4, 3:7] = np.array([(12, 8, 60, 40)[i] for i in range(4)])[:, None]
    answer[0, :4, 8] = (70, 50, 20, 20)
    answer[0, 4, 3:9] = (0.9, 0.9, np.nan, np.inf, 0, 5.3)
    answer[0, 0, 3], answer[0, 2, 4] = np.nan, np.inf
    backend = OnnxBackend(tiny_models.save(tmp_path / "m.onnx", answer), threads=1)
    found = Detector(backend, LABELS, 0.35, 0.6, 100).run_once(np.zeros((64, 96, 3), np.uint8))
    backend.close()
    assert np.isfinite(found.xyxy).all()
    assert found.score.max() == 1
    assert [60, 40, 80, 60] in found.xyxy.tolist()
