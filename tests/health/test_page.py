"""The local page in a real browser, as a person on a desk and one with a phone would see it."""

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from health.test_checks import host
from health.test_web import BOARD, EVENT, LABELS, Site, frame, tracks
from spotterd.health.thermal import ThermalZone

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt install chromium")


@pytest.fixture
def site() -> Iterator[Site]:
    """A daemon's window with frames passing by."""
    made = Site()
    window = made.window
    window.put_state("degraded", "Camera süd: no picture for 5 s. Check the cable.")
    window.put_camera("north", "online", "")
    window.put_camera("süd", "offline", "No picture for 5 s.")
    _, jpeg = cv2.imencode(".jpg", frame(7, 160, 120).pixels)
    for n in range(5):
        now_ns = time.monotonic_ns()
        made.meters.done("north", now_ns - 20_000_000, now_ns)
        warm = (ThermalZone("tj", 50.0 + n, 95.0, None),)
        window.put_sample(made.meters.snapshot(now_ns), host(thermal=warm), BOARD)
        time.sleep(0.01)  # the plots' axis is the wall clock
    window.put_event(EVENT)
    drone = replace(EVENT, id="jet1-b3f1-2", label="drone", over=True, jpeg=jpeg.tobytes())
    window.put_event(drone)
    over = threading.Event()
    passing = threading.Thread(target=pass_frames, args=(made, over))
    passing.start()
    yield made
    over.set()
    passing.join()
    made.server.stop()


def pass_frames(site: Site, over: threading.Event) -> None:
    seq = 0
    while not over.wait(0.05):
        seq += 1
        site.window.put_frame(frame(seq % 100), tracks(1280, 720), LABELS)


def browse(site: Site, folder: Path, size: str, *what: str) -> str:
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu",
               "--hide-scrollbars",
               f"--user-data-dir={folder}", f"--window-size={size}",
               "--virtual-time-budget=3000", *what, site.server.url]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_the_page_shows_what_the_daemon_knows(site: Site, tmp_path: Path) -> None:
    dom = browse(site, tmp_path, "1100,1200", "--dump-dom")
    assert 'class="pill degraded"' in dom
    assert "Check the cable." in dom
    assert 'src="blob:http://127.0.0.1' in dom  # a live picture
    assert "airplane 81 %" in dom  # with its box
    assert dom.count("<polyline") >= 4
    assert "drone 90 %" in dom
    assert "event/jet1-b3f1-2" in dom
    assert "süd" in dom
    assert "4000 MiB" in dom


def test_it_fits_a_phone(site: Site, tmp_path: Path) -> None:
    picture = tmp_path / "phone.png"
    browse(site, tmp_path / "profile", "390,1600", f"--screenshot={picture}")
    shot = cv2.imread(str(picture))
    assert shot.shape[1] == 390
    # The cards leave a margin of the page's ground at the right: nothing is wider than the screen.
    right = shot[200:700, -6:]
    assert right.std() < 3
