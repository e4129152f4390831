"""From a real clip to a real subscriber, and the ways in which that starts and ends."""

import signal
from pathlib import Path

import cv2
import pytest
import yaml

from brokers import Broker, Mosquitto, free_port
from helpers import shared
from journeys.daemon import SOON_S, Daemon, daemon, run, start
from spotterd.service.bench import Memory

FRAMES = 45


def config_file(folder: Path, tree: dict) -> Path:
    file = folder / "Konfiguration ü.yaml"
    file.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return file


@pytest.mark.parametrize("clip", ["V_AIRPLANE_020.mp4", "V_HELICOPTER_012.mp4"])
def test_a_real_clip_reaches_a_subscriber_and_the_daemon_ends_with_it(
    broker: Broker, tmp_path: Path, clip: str
) -> None:
    source = beginning_of(shared(f"data/clips/{clip}"), tmp_path / "größe.mp4")
    tree = {"cameras": {"main": {"source": str(source)}}, "detector": {"score": 0.2}}
    with daemon(broker, tmp_path, tree) as one:
        assert one.hear() == ("availability", "online")
        info = one.wait_for("info")
        one.first("state")
        assert info["model"]["labels"] == ["airplane", "helicopter", "drone", "bird"]
        assert info["engine"]["precision"] == "fp32"
        one.first("camera/main/status", lambda status: status["state"] == "online")
        # A clip this short may be over before the builder has said that FP32 is what runs.
        one.first("state", lambda told: told["state"] in ("building", "running"))
        seen = one.first("detections/main")
        assert seen["frame_wh"] == [640, 512]
        assert seen["detections"][0]["label"] in info["model"]["labels"]
        one.wait_for("availability", lambda payload: payload == "stopped")
        assert one.end()[0] == 0
        health = one.of("health")[-1]
        seqs = [payload["seq"] for payload in one.of("detections/main")]
    assert health["cameras"]["main"]["frames"] == FRAMES
    assert health["dropped"] == 0
    assert seqs == sorted(set(seqs))


def beginning_of(clip: Path, path: Path) -> Path:
    """The first frames of a clip, so that a slow machine is done with it soon."""
    video = cv2.VideoCapture(str(clip))
    out = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 30.0, (640, 512))
    for _ in range(FRAMES):
        good, frame = video.read()
        assert good
        out.write(frame)
    out.release()
    return path


@pytest.fixture
def watching(broker: Broker, tmp_path: Path):
    """A daemon that runs on the made-up sky."""
    with daemon(broker, tmp_path, {}) as one:
        one.wait_for_state("running")
        yield one


def test_sigterm_says_stopped_and_leaves_nothing(watching: Daemon) -> None:
    watching.signal(signal.SIGTERM)
    watching.wait_for("availability", lambda payload: payload == "stopped")
    status, stderr = watching.end()
    assert status == 0
    assert "Traceback" not in stderr


def test_a_plain_run_takes_less_than_300_mb(watching: Daemon) -> None:
    watching.wait_for("health", lambda health: health["cameras"]["main"]["frames"] > 1)
    assert Memory.of(watching.process.pid).peak_mib < 300e6 / 2**20


def test_kill_leaves_the_last_will(watching: Daemon) -> None:
    watching.signal(signal.SIGKILL)
    watching.wait_for("availability", lambda payload: payload == "offline")


def test_a_broker_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as late:
        late.kill()
        with daemon(late, tmp_path, {}) as one:
            late.start()
            one.wait_for_state("running")


def test_a_refused_password_is_told_and_tried_again(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, "allow_anonymous false\n") as locked:
        done = run(tmp_path, "run", "--broker", locked.url, "--source", "sim:", "--for", "4")
    assert done.returncode == 0
    refusals = [line for line in done.stderr.splitlines() if "refused" in line.lower()]
    assert len(refusals) == 1, done.stderr


BAD_SOURCES = {
    "missing": lambda folder: folder / "größe" / "none.mp4",
    "corrupt": lambda folder: written(folder / "bad.mp4", b"not a video" * 999),
    "empty": lambda folder: written(folder / "zero.mp4", b""),
    "no pictures": lambda folder: written(folder / "texts" / "a.txt", b"hello").parent,
}


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", BAD_SOURCES)
def test_a_source_that_can_never_work_ends_with_one_sentence(tmp_path: Path, kind: str) -> None:
    source = BAD_SOURCES[kind](tmp_path)
    url = f"mqtt://127.0.0.1:{free_port()}"
    done = run(tmp_path, "run", "--source", source, "--broker", url)
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("spotterd: ")
    assert source.name in last
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"detector": {"model": "/none.onnx"}}, "/none.onnx"),
        ({"detector": {"labels": ["one", "two"]}}, "labels"),
        ({"mqtt": {"password_file": "/none"}}, "/none"),
    ],
)
def test_a_configuration_that_cannot_work_ends_with_one_sentence(
    tmp_path: Path, tree: dict, said: str
) -> None:
    url = f"mqtt://127.0.0.1:{free_port()}"
    done = run(tmp_path, "run", "--broker", url, "--config", config_file(tmp_path, tree))
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("spotterd: ")
    assert said in last
    assert "Traceback" not in done.stderr


def test_demo_shows_detections_and_ends_with_a_summary(tmp_path: Path) -> None:
    done = run(tmp_path, "demo", "--seconds", "12")
    assert done.returncode == 0, done.stderr
    assert "running" in done.stdout
    assert "capture to publish" in done.stdout
    summary = done.stdout.strip().splitlines()[-3:]
    assert summary[1].startswith("Detections in ")
    assert "none" not in summary[1]


def test_a_demo_stopped_before_its_daemon_listens_ends_in_order(tmp_path: Path) -> None:
    with start(tmp_path, "demo") as one:
        assert one.stdout is not None
        assert one.stdout.readline().startswith("Broker on")
        one.send_signal(signal.SIGINT)
        stderr = one.communicate(timeout=SOON_S)[1]
    assert one.returncode in (0, 1, 130), "not what our own SIGTERM to the daemon leaves"
    assert "Traceback" not in stderr


def test_demo_on_a_taken_port_says_so(broker: Broker, tmp_path: Path) -> None:
    done = run(tmp_path, "demo", "--port", broker.port)
    assert done.returncode == 2
    assert str(broker.port) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words", [("demo", "--port", "99999"), ("demo", "--port", "-1"), ("run", "--for", "-3")]
)
def test_a_number_out_of_range_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run(tmp_path, *words)
    assert done.returncode == 2
    assert f"Invalid value for '{words[1]}'" in done.stderr


def test_help_is_quick_and_names_the_main_job(tmp_path: Path) -> None:
    done = run(tmp_path, "--help")
    assert done.returncode == 0
    for name in ("run", "demo", "watch", "doctor", "config"):
        assert name in done.stdout
