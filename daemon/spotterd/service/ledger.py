"""Which threads of this process its CPU time goes to."""

import threading
import time
from collections import defaultdict
from dataclasses import dataclass

import psutil

LIBRARIES = "libraries"  # threads that Python does not know, or that have ended: decoders


@dataclass(frozen=True, slots=True)
class Ledger:
    """CPU seconds that each thread has spent so far.

    Attributes:
        spent: by the kernel's id: Python's name for the thread or "", and seconds.
        total_s: of the whole process, with the threads that have ended.
    """

    spent: dict[int, tuple[str, float]]
    total_s: float

    @classmethod
    def now(cls) -> "Ledger":
        """Ask the kernel; it counts in steps of 10 ms."""
        names = {thread.native_id: thread.name for thread in threading.enumerate()}
        return cls(
            {
                thread.id: (names.get(thread.id, ""), thread.user_time + thread.system_time)
                for thread in psutil.Process().threads()
            },
            time.process_time(),
        )

    def since(self, began: "Ledger", infer_s: float) -> dict[str, float]:
        """Seconds spent since then outside of inference, by thread, without the main thread.

        Args:
            began: an earlier ledger.
            infer_s: what the `detect` thread spent in the backend meanwhile.
        """
        outside: defaultdict[str, float] = defaultdict(float)
        ended_s = self.total_s - began.total_s
        for thread, (name, now_s) in self.spent.items():
            took_s = now_s - began.spent.get(thread, ("", 0.0))[1]
            ended_s -= took_s
            # The backend's own threads work about as long as the one that calls it.
            if name == "MainThread" or (not name and took_s > infer_s / 2):
                continue
            outside[name or LIBRARIES] += took_s - (infer_s if name == "detect" else 0.0)
        # A recording that begins again has new decoders; what the old ones did is not lost.
        outside[LIBRARIES] += max(ended_s, 0.0)
        return dict(outside)
