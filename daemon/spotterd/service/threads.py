"""Threads under their names in `top -H`, `ps -L` and core dumps (Python itself, from 3.14 on)."""

import threading
from contextlib import suppress
from pathlib import Path

MOST_CHARACTERS = 15  # the kernel's limit


def name_threads() -> None:
    """Give every running thread the name that Python knows it by. Cheap, and may be repeated."""
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and thread.native_id is not None:
            comm = Path(f"/proc/self/task/{thread.native_id}/comm")
            with suppress(OSError):  # it ended meanwhile
                comm.write_text(thread.name[:MOST_CHARACTERS], encoding="utf-8")
