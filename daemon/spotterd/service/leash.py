"""A `spotterd` in a process of its own that ends with whoever started it, however that ends.

`python -m spotterd.service.leash ARGUMENTS` is that process: it holds the reading end of a pipe.
"""

import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence


def started(arguments: Sequence[str], stderr: int | None = None) -> "subprocess.Popen[bytes]":
    """Start `spotterd ARGUMENTS`; stop it with SIGTERM, as any other."""
    command = [sys.executable, "-m", __name__, *arguments]
    return subprocess.Popen(  # noqa: S603 (ourselves)
        command,
        stdin=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,  # Ctrl-C at the terminal is the starter's, it stops us in order
    )


def _end_with_stdin() -> None:
    """The other end of the pipe closes when its process dies: then nobody would stop this one."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_stdin, name="leash", daemon=True).start()
    runpy.run_module("spotterd", run_name="__main__", alter_sys=True)
