"""A thread that works in short turns, survives a bad one, and tells when it last got on."""

import logging
import threading
import time
from collections.abc import Callable

from spotterd.errors import RestartError
from spotterd.health.meters import Meters
from spotterd.service.mailbox import Closed

log = logging.getLogger(__name__)

IDLE_S = 1.0  # a stage without work says at least this often that it is alive
HOPELESS = 10  # turns that fail in a row before the stage gives up


class Stage:
    """A thread that repeats one short turn and tells when it last got on.

    A turn that raises is logged, counted and skipped, so that one bad frame costs one frame. After
    `HOPELESS` failures in a row, or one that only a new process mends, the stage ends and says so:
    the supervisor stops the daemon and systemd starts it anew.

    Args:
        name: of the thread, the log and the health message.
        turn: one piece of work, or a wait of at most `IDLE_S`; raises `Closed` to end.
        ended: called from the thread with the last error, or None after a normal end.
        meters: counts the turns that failed.
    """

    def __init__(
        self,
        name: str,
        turn: Callable[[], None],
        ended: Callable[[str, Exception | None], None],
        meters: Meters,
    ) -> None:
        self.name = name
        self.progress_ns = time.monotonic_ns()
        self._meters = meters
        self._turn = turn
        self._ended = ended
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of the thread; False if it still runs."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        in_a_row = 0
        while True:
            try:
                self._turn()
                in_a_row = 0
                self.progress_ns = time.monotonic_ns()
            except Closed:
                self._ended(self.name, None)
                return
            except RestartError as error:
                self._meters.error()
                self._ended(self.name, error)
                return
            except Exception as error:  # the outermost loop of this thread
                in_a_row += 1
                self._meters.error()
                level = logging.ERROR if in_a_row in (1, HOPELESS) else logging.DEBUG
                log.log(
                    level, "%s: a turn failed (%d in a row)", self.name, in_a_row, exc_info=True
                )
                if in_a_row >= HOPELESS:
                    self._ended(self.name, error)
                    return
