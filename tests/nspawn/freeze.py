"""Stops some threads of a process, and no others: what a driver that never returns looks like.

The kernel holds a traced thread while its tracer lives. Nothing in the product helps with this.
"""

import ctypes
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
WALL = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def threads_named(pid: int, name: str) -> list[int]:
    """Ids of the threads with this name (a thread inherits that of the one that starts it)."""
    named = {
        int(t.name): (t / "comm").read_text().strip() for t in Path(f"/proc/{pid}/task").iterdir()
    }
    found = [thread for thread, own in named.items() if own == name[:15]]
    assert found, f"no {name} among {sorted(named.values())}"
    return found


@contextmanager
def frozen(threads: Sequence[int]) -> Iterator[None]:
    """Hold the threads until the block ends; their process may be killed meanwhile."""
    tracer = os.fork()
    if tracer == 0:
        _hold(threads)
    try:
        yield
    finally:
        os.kill(tracer, signal.SIGKILL)  # the kernel lets the threads go
        os.waitpid(tracer, 0)


def _hold(threads: Sequence[int]) -> None:
    """In a process of its own, because it also has to reap them: else the killed process stays."""
    for thread in threads:
        for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
            if libc.ptrace(request, thread, None, None) != 0:
                os._exit(1)
    while libc.waitpid(-1, None, WALL) > 0:  # the stops first, then the ends
        pass
    os._exit(0)
