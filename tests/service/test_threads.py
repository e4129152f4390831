"""Threads under their names."""

import threading
from pathlib import Path

from spotterd.service.threads import name_threads


def test_running_threads_are_named_and_the_process_keeps_its_name() -> None:
    go = threading.Event()
    thread = threading.Thread(target=go.wait, name="camera with-a-long-name")
    thread.start()
    before = Path("/proc/self/comm").read_text()
    name_threads()
    assert Path(f"/proc/self/task/{thread.native_id}/comm").read_text() == "camera with-a-l\n"
    assert Path("/proc/self/comm").read_text() == before
    go.set()
    thread.join()
