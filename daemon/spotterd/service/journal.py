"""Where log lines go: the journal with fields where it listens, else clean lines on stderr.

A record's extras with upper-case names become journal fields:
`log.warning("...", extra={"SPOTTER_EVENT": "camera_lost", "CAMERA": name})`, and
`journalctl -u spotterd SPOTTER_EVENT=camera_lost` finds them.
"""

import logging
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TextIO

# syslog(3) priorities by the lowest level that has them.
PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
DEBUG_PRIORITY = 7


def set_up_logging(level: str, stream: TextIO = sys.stderr) -> None:
    """Send every record of this level and above to one place; call once at the start."""
    handler = _handler(stream)
    handler.addFilter(Repeats())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(True)


def _handler(stream: TextIO) -> logging.Handler:
    if not _goes_to_journal(stream, os.environ):
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
        return handler
    try:
        from systemd import journal  # noqa: PLC0415
    except ImportError:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(_Prefixed())
        return handler
    return JournalHandler(journal.send)


def _goes_to_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """$JOURNAL_STREAM is device:inode of the stream that systemd connected to the journal."""
    try:
        about = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{about.st_dev}:{about.st_ino}"


def priority(level: int) -> int:
    """The syslog priority of a logging level."""
    return next((p for lowest, p in PRIORITIES if level >= lowest), DEBUG_PRIORITY)


class _Prefixed(logging.Formatter):
    """Lines as systemd reads them from stderr: `<priority>logger: message`."""

    def __init__(self) -> None:
        super().__init__("%(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        mark = f"<{priority(record.levelno)}>"
        # Each line of a traceback is a journal entry of its own and needs the mark too.
        return "\n".join(mark + line for line in super().format(record).splitlines())


class JournalHandler(logging.Handler):
    """Structured entries; systemd-python's own handler sends every attribute of the record.

    Args:
        send: `systemd.journal.send`.
    """

    def __init__(self, send: Callable[..., None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send one entry with its upper-case extras as fields."""
        fields = {k: str(v) for k, v in vars(record).items() if k.isupper()}
        try:
            self._send(
                self.format(record),
                PRIORITY=str(priority(record.levelno)),
                SYSLOG_IDENTIFIER="spotterd",
                LOGGER=record.name,
                THREAD_NAME=record.threadName or "",
                CODE_FILE=record.pathname,
                CODE_LINE=record.lineno,
                CODE_FUNC=record.funcName or "",
                **fields,
            )
        except (OSError, TypeError, ValueError):  # a log line must not end the daemon
            self.handleError(record)


@dataclass(slots=True)
class _Seen:
    since_s: float
    told: int = 0
    left_out: int = 0


class Repeats(logging.Filter):
    """Lets the same line through a few times in a period, then counts it until the next period.

    The same line: same logger, level, message before its arguments are filled in, and the same
    camera or state that it tells of. One that comes every second writes 3000 lines a week, 0.3 MB.

    Args:
        most: lines a period.
        period_s: length of a period.
        clock: seconds, monotonic.
    """

    KINDS = 512  # kinds of lines remembered; the one not heard of for longest is forgotten

    def __init__(
        self, most: int = 3, period_s: float = 600.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._most = most
        self._period_s = period_s
        self._clock = clock
        self._seen: OrderedDict[tuple[object, ...], _Seen] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Called under the handler's lock."""
        about = (getattr(record, field, None) for field in ("CAMERA", "STATE"))
        key = (record.name, record.levelno, record.msg, *about)
        seen = self._seen.setdefault(key, _Seen(self._clock()))
        self._seen.move_to_end(key)
        if len(self._seen) > self.KINDS:
            self._seen.popitem(last=False)
        if self._clock() - seen.since_s >= self._period_s:
            left_out, self._seen[key] = seen.left_out, _Seen(self._clock(), told=1)
            if left_out:
                record.msg = f"{record.getMessage()} (and {left_out} more like this)"
                record.args = None
            return True
        if seen.told < self._most:
            seen.told += 1
            return True
        seen.left_out += 1
        return False
