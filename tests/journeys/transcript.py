"""Writes docs/remote-transcript.md: an operator at a shell, and what a subscriber hears meanwhile.

usage: python tests/journeys/transcript.py      real broker, real daemon, bundled model; 2 minutes
"""

import queue
import re
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent / "daemon")]

from brokers import Mosquitto  # noqa: E402
from helpers import ROOT  # noqa: E402
from journeys.daemon import Daemon, daemon, start  # noqa: E402

FILE = ROOT / "docs" / "remote-transcript.md"
QUIET_S = 4.0  # without a word worth telling: the next command
PATIENCE_S = 300.0  # for a command, on a busy machine
SETTLED_S = 150.0  # for an engine to be built

HEAD = """# An operator changes a running board

Made by `make transcript` (tests/journeys/transcript.py): the real daemon with the bundled model, a
made-up sky and a real broker. What the operator types begins with `$`, what a subscriber to
`spotter/roof-1/#` hears meanwhile with `<` and the seconds since the command. Detections, health
and repeated words are left out, long payloads are shortened.
"""


class Subscriber:
    """Collects what is worth telling, with the time since the last command."""

    def __init__(self, one: Daemon) -> None:
        self._one = one
        self._told: dict[str, str] = {}
        self._since_s = time.monotonic()
        self._lines: list[str] = []
        self._stop = threading.Event()
        self.last_s = time.monotonic()
        self.state = ""
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def lines(self) -> list[str]:
        """Those since the last call."""
        heard, self._lines = self._lines, []
        return heard

    def command(self) -> None:
        self._since_s = self.last_s = time.monotonic()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                topic, payload = self._one.hear(0.2)
            except queue.Empty:
                continue
            said = _TELL[topic](payload) if topic in _TELL else ""
            if topic == "state":
                self.state = payload["state"]
            if topic.startswith("camera/") and topic.endswith("/status"):
                said = f"{payload['state']} {payload['reason']}".strip()
            if said and self._told.get(topic) != said:
                self._told[topic] = said
                self.last_s = time.monotonic()
                self._lines.append(f"<{self.last_s - self._since_s:6.1f} s  {topic:<20} {said}")


def _reported(told: dict[str, Any]) -> str:
    config = told["config"]
    shown = {
        "score": config["detector"]["score"],
        "precision": config["engines"]["precision"],
        "zones": list(config["events"]["zones"]),
        "cameras": {name: camera["source"] for name, camera in config["cameras"].items()},
    }
    errors = "".join(f"; {e['path'] or 'error'}: {e['message']}" for e in told["errors"])
    return f"version {told['version']} {told['status']}{errors}; {shown}"


def _state(told: dict[str, Any]) -> str:
    share = told["progress"]
    if share is not None:
        return f"{told['state']} ({int(share * 4) * 25} %)"  # quarters are enough to read
    return f"{told['state']}: {told['reason']}"


_TELL = {
    "config/reported": _reported,
    "state": _state,
    "availability": str,
    "info": lambda told: f"{told['model']['name']}, {told['engine']['precision']}",
}


def transcript(one: Daemon, folder: Path, broker: str) -> list[str]:
    """Each command with its output and exit status, and what was heard until it was quiet."""
    subscriber = Subscriber(one)
    commands = (
        ("The threshold", ("config", "get", "roof-1", "detector.score")),
        ("", ("config", "set", "roof-1", "detector.score=0.5")),
        (
            "A zone",
            *[
                (
                    "config",
                    "set",
                    "roof-1",
                    "events.zones.west.polygon=[[0,0],[0.5,0],[0.5,1],[0,1]]",
                )
            ],
        ),
        (
            "A bad wish: refused as a whole, with every problem",
            (
                *("config", "set", "roof-1", "detector.scor=0.4"),
                *("events.zones.west.camera=roof", "mqtt.url=mqtt://elsewhere"),
            ),
        ),
        (
            "The precision: ONNX Runtime serves until the engine is built",
            (*("config", "set", "roof-1", "engines.precision=int8"),),
        ),
        (
            "A camera that is not there: tried, and taken back",
            (*("config", "set", "roof-1", "cameras.main.source=/dev/video9"),),
        ),
        (
            "A second camera",
            (*("config", "set", "roof-1", "cameras.south.source=sim:", "cameras.south.max_fps=2"),),
        ),
        ("What it came to", ("request", "roof-1", "bench")),
        ("A new engine, with its progress", ("request", "roof-1", "rebuild")),
    )
    out = ["", *_block(subscriber, "", [])]
    for title, arguments in commands:
        if title:
            out += [f"## {title}", ""]
        subscriber.command()
        command = start(folder, *arguments, "--broker", broker)
        told, warned = command.communicate(timeout=PATIENCE_S)
        typed = " ".join(f"'{a}'" if set(a) & set("[ ") else a for a in arguments)
        said = (warned + told).splitlines()
        out += _block(subscriber, f"$ spotterd {typed}", [*said, f"[exit {command.returncode}]"])
    subscriber.close()
    return out


def _block(subscriber: Subscriber, typed: str, said: list[str]) -> list[str]:
    ends_s = time.monotonic() + SETTLED_S
    while time.monotonic() < ends_s and (
        time.monotonic() - subscriber.last_s < QUIET_S or subscriber.state in {"", "building"}
    ):
        time.sleep(0.1)
    return ["```", *filter(None, [typed]), *said, *subscriber.lines(), "```", ""]


def main() -> None:
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name)) as broker:
        folder = Path(name)
        tree = {
            "cameras": {"main": {"source": "sim:", "max_fps": 4}},
            "engines": {"precision": "fp32"},
            "remote": {"probation_s": 10, "probation_frames": 8},
        }
        with daemon(broker, folder, tree, node="roof-1") as one:
            lines = transcript(one, folder, broker.url)
    text = "\n".join([HEAD.rstrip(), *lines]).rstrip() + "\n"
    FILE.write_text(re.sub(r"mqtt://127\.0\.0\.1:\d+", "mqtt://broker", text), encoding="utf-8")


if __name__ == "__main__":
    main()
