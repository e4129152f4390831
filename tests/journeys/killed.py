"""The whole daemon under `kill -9`, at random moments. A test runs it short, and

    python tests/journeys/killed.py --kills 100

long (`make kill-test`): two cameras with craft that come and go, a real mosquitto, a subscriber
with a persistent session, wishes for another configuration, engines built anew, and a link that
is black-holed now and then, so that the outbox has something to lose.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent / "daemon"), str(TESTS / "journeys")]

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import psutil  # noqa: E402
import yaml  # noqa: E402
from faults import BROKER, Subscriber, passwords  # noqa: E402

import tiny_models  # noqa: E402
from brokers import Mosquitto  # noqa: E402
from faultproxy import FaultProxy  # noqa: E402
from spotterd.remote.overlay import Kept  # noqa: E402

LONGEST_S = 4.0  # of a life; the shortest ends before anything is imported
LEAST_EVENTS = 20  # to have seen something, should all lives but the last have died young
MOST_GOODBYES = 3
GROWN_UP = 0.7  # share of the lives whose time begins with their first event
SKY = "sim:?size=384x256&fps=15&craft=6&seed="
ROOT = "spotter/roof"
AT_WORK = re.compile(r": (building|running): ")
SAYS_DAMAGE = ("Traceback", "broken", "set aside", "are lost", "defect", "cannot be")


@dataclass
class Verdict:
    """What came of it."""

    kills: int = 0
    ran: int = 0  # lives that came as far as their first pictures
    waiting: int = 0  # events in the outbox at the kills, together
    received: int = 0
    lost: list[str] = field(default_factory=list)
    repeated: int = 0  # deliveries that dedupe removed
    out_of_order: int = 0
    unbalanced: list[str] = field(default_factory=list)  # without exactly one start and one end
    ended_by_restart: int = 0
    wishes: int = 0
    pictures: int = 0
    damage: list[str] = field(default_factory=list)
    seconds: float = 0

    @property
    def good(self) -> bool:
        return not (self.lost or self.out_of_order or self.unbalanced or self.damage)

    def __str__(self) -> str:
        faults = [*self.damage, *(f"lost {key}" for key in self.lost), *self.unbalanced]
        return (
            f"{self.kills} kills in {self.seconds:.0f} s, {self.ran} lives saw the sky: "
            f"{self.received} events received ({self.waiting} waited on disk at a kill), "
            f"{len(self.lost)} lost, {self.repeated} deliveries twice (deduped), "
            f"{self.out_of_order} out of order, {len(self.unbalanced)} without one start and one "
            f"end ({self.ended_by_restart} ended by a restart); {self.wishes} wishes kept, "
            f"{self.pictures} pictures whole, {len(self.damage)} signs of damage"
            + "".join(f"\n  {fault}" for fault in faults[:20])
        )


class Journey:
    """Life after life of one daemon, on one state directory."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.verdict = Verdict()
        self._say = say
        self._folder = folder
        self._state = folder / "board"
        self._config = folder / "config.yaml"
        self._dice = random.Random()
        self._boots: dict[str, None] = {}  # in the order of the lives
        self._owed: set[tuple[str, int]] = set()  # was on disk when a kill came
        self._wish = 0
        self._heard = 0  # of the log
        passwords(folder)
        self._broker = Mosquitto(folder, BROKER.format(folder=folder))
        self._hears = Subscriber(self._broker.port, f"{ROOT}/state", f"{ROOT}/config/reported")
        self._proxy = FaultProxy(self._broker.port)
        self._daemon: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        began_s = time.monotonic()
        with self._proxy:
            self._write_config()
            try:
                yield
            finally:
                if self._daemon is not None and self._daemon.poll() is None:
                    self._daemon.kill()
                self._hears.stop()
                self._broker.kill()
                self.verdict.seconds = time.monotonic() - began_s

    def live_and_die(self) -> None:
        """One life: perhaps a wish, a rebuild, a dead link, and at some moment the end."""
        self._start()
        if self._dice.random() < GROWN_UP:  # however slow the machine is just now
            self._hears.wait_for_new_life(self._boots, 30)
        moments = sorted(self._dice.uniform(0, LONGEST_S) for _ in range(2))
        time.sleep(moments[0])
        self._disturb()
        time.sleep(moments[1] - moments[0])
        self._daemon.kill()
        self._daemon.wait()
        self._proxy.blackhole = False
        self._proxy.reset_all()
        self.verdict.kills += 1
        self._look_at_the_disk()

    def finish(self) -> None:
        """A last life, which ends in order; then add up."""
        self._say("the last life")
        self._start_to_stay()
        self._hears.wait_for(self._owed, 60)
        self._say("it works, and what was owed has come")
        self._wish_for_something(self._wish + 2 - self._wish % 2)  # a new pipeline, without a kill
        kept = self._hears.wait_until(
            f"{ROOT}/config/reported", lambda told: told["version"] == self._wish, 60
        )
        self._blame([] if kept else ["the last wish is not answered"])
        self._say("the last wish is kept")
        self._hears.wait(lambda: len(self._hears.first) > LEAST_EVENTS, 60)
        self._end_in_order()
        self._add_up()

    def _end_in_order(self) -> None:
        """What the short time for goodbyes was too short for is left to another life, rightly."""
        for goodbye in range(MOST_GOODBYES):
            if goodbye:
                self._say("another life, for what is left")
                self._start_to_stay()
            self._daemon.send_signal(signal.SIGTERM)
            status = self._daemon.wait(60)
            self._blame([f"the last life ended with status {status}"] if status else [])
            self._look_at_the_disk(whole=True)
            if self._hears.wait(self._all_is_told, 10):
                break

    def _start_to_stay(self) -> None:
        """Start, and wait until nothing is built: an end in order leaves no half engine then."""
        topic, before = f"{ROOT}/state", self._hears.told.get(f"{ROOT}/state", {}).get("boot")
        self._start()
        works = self._hears.wait_until(
            topic, lambda told: (told["state"], told["boot"] != before) == ("running", True), 120
        )
        self._blame([] if works else ["the last life does not work"])

    def _all_is_told(self) -> bool:
        return self._owed <= self._hears.first.keys() and not self._unbalanced()

    def _write_config(self) -> None:
        model = tiny_models.sees_dark(self._folder / "dark.onnx")
        tree = {
            "node": "roof",
            "cameras": {name: {"source": f"{SKY}{n}"} for n, name in enumerate(("north", "south"))},
            "detector": {"model": str(model)},
            "tracking": {"lost_s": 0.4, "tentative_s": 0.2},
            "events": {"cool_down_s": 0, "update_s": 0.5, "better_view": 1.2},
            "engines": {"precision": "int8", "harvest": {"interval_s": 1}},
            "remote": {"probation_frames": 5},
            "mqtt": {
                "url": f"mqtt://127.0.0.1:{self._proxy.port}",
                "username": "board",
                "password_file": str(self._folder / "password"),
                "keepalive_s": 5,
            },
        }
        self._config.write_text(yaml.safe_dump(tree))

    def _start(self) -> None:
        command = [sys.executable, "-m", "spotterd", "run", "--config", str(self._config)]
        environment = {
            **os.environ,
            "PYTHONPATH": str(TESTS.parent / "daemon"),
            "SPOTTERD_STATE_DIR": str(self._state),
        }
        # Appended to: a builder may still speak when its daemon is dead and the next one writes.
        with self._log.open("a") as log:
            self._daemon = subprocess.Popen(command, stderr=log, env=environment)

    @property
    def _log(self) -> Path:
        return self._folder / "stderr"

    def _disturb(self) -> None:
        what = self._dice.choice(("wish", "wish", "rebuild", "black hole", "black hole", "nothing"))
        if what == "wish":
            self._wish_for_something(self._wish + 1)
        elif what == "rebuild":
            self._hears.publish(f"{ROOT}/request/rebuild", b'{"token": "r"}')
        elif what == "black hole":
            self._proxy.blackhole = True

    def _wish_for_something(self, version: int) -> None:
        """Now what can be changed while it runs, now what takes a new pipeline and probation."""
        self._wish = version
        score = {"detector": {"score": 0.3 + version % 10 / 100}}
        rate = {"cameras": {"south": {"max_fps": 10 + version % 5}}}
        wish = {"version": version, "token": "t", "set": score if version % 2 else rate}
        self._hears.publish(f"{ROOT}/config/desired", json.dumps(wish).encode(), retain=True)

    def _look_at_the_disk(self, *, whole: bool = False) -> None:
        with self._log.open() as log:
            log.seek(self._heard)
            said = log.read()
            self._heard = log.tell()
        self.verdict.ran += AT_WORK.search(said) is not None
        self._blame(line for line in said.splitlines() if any(bad in line for bad in SAYS_DAMAGE))
        self._blame(re.findall(r"(?<=\(most recent call last\):\n)(?: .*\n)+.*", said))
        self._read_outbox()
        self._blame(str(path) for path in self._found("*broken*", "set-aside"))
        overlay = self._state / "overlay.json"
        if overlay.exists():
            self.verdict.wishes = Kept.model_validate_json(overlay.read_bytes()).wish.version
        pictures = self._found("*.jpg")
        self.verdict.pictures = len(pictures)
        self._blame(f"half a picture: {path}" for path in pictures if not is_whole(path))
        if whole:
            self._blame(f"left lying: {path}" for path in self._found(".tmp-*", "*.part"))
            orphans = [p for p in psutil.process_iter() if str(self._state) in environ_of(p)]
            self._blame(f"still runs: {process}" for process in orphans)

    def _found(self, *patterns: str) -> list[Path]:
        """Not by `rglob`, to which a folder that a dying builder renames meanwhile is an error."""
        there = [
            Path(folder, name)
            for folder, folders, files in os.walk(self._state)
            for name in (*folders, *files)
        ]
        return [path for path in there if any(path.match(pattern) for pattern in patterns)]

    def _read_outbox(self) -> None:
        """What the kill left there is owed to the subscriber; a copy is read, not to mend it."""
        found = [*self._state.glob("outbox.db*")]
        if not found:
            return
        copy = Path(tempfile.mkdtemp(dir=self._folder))
        for part in found:
            shutil.copy(part, copy)
        with closing(sqlite3.connect(copy / "outbox.db")) as db:
            ((told,),) = db.execute("PRAGMA integrity_check").fetchall()
            self._blame([] if told == "ok" else [f"outbox: {told}"])
            kept = (
                "SELECT payload FROM messages WHERE kind IN ('start', 'update', 'end') ORDER BY id"
            )
            has_table = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            rows = [json.loads(row[0]) for row in db.execute(kept)] if has_table else []
        shutil.rmtree(copy)
        keys = [(row["boot"], row["seq"]) for row in rows]
        self.verdict.waiting += len(keys)
        self._owed.update(keys)
        # Every life has one name; what it said is older than what the next ones say.
        self._boots |= dict.fromkeys(boot for boot, _ in [*self._hears.first, *keys])

    def _blame(self, signs: Iterator[str] | list[str]) -> None:
        self.verdict.damage += [sign for sign in signs if sign not in self.verdict.damage]

    def _unbalanced(self) -> list[str]:
        """Tracks without exactly one start and one end."""
        events = self._hears.first.values()
        kinds = Counter((event["id"], event["type"]) for event in events)
        return [
            f"{track}: {kinds[track, 'start']} starts, {kinds[track, 'end']} ends"
            for track in dict.fromkeys(event["id"] for event in events)
            if (kinds[track, "start"], kinds[track, "end"]) != (1, 1)
        ]

    def _add_up(self) -> None:
        first, verdict = self._hears.first, self.verdict
        verdict.received = len(first)
        verdict.repeated = self._hears.deliveries - len(first)
        newest = {boot: max(seq for its, seq in first if its == boot) for boot, _ in first}
        due = {(boot, seq) for boot, last in newest.items() for seq in range(1, last + 1)}
        verdict.lost = [f"{boot} {seq}" for boot, seq in (due | self._owed) - first.keys()]
        boots = list(self._boots | dict.fromkeys(boot for boot, _ in first))
        places = [(boots.index(boot), seq) for boot, seq in first]
        verdict.out_of_order = sum(later < earlier for earlier, later in pairwise(places))
        verdict.unbalanced = self._unbalanced()
        verdict.ended_by_restart = sum(event["reason"] == "restart" for event in first.values())
        if verdict.wishes != self._wish:
            self._blame([f"the overlay holds wish {verdict.wishes}, not {self._wish}"])


def is_whole(picture: Path) -> bool:
    return cv2.imdecode(np.fromfile(picture, np.uint8), cv2.IMREAD_COLOR) is not None


def environ_of(process: psutil.Process) -> str:
    try:
        return process.environ().get("SPOTTERD_STATE_DIR", "")
    except psutil.Error:
        return ""


def travel(folder: Path, kills: int, say: Callable[[str], None]) -> Verdict:
    journey = Journey(folder, say)
    with journey.running():
        for number in range(1, kills + 1):
            journey.live_and_die()
            if number % 10 == 0:
                ran, waiting = journey.verdict.ran, journey.verdict.waiting
                say(f"{number} kills, {ran} lives saw the sky, {waiting} events waited")
        journey.finish()
    return journey.verdict


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=100)
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="spotterd-killed-"))
    began_s = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began_s:7.1f} s  {what}", flush=True)

    verdict: Any = travel(folder, given.kills, say)
    if verdict.good:
        shutil.rmtree(folder)
    print(verdict if verdict.good else f"{verdict}\nkept: {folder}")
    sys.exit(not verdict.good)


if __name__ == "__main__":
    main()
