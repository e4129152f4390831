"""The process that builds: `python -m spotterd.builder.child`, started by `supervise`.

A request comes in on stdin, messages go out on stdout, logs on stderr. It ends when stdin does, so
it never outlives the daemon, however that dies.
"""

import logging
import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import TextIO

from spotterd.builder.ladder import build, reference_detector
from spotterd.builder.wanted import engine_store, want
from spotterd.builder.wire import Done, Failed, Message, Progress, Request
from spotterd.errors import RestartError, SpotterdError

log = logging.getLogger(__name__)

NICE = 10
ORPHANED = 3
ETA_FROM = 0.05  # fraction done before the time left can be guessed
EVERY_S = 0.25


class Teller:
    """Writes messages to the parent; progress at most four times a second."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._began = time.monotonic()
        self._told = 0.0

    def progress(self, fraction: float, step: str) -> None:
        """As `progress.Report`."""
        now = time.monotonic()
        if fraction < 1 and now - self._told < EVERY_S:
            return
        self._told = now
        eta_s = None
        if fraction >= ETA_FROM:
            eta_s = round((now - self._began) * (1 - fraction) / fraction, 1)
        self.tell(Progress(fraction=round(fraction, 3), step=step, eta_s=eta_s))

    def tell(self, message: Message) -> None:
        """Write one line. Nobody to read it: the daemon is gone, so the process ends."""
        try:
            self._out.write(message.model_dump_json() + "\n")
            self._out.flush()
        except BrokenPipeError:  # heard here before the thread that waits for it
            os._exit(ORPHANED)


def main() -> int:
    """Read a request, build, tell. The exit status: 0 if something was told, else ORPHANED."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("spotterd").setLevel(logging.INFO)
    teller = Teller(_own_stdout())
    line = sys.stdin.readline()
    if not line.endswith("\n"):  # the daemon was killed before it had asked
        return ORPHANED
    request = Request.model_validate_json(line)
    threading.Thread(target=_end_with_stdin, name="orphan", daemon=True).start()
    _step_back()
    teller.tell(_build(request, teller))
    return 0


def _build(request: Request, teller: Teller) -> Message:
    try:
        wanted = want(request.detector, request.engines)
        if request.only_look:
            reference_detector(wanted).backend.close()
            return Done()
        smaller = wanted.road.smaller() if request.smaller else None
        wanted = replace(wanted, road=smaller or wanted.road)
        build(wanted, engine_store(request.engines), teller.progress, request.leave_out)
    except MemoryError:
        return Failed(reason="Building took more memory than there is.", again=True)
    except RestartError as error:
        return Failed(reason=str(error), again=True)
    except SpotterdError as error:
        return Failed(reason=str(error))
    return Done()


def _own_stdout() -> TextIO:
    """Stdout for messages only; whatever a library prints goes to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def _end_with_stdin() -> None:
    """The parent holds the other end: when it is gone, so is the reason to build."""
    sys.stdin.read()
    os._exit(ORPHANED)


def _step_back() -> None:
    """Give the daemon precedence: serving goes on meanwhile, on the same cores."""
    with suppress(OSError):
        os.nice(NICE)


if __name__ == "__main__":
    sys.exit(main())
