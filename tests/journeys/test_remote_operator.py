"""An operator at a shell: the commands wait for the board and exit by what became of it."""

import json
from pathlib import Path

import tiny_models
from brokers import Broker
from journeys.daemon import daemon, run, start


def test_an_operator_gets_sets_and_asks(broker: Broker, tmp_path: Path) -> None:
    tree = {
        "cameras": {"main": {"source": "sim:", "max_fps": 10}},
        "detector": {"model": str(tiny_models.sees_bright(tmp_path / "tiny.onnx"))},
        "remote": {"probation_s": 1, "probation_frames": 5},
    }
    at = ("--broker", broker.url)
    with daemon(broker, tmp_path, tree) as one:
        one.wait_for_state("running")
        done = run(tmp_path, "config", "get", one.node, "detector.score", *at)
        assert (done.returncode, done.stdout) == (0, "0.35\n"), done.stderr

        done = run(tmp_path, "config", "set", one.node, "detector.score=0.5", *at)
        assert (done.returncode, done.stdout) == (0, "applied, version 1\n"), done.stderr

        done = run(tmp_path, "config", "set", one.node, "detector.scor=1", "mqtt.url=x", *at)
        assert done.returncode == 1
        assert "did you mean 'score'?" in done.stdout
        assert "cannot be changed remotely" in done.stdout

        done = run(tmp_path, "config", "set", one.node, "cameras.main.source=/dev/video99", *at)
        assert done.returncode == 1
        assert done.stdout.startswith("rolled back, version 3\n")

        done = run(tmp_path, "config", "show", "--origin", "--json", "--config", one.config)
        assert json.loads(done.stdout)["detector.score"] == {"value": 0.5, "origin": "overlay"}

        done = run(tmp_path, "request", one.node, "ping", "--json", *at)
        assert json.loads(done.stdout)["ok"]
        done = run(tmp_path, "request", one.node, "explode", *at)
        assert done.returncode == 1
        assert "ask for one of ping" in done.stdout

        racing = [
            start(tmp_path, "config", "set", one.node, f"detector.score={n}", *at)
            for n in (0.6, 0.7)
        ]
        told = [process.communicate(timeout=100) for process in racing]
        codes = sorted(process.returncode for process in racing)
        assert codes in ([0, 0], [0, 1]), told
        if codes == [0, 1]:
            assert any("Somebody else changed the board" in stderr for _, stderr in told)

        done = run(tmp_path, "request", f"{one.node},nobody", "ping", "--timeout", 5, *at)
        assert done.returncode == 1
        assert f"{one.node}: version: " in done.stdout
        assert "nobody did not answer" in done.stderr

    done = run(tmp_path, "request", one.node, "ping", "--timeout", 1, *at)
    assert done.returncode == 1
    assert "did not answer" in done.stderr
    done = run(tmp_path, "config", "set", one.node, "detector.score=0.8", "--timeout", 2.5, *at)
    assert done.returncode == 1
    first, last = done.stderr.splitlines()
    assert first.startswith(f"{one.node} has not answered yet")
    assert last.startswith(f"spotterd: {one.node} did not answer within 2.5 s. The wish stays")
    done = run(tmp_path, "config", "get", "nobody", *at)
    assert done.returncode == 1
