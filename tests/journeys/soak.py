"""Resident memory of `spotterd run` on a clip that loops, minute by minute, and its slope.

usage: python tests/journeys/soak.py [--minutes 60] [--source CLIP] [--precision int8]

The first quarter is left out of the slope: the engine is swapped in, caches and event pictures fill
up. Exit 1 where memory grows by more than 2 MiB an hour after it. Needs a mosquitto.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent / "daemon")]

from brokers import Mosquitto  # noqa: E402
from journeys.daemon import Daemon, daemon  # noqa: E402
from spotterd.service.bench import Memory  # noqa: E402

MOST_MIB_AN_HOUR = 2.0
MINUTE_S = 60.0


def minutes(one: Daemon, count: int) -> list[float]:
    """Resident memory in MiB at the end of each minute."""
    held = []
    for number in range(count):
        try:
            one.process.wait(MINUTE_S)
        except subprocess.TimeoutExpired:
            memory = Memory.of(one.process.pid)
        else:
            raise SystemExit(f"The daemon ended with {one.process.returncode}.")
        held.append(memory.rss_mib)
        print(f"minute {number + 1}: {memory.rss_mib:.1f} MiB, {memory.peak_mib:.1f} at most")
        sys.stdout.flush()
    return held


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--minutes", type=int, default=60, help="4 at least")
    options.add_argument("--source", default="sim:?live=0", help="a clip; or a made-up sky")
    options.add_argument("--precision", default="fp32")
    told = options.parse_args()
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name)) as broker:
        source = told.source if ":" in told.source else str(Path(told.source).resolve())
        tree = {
            "cameras": {"main": {"source": source, "loop": True}},
            "engines": {"precision": told.precision},
        }
        with daemon(broker, Path(name), tree) as one:
            one.wait_for_state("running")
            one.deafen()
            held = minutes(one, told.minutes)
    later = held[len(held) // 4 :]
    slope = np.polyfit(np.arange(len(later)) / 60.0, later, 1)[0]
    print(f"{slope:+.2f} MiB an hour after the first quarter (at most {MOST_MIB_AN_HOUR})")
    return 0 if slope <= MOST_MIB_AN_HOUR else 1


if __name__ == "__main__":
    sys.exit(main())
