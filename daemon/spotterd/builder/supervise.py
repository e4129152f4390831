"""Runs builds in a child process: its memory goes back to the board, its death is its own."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

import spotterd
from spotterd.builder.road import rungs
from spotterd.builder.store import Engine
from spotterd.builder.wanted import Wanted
from spotterd.builder.wire import Done, Failed, Message, Progress, Request, messages
from spotterd.config.schema import Detector, Engines
from spotterd.errors import BadInputError, RetryError, SpotterdError

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "spotterd.builder.child")
STOP_S = 2.0  # between asking the child to end and ending it


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a build ended.

    Attributes:
        engine: what was built; None if nothing was.
        problem: why not, as sentences; "" where there is an engine, and where it was cancelled.
    """

    engine: Engine | None = None
    problem: str = ""


class Build:
    """One build, in the background.

    A child that is killed (for memory, mostly), or loses the GPU, is started again with a smaller
    workspace, and then without the precision that ended it, until nothing is left to leave out.

    Args:
        wanted: what for.
        on_progress: called from the build's own thread.
        on_end: called from that thread with the outcome; where it fails, again with the problem.
    """

    def __init__(
        self,
        wanted: Wanted,
        on_progress: Callable[[Progress], None],
        on_end: Callable[[Outcome], None] = lambda _outcome: None,
    ) -> None:
        self._wanted = wanted
        self._on_progress = on_progress
        self._on_end = on_end
        self._child: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._cancelled = False
        self._thread = threading.Thread(target=self._run, name="build", daemon=True)
        self.outcome: Outcome | None = None

    def start(self) -> None:
        """Start building."""
        self._thread.start()

    def wait(self, timeout_s: float | None = None) -> Outcome | None:
        """The outcome, or None if it takes longer."""
        self._thread.join(timeout_s)
        return self.outcome

    def cancel(self) -> None:
        """End the child, if it runs, and wait for it; the outcome is then empty."""
        with self._lock:
            self._cancelled = True
            child = self._child
        if child is not None:
            child.terminate()
            try:
                child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            self._end(self._built())
        except SpotterdError as error:
            self._end(Outcome(problem=str(error)))
        except Exception as error:  # outermost of this thread; whoever waits must hear
            log.exception("A defect while building, or at its end")
            self._end(Outcome(problem=f"A defect: {error!r}."))

    def _end(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self._on_end(outcome)

    def _built(self) -> Outcome:
        """Child after child, until there is an engine or nothing left to try."""
        request: Request | None = Request(
            detector=self._wanted.detector, engines=self._wanted.engines
        )
        problem = ""
        while request is not None:
            last, status = self._attempt(request)
            if self._cancelled:
                return Outcome()
            if isinstance(last, Done):
                engine = self._wanted.find()
                return Outcome(
                    engine, "" if engine else "The engine that was built is not of this machine."
                )
            problem = last.reason if isinstance(last, Failed) else _death(status)
            if isinstance(last, Failed) and not last.again:
                break
            request = after_death(request, self._wanted)
            if request is not None:
                log.warning("%s Trying again %s.", problem, _how(request))
        return Outcome(problem=problem)

    def _attempt(self, request: Request) -> tuple[Message | None, int]:
        """Run one child to its end; its last message but progress, and its exit status."""
        with self._lock:
            if self._cancelled:
                return None, 0
            self._child = _started()
        with self._child as child:
            last = _conversed(child, request, self._on_progress)
        return last, child.returncode


def look(detector: Detector, engines: Engines, limit_s: float) -> None:
    """See in a child whether a model from a stranger can be used: it loads, and its head is known.

    A file made to crash whoever reads it, or to take all memory, takes only the child along.

    Raises:
        BadInputError: it cannot; says why.
    """
    request = Request(detector=detector, engines=engines, only_look=True)
    with _started() as child:
        patience = threading.Timer(limit_s, child.kill)
        patience.daemon = True  # a daemon that ends does not wait for it
        patience.start()
        try:
            last = _conversed(child, request, lambda _progress: None)
            child.wait()
        finally:
            patience.cancel()
    if isinstance(last, Failed):
        raise BadInputError(last.reason)
    if last is None:
        why = _death(child.returncode)
        raise BadInputError(
            f"The model does not load within {limit_s:g} s, or cannot at all: {why}"
        )


def _conversed(
    child: "subprocess.Popen[str]", request: Request, on_progress: Callable[[Progress], None]
) -> Message | None:
    """Send a request and listen to the child's end; its last message but progress."""
    assert child.stdin is not None  # noqa: S101 (for the type checker: both are pipes)
    assert child.stdout is not None  # noqa: S101
    try:
        child.stdin.write(request.model_dump_json() + "\n")
        child.stdin.flush()
    except BrokenPipeError:  # it died at once; its status tells
        with suppress(BrokenPipeError):  # of what it did not read
            child.stdin.close()
        child.wait()
        return None
    last: Message | None = None
    for line in child.stdout:
        message = _parsed(line)
        if isinstance(message, Progress):
            on_progress(message)
        elif message is not None:
            last = message
    return last


def _started() -> subprocess.Popen[str]:
    # The child imports the very spotterd that runs here, however this one was found.
    here = str(Path(spotterd.__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])}
    try:
        child = subprocess.Popen(  # noqa: S603 (our own module)
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
            start_new_session=True,  # Ctrl-C at the terminal is the daemon's, it ends us in order
        )
    except OSError as error:
        raise RetryError(f"The builder cannot be started: {error.strerror}.") from error
    # When memory runs out, it goes first. Said here: until it could say so itself, after seconds of
    # imports, the daemon would be the larger one.
    with suppress(OSError):
        Path(f"/proc/{child.pid}/oom_score_adj").write_text("1000", encoding="ascii")
    return child


def after_death(request: Request, wanted: Wanted) -> Request | None:
    """What to try after a child was killed: less memory, then a lower precision, then nothing."""
    if not request.smaller and wanted.road.smaller() is not None:
        return request.model_copy(update={"smaller": True})
    tries = rungs(wanted.engines.precision, wanted.road, request.leave_out)
    if len(tries) == 1:
        return None
    return request.model_copy(update={"leave_out": (*request.leave_out, tries[0])})


def _parsed(line: str) -> Message | None:
    try:
        return messages.validate_json(line)
    except ValidationError:
        log.warning("The builder said what nobody understands: %s", line.strip()[:200])
        return None


def _death(status: int) -> str:
    if status < 0:
        name = signal.Signals(-status).name
        why = "most likely for lack of memory" if -status == signal.SIGKILL else "it crashed"
        return f"The builder was ended by {name}, {why}."
    return f"The builder ended with status {status} and without a word; its log has more."


def _how(request: Request) -> str:
    if request.leave_out:
        return f"without {', '.join(p.upper() for p in request.leave_out)}"
    return "with a smaller workspace"
