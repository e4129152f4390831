"""What the local page costs: frame rate with two viewers, as a share of that without.

    python tests/journeys/viewers.py --pairs 8      (`make page-bench`; leave the machine alone)

One daemon that is busy all the time (a recording, every frame, one thread for the network), and
spans without and with viewers in turns, so that a machine that slows down slows both. The viewers
ask as page.js does; they are another machine in life, so here they take what the daemon leaves.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent / "daemon")]

import yaml  # noqa: E402

from brokers import free_port  # noqa: E402

KEEPS = 0.97
VIEWERS = 2
SPAN_S = 10.0
SETTLE_S = 1.5
CAMERA = "main"
NOW_EVERY_S = 2.0  # NOW_MS of page.js


def get(port: int, path: str) -> tuple[int, str | None, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers["X-Seq"], answer.read()
    finally:
        connection.close()


def view(port: int, start: threading.Event) -> None:
    """One person who looks while `start` is set."""
    seq, told_s = "-1", 0.0
    while True:
        start.wait()
        status, newer, _ = get(port, f"/picture/{CAMERA}?after={seq}")
        seq = newer if status == 200 and newer else seq
        if time.monotonic() - told_s > NOW_EVERY_S:
            told_s = time.monotonic()
            get(port, "/now")
        print(".", end="", flush=True)


def viewers(port: int) -> None:
    """The viewers' process: looks or not, as stdin says, a line at a time."""
    os.nice(19)
    start = threading.Event()
    for _ in range(VIEWERS):
        threading.Thread(target=view, args=(port, start), daemon=True).start()
    for line in sys.stdin:
        (start.set if line == "look\n" else start.clear)()


@contextmanager
def daemon(folder: Path, port: int, source: str) -> Iterator[None]:
    tree: dict[str, Any] = {
        "node": "viewed",
        "cameras": {CAMERA: {"source": source, "loop": True}},
        "engines": {"backend": "onnxruntime", "precision": "fp32", "threads": 1},
        "mqtt": {"url": f"mqtt://127.0.0.1:{free_port()}"},
        "web": {"page": True, "port": port},
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(tree))
    state = {"PYTHONPATH": str(TESTS.parent / "daemon"), "SPOTTERD_STATE_DIR": str(folder)}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "spotterd", "run", "--config", str(file)],
            env={**os.environ, **state},
            stderr=log,
        )
    try:
        wait_for_rate(port)
        yield
    finally:
        process.terminate()
        process.wait(20)


def wait_for_rate(port: int) -> None:
    """Until the engine is built and frames flow."""
    for _ in range(120):
        time.sleep(1)  # another program's state: there is nothing to wait on
        try:
            now = json.loads(get(port, "/now")[2])
        except OSError:
            continue
        if now["state"] == "running" and done(port) > 0:
            return
    raise TimeoutError("the daemon does not run")


def done(port: int) -> int:
    cameras = json.loads(get(port, "/now")[2])["figures"]["cameras"]
    return int(cameras[0]["done"]) if cameras else 0


def rate(port: int) -> float:
    """Frames a second over one span."""
    time.sleep(SETTLE_S)
    began, began_s = done(port), time.monotonic()
    time.sleep(SPAN_S)
    return (done(port) - began) / (time.monotonic() - began_s)


def measure(port: int, pairs: int) -> list[float]:
    """Share kept, pair by pair; who goes first changes from pair to pair."""
    command = [sys.executable, __file__, "--view", str(port)]
    kept = []
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as people:
        assert people.stdin is not None
        assert people.stdout is not None
        shown = people.stdout.fileno()
        for number in range(pairs):
            rates = {}
            for watched in (False, True) if number % 2 == 0 else (True, False):
                people.stdin.write("look\n" if watched else "away\n")
                people.stdin.flush()
                rates[watched] = rate(port)
            kept.append(rates[True] / rates[False])
            pictures = len(os.read(shown, 1 << 16))
            print(
                f"{number + 1}/{pairs}: {rates[False]:.2f} frames/s alone, {rates[True]:.2f} with "
                f"{VIEWERS} viewers ({pictures} pictures): {kept[-1]:.3f}",
                flush=True,
            )
        people.kill()
    return kept


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", type=int, default=8)
    options.add_argument("--source", default="sim:?size=1280x720&live=0")
    options.add_argument("--view", type=int, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.view:
        viewers(given.view)
        return
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, daemon(Path(folder), port, given.source):
        kept = measure(port, given.pairs)
    median = statistics.median(kept)
    spread = f"{min(kept):.3f} to {max(kept):.3f}, load now {os.getloadavg()[0]:.1f}"
    print(f"{VIEWERS} viewers leave {median:.3f} of the frame rate (at least {KEEPS}; {spread})")
    sys.exit(median < KEEPS)


if __name__ == "__main__":
    main()
