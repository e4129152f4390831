"""Frame rate and memory of a daemon while strangers flood it, beside those in peace.

usage: python tests/journeys/flood.py [--seconds 20] [--rounds 3] [--per-second 1000] [--fps 4]

In turns, so that a machine that changes its speed changes it for both. Exit 1 where the frame rate
falls below 0.9 of that in peace, or memory grows by more than 10 MiB from the first flood's end to
the last one's. Sender and broker run on the same machine and take their share of it.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent / "daemon")]

from brokers import Mosquitto  # noqa: E402
from journeys.daemon import SOON_S, Daemon, daemon  # noqa: E402
from spotterd.config.schema import Mqtt  # noqa: E402
from spotterd.publish.base import Message  # noqa: E402
from spotterd.publish.memory import MemoryOutbox  # noqa: E402
from spotterd.publish.mqtt import MqttLink  # noqa: E402

LEAST = 0.9
MOST_MIB = 10
BATCH = 50


class Flood:
    """Requests, wishes and rubbish at a steady rate, from a connection of its own."""

    def __init__(self, broker: Mosquitto, one: Daemon, per_s: int) -> None:
        self._link = MqttLink(Mqtt(url=broker.url), "flood", MemoryOutbox())
        self._link.start()
        self._link.wait_connected(10)
        topics = one.topics
        wish = json.dumps({"version": 1, "token": "f", "set": {"detector": {"scor": 1}}}).encode()
        self._kinds = (
            Message(topics.request("ping"), b'{"token":"f"}'),
            Message(topics.request("model"), b'{"token":"f","args":{"url":"http://x"}}'),
            Message(topics.request("explode"), b"\xff\x00"),
            Message(topics.config_desired, wish),
            Message(topics.config_desired, b"[" * 60_000),
        )
        self._per_s = per_s

    def send(self, seconds: float) -> int:
        began_s, sent = time.monotonic(), 0
        while (spent_s := time.monotonic() - began_s) < seconds:
            if sent < spent_s * self._per_s:
                for number in range(BATCH):
                    self._link.send(self._kinds[number % len(self._kinds)])
                sent += BATCH
            else:
                time.sleep(0.01)
        return sent

    def close(self) -> None:
        self._link.stop(timeout_s=1)


class Watch:
    """Hears the board's figures, and nothing of the flood."""

    def __init__(self, broker: Mosquitto, one: Daemon) -> None:
        topics = (one.topics.health,)
        self._link = MqttLink(Mqtt(url=broker.url), "watch", MemoryOutbox(), subscriptions=topics)
        self._link.start()
        self._link.wait_connected(10)

    def health(self) -> dict[str, Any]:
        """The next figures."""
        while not self._link.inbox.empty():
            self._link.inbox.get()
        return json.loads(self._link.inbox.get(timeout=SOON_S).payload)

    def measured(self, seconds: float, flood: Flood | None) -> tuple[float, int, int]:
        """Frames a second, memory at the end in MiB, and messages that were sent."""
        before = self.health()
        sent = flood.send(seconds) if flood else 0
        if flood is None:
            time.sleep(seconds)
        after = self.health()
        frames = after["cameras"]["main"]["frames"] - before["cameras"]["main"]["frames"]
        return frames / (after["uptime_s"] - before["uptime_s"]), after["host"]["rss_mib"], sent

    def close(self) -> None:
        self._link.stop(timeout_s=1)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=float, default=20)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--per-second", type=int, default=1000)
    options.add_argument("--fps", type=float, default=4, help="of the camera")
    told = options.parse_args()
    ratios, memory = [], []
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name)) as broker:
        tree = {
            "cameras": {"main": {"source": "sim:", "max_fps": told.fps}},
            "health": {"interval_s": 1},
        }
        with daemon(broker, Path(name), tree) as one:
            one.wait_for_state("running")
            one.deafen()
            flood, watch = Flood(broker, one, told.per_second), Watch(broker, one)
            for number in range(told.rounds):
                calm, _, _ = watch.measured(told.seconds, None)
                busy, rss_mib, sent = watch.measured(told.seconds, flood)
                ratios.append(busy / calm)
                memory.append(rss_mib)
                print(
                    f"round {number + 1}: {calm:.2f} frames/s in peace, {busy:.2f} under "
                    f"{sent / told.seconds:.0f} messages/s: {busy / calm:.3f}; {rss_mib} MiB",
                    flush=True,
                )
            flood.close()
            watch.close()
    ratio, grown = statistics.median(ratios), memory[-1] - memory[0]
    print(f"ratio {ratio:.3f} (at least {LEAST}), memory grew by {grown} MiB (at most {MOST_MIB})")
    return 0 if ratio >= LEAST and grown <= MOST_MIB else 1


if __name__ == "__main__":
    sys.exit(main())
