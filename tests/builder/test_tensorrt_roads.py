"""Whole builds on both roads of TensorRT, with stand-ins for the GPU and for both worlds.

The stand-ins really read the batches that the calibrator lends and really run the plans (through
ONNX Runtime), so letterbox, upload, calibration, gate and store are the real ones.
"""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from builder.models import SIDE, skies, tiny
from spotterd.builder import calibration
from spotterd.builder import wanted as wanted_module
from spotterd.builder.ladder import build
from spotterd.builder.plan import Feed, Settings, build_plan
from spotterd.builder.progress import silent
from spotterd.builder.store import Store
from spotterd.builder.wanted import Wanted
from spotterd.errors import FallBackError
from spotterd.inference.trt_world import World, world_of
from standins import pycuda_driver, trt10, trt11
from standins.gpu import fresh

Wanting = Callable[..., tuple[Wanted, Store]]
LENIENT = {"recall": 0.5, "agreement": 0.5}
WORLDS = pytest.mark.parametrize("trt", [trt10, trt11], ids=["TensorRT 10", "TensorRT 11"])


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pycuda_driver.install(monkeypatch)
    fresh()


@pytest.fixture
def on(wanting: Wanting, monkeypatch: pytest.MonkeyPatch) -> Wanting:
    """As `wanting`, in a world: `on(trt10, precision=...)`."""

    def make(trt: ModuleType, outlier: float = 1.0, **engines: object) -> tuple[Wanted, Store]:
        monkeypatch.setattr(wanted_module, "need_world", lambda: world_of(trt))
        asked = {"backend": "tensorrt", "precision": "auto", "letterbox": "cpu"}
        return wanting(outlier, **(asked | engines))

    return make


def header(plan: Path) -> dict[str, Any]:
    """What a stand-in's plan says of itself."""
    data = plan.read_bytes()
    size = int.from_bytes(data[12:16], "little")
    tree: dict[str, Any] = json.loads(data[16 : 16 + size])
    return tree


@WORLDS
def test_int8_is_calibrated_gated_and_kept(on: Wanting, trt: ModuleType) -> None:
    wanted, store = on(trt)
    assert wanted.identity.backend == "tensorrt"
    assert wanted.identity.device == "Stand-in GPU"
    steps: list[str] = []
    engine = build(wanted, store, lambda _, step: steps.append(step))
    sidecar = engine.sidecar
    assert sidecar.precision == "int8"
    assert sidecar.figures is not None
    assert sidecar.figures.recall >= 0.95
    assert any("calibrating, picture 18 of 18" in step for step in steps)
    assert "Building Engine" in steps
    assert store.load(on(trt)[0].identity) == engine


def test_the_calibrator_reads_letterboxed_pictures(on: Wanting) -> None:
    wanted, store = on(trt10)
    engine = build(wanted, store, silent)
    assert engine.path is not None
    low, high = header(engine.path)["ranges"]["images"]
    # Dark squares to bright sky of 0..255, as 0..1: the very letterbox of run time.
    assert 0 <= low < 0.1
    assert 0.85 < high <= 1
    assert header(engine.path)["fp16"], "layers that are not INT8 are FP16"


def test_a_calibration_is_used_again_and_only_for_its_own(
    on: Wanting, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, store = on(trt10)
    build(wanted, store, silent)
    store.drop(wanted.identity)
    monkeypatch.setattr(trt10, "calibrate", None)  # a second calibration would fail
    assert build(wanted, store, silent).sidecar.precision == "int8"
    other, _ = on(trt10, 2.0)
    assert other.calibration_key != wanted.calibration_key


def test_a_collapse_goes_down_to_fp16(on: Wanting) -> None:
    # In the second world: the stand-in of the first one runs what it calibrated in FP32.
    wanted, store = on(trt11, 3000.0)
    sidecar = build(wanted, store, silent).sidecar
    assert [tried.precision for tried in sidecar.tried] == ["int8", "fp16"]
    assert "INT8 is not used: recall" in sidecar.remarks


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@WORLDS
def test_every_precision_can_be_asked_for(on: Wanting, trt: ModuleType, precision: str) -> None:
    wanted, store = on(trt, precision=precision)
    engine = build(wanted, store, silent)
    assert engine.sidecar.precision == precision
    backend = wanted.open(engine)
    assert backend.precision == precision
    backend.close()


def test_without_pictures_the_first_world_takes_shipped_ranges_as_q_dq(
    on: Wanting, tmp_path: Path
) -> None:
    wanted, _ = on(trt10)
    ranges = {"r0": [0, 1], "r1": [0, 1], "r2": [0, 1]}
    wanted.model.with_suffix(".ranges.json").write_text(
        json.dumps(
            {
                "model_sha256": wanted.info.sha256,
                "method": "entropy",
                "pictures": 300,
                "ranges": ranges,
            }
        )
    )
    wanted, store = on(
        trt10, calibration=str(tmp_path / "none"), gate={"recall": 0.5, "agreement": 0.5}
    )
    sidecar = build(wanted, store, silent).sidecar
    assert sidecar.precision == "int8"
    assert sidecar.calibrated_by == "shipped ranges (entropy, 300 pictures)"


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@WORLDS
def test_an_open_input_is_settled_at_the_configured_size(
    on: Wanting, trt: ModuleType, precision: str
) -> None:
    wanted, store = on(trt, input_size=(256, 192), precision=precision)
    engine = build(wanted, store, silent)
    assert engine.sidecar.precision == precision
    assert engine.path is not None
    name, shape, _ = header(engine.path)["inputs"][0]
    assert (name, shape) == ("images", [1, 3, 192, 256])
    assert header(engine.path)["profile"] == {}, "nothing is left open"
    assert engine.sidecar.figures is not None
    assert engine.sidecar.figures.recall >= 0.95


@WORLDS
def test_without_anything_to_calibrate_by_there_is_no_int8(
    on: Wanting, tmp_path: Path, trt: ModuleType
) -> None:
    wanted, store = on(trt, calibration=str(skies(tmp_path / "few", 3)), gate={"recall": 0})
    sidecar = build(wanted, store, silent).sidecar
    assert sidecar.precision in {"fp16", "fp32"}
    assert "INT8 is not used: there is nothing to calibrate by" in sidecar.remarks


def test_a_picture_that_vanishes_ends_int8_not_the_build(
    on: Wanting, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, store = on(trt10)

    def gone(_self: object) -> Any:
        yield np.zeros((1, 3, SIDE, SIDE), np.float32)
        raise FallBackError("the picture has gone")

    monkeypatch.setattr(calibration.Calibration, "inputs", gone)
    sidecar = build(wanted, store, silent).sidecar
    assert sidecar.precision == "fp16"
    assert "INT8 is not used: the picture has gone" in sidecar.remarks


def test_a_plan_of_another_version_is_another_engine(on: Wanting) -> None:
    wanted, store = on(trt10)
    build(wanted, store, silent)
    with pytest.MonkeyPatch.context() as newer_runtime:
        newer_runtime.setattr(trt10, "__version__", "10.7.0")
        world_of.cache_clear()
        newer, _ = on(trt10)
    world_of.cache_clear()
    assert store.load(newer.identity) is None
    assert newer.identity.differences(wanted.identity) == (
        "runtime: TensorRT 10.3.0 -> TensorRT 10.7.0",
    )


def test_no_gpu_means_onnx_runtime(wanting: Wanting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wanted_module, "need_world", lambda: world_of(trt10))
    monkeypatch.setattr(
        wanted_module, "Gpu", lambda: (_ for _ in ()).throw(FallBackError("No GPU."))
    )
    assert wanting(backend="auto")[0].identity.backend == "onnxruntime"


# The builder alone.


def world(trt: ModuleType) -> World:
    return world_of(trt)


def model_bytes(tmp_path: Path) -> bytes:
    return tiny(tmp_path / "m.onnx").read_bytes()


@WORLDS
def test_what_cannot_be_parsed_is_told(trt: ModuleType) -> None:
    with pytest.raises(FallBackError, match="cannot use the network: Failed to parse"):
        build_plan(world(trt), b"no onnx", Settings("fp32"))


@WORLDS
def test_the_timing_cache_comes_back_and_foreign_ones_start_afresh(
    trt: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings("fp32", timings=b"of last time")
    assert build_plan(world(trt), model_bytes(tmp_path), settings).timings == b"of last time"
    config = trt.IBuilderConfig
    take = config.set_timing_cache
    monkeypatch.setattr(
        config,
        "set_timing_cache",
        lambda self, cache, mismatch: take(self, cache, mismatch) and cache._blob == b"",
    )
    assert build_plan(world(trt), model_bytes(tmp_path), settings).timings == b"timings"


def test_less_workspace_after_running_out_of_memory(
    on: Wanting, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[int] = []
    whole = trt10.Builder.build_serialized_network

    def scarce(self: Any, network: Any, config: Any) -> Any:
        tried.append(config.pools[trt10.MemoryPoolType.WORKSPACE])
        if len(tried) < 3:
            self.logger.log(trt10.Logger.ERROR, "Out of memory in tactic profiling")
            return None
        return whole(self, network, config)

    monkeypatch.setattr(trt10.Builder, "build_serialized_network", scarce)
    wanted, store = on(trt10, precision="fp16")
    assert build(wanted, store, silent).sidecar.precision == "fp16"
    assert [tried[0] // size for size in tried] == [1, 2, 4]
    assert "half of the workspace" in caplog.text


@pytest.mark.parametrize(("cores", "used"), [(0, False), (2, True)])
def test_the_accelerator_is_used_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, used: bool, caplog
) -> None:
    seen: list[Any] = []
    whole = trt10.Builder.build_serialized_network

    def noting(self: Any, network: Any, config: Any) -> Any:
        seen.append(config)
        return whole(self, network, config)

    class DeviceType:
        DLA = "DLA"

    monkeypatch.setattr(trt10, "DeviceType", DeviceType, raising=False)
    monkeypatch.setattr(trt10.Builder, "num_DLA_cores", cores, raising=False)
    monkeypatch.setattr(trt10.Builder, "build_serialized_network", noting)
    build_plan(world(trt10), model_bytes(tmp_path), Settings("fp16", dla_core=1))
    assert hasattr(seen[0], "DLA_core") is used
    assert seen[0].get_flag(trt10.BuilderFlag.GPU_FALLBACK) is used
    assert ("building for the GPU" in caplog.text) is not used


def test_an_error_while_feeding_is_not_lost_in_tensorrt(tmp_path: Path) -> None:
    def broken(_picture: object) -> int:
        raise FallBackError("the upload failed")

    pictures = iter([np.zeros((1, 3, SIDE, SIDE), np.float32)])
    settings = Settings("int8", feed=Feed(pictures, broken, b"", lambda _: None))
    with pytest.raises(FallBackError, match="the upload failed"):
        build_plan(world(trt10), model_bytes(tmp_path), settings)


def test_a_gpu_that_fails_ends_the_precision_not_the_build(
    on: Wanting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_self: object, *_: object) -> None:
        raise pycuda_driver.LaunchError("an illegal memory access was encountered")

    monkeypatch.setattr(trt10.Builder, "build_serialized_network", failing)
    wanted, store = on(trt10)
    with pytest.raises(FallBackError, match="INT8: the GPU failed: an illegal memory access"):
        build(wanted, store, silent)


@WORLDS
def test_progress_never_goes_back(trt: ModuleType, tmp_path: Path) -> None:
    told: list[float] = []
    build_plan(
        world(trt),
        model_bytes(tmp_path),
        Settings("fp32"),
        lambda fraction, _: told.append(fraction),
    )
    assert told == sorted(told)
    assert told[-1] == 1
