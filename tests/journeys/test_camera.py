"""Cameras that fail while the daemon runs, as a subscriber sees it."""

from pathlib import Path

import cv2

from brokers import Broker
from camera.rtsp import servers
from journeys.daemon import daemon


def test_a_dead_camera_is_told_comes_back_and_slows_no_other(
    broker: Broker, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("viewer:hidden\n")
    with servers() as make:
        server = make("viewer:hidden")
        roof = {"source": server.url, "credentials_file": str(secret), "max_fps": 5}
        other = {"source": "sim:?fps=5&size=320x256"}
        tree = {"cameras": {"roof": roof, "yard": other}, "health": {"interval_s": 1}}
        with daemon(broker, tmp_path, tree) as one:
            one.wait_for("camera/roof/status", is_in("online"))
            one.wait_for_state("running")

            server.kill()
            told = one.wait_for("camera/roof/status", is_in("offline"))
            assert "broke off" in told["reason"]
            assert "roof" in one.wait_for_state("degraded")["reason"]
            before = yard(one.wait_for("health"))["frames"]
            goes_on = one.wait_for(
                "health", lambda told: told["cameras"]["yard"]["frames"] > before
            )
            assert yard(goes_on)["reconnects"] == 0

            server.start()
            assert one.wait_for("camera/roof/status", is_in("online"))["warnings"] == []
            one.wait_for_state("running")
            roof = one.wait_for("health", lambda told: told["cameras"]["roof"]["camera_fps"] > 0)
            assert roof["cameras"]["roof"]["reconnects"] == 1
            assert roof["cameras"]["roof"]["hung"] == 0
            one.process.terminate()
            one.wait_for("availability", lambda payload: payload == "stopped")
            status, stderr = one.end()
    assert status == 0
    assert "hidden" not in stderr + str(one.heard)
    assert stderr.count("camera.chronicle: Camera roof") == 2  # one line lost, one line back


def test_cameras_that_are_not_there_are_waited_for(broker: Broker, tmp_path: Path) -> None:
    cameras = {"roof": {"source": "usb:97"}, "yard": {"source": "rtsp://u:hidden@127.0.0.1:1/x"}}
    with daemon(broker, tmp_path, {"cameras": cameras}) as one:
        for name, said in (("roof", "/dev/video97 is not there"), ("yard", "No video from")):
            one.wait_for(f"camera/{name}/status", lambda told, said=said: said in told["reason"])
        one.wait_for_state("degraded")
        assert one.process.poll() is None
        assert "hidden" not in str(one.heard)


def test_an_event_leaves_a_clip(broker: Broker, tmp_path: Path) -> None:
    tree = {
        "cameras": {"roof": {"source": "sim:?live=0&fps=10&seconds=3&craft=2"}},
        "detector": {"score": 0.2},
        "tracking": {"confirm_score": 0.2},
        "events": {"clips": {"enabled": True, "before_s": 1, "after_s": 0.5}},
    }
    with daemon(broker, tmp_path, tree) as one:
        event = one.wait_for("event", lambda told: told["type"] == "start")
        one.wait_for("availability", lambda payload: payload == "stopped")
        assert one.end()[0] == 0
    clip = tmp_path / "clips" / "roof" / f"{event['id']}.avi"
    video = cv2.VideoCapture(str(clip))
    assert video.read()[1].shape == (512, 640, 3)
    assert 3 <= video.get(cv2.CAP_PROP_FRAME_COUNT) <= 16


def is_in(state: str):
    return lambda told: told["state"] == state


def yard(health: dict) -> dict:
    return health["cameras"]["yard"]
