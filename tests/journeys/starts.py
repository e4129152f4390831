"""How long a board's first start takes, and every later one, until a detection is published.

usage: python tests/journeys/starts.py [--rounds 3] [--source sim:]

Seconds from the command to the first message of a detection, heard through a real mosquitto. The
first start has an empty state directory and builds the engine beside; the later one finds it.
"""

import argparse
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent / "daemon")]

from brokers import Mosquitto  # noqa: E402
from journeys.daemon import Daemon  # noqa: E402

ENGINE_S = 300.0  # it takes 10 s on an idle machine


def detects_after_s(one: Daemon, began_s: float) -> float:
    """Seconds from then to the first detection."""
    one.wait_for("detections/main", lambda told: told["detections"])
    return time.monotonic() - began_s


def wait_for_engine(one: Daemon) -> None:
    """Until the one that was built is in use."""
    by_s = time.monotonic() + ENGINE_S
    while time.monotonic() < by_s:
        topic, told = one.hear()
        if topic == "info" and told["engine"]["key"]:
            return
    raise SystemExit(f"No engine was built within {ENGINE_S:.0f} s.")


def starts(source: str) -> tuple[float, float]:
    """Seconds of a first start and of a later one."""
    tree = {"cameras": {"main": {"source": source}}, "engines": {"precision": "auto"}}
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name)) as broker:
        began_s = time.monotonic()
        one = Daemon(broker, Path(name), tree)
        try:
            first_s = detects_after_s(one, began_s)
            wait_for_engine(one)
            one.signal(signal.SIGTERM)
            one.wait_for("availability", lambda said: said == "stopped")
            one.end()
            began_s = time.monotonic()
            one.start()
            return first_s, detects_after_s(one, began_s)
        finally:
            one.close()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--source", default="sim:", help="something is in view from the start")
    told = options.parse_args()
    measured = []
    for number in range(told.rounds):
        measured.append(starts(told.source))
        first_s, later_s = measured[-1]
        print(f"round {number + 1}: first {first_s:.2f} s, later {later_s:.2f} s", flush=True)
    first_s, later_s = (statistics.median(column) for column in zip(*measured, strict=True))
    print(f"to the first detection published: first start {first_s:.2f} s, later {later_s:.2f} s")


if __name__ == "__main__":
    main()
