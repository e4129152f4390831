"""A GPU that fails ends the daemon, at once; an engine that does so every time is given up.

On the stand-in GPU, which forgets its fault as a real one does: for a new process.
"""

import io
import logging
from pathlib import Path
from queue import SimpleQueue

import pytest

from builder.models import skies, tiny
from spotterd.builder import child
from spotterd.builder import wanted as wanted_module
from spotterd.builder.ladder import build
from spotterd.builder.progress import silent
from spotterd.builder.store import Store
from spotterd.builder.supervise import Outcome
from spotterd.builder.wanted import Wanted, engine_store, want
from spotterd.builder.wire import Failed, Request
from spotterd.config.load import Given
from spotterd.errors import FallBackError, RestartError, RetryError
from spotterd.inference.cuda_slots import Lane
from spotterd.inference.trt_world import world_of
from spotterd.service import engine as engine_module
from spotterd.service.answer import Rebuild
from spotterd.service.engine import FAULTS_IN_A_ROW, EngineBroke, EngineKeeper, EngineReady
from spotterd.service.helm import Helm
from spotterd.service.pipeline import StageEnded
from spotterd.service.supervisor import Daemon
from spotterd.service.systemd import Notifier
from standins import pycuda_driver, trt11
from standins.gpu import fresh, gpu


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Given:
    """A daemon's configuration, and the engine for it, built."""
    pycuda_driver.install(monkeypatch)
    fresh()
    monkeypatch.setattr(wanted_module, "need_world", lambda: world_of(trt11))
    tree = {
        "cameras": {"main": {"source": str(skies(tmp_path / "pictures", 40))}},
        "detector": {"model": str(tiny(tmp_path / "tiny.onnx"))},
        "engines": {"precision": "fp32", "letterbox": "cpu", "threads": 1},
        "mqtt": {"url": "mqtt://127.0.0.1:9"},
    }
    given = Given(None, tree, {})
    build(wanted(given), engine_store(given.with_overlay({}).engines), silent)
    return given


def wanted(given: Given) -> Wanted:
    config = given.with_overlay({})
    return want(config.detector, config.engines)


def break_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first frame finds that the GPU has failed."""
    wait = Lane.wait

    def failing(lane: Lane) -> None:
        gpu.error = "CUDA_ERROR_ILLEGAL_ADDRESS"
        wait(lane)

    monkeypatch.setattr(Lane, "wait", failing)


def run(given: Given) -> Daemon:
    fresh()
    daemon = Daemon(given, Notifier(lambda _: None))
    daemon.run(limit_s=60)
    return daemon


def test_after_three_ends_in_a_row_the_plain_model_serves(given, monkeypatch, caplog) -> None:
    caplog.set_level(logging.INFO)
    break_the_gpu(monkeypatch)
    for _ in range(FAULTS_IN_A_ROW):
        with pytest.raises(RestartError, match=r"^The GPU failed .*illegal memory access"):
            run(given)
    assert "a turn failed" not in caplog.text  # told once, as a sentence
    assert gpu.retained == 0
    caplog.clear()
    assert run(given).figures().errors == 0
    assert "degraded: The engine ended the daemon 3 times in a row" in caplog.text
    assert "All recordings are over" in caplog.text
    assert "building" not in caplog.text


def test_a_fault_leaves_no_thread_waiting_for_results(given, monkeypatch) -> None:
    break_the_gpu(monkeypatch)
    for patience in ("CAMERA_STOP_S", "DRAIN_S"):  # of a slow machine
        monkeypatch.setattr(f"spotterd.service.pipeline.{patience}", 30.0)
    daemon = Daemon(given, Notifier(lambda _: None))
    with pytest.raises(RestartError):
        daemon.run(limit_s=60)
    assert daemon.left_behind == []


def test_what_is_on_trial_is_taken_back_before_the_daemon_ends(given, monkeypatch) -> None:
    """It does not go on with the one before in this process: the GPU is lost to that, too."""
    blamed: list[str] = []
    monkeypatch.setattr(Helm, "back", lambda _self, why: not blamed.append(why))
    break_the_gpu(monkeypatch)
    with pytest.raises(RestartError):
        run(given)
    assert len(blamed) == 1


def test_a_new_engine_that_breaks_the_gpu_when_loaded_ends_the_daemon_too(given) -> None:
    """The next process meets that engine at its start, and counts on."""
    news: list[engine_module.EngineNews] = []
    config = given.with_overlay({})
    store, identity = engine_store(config.engines), wanted(given).identity
    keeper = EngineKeeper(config, news.append)

    def break_it(_engine: object) -> None:
        raise RestartError("The GPU failed.")

    keeper._loaded = break_it  # type: ignore[assignment,method-assign]
    keeper._ended(Outcome(engine=store.load(identity)))
    daemon = Daemon(given, Notifier(lambda _: None))
    daemon._inbox.put(news[0])
    with pytest.raises(RestartError, match=r"^The GPU failed\.$"):
        daemon.run(limit_s=60)
    assert store.faults(identity) == 1


def test_an_engine_that_neither_runs_nor_goes_is_told_and_not_built_again(
    given, monkeypatch
) -> None:
    """On a read-only disk; and whoever asks for another one hears why there is none."""

    def stays(*_: object) -> None:
        raise RetryError("It cannot be removed.")

    def foreign(*_: object) -> None:
        raise FallBackError("Of another driver.")

    monkeypatch.setattr(Store, "drop", stays)
    asked: SimpleQueue[str] = SimpleQueue()
    daemon = Daemon(given, Notifier(lambda _: None))
    daemon._inbox.put(Rebuild(asked, lambda _fraction, _doing: None))
    daemon.run(limit_s=60)
    assert asked.get_nowait() == "It cannot be removed."
    monkeypatch.setattr(EngineKeeper, "_loaded", foreign)
    loaded = EngineKeeper(given.with_overlay({}), lambda _: None).open()
    loaded.detector.backend.close()
    assert loaded.given_up == "It cannot be removed."


LOST = RestartError("The GPU failed.")


@pytest.mark.parametrize("news", [EngineBroke(LOST), StageEnded("detect", LOST)])
def test_a_fault_just_when_the_configuration_changes_ends_the_daemon_too(given, news) -> None:
    """Nobody waits for news of the pipeline before; but to the next one the GPU is lost, too."""
    changed = Given(None, {**given.file, "engines": {"slots": 2}}, {})
    daemon = Daemon(given, Notifier(lambda _: None))
    daemon.reload(lambda: changed)
    daemon._inbox.put(news)
    with pytest.raises(RestartError, match=r"^The GPU failed\.$"):
        daemon.run(limit_s=60)


def test_a_building_child_that_loses_the_gpu_asks_for_another_one(given, monkeypatch) -> None:
    def lost(*_args: object) -> None:
        raise RestartError("The GPU failed.")

    monkeypatch.setattr(child, "build", lost)
    config = given.with_overlay({})
    request = Request(detector=config.detector, engines=config.engines)
    told = child._build(request, child.Teller(io.StringIO()))
    assert told == Failed(reason="The GPU failed.", again=True)


def test_an_engine_that_worked_for_long_is_not_blamed_for_what_was(given, monkeypatch) -> None:
    config = given.with_overlay({})
    store, identity = engine_store(config.engines), wanted(given).identity
    store.note_faults(identity, FAULTS_IN_A_ROW - 1)
    keeper = EngineKeeper(config, lambda _news: None)
    loaded = keeper.open()
    assert loaded.engine is not None
    monkeypatch.setattr(engine_module, "PROVEN_S", 0.0)
    keeper.faulted()
    assert store.faults(identity) == 1
    loaded.detector.backend.close()


def test_asking_for_a_new_engine_forgets_what_the_old_one_did(given) -> None:
    config = given.with_overlay({})
    engine_store(config.engines).note_faults(wanted(given).identity, FAULTS_IN_A_ROW)
    keeper = EngineKeeper(config, lambda _news: None)
    given_up = keeper.open()
    assert given_up.engine is None
    assert "3 times in a row" in given_up.given_up
    given_up.detector.backend.close()
    keeper.drop()
    anew = keeper.open()
    assert (anew.engine, anew.given_up) == (None, "")  # which leads to a build
    anew.detector.backend.close()


def test_an_engine_that_comes_when_nobody_waits_gives_its_memory_back(given) -> None:
    config = given.with_overlay({})
    late = EngineKeeper(config, lambda _news: None).open()
    assert late.detector.backend.device_bytes > 0
    daemon = Daemon(given, Notifier(lambda _: None))
    daemon._inbox.put(EngineReady(late))
    daemon._forget(config, config)
    assert late.detector.backend.device_bytes == 0
