"""The demo's broker goes when its owner goes, and says what it lacks."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from spotterd.errors import BadInputError
from spotterd.publish.broker import DemoBroker

DAEMON = Path(__file__).parents[2] / "daemon"
OWNER = """
import sys
from spotterd.publish.broker import DemoBroker
with DemoBroker() as broker:
    print(broker._child.pid, flush=True)
    sys.stdin.readline()
"""


def test_it_does_not_outlive_a_killed_owner() -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        env={**os.environ, "PYTHONPATH": str(DAEMON)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    broker = psutil.Process(int(owner.stdout.readline()))
    owner.kill()
    owner.communicate()
    broker.wait(60)


def test_without_amqtt_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "amqtt").mkdir()
    blocked = "raise ModuleNotFoundError(\"No module named 'amqtt'\")"
    (tmp_path / "amqtt" / "__init__.py").write_text(blocked)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{DAEMON}")
    with pytest.raises(BadInputError, match="pip install 'spotterd"), DemoBroker():
        pass
