"""Serves requests: quick ones at once, long ones in a thread of their own, one at a time."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from spotterd.builder.harvest import harvest_folder
from spotterd.builder.room import import_pictures
from spotterd.builder.sources import imported_pictures
from spotterd.errors import BadInputError, RetryError, SpotterdError
from spotterd.publish.base import Incoming
from spotterd.publish.payloads import ResponsePayload
from spotterd.remote.bucket import Bucket
from spotterd.remote.requests import (
    MOST_LINES,
    VERB,
    BenchArgs,
    LogsArgs,
    ModelArgs,
    NoArgs,
    SnapshotArgs,
    arguments,
    read_request,
)
from spotterd.service.lines import LastLines
from spotterd.service.update import ModelAsked
from spotterd.version import __version__

log = logging.getLogger(__name__)

REQUESTS_PER_S = 5.0
REQUESTS_AT_ONCE = 10.0
REFUSALS_PER_S = 1.0  # of those beyond; the rest gets no answer, answers take room on the disk
PICTURE_S = 10.0
TELL_S = 1.0  # between two words about progress
Result: TypeAlias = dict[str, Any]
Tell: TypeAlias = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Restart:
    """Somebody asked for a new process."""


@dataclass(frozen=True, slots=True)
class PictureWanted:
    """Somebody asked for a camera's next frame; `reply` gets "" or why there is none."""

    camera: str | None
    reply: "SimpleQueue[str]"


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Somebody asked for a new engine; `reply` gets "" when it works, or why there is none.

    `tell` takes how far it is, 0..1, and what is being done; it may be called often.
    """

    reply: "SimpleQueue[str]"
    tell: Tell


@dataclass(frozen=True, slots=True)
class BenchWanted:
    """Somebody asked how fast the engine is; `reply` gets that."""

    seconds: float
    reply: "SimpleQueue[Result]"


Asked: TypeAlias = Restart | PictureWanted | Rebuild | BenchWanted | ModelAsked


class Answer:
    """Answers every request, with its token. Called by the remote thread.

    Args:
        respond: publishes a response; any thread may call it.
        post: takes what the supervisor has to do; must not block.

    Attributes:
        lines: a log handler; install it.
    """

    def __init__(
        self, respond: Callable[[ResponsePayload], None], post: Callable[[Asked], None]
    ) -> None:
        self.lines = LastLines(MOST_LINES)
        self._respond = respond
        self._post = post
        self._served = Bucket(REQUESTS_PER_S, REQUESTS_AT_ONCE)
        self._refused = Bucket(REFUSALS_PER_S, 1.0)
        self._long = threading.Lock()
        self._began_s = time.monotonic()

    def request(self, verb: str, incoming: Incoming) -> None:
        """Serve one, or refuse it."""
        verb = verb if VERB.fullmatch(verb) else "unknown"
        now_s = time.monotonic()
        if not self._served.takes(now_s):
            if self._refused.takes(now_s):
                self._say(verb, "", False, "Too many requests at once; ask again later.")
            return
        token = ""
        try:
            if incoming.retained:
                raise BadInputError("A request must not be retained: it would come at each start.")
            request = read_request(incoming.payload)
            token = request.token
            self._serve(verb, token, arguments(verb, request))
        except SpotterdError as error:
            self._say(verb, token, False, str(error))

    def _serve(self, verb: str, token: str, args: NoArgs) -> None:
        log.info("Asked from afar: %s.", verb)
        if verb == "ping":
            uptime_s = round(time.monotonic() - self._began_s, 1)
            self._say(verb, token, True, "", version=__version__, uptime_s=uptime_s)
        elif isinstance(args, LogsArgs):
            self._say(verb, token, True, "", lines=self.lines.latest(args.lines))
        elif verb == "restart":
            self._say(verb, token, True, "Restarting.")
            self._post(Restart())
        elif isinstance(args, ModelArgs):
            self._post(ModelAsked(token, args))  # it may outlive this process, and is answered late
        elif isinstance(args, SnapshotArgs):
            self._begin(verb, token, lambda _tell: self._snapshot(args.camera))
        elif isinstance(args, BenchArgs):
            self._begin(verb, token, lambda tell: self._bench(args.seconds, tell))
        elif verb == "rebuild":
            self._begin(verb, token, self._rebuild)
        else:
            self._begin(verb, token, self._recalibrate)

    def _begin(self, verb: str, token: str, work: Callable[[Tell], Result]) -> None:
        """Do something long in a thread of its own."""
        if not self._long.acquire(blocking=False):
            raise RetryError("Another request is being served; ask again when it is done.")

        def run() -> None:
            try:
                self._say(verb, token, True, "", **work(self._teller(verb, token)))
            except SpotterdError as error:
                self._say(verb, token, False, str(error))
            except Exception as error:  # outermost of this thread; whoever asked must hear
                log.exception("A defect while serving %s", verb)
                self._say(verb, token, False, f"A defect: {error!r}.")
            finally:
                self._long.release()

        threading.Thread(target=run, name=f"req {verb}", daemon=True).start()

    def _teller(self, verb: str, token: str) -> Tell:
        """Tells how far a request is, now and then."""
        told_s = -TELL_S

        def tell(fraction: float, doing: str) -> None:
            nonlocal told_s
            if time.monotonic() - told_s < TELL_S:
                return
            told_s = time.monotonic()
            share = min(fraction, 1.0)
            self._respond(
                ResponsePayload(verb=verb, token=token, ok=True, message=doing, progress=share)
            )

        return tell

    def _snapshot(self, camera: str | None) -> Result:
        reply: SimpleQueue[str] = SimpleQueue()
        self._post(PictureWanted(camera, reply))
        try:
            problem = reply.get(timeout=PICTURE_S)
        except Empty:
            raise RetryError(f"No picture came within {PICTURE_S:.0f} s.") from None
        if problem:
            raise BadInputError(problem)
        return {}

    def _bench(self, seconds: float, tell: Tell) -> Result:
        """How fast the engine is alone, and how much of that reaches the broker."""
        tell(0.0, "measuring")
        reply: SimpleQueue[Result] = SimpleQueue()
        self._post(BenchWanted(seconds, reply))
        try:
            return reply.get(timeout=seconds + PICTURE_S)
        except Empty:
            raise RetryError(f"Nothing was measured within {PICTURE_S:.0f} s.") from None

    def _recalibrate(self, tell: Tell) -> Result:
        imported = import_pictures(harvest_folder(), imported_pictures())
        return {
            "pictures": len(imported.room.usable),
            "new": len(imported.added),
            **self._rebuild(tell),
        }

    def _rebuild(self, tell: Tell) -> Result:
        reply: SimpleQueue[str] = SimpleQueue()
        self._post(Rebuild(reply, tell))
        problem = reply.get()
        if problem:
            raise RetryError(problem)
        return {}

    def _say(self, verb: str, token: str, ok: bool, message: str, **result: Any) -> None:  # noqa: FBT001
        self._respond(
            ResponsePayload(verb=verb, token=token, ok=ok, message=message, result=result)
        )
