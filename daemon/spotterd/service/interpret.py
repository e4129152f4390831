"""The turns of the interpret thread: from raw outputs to messages."""

import time
from collections.abc import Callable

from spotterd.config.schema import Config
from spotterd.health.meters import Meters
from spotterd.service.detect import Inferred
from spotterd.service.mailbox import Closed, Mailbox
from spotterd.service.stage import IDLE_S
from spotterd.service.view import View


class Interpret:
    """Serves all cameras from one thread; each has a `View` of its own.

    Args:
        results: mailbox of detect.
        views: by camera.
        meters: told about times and finished frames.
        first_frame: called once per camera, when its first frame went the whole way.
    """

    def __init__(
        self,
        results: Mailbox[Inferred],
        views: dict[str, View],
        meters: Meters,
        first_frame: Callable[[str], None],
    ) -> None:
        self._results = results
        self._views = views
        self._meters = meters
        self._first_frame = first_frame
        self._waiting_for = set(views)
        self._next: Config | None = None

    def adopt(self, config: Config) -> None:
        """Go by another configuration from the next frame on."""
        self._next = config

    def turn(self) -> None:
        """Finish one frame, or wait for one."""
        try:
            inferred = self._results.take(IDLE_S)
        except Closed:
            for view in self._views.values():
                view.end()
            raise
        if self._next is not None:
            config, self._next = self._next, None
            for view in self._views.values():
                view.adopt(config)
        if inferred is not None:
            self._finish(inferred)
        now_ns = time.monotonic_ns()
        for view in self._views.values():
            view.rest(now_ns)

    def _finish(self, inferred: Inferred) -> None:
        began_ns = time.monotonic_ns()
        frame = inferred.frame
        try:
            self._views[frame.camera].step(inferred)
        finally:
            inferred.release()
        done_ns = time.monotonic_ns()
        self._meters.took("interpret", began_ns, done_ns)
        self._meters.done(frame.camera, frame.captured_ns, done_ns)
        if frame.camera in self._waiting_for:
            self._waiting_for.discard(frame.camera)
            self._first_frame(frame.camera)
