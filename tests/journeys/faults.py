"""What happens to events while everything around them fails. A test runs it short, and

    python tests/journeys/faults.py --rounds 25 --kills 100

long (`make fault-test`): 20 events a second through a real mosquitto to a real subscriber with a
persistent session, while broker, network, password, disk and the daemon's life are taken away.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent / "daemon")]

from brokers import Mosquitto  # noqa: E402
from faultproxy import FaultProxy  # noqa: E402

SOURCE = Path(__file__).with_name("event_source.py")
FLAT_KIB = 4096
BROKER = """allow_anonymous false
password_file {folder}/passwords
persistence true
persistence_location {folder}/
autosave_interval 1
autosave_on_changes true
max_queued_messages 0
"""


@dataclass
class Verdict:
    """What came of a journey."""

    safe: int = 0
    received: int = 0
    lost: list[str] = field(default_factory=list)
    repeated: int = 0  # deliveries that dedupe removed
    out_of_order: int = 0
    replayed: int = 0
    kills: int = 0
    seconds: float = 0
    source: dict[str, Any] = field(default_factory=dict)  # figures of the last one

    @property
    def growth_kib(self) -> int:
        """Memory of the last source: the most of its second half less the most of its first."""
        rss = self.source["rss_kib"]
        half = len(rss) // 2
        return max(rss[half:]) - max(rss[:half])

    def __str__(self) -> str:
        return (
            f"{self.safe} events safe, {self.received} received: {len(self.lost)} lost, "
            f"{self.out_of_order} out of order, {self.repeated} deliveries twice (deduped), "
            f"{self.replayed} replayed; {self.kills} kills in {self.seconds:.0f} s; "
            f"memory of the last source grew by {self.growth_kib} KiB"
        )


def passwords(folder: Path) -> None:
    """Of the board and of the one who looks, for a broker and for the board."""
    (folder / "password").write_text("secret\n")
    for user, word in (("board", "secret"), ("viewer", "look")):
        make = ["-c"] if user == "board" else []
        file = folder / "passwords"
        subprocess.run(["mosquitto_passwd", "-b", *make, file, user, word], check=True)
    (folder / "passwords").chmod(0o600)


class Subscriber:
    """A real client with a persistent session, straight at the broker.

    Attributes:
        first: events by boot and number, in the order of their first deliveries.
        told: the latest payload of each of the other topics that it hears.
    """

    def __init__(self, port: int, *others: str) -> None:
        self.first: dict[tuple[str, int], dict[str, Any]] = {}
        self.told: dict[str, dict[str, Any]] = {}
        self.deliveries = 0
        self.replayed = 0
        self._grew = threading.Condition()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="hangar", clean_session=False
        )
        self._client.username_pw_set("viewer", "look")
        self._client.reconnect_delay_set(1, 1)
        topics = [(topic, 1) for topic in ("spotter/+/event", *others)]
        self._client.on_connect = lambda client, *_: client.subscribe(topics)
        self._client.on_message = self._on_message
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        payload = json.loads(message.payload)
        with self._grew:
            if message.topic.endswith("/event"):
                self.deliveries += 1
                self.replayed += payload["replayed"]
                self.first.setdefault((payload["boot"], payload["seq"]), payload)
            else:
                self.told[message.topic] = payload
            self._grew.notify_all()

    def wait(self, good: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until what was heard is good."""
        with self._grew:
            return self._grew.wait_for(good, timeout_s)

    def wait_for(self, wanted: set[tuple[str, int]], timeout_s: float) -> bool:
        return self.wait(lambda: wanted <= self.first.keys(), timeout_s)

    def wait_for_new_life(self, known: Iterable[str], timeout_s: float) -> bool:
        """Wait for an event of a boot that was not known."""
        return self.wait(
            lambda: next(reversed(self.first), ("", 0))[0] not in {"", *known}, timeout_s
        )

    def wait_until(self, topic: str, good: Callable[[Any], bool], timeout_s: float) -> bool:
        """Wait until the latest payload of a topic is good."""
        return self.wait(lambda: topic in self.told and good(self.told[topic]), timeout_s)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, 1, retain)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Journey:
    """One source, one broker, one subscriber, and faults between them."""

    def __init__(self, folder: Path, disk: Path, say: Callable[[str], None]) -> None:
        self.verdict = Verdict()
        self._disk = disk
        self._say = say
        self._truth = folder / "truth"
        self._truth.touch()
        self._password = folder / "password"
        passwords(folder)
        self._broker = Mosquitto(folder, BROKER.format(folder=folder))
        self._subscriber = Subscriber(self._broker.port)
        self._proxy = FaultProxy(self._broker.port)
        self._source: subprocess.Popen[str] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        began_s = time.monotonic()
        with self._proxy:
            self._start()
            try:
                yield
                self._finish()
            finally:
                if self._source.poll() is None:
                    self._source.kill()
                self._subscriber.stop()
                self._broker.kill()
                self.verdict.seconds = time.monotonic() - began_s

    def calm(self, seconds: float) -> None:
        time.sleep(seconds)

    def broker_restarts(self, *, kill: bool) -> None:
        self._say("broker killed" if kill else "broker stopped")
        (self._broker.kill if kill else self._broker.stop)()
        self.calm(1)
        self._broker.start()
        self.calm(1.5)

    def blackhole(self, seconds: float) -> None:
        self._say("link black-holed")
        self._proxy.blackhole = True
        self.calm(seconds)
        self._proxy.blackhole = False
        self._proxy.reset_all()
        self.calm(1)

    def reset(self) -> None:
        self._say("connection reset")
        self._proxy.reset_all()
        self.calm(0.7)

    def cut(self) -> None:
        self._say("connection cut in the middle of a packet")
        self._proxy.reset_all()
        self._proxy.cut_after = random.randint(700, 3000)
        self.calm(1.2)

    def wrong_password(self) -> None:
        self._say("wrong password, then the right one")
        self._password.write_text("wrong\n")
        self._proxy.reset_all()
        self.calm(1)
        self._password.write_text("secret\n")
        self.calm(1)

    def disk_full(self) -> None:
        self._say("disk full")
        filler = self._disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(4096)):
                pass
        self.calm(1.2)
        self._proxy.reset_all()
        self.calm(0.6)
        filler.unlink()
        self.calm(1.2)

    def kill_source(self) -> None:
        self._say("kill -9")
        self.calm(random.uniform(0.05, 0.8))
        self._source.kill()
        self._source.wait()
        self.verdict.kills += 1
        self._start()

    def _start(self) -> None:
        command = [sys.executable, SOURCE, "--url", f"mqtt://127.0.0.1:{self._proxy.port}"]
        command += ["--password", self._password, "--truth", self._truth]
        command += ["--outbox", self._disk / "outbox.db"]
        environment = {**os.environ, "PYTHONPATH": str(TESTS.parent / "daemon")}
        self._source = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        assert self._source.stdout.readline() == "ready\n"

    def _safe(self) -> list[tuple[str, int]]:
        lines = self._truth.read_text().splitlines()
        return [(boot, int(seq)) for boot, seq in map(str.split, lines)]

    def _finish(self) -> None:
        self._say("the end")
        # Connected again; without that a stop leaves the rest to the next start, rightly.
        self._subscriber.wait_for(set(self._safe()), 60)
        self._source.terminate()
        self.verdict.source = json.loads(self._source.communicate(timeout=60)[0])
        safe = self._safe()
        self._subscriber.wait_for(set(safe), 30)
        first = list(self._subscriber.first)
        boots = list(dict.fromkeys(boot for boot, _ in safe))
        # What was not on disk when a kill came may have been lost or not; it is in no list.
        places = [(boots.index(boot), seq) for boot, seq in first if boot in boots]
        verdict = self.verdict
        verdict.safe, verdict.received = len(safe), len(first)
        verdict.lost = [f"{boot} {seq}" for boot, seq in safe if (boot, seq) not in set(first)]
        verdict.out_of_order = sum(later < earlier for earlier, later in pairwise(places))
        verdict.repeated = self._subscriber.deliveries - len(first)
        verdict.replayed = self._subscriber.replayed


def travel(
    folder: Path, disk: Path, *, rounds: int, kills: int, say: Callable[[str], None]
) -> Verdict:
    journey = Journey(folder, disk, say)
    with journey.running():
        for _ in range(kills):
            journey.kill_source()
        # From here on one source lives through everything: its memory must stay flat.
        for number in range(rounds):
            journey.broker_restarts(kill=number % 2 == 0)
            journey.reset()
            journey.cut()
            journey.wrong_password()
            journey.disk_full()
            journey.blackhole(5.5)
    return journey.verdict


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A tmpfs of 4 MiB; needs root."""
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "spotterd-test", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=25)
    options.add_argument("--kills", type=int, default=100)
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="spotterd-faults-"))
    began_s = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began_s:7.1f} s  {what}", flush=True)

    with small_disk(folder) as disk:
        verdict = travel(folder, disk, rounds=given.rounds, kills=given.kills, say=say)
    shutil.rmtree(folder)
    print(verdict)
    sys.exit(bool(verdict.lost or verdict.out_of_order or verdict.growth_kib > FLAT_KIB))


if __name__ == "__main__":
    main()
