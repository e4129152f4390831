"""What the web server answers: the local page and its parts, pictures, Prometheus, /healthz."""

import json
import logging
import re
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from importlib.resources import files
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from spotterd.health.window import Window

log = logging.getLogger(__name__)

IDLE_S = 20.0  # a connection on which nothing comes for so long is closed
PICTURE_WAIT_S = 2.0
SEQ = re.compile(r"-1|\d{1,18}")  # of the picture before; -1: of none
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


class Site(Protocol):
    """What the handler needs of its server.

    Attributes:
        page: serve the local page.
        metrics: makes Prometheus' text, or None to serve none.
        loopback: only this machine can reach the server.
    """

    window: Window
    page: bool
    metrics: Callable[[], bytes] | None
    loopback: bool


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Site  # type: ignore[assignment]  # http.server knows only its own
    protocol_version = "HTTP/1.1"
    server_version = "spotterd"
    sys_version = ""
    timeout = IDLE_S

    def do_GET(self) -> None:
        """Called by http.server."""
        try:
            url, asked = urlsplit(self.path), urlsplit(f"//{self.headers.get('Host', '')}")
        except ValueError:  # brackets without an address
            self._refuse(HTTPStatus.BAD_REQUEST)
            return
        if not self._is_ours(asked.hostname or ""):
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST)
            return
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
        """Requests are of interest to nobody but a debugger."""
        log.debug(format, *args)

    def _is_ours(self, host: str) -> bool:
        """On loopback: no other name than localhost (a foreign page may point its name here)."""
        return not self.server.loopback or host in ("localhost", "127.0.0.1", "::1")

    def _healthz(self) -> None:
        state, reason = self.server.window.state
        status = HTTPStatus.SERVICE_UNAVAILABLE if state == "failed" else HTTPStatus.OK
        self._json({"state": state, "reason": reason}, status)

    def _picture(self, camera: str, after: str) -> None:
        live = self.server.window.live(camera)
        if live is None or not SEQ.fullmatch(after):
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
