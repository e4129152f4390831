"""A fault of the GPU in the daemon itself: it ends at once, and a new process has the GPU again.

On a real GPU where there is one with pycuda; else on the true pycuda and a device in the host's
memory (`make pycuda`).
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from builder.models import skies, tiny
from gpu import faulty_daemon
from gpu.devices import environment
from spotterd.service.engine import FAULTS_IN_A_ROW

SCRIPT = str(Path(__file__).with_name("faulty_daemon.py"))
SENTENCE_S = 1.0  # from the fault to what is said of it
END_S = 10.0  # from the fault to the end of the process


class Run(NamedTuple):
    """One run of the daemon: its status, what it said, and when after the fault."""

    status: int
    said: list[str]
    sentence_s: float
    end_s: float


@pytest.fixture(params=["gpu", "host"])
def device(request, tmp_path_factory):
    return environment(request.param, tmp_path_factory.mktemp("device"))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    tree = {
        "cameras": {"main": {"source": str(skies(tmp_path / "pictures", 40))}},
        "detector": {"model": str(tiny(tmp_path / "tiny.onnx"))},
        "engines": {"precision": "fp32", "backend": "tensorrt", "threads": 1},
        "mqtt": {"url": "mqtt://127.0.0.1:9"},
    }
    path.write_text(json.dumps(tree))
    return path


def run(config: Path, device: dict[str, str], what: str) -> Run:
    state = {"SPOTTERD_STATE_DIR": str(config.parent / "state")}
    fault = sentence = float("nan")
    said = []
    with subprocess.Popen(
        [sys.executable, SCRIPT, str(config), what],
        env={**os.environ, **device, **state},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stderr
        for line in process.stderr:
            said.append(line.rstrip())
            if line.startswith(faulty_daemon.FAULT):
                fault = float(line.rsplit(maxsplit=1)[1])
            elif "The GPU failed" in line and not sentence > 0:
                sentence = time.monotonic()
    ended = time.monotonic()
    print(*said, sep="\n")
    return Run(process.returncode, said, sentence - fault, ended - fault)


@pytest.mark.timeout(180)
def test_the_daemon_ends_at_a_fault_and_the_third_gives_the_engine_up(config, device):
    assert run(config, device, "engine").status == 0
    for times in range(1, FAULTS_IN_A_ROW + 1):
        ended = run(config, device, "40")
        assert ended.status == 1  # not a signal, and no hang
        assert ended.said[-1].startswith("spotterd: The GPU failed (")
        assert "Start spotterd again" in ended.said[-1]
        assert ended.sentence_s < SENTENCE_S
        assert ended.end_s < END_S
        told = "\n".join(ended.said)
        assert "PyCUDA WARNING" not in told
        assert "Traceback" not in told
        (faults,) = (config.parent / "state" / "engines").glob("*.faults")
        assert faults.read_text() == str(times)
        print(
            f"fault {times}: said after {ended.sentence_s:.3f} s, ended after {ended.end_s:.2f} s"
        )
    plain = run(config, device, "0")
    assert plain.status == 0
    told = "\n".join(plain.said)
    assert f"degraded: The engine ended the daemon {FAULTS_IN_A_ROW} times in a row" in told
    assert "All recordings are over" in told


@pytest.mark.timeout(120)
def test_a_process_after_a_fault_has_the_gpu_at_once(config, device):
    assert run(config, device, "engine").status == 0
    assert run(config, device, "40").status == 1
    whole = run(config, device, "0")
    told = "\n".join(whole.said)
    assert whole.status == 0
    assert "on tensorrt" in told
    assert "The GPU failed" not in told
    assert "All recordings are over" in told
