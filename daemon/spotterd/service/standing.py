"""How the daemon stands: what was heard from everywhere, told to broker, page, journal, systemd."""

import logging
import threading
import time
from collections.abc import Iterable

from spotterd.builder.wire import Progress
from spotterd.service.condition import Facts, State, condition
from spotterd.service.report import Report
from spotterd.service.systemd import Notifier

log = logging.getLogger(__name__)


class Standing:
    """Keeps the facts and tells what they amount to, where that is new. Used by the main thread.

    Args:
        report: tells broker and page.
        notifier: tells systemd.

    Attributes:
        facts: change them, then `say`.
        running: set once the daemon watches, or says in what way it cannot.
    """

    def __init__(self, report: Report, notifier: Notifier) -> None:
        self.facts = Facts()
        self.running = threading.Event()
        self._report = report
        self._notifier = notifier
        self._since_s = time.monotonic()
        self._ready_is_due = True
        self._built: Progress | None = None
        self._told: tuple[State, str, Progress | None] | None = None

    def anew(self, cameras: Iterable[str]) -> None:
        """Another configuration is put to work."""
        self.facts = Facts(waiting_for=set(cameras))
        self._since_s = time.monotonic()
        self._built = None
        self.due()

    def due(self) -> None:
        """Somebody waits for a word, even if there is no news."""
        self._told, self._ready_is_due = None, True

    def build(self, doing: str, progress: Progress | None = None) -> None:
        """What a build does, and how far it is; empty: there is none."""
        self.facts.building, self._built = doing, progress

    def late(self, reason: str) -> None:
        """Which stages make no progress; empty: all do."""
        if reason != self.facts.late:
            level = logging.ERROR if reason else logging.INFO
            log.log(level, "%s", reason or "All stages get on again.")
        self.facts.late = reason

    def say(self) -> None:
        """Tell the state, where it is new."""
        self.tell(*condition(self.facts, time.monotonic() - self._since_s))

    def tell(self, state: State, reason: str) -> None:
        """Tell a state, where it is new."""
        built = self._built
        if (state, reason, built) == self._told:
            return
        news = self._told is None or self._told[0] != state or built is None
        self._told = (state, reason, built)
        self._report.state(state, reason, built)
        if news:
            level = logging.WARNING if state in {"degraded", "failed"} else logging.INFO
            fields = {"SPOTTER_EVENT": "state", "STATE": state}
            log.log(level, "%s: %s", state, reason, extra=fields)
        said = f"{state}: {reason}" if built is None else f"{state} {built.fraction:.0%}: {reason}"
        if state not in {"starting", "failed"} and self._ready_is_due:
            self._ready_is_due = False
            self.running.set()
            self._notifier.ready(said)
        else:
            self._notifier.status(said)
