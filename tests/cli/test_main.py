"""How a command ends when only a new process helps."""

import subprocess
import sys

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
