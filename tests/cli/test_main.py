"""How commands end: where only a new process helps, and where nobody takes what they say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import ROOT

SCRIPT = """
import atexit, sys
from spotterd.cli import main
from spotterd.errors import RestartError
def app():
    print("so far")
    raise RestartError("The GPU failed.")
main.app = app
atexit.register(print, "winding up")
main.main()
"""


def test_it_leaves_with_the_sentence_and_without_winding_up() -> None:
    """Libraries abort when they free what lives on a dead GPU."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "so far\n")
    assert done.stderr == "spotterd: The GPU failed.\n"


COMMANDS = (["--help"], ["config", "show"], ["config", "validate", "config.yaml"], ["doctor"])


def spotterd(command: list[str], stdout: int, redirect: str = "") -> "subprocess.Popen[str]":
    shell = f'exec "$0" -m spotterd "$@" {redirect}'
    return subprocess.Popen(
        ["sh", "-c", shell, sys.executable, *command],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "daemon")},
    )


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_full_disk_below_the_output_is_one_sentence(command: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = spotterd(command, full.fileno())
    assert done.communicate(timeout=60)[1] == "spotterd: No space left for the output.\n"
    assert done.returncode == 1


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_nobody_who_reads_and_a_closed_output_are_no_reason_for_tracebacks(
    command: list[str],
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    unread = spotterd(command, writer)
    os.close(writer)
    assert unread.communicate(timeout=60)[1] == ""
    closed = spotterd(command, subprocess.DEVNULL, ">&-")
    assert closed.communicate(timeout=60)[1] == ""
    mute = spotterd(["config", "show"], subprocess.DEVNULL, "2>&-")
    assert (mute.communicate(timeout=60)[1], mute.returncode) == ("", 0)
