"""An https server on loopback that serves one file, well or in every bad way."""

import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Serve = Callable[[BaseHTTPRequestHandler, int], None]


class FileServer:
    """Serves `content`; `serve` may be replaced by something worse.

    Attributes:
        url: of the file.
        asked: for each request, from which byte on, and the Authorization header.
    """

    def __init__(self, content: bytes, certificates: Path) -> None:
        self.content = content
        self.asked: list[tuple[int, str | None]] = []
        self.serve: Serve = self.whole
        self.stopped = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                begins = int(self.headers.get("Range", "bytes=0-")[6:-1])
                outer.asked.append((begins, self.headers.get("Authorization")))
                self.close_connection = True
                outer.serve(self, begins)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """A client that hangs up is what is tried here."""

        self._server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "here.crt", certificates / "here.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"https://{self.host}/models/New%20sky.onnx"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def head(
        self, to: BaseHTTPRequestHandler, status: int, headers: dict[str, Any] | None = None
    ) -> None:
        to.send_response(status)
        for name, value in (headers or {}).items():
            to.send_header(name, str(value))
        to.end_headers()

    def whole(self, to: BaseHTTPRequestHandler, begins: int) -> None:
        """As a good server does, ranges included."""
        size = len(self.content)
        if begins:
            said = {"Content-Range": f"bytes {begins}-{size - 1}/{size}"}
            self.head(to, 206, {"Content-Length": size - begins, **said})
        else:
            self.head(to, 200, {"Content-Length": size})
        to.wfile.write(self.content[begins:])

    def endless(self, to: BaseHTTPRequestHandler, begins: int) -> None:
        """Zeros, for ever, without a word about their number."""
        self.head(to, 200)
        while not self.stopped.is_set():
            to.wfile.write(bytes(65536))

    def drip(self, to: BaseHTTPRequestHandler, _begins: int) -> None:
        """A head that goes on for ever, a line every twentieth of a second."""
        to.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not self.stopped.wait(0.05):
            to.wfile.write(b"X-More: to come\r\n")

    def trickle(self, to: BaseHTTPRequestHandler, begins: int) -> None:
        """A byte every twentieth of a second."""
        self.head(to, 206 if begins else 200, {"Content-Range": f"bytes {begins}-/*"})
        while not self.stopped.wait(0.05):
            to.wfile.write(self.content[:1])
            to.wfile.flush()

    def close(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()


def make_certificates(folder: Path) -> Path:
    """`ca.crt` and a certificate for 127.0.0.1, `here.crt` and `here.key`."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        "req", "-x509", *key, "-days", "2", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.crt"
    )
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("req", *key, "-subj", "/CN=here", "-keyout", "here.key", "-out", "r")
    ca = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
    openssl("x509", "-req", "-in", "r", *ca, "-extfile", "san", "-out", "here.crt")
    return folder


@contextmanager
def serving(content: bytes, certificates: Path) -> Iterator[FileServer]:
    server = FileServer(content, certificates)
    try:
        yield server
    finally:
        server.close()


def sign(folder: Path, file: Path) -> tuple[Path, bytes]:
    """The public key, and the signature over a file, as an operator makes them with openssl."""
    private, public, signature = folder / "key.pem", folder / "key.pub", folder / "signature"

    def openssl(*arguments: str | Path) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)

    if not private.exists():
        openssl("genpkey", "-algorithm", "ed25519", "-out", private)
        openssl("pkey", "-in", private, "-pubout", "-out", public)
    openssl("pkeyutl", "-sign", "-inkey", private, "-rawin", "-in", file, "-out", signature)
    return public, signature.read_bytes()
