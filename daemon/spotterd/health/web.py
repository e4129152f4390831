"""A small, read-only web server on the window: starts, stops, and limits who may come in."""

import logging
import socket
import sys
import threading
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from typing import Any

from spotterd.config.schema import Web
from spotterd.errors import BadInputError
from spotterd.health.answers import Handler
from spotterd.health.window import Window

log = logging.getLogger(__name__)

MOST_REQUESTS = 16  # at a time; more are turned away, so that viewers cannot use up memory


def open_web(web: Web, window: Window) -> "WebServer | NoServer":
    """What the configuration asks for; a stand-in that does nothing where it asks for nothing.

    Raises:
        BadInputError: the address cannot be listened on, or prometheus_client is missing.
    """
    if not (web.page or web.metrics):
        return NoServer()
    return WebServer(
        window,
        web.address,
        web.port,
        page=web.page,
        metrics=_metrics(window) if web.metrics else None,
    )


def _metrics(window: Window) -> Callable[[], bytes]:
    try:
        from spotterd.health.metrics import Metrics  # noqa: PLC0415 (few switch it on)
    except ImportError as error:
        raise BadInputError(
            "web.metrics needs the package prometheus-client: pip install prometheus-client, or "
            "switch web.metrics off."
        ) from error
    return Metrics(window).text


class NoServer:
    """Nobody may look."""

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        """Nothing to stop."""


class WebServer:
    """Serves until `stop`.

    Args:
        window: what is shown.
        address, port: where to listen; port 0 takes a free one.
        page: serve the local page.
        metrics: makes Prometheus' text, or None to serve none.

    Attributes:
        url: what to type into a browser.

    Raises:
        BadInputError: the address cannot be listened on.
    """

    def __init__(
        self,
        window: Window,
        address: str,
        port: int,
        *,
        page: bool,
        metrics: Callable[[], bytes] | None,
    ) -> None:
        try:
            self._server = _Server(address, port, window, page, metrics)
        except OSError as error:
            raise BadInputError(
                f"The web server cannot listen on {address}:{port}: {error.strerror or error}. "
                "Change web.port or web.address."
            ) from error
        host = f"[{address}]" if ":" in address else address
        self.url = f"http://{host}:{self._server.server_port}/"
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)

    def start(self) -> None:
        """Start answering."""
        self._thread.start()
        log.info("Look at %s", self.url)

    def stop(self) -> None:
        """Stop listening; requests under way are dropped."""
        self._stopping = True
        self._server.socket.shutdown(socket.SHUT_RDWR)  # wakes who waits for a viewer
        self._thread.join()
        self._server.server_close()

    def _serve(self) -> None:
        # Not `serve_forever`, which looks twice a second whether it is to end.
        while not self._stopping:
            self._server.handle_request()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self,
        address: str,
        port: int,
        window: Window,
        page: bool,  # noqa: FBT001
        metrics: Callable[[], bytes] | None,
    ) -> None:
        if ":" in address:
            self.address_family = socket.AF_INET6
        self.window = window
        self.page = page
        self.metrics = metrics
        self.loopback = address == "localhost" or address.startswith("127.") or address == "::1"
        self._room = threading.BoundedSemaphore(MOST_REQUESTS)
        super().__init__((address, port), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Called while an exception is handled; a viewer that went away is no news."""
        error = sys.exc_info()[1]
        if isinstance(error, (ConnectionError, TimeoutError)):
            log.debug("A viewer at %s went away.", client_address)
        else:
            log.error("A request of %s failed.", client_address, exc_info=error)
