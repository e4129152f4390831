"""The local page's server, Prometheus and /healthz, over real sockets."""

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from health.test_checks import host
from helpers import nv12
from spotterd.data import Frame, Image, Tracks
from spotterd.errors import BadInputError
from spotterd.health.board import BoardFigures, combine
from spotterd.health.jetson import Rail
from spotterd.health.meters import Meters
from spotterd.health.metrics import Metrics
from spotterd.health.web import MOST_REQUESTS, WebServer
from spotterd.health.window import MOST_EVENTS, ShownEvent, Window

LABELS = ("airplane", "bird")
BOARD = replace(combine(None, (), ()), gpu_percent=43.0, rails=(Rail("VDD_IN", 5000, 1000),))
EVENT = ShownEvent("jet1-b3f1-1", "north", "airplane", 0.9, 1.7e9, 3.0, over=False, zones=())


def frame(seq: int, width: int = 1280, height: int = 720) -> Frame:
    bgr = np.full((height, width, 3), 90 + seq, np.uint8)
    return Frame("north", seq, 0, 0, 0, bgr)


def tracks(width: int, height: int) -> Tracks:
    none = Tracks.empty()
    return replace(
        none,
        id=np.array([7]),
        xyxy=np.array([[width / 4, height / 2, width / 2, height]], np.float32),
        score=np.array([0.8125], np.float32),
        label=np.array([0]),
    )


class Site:
    """A window with meters behind a running server, and a client."""

    def __init__(self, *, page: bool = True, metrics: bool = True) -> None:
        self.meters = Meters(time.monotonic_ns())
        self.window = Window(lambda: self.meters.snapshot(time.monotonic_ns()), ["north", "süd"])
        text = Metrics(self.window).text if metrics else None
        self.server = WebServer(self.window, "127.0.0.1", 0, page=page, metrics=text)
        self.port = int(self.server.url.rstrip("/").rsplit(":", 1)[1])
        self.server.start()

    def get(self, path: str, host_name: str = "") -> tuple[int, dict[str, str], bytes]:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        client.request("GET", path, headers={"Host": host_name} if host_name else {})
        answer = client.getresponse()
        body = answer.read()
        client.close()
        return answer.status, dict(answer.getheaders()), body

    def see(self, shown: Frame) -> None:
        """Let a frame pass as the pipeline does, once a viewer is waiting."""
        width, height = shown.size_wh
        live = self.window.live("north")
        assert live is not None
        deadline = time.monotonic() + 20
        while live._taken_ns < 0 and time.monotonic() < deadline:
            self.window.put_frame(shown, tracks(width, height), LABELS)


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.server.stop()


def test_the_page_and_its_parts_are_served_and_may_load_nothing_from_elsewhere(site: Site) -> None:
    for path, kind in (
        ("/", "text/html"),
        ("/page.js", "text/javascript"),
        ("/page.css", "text/css"),
    ):
        status, headers, body = site.get(path)
        assert status == 200
        assert headers["Content-Type"].startswith(kind)
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert b"http://" not in body.replace(b"http://www.w3.org/2000/svg", b"")
        assert b"https://" not in body


@pytest.mark.parametrize(
    "path",
    [
        *("/nowhere", "/../etc/passwd", "/picture/none", "/event/none"),
        *(f"/picture/north?after={wrong}" for wrong in ("x", "--1", "9" * 5000)),
    ],
)
def test_what_is_not_there_is_404(site: Site, path: str) -> None:
    assert site.get(path)[0] == 404


@pytest.mark.parametrize(("path", "host_name"), [("/now", "["), ("http://[", "localhost")])
def test_what_is_no_address_is_no_defect_of_ours(
    site: Site, path: str, host_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert site.get(path, host_name)[0] == 400
    assert caplog.records == []


def test_healthz_follows_the_state(site: Site) -> None:
    for state, expected in (
        ("starting", 200),
        ("running", 200),
        ("degraded", 200),
        ("failed", 503),
    ):
        site.window.put_state(state, "because")
        status, _, body = site.get("/healthz")
        assert (status, json.loads(body)) == (expected, {"state": state, "reason": "because"})


def test_now_tells_state_cameras_figures_history_and_events(site: Site) -> None:
    site.window.put_state("running", "Watching.")
    site.window.put_camera("north", "online", "")
    now_ns = time.monotonic_ns()
    site.meters.done("north", now_ns - 20_000_000, now_ns)
    figures = site.meters.snapshot(time.monotonic_ns())
    site.window.put_sample(figures, host(), BOARD)
    site.window.put_event(EVENT)
    now = json.loads(site.get("/now")[2])
    assert (now["state"], now["reason"]) == ("running", "Watching.")
    assert [camera["name"] for camera in now["cameras"]] == ["north", "süd"]
    assert now["cameras"][0]["state"] == "online"
    assert now["figures"]["latency"]["p50_ms"] == pytest.approx(20)
    assert now["machine"]["host"]["ram_total_mib"] == 8000
    assert now["machine"]["board"]["gpu_percent"] == 43.0
    assert now["history"][0]["latency"] == pytest.approx(20)
    assert now["history"][0]["celsius"] == 50.0
    assert now["events"][0]["picture"] is False


@pytest.mark.parametrize("form", [np.asarray, nv12])
def test_a_live_picture_is_small_and_comes_with_its_boxes(site: Site, form) -> None:
    shown = frame(5, 1920, 1080)
    shown = replace(shown, pixels=form(shown.pixels))
    passing = threading.Thread(target=site.see, args=(shown,))
    passing.start()
    status, headers, jpeg = site.get("/picture/north?after=-1")
    passing.join(20)
    assert status == 200
    assert headers["X-Seq"] == "5"
    (box,) = json.loads(headers["X-Boxes"])
    assert box == {"xyxyn": [0.25, 0.5, 0.5, 1.0], "label": "airplane", "score": 0.812, "track": 7}
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (540, 960, 3)
    assert abs(picture.mean() - 95) < 2


def test_a_camera_without_pictures_is_said_after_a_while(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spotterd.health.answers.PICTURE_WAIT_S", 0.05)
    assert site.get("/picture/s%C3%BCd")[0] == 503


def test_nobody_looking_makes_no_picture(site: Site) -> None:
    for seq in range(10):
        site.window.put_frame(frame(seq), tracks(1280, 720), LABELS)
    live = site.window.live("north")
    assert live is not None
    assert live._picture is None


def test_viewers_encode_their_own_pictures_and_share_them(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []

    def encode(bgr: Image) -> bytes:
        encoded.append(threading.current_thread().name)
        return bytes(cv2.imencode(".jpg", bgr)[1])

    monkeypatch.setattr("spotterd.health.live._encode", encode)
    monkeypatch.setattr("spotterd.health.live.INTERVAL_NS", 0)
    told: list[str] = []
    viewers = [
        threading.Thread(target=lambda: told.append(site.get("/picture/north")[1]["X-Seq"]))
        for _ in range(2)
    ]
    for viewer in viewers:
        viewer.start()
    site.see(frame(7))
    for viewer in viewers:
        viewer.join(10)
    assert told == ["7", "7"]
    assert len(encoded) == 1
    assert threading.current_thread().name not in encoded


def test_event_pictures_stay_until_a_better_one_and_old_events_go(site: Site) -> None:
    site.window.put_event(replace(EVENT, jpeg=b"first"))
    site.window.put_event(replace(EVENT, over=True))
    assert site.get(f"/event/{EVENT.id}")[2] == b"first"
    for n in range(MOST_EVENTS):
        site.window.put_event(replace(EVENT, id=f"later-{n}"))
    assert site.get(f"/event/{EVENT.id}")[0] == 404
    events = json.loads(site.get("/now")[2])["events"]
    assert len(events) == MOST_EVENTS
    assert events[0]["id"] == f"later-{MOST_EVENTS - 1}"


def test_prometheus_reads_it(site: Site) -> None:
    site.window.put_state("degraded", "")
    site.window.put_camera("north", "online", "")
    now_ns = time.monotonic_ns()
    site.meters.captured("north")
    site.meters.done("north", now_ns - 20_000_000, now_ns)
    site.meters.took("infer", now_ns - 15_000_000, now_ns)
    site.meters.watch_queue("frames", lambda: 1)
    site.window.put_sample(site.meters.snapshot(now_ns), host(), BOARD)
    status, headers, body = site.get("/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    assert found["spotterd_state", "degraded"] == 1
    assert found["spotterd_state", "running"] == 0
    assert found["spotterd_camera_online", "north"] == 1
    assert found["spotterd_camera_online", "süd"] == 0
    assert found["spotterd_frames_captured_total", "north"] == 1
    assert found["spotterd_latency_seconds", "0.95"] == pytest.approx(0.02)
    assert found["spotterd_stage_seconds", "0.5", "infer"] == pytest.approx(0.015)
    assert found["spotterd_queue_depth", "frames"] == 1
    assert found["spotterd_gpu_percent",] == 43
    assert found["spotterd_rail_watts", "VDD_IN"] == 5
    assert found["spotterd_temperature_celsius", "tj"] == 50
    assert ("spotterd_power_watts",) not in found  # not known is not zero


def test_switched_off_parts_are_not_there() -> None:
    site = Site(page=False, metrics=False)
    try:
        assert [site.get(path)[0] for path in ("/", "/now", "/metrics", "/healthz")] == [
            404,
            404,
            404,
            200,
        ]
    finally:
        site.server.stop()


def test_a_foreign_name_that_points_here_is_refused(site: Site) -> None:
    assert site.get("/now", host_name="evil.example")[0] == 421
    assert site.get("/now", host_name=f"localhost:{site.port}")[0] == 200


def test_only_reading(site: Site) -> None:
    client = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    client.request("POST", "/now", body=b"x")
    assert client.getresponse().status == 501
    client.close()


def test_too_many_viewers_are_turned_away_and_the_rest_still_served(site: Site) -> None:
    idle = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(MOST_REQUESTS)]
    turned_away = socket.create_connection(("127.0.0.1", site.port))
    turned_away.settimeout(20)
    assert turned_away.recv(1) == b""
    turned_away.close()
    for connection in idle:
        connection.close()
    assert answers_soon(site)


def answers_soon(site: Site) -> bool:
    """The places of viewers that left are free again once their threads noticed."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(ConnectionError, http.client.RemoteDisconnected):
            return site.get("/healthz")[0] == 200
    return False


def test_a_port_that_is_taken_is_one_sentence(site: Site) -> None:
    with pytest.raises(BadInputError, match=r"cannot listen on 127.0.0.1:\d+: .*Change web.port"):
        WebServer(site.window, "127.0.0.1", site.port, page=True, metrics=None)


def test_board_figures_without_any_way_to_ask() -> None:
    assert combine(None, (), ()) == BoardFigures(
        None, None, None, None, (), None, (), None, None, ()
    )
