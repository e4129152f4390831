"""A daemon-like child for journeys: events into the real outbox and link, 20 a second.

It writes down, line by line, every event that is out of danger (`boot seq`): on disk, or with the
broker. A kill may come at any moment; SIGTERM makes it end in order and print its figures.
"""

import argparse
import json
import secrets
import signal
import threading
import time
from pathlib import Path

import psutil

from spotterd.config.schema import Mqtt
from spotterd.data import Event
from spotterd.publish import build
from spotterd.publish.base import Message
from spotterd.publish.mqtt import Backoff, MqttLink
from spotterd.publish.outbox import Outbox

KINDS = ("start", "update", "end")


class Truth:
    """Appends events to a file as soon as they are out of danger."""

    def __init__(self, file: Path, boot: str, outbox: Outbox) -> None:
        self._file = file.open("a", buffering=1)
        self._boot = boot
        self._outbox = outbox
        self._first = 0
        self._told = 0
        self._put = 0
        threading.Thread(target=self._run, daemon=True).start()

    def put(self, message: Message) -> None:
        with self._outbox._changed:  # it counts as unsaved before anybody looks
            self._outbox.put(message)
            self._put += 1
            self._first = self._first or self._outbox._shelf.newest

    def _run(self) -> None:
        changed, unsaved = self._outbox._changed, lambda: self._outbox._shelf.unsaved
        while True:
            with changed:
                changed.wait_for(lambda: self._safe_up_to(unsaved()) > self._told)
                up_to = self._safe_up_to(unsaved())
            lines = [f"{self._boot} {seq}\n" for seq in range(self._told + 1, up_to + 1)]
            self._file.write("".join(lines))
            self._told = up_to

    def _safe_up_to(self, unsaved: dict[int, object]) -> int:
        return next(iter(unsaved)) - self._first if unsaved else self._put


def main() -> None:
    options = argparse.ArgumentParser()
    for name in ("url", "password", "outbox", "truth"):
        options.add_argument(f"--{name}", required=True)
    options.add_argument("--rate", type=float, default=20)
    given = options.parse_args()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    origin = build.Origin("roof", secrets.token_hex(4))
    outbox = Outbox(Path(given.outbox), retry_s=0.5)
    mqtt = Mqtt(url=given.url, username="board", password_file=given.password, keepalive_s=5)
    quick = Backoff(0.05, 0.5)
    link = MqttLink(mqtt, "roof", outbox, availability="spotter/roof/availability", backoff=quick)
    link.start()
    truth = Truth(Path(given.truth), origin.boot, outbox)
    print("ready", flush=True)

    timeline = build.Timeline(0, 0, synced=True)
    began_s, seq, sizes = time.monotonic(), 0, []
    while not stop.wait(max(0, began_s + seq / given.rate - time.monotonic())):
        seq += 1
        kind, track = KINDS[seq % 3], seq // 3
        box = (0.5, 0.5, 0.1, 0.1)
        happened = Event(kind, "north", track, "airplane", 0.8, 0.9, box, 10**9, 10**9)
        told = build.event(origin, seq, happened, timeline, engine=None, latency_ms=30)
        truth.put(Message("spotter/roof/event", told.to_bytes(), qos=1, kind=kind, event=told.id))
        if seq % 20 == 0:
            sizes.append(psutil.Process().memory_info().rss >> 10)
    link.stop(timeout_s=20)
    outbox.close()
    figures = {
        "events": seq,
        "dropped": outbox.dropped,
        "crashes": link.counts.crashes,
        "connects": link.counts.connects,
        "commits": outbox.commits,
        "left": outbox.depth,
        "rss_kib": sizes,
    }
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
