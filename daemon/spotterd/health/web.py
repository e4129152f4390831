"""A small, read-only web server on the window: the local page, Prometheus and /healthz."""

import json
import logging
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from socket import AF_INET6
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from spotterd.errors import BadInputError
from spotterd.health.window import Window

log = logging.getLogger(__name__)

MOST_REQUESTS = 16  # at a time; more are turned away, so that viewers cannot use up memory
IDLE_S = 20.0  # a connection on which nothing comes for so long is closed
PICTURE_WAIT_S = 2.0
STATIC = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


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
        self._thread = threading.Thread(target=self._server.serve_forever, name="web", daemon=True)

    def start(self) -> None:
        """Start answering."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; requests under way are dropped."""
        self._server.shutdown()
        self._server.server_close()


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
            self.address_family = AF_INET6
        self.window = window
        self.page = page
        self.metrics = metrics
        self.loopback = address == "localhost" or address.startswith("127.") or address == "::1"
        self._room = threading.BoundedSemaphore(MOST_REQUESTS)
        super().__init__((address, port), _Handler)

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


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "spotterd"
    sys_version = ""
    timeout = IDLE_S

    def do_GET(self) -> None:
        if not self._asked_by_name():
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST)
            return
        url = urlsplit(self.path)
        if url.path == "/healthz":
            self._healthz()
        elif url.path == "/metrics" and self.server.metrics:
            self._answer(self.server.metrics(), "text/plain; version=0.0.4; charset=utf-8")
        elif not self.server.page:
            self._refuse(HTTPStatus.NOT_FOUND)
        elif url.path in STATIC:
            name, kind = STATIC[url.path]
            self._answer((files("spotterd.health") / "page" / name).read_bytes(), kind)
        elif url.path == "/now":
            self._json(_now(self.server.window))
        elif url.path.startswith("/picture/"):
            after = parse_qs(url.query).get("after", ["-1"])[0]
            self._picture(unquote(url.path.removeprefix("/picture/")), after)
        elif url.path.startswith("/event/"):
            self._event(unquote(url.path.removeprefix("/event/")))
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (http.server's name)
        log.debug(format, *args)

    def _asked_by_name(self) -> bool:
        """On loopback: no other name than localhost (a foreign page may point its name here)."""
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        return not self.server.loopback or host in ("localhost", "127.0.0.1", "::1")

    def _healthz(self) -> None:
        state, reason = self.server.window.state
        status = HTTPStatus.SERVICE_UNAVAILABLE if state == "failed" else HTTPStatus.OK
        self._json({"state": state, "reason": reason}, status)

    def _picture(self, camera: str, after: str) -> None:
        live = self.server.window.live(camera)
        if live is None or not after.lstrip("-").isdecimal():
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        found = live.newest(int(after), PICTURE_WAIT_S)
        if found is None:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        picture, jpeg = found
        boxes = json.dumps([asdict(box) for box in picture.boxes])
        self._answer(jpeg, "image/jpeg", {"X-Seq": str(picture.seq), "X-Boxes": boxes})

    def _event(self, event_id: str) -> None:
        event = self.server.window.event(event_id)
        if event is None or event.jpeg is None:
            self._refuse(HTTPStatus.NOT_FOUND)
        else:
            self._answer(event.jpeg, "image/jpeg")

    def _json(self, content: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._answer(json.dumps(content).encode(), "application/json", status=status)

    def _refuse(self, status: HTTPStatus) -> None:
        self._answer(f"{status.phrase}\n".encode(), "text/plain; charset=utf-8", status=status)

    def _answer(
        self,
        body: bytes,
        kind: str,
        headers: dict[str, str] | None = None,
        status: HTTPStatus = HTTPStatus.OK,
    ) -> None:
        self.send_response(status)
        told = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            **HEADERS,
            **(headers or {}),
        }
        for name, value in told.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _now(window: Window) -> dict[str, Any]:
    """Everything but pictures, as the page's script reads it."""
    state, reason = window.state
    figures = window.figures()
    samples = window.samples
    return {
        "state": state,
        "reason": reason,
        "figures": asdict(figures),
        "cameras": [asdict(camera) for camera in window.cameras],
        "machine": {k: asdict(getattr(samples[-1], k)) for k in ("host", "board")}
        if samples
        else None,
        "history": [
            {
                "at": sample.at_s,
                "fps": sample.figures.fps,
                "latency": sample.figures.latency.p95_ms if sample.figures.latency else None,
                "cpu": sample.host.cpu_percent,
                "gpu": sample.board.gpu_percent,
                "celsius": max((z.celsius for z in sample.host.thermal), default=None),
                "power": sample.board.power_w,
            }
            for sample in samples
        ],
        "events": [
            {k: v for k, v in asdict(event).items() if k != "jpeg"} | {"picture": bool(event.jpeg)}
            for event in window.events
        ],
    }
