"""Cameras, detect and interpret together, on a model whose answers are known."""

import itertools
import threading
import time
from dataclasses import replace
from queue import SimpleQueue

import cv2
import numpy as np
import pytest

import tiny_models
from spotterd.config.load import validate
from spotterd.config.schema import Config
from spotterd.data import Event, Frame
from spotterd.errors import BadInputError
from spotterd.health.meters import Meters
from spotterd.inference.detector import Detector
from spotterd.inference.open import open_detector
from spotterd.service.bare import bare
from spotterd.service.detect import Detect
from spotterd.service.mailbox import Mailbox
from spotterd.service.pipeline import CameraTold, FirstFrame, Pipeline, StageEnded

FRAMES = 40


class Listener:
    """Stands where `Report` stands, and keeps what it was told."""

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.counts: list[dict[str, int]] = []
        self.events: list[tuple[Event, bytes | None]] = []
        self.snapshots: list[bytes] = []

    def track_ids(self, camera):
        return itertools.count(1)

    def detections(self, frame, seen, labels, synced) -> None:
        self.seqs.append(frame.seq)

    def frame(self, frame, seen, labels) -> None:
        """For the local page."""

    def event(self, event, timeline, jpeg) -> None:
        self.events.append((event, jpeg))

    def snapshot(self, camera, jpeg) -> None:
        self.snapshots.append(jpeg)

    def count(self, camera, count) -> None:
        self.counts.append(dict(count))


@pytest.fixture
def pictures(tmp_path):
    """A folder of white pictures, in which the tiny model sees a drone."""
    folder = tmp_path / "Bilder ü"
    folder.mkdir()
    white = cv2.imencode(".png", np.full((64, 96, 3), 255, np.uint8))[1]
    for number in range(FRAMES):
        (folder / f"{number:03}.png").write_bytes(white.tobytes())
    return folder


@pytest.fixture
def config(tmp_path, pictures) -> Config:
    model = tiny_models.sees_bright(tmp_path / "m.onnx")
    tree = {
        "cameras": {"a": {"source": str(pictures)}, "b": {"source": str(pictures)}},
        "detector": {"model": str(model)},
        "engines": {"threads": 1},
    }
    return validate(tree, "the test")


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Call a thread left behind only if it does not end, not if the machine is slow."""
    monkeypatch.setattr("spotterd.service.pipeline.CAMERA_STOP_S", 30.0)
    monkeypatch.setattr("spotterd.service.pipeline.DRAIN_S", 30.0)


def detector_of(config: Config) -> Detector:
    return open_detector(config.detector, config.engines)


class Running:
    """A started pipeline and its news."""

    def __init__(self, config: Config) -> None:
        self.news: SimpleQueue = SimpleQueue()
        self.report = Listener()
        self.meters = Meters(0)
        detector = detector_of(config)
        self.pipeline = Pipeline(config, detector, self.report, self.meters, self.news.put)
        self.pipeline.start()

    def wait_until(self, happened) -> None:
        while not happened(self.news.get(timeout=60)):
            pass


def test_recordings_of_all_cameras_go_the_whole_way_in_order(config) -> None:
    running = Running(config)
    running.wait_until(lambda _: running.pipeline.over)
    running.pipeline.stop()
    assert sorted(running.report.seqs) == sorted([*range(FRAMES), *range(FRAMES)])
    figures = running.meters.snapshot(1)
    assert [(c.name, c.captured, c.done, c.dropped) for c in figures.cameras] == [
        ("a", FRAMES, FRAMES, 0),
        ("b", FRAMES, FRAMES, 0),
    ]
    assert figures.errors == 0


def test_a_stop_ends_a_measurement_of_the_backend(config, monkeypatch) -> None:
    be_patient(monkeypatch)
    began, measured = threading.Event(), SimpleQueue()

    def measuring(*given):
        began.set()
        return bare(*given)

    monkeypatch.setattr("spotterd.service.detect.bare", measuring)
    running = Running(config)
    running.pipeline.ask_bench(1000, measured.put)
    assert began.wait(60)
    assert running.pipeline.stop() == []
    assert measured.get(timeout=60).fps > 0


def test_opencv_has_no_workers_beside_those_that_infer(config) -> None:
    cv2.setNumThreads(2)
    running = Running(config)
    assert cv2.getNumThreads() == 1
    running.pipeline.stop()


def test_live_changes_lose_no_frame_and_end_no_track(config) -> None:
    running = Running(config)
    low = config.model_copy(
        update={"detector": config.detector.model_copy(update={"score": 0.2, "iou": 0.5})}
    )
    changes = 0
    while not running.pipeline.over:
        running.pipeline.adopt((low, config)[changes % 2])
        changes += 1
        time.sleep(0.002)
    running.pipeline.stop()
    assert changes > 3
    assert sorted(running.report.seqs) == sorted([*range(FRAMES), *range(FRAMES)])
    kinds = [event.kind for event, _ in running.report.events if event.camera == "a"]
    assert kinds == ["start", "end"]


def test_a_live_change_that_names_an_unknown_class_changes_nothing(config) -> None:
    running = Running(config)
    wrong = {"classes": ("zeppelin",)}
    events = config.events.model_copy(update=wrong)
    with pytest.raises(BadInputError, match="zeppelin"):
        running.pipeline.adopt(config.model_copy(update={"events": events}))
    running.wait_until(lambda _: running.pipeline.over)
    running.pipeline.stop()
    assert {event.label for event, _ in running.report.events} == {"drone"}


def test_an_object_in_view_is_one_event_with_a_picture_and_ends_with_the_recording(config) -> None:
    running = Running(config)
    running.wait_until(lambda _: running.pipeline.over)
    running.pipeline.stop()
    for camera in ("a", "b"):
        told = [(event, jpeg) for event, jpeg in running.report.events if event.camera == camera]
        assert [event.kind for event, _ in told] == ["start", "end"]
        assert {event.label for event, _ in told} == {"drone"}
        assert told[-1][0].reason == "stopped"
        assert all(jpeg and jpeg.startswith(b"\xff\xd8") for _, jpeg in told)
    assert len(running.report.snapshots) == 2
    assert running.report.counts == [{"drone": 1}, {"drone": 1}, {}, {}]


def test_first_frames_and_states_are_told(config) -> None:
    running = Running(config)
    first, online = set(), set()
    while not (first == online == {"a", "b"}):
        match running.news.get(timeout=60):
            case FirstFrame(camera):
                first.add(camera)
            case CameraTold(name, status) if status.state == "online":
                online.add(name)
    running.pipeline.stop()


def test_stopping_in_the_middle_ends_every_thread(config, monkeypatch) -> None:
    be_patient(monkeypatch)
    tree = config.model_dump()
    tree["cameras"] = {"live": {"source": "sim:?fps=200"}, "file": tree["cameras"]["a"]}
    before = set(threading.enumerate())
    running = Running(validate(tree, "the test"))
    running.wait_until(lambda news: isinstance(news, FirstFrame))
    running.pipeline.stop()
    assert set(threading.enumerate()) - before == set()


def test_a_swap_of_detectors_drops_no_frame(config) -> None:
    running = Running(config)
    running.wait_until(lambda news: isinstance(news, FirstFrame))
    new = detector_of(config)
    running.pipeline.swap(new)
    running.wait_until(lambda _: running.pipeline.over)
    running.pipeline.stop()
    assert running.pipeline.detector is new
    assert sum(camera.done for camera in running.meters.snapshot(1).cameras) == 2 * FRAMES


def test_thresholds_changed_while_an_engine_was_built_outlive_the_swap(config) -> None:
    running = Running(config)
    new = detector_of(config)
    changed = replace(running.pipeline.detector.thresholds, score=0.77)
    running.pipeline.detector.thresholds = changed
    running.pipeline.swap(new)
    running.wait_until(lambda _: running.pipeline.over)
    running.pipeline.stop()
    assert running.pipeline.detector is new
    assert new.thresholds == changed


def test_a_camera_that_can_never_work_does_not_hold_the_others_up(config) -> None:
    tree = config.model_dump()
    tree["cameras"]["b"]["source"] = "/nowhere/clip.mp4"
    running = Running(validate(tree, "the test"))
    running.wait_until(lambda _: running.pipeline.over)
    running.pipeline.stop()
    assert "/nowhere/clip.mp4" in str(running.pipeline.errors["b"])
    assert running.report.seqs == list(range(FRAMES))


def test_a_bad_frame_costs_one_frame(config, monkeypatch) -> None:
    decode = Detector.decode
    calls = iter(range(10_000))

    def sometimes(self, slot, letterbox):
        if next(calls) == 5:
            raise ValueError("a defect")
        return decode(self, slot, letterbox)

    monkeypatch.setattr(Detector, "decode", sometimes)
    running = Running(config)
    running.wait_until(lambda _: running.pipeline.over)
    running.pipeline.stop()
    figures = running.meters.snapshot(1)
    assert sum(camera.done for camera in figures.cameras) == 2 * FRAMES - 1
    assert figures.errors == 1


def test_a_stage_that_always_fails_is_told(config, monkeypatch) -> None:
    def never(self, slot, letterbox):
        raise ValueError("a defect")

    monkeypatch.setattr(Detector, "decode", never)
    running = Running(config)
    running.wait_until(lambda news: isinstance(news, StageEnded) and news.name == "interpret")
    running.pipeline.stop()


def frame(seq: int, *, live: bool, release=lambda: None) -> Frame:
    stream_ns = 1 if live else seq
    return Frame("a", seq, 1, stream_ns, 1, np.zeros((64, 96, 3), np.uint8), release)


def test_the_next_frame_is_ready_before_interpret_hears_of_the_last(config, monkeypatch) -> None:
    frames, results = Mailbox(), Mailbox()
    detector = detector_of(config)
    detect = Detect(detector, frames, results, {}, Meters(0))
    waiting = {"letterbox": [], "infer": []}
    prepare, submit = detector.prepare, detector.backend.submit

    def prepare_noting(bgr, slot):
        waiting["letterbox"].append(len(results))
        return prepare(bgr, slot)

    def submit_noting(slot):
        waiting["infer"].append(len(results))
        submit(slot)

    monkeypatch.setattr(detector, "prepare", prepare_noting)
    monkeypatch.setattr(detector.backend, "submit", submit_noting)
    for seq in (5, 6, 7):
        frames.put_newest("a", frame(seq, live=False))
        detect.turn()
        if (inferred := results.take(0)) is not None:
            assert inferred.frame.seq == seq - 1
            inferred.release()
    assert waiting == {"letterbox": [0, 0, 0], "infer": [0, 1, 1]}
    detect.turn()  # no frame waits, so the last result does not either
    last = results.take(0)
    assert last is not None
    assert last.frame.seq == 7
    last.release()
    detector.backend.close()


def test_old_live_frames_are_dropped_not_processed_late(config) -> None:
    released: list[int] = []
    frames, results = Mailbox(), Mailbox()
    detector = detector_of(config)
    meters = Meters(0)
    detect = Detect(detector, frames, results, {"a": 1_000_000}, meters)
    frames.put_newest("a", frame(1, live=True, release=lambda: released.append(0)))
    detect.turn()
    assert released == [0]
    assert meters.snapshot(2).cameras[0].dropped == 1
    assert results.take(0) is None
    detector.backend.close()
