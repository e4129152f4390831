"""Fetches a file of a known size over https, or from the board: resumed, and never more than it.

A part lies in a file of its own and is gone on with after a lost connection and after a restart.
Redirects lead to https only, and credentials go to no other host. Whatever a server sends, no more
than the declared size is written, and no fetch takes longer than its limit.
"""

import base64
import http.client
import logging
import os
import shutil
import ssl
import stat
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from spotterd.errors import BadInputError, RetryError
from spotterd.files import sync
from spotterd.publish.mqtt import Backoff
from spotterd.remote.https import opener

log = logging.getLogger(__name__)

CHUNK = 256 * 1024
SILENCE_S = 20.0  # without a byte: the connection is lost
SPARE = 64 << 20  # bytes of disk that a download leaves free
_OK, _PARTIAL, _BEYOND = 200, 206, 416
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class Cancelled(Exception):  # noqa: N818 (a signal, not an error)
    """Somebody set `Fetch.stop`."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """One file to fetch.

    Attributes:
        url: https or file; may hold user and password, which are in no log and no error.
        size: bytes that it must have.
        limit_s: all attempts together.
        ca_file: certificate of the CA of the server; None: the system's.
        stop: set to end it soon.
        progress: told the fraction, 0..1, and what is being done.
    """

    url: str
    size: int
    limit_s: float
    ca_file: str | None
    stop: threading.Event
    progress: Callable[[float, str], None]

    def into(self, part: Path) -> None:
        """Fetch into `part`, on from what it holds.

        Raises:
            BadInputError: no retry helps: no such file, another size, no access.
            RetryError: the limit is over, or the disk is full; what came is kept.
            Cancelled: `stop` is set.
        """
        part.parent.mkdir(parents=True, exist_ok=True)
        if _size(part) > self.size:
            part.unlink()
        free = shutil.disk_usage(part.parent).free
        if free < self.size - _size(part) + SPARE:
            raise RetryError(f"The disk has only {free >> 20} MiB left. Make room on the board.")
        ways = {"https": self._download, "file": self._copy}
        way = ways.get(urlsplit(self.url).scheme)
        if way is None:
            raise BadInputError("Models are fetched over https, or from a file on the board.")
        way(part)
        sync(part)

    def _copy(self, part: Path) -> None:
        path = Path(unquote(urlsplit(self.url).path))
        try:
            with _opened(path) as source, part.open("wb") as target:
                there = os.fstat(source.fileno())
                if not stat.S_ISREG(there.st_mode):
                    raise BadInputError("The URL names no file on the board.")
                self._check_size(there.st_size)
                self._drain(source, target, time.monotonic() + self.limit_s)
        except OSError as error:
            raise BadInputError(
                f"The file on the board cannot be copied: {error.strerror}."
            ) from error

    def _download(self, part: Path) -> None:
        ends_s = time.monotonic() + self.limit_s
        backoff, failures = Backoff(1.0, 60.0), 0
        https = opener(self.ca_file)
        while _size(part) < self.size:
            before = _size(part)
            try:
                self._attempt(https, part, ends_s)
                continue
            except (OSError, http.client.HTTPException) as error:
                why = _why(error)
            failures = 1 if _size(part) > before else failures + 1
            left_s = ends_s - time.monotonic()
            if left_s <= 0:
                raise RetryError(f"The download was not over within {self.limit_s:g} s: {why}.")
            log.log(logging.WARNING if failures == 1 else logging.DEBUG, "Download: %s.", why)
            if self.stop.wait(min(backoff.delay_s(failures), left_s)):
                raise Cancelled

    def _attempt(self, https: urllib.request.OpenerDirector, part: Path, ends_s: float) -> None:
        """One connection.

        Raises:
            OSError, HTTPException: it is worth to try again.
            BadInputError: it is not.
        """
        have = _size(part)
        request = _request(self.url)
        if have:
            request.add_header("Range", f"bytes={have}-")
        try:
            answer = https.open(request, timeout=SILENCE_S)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == _BEYOND:
                part.unlink()  # another file than the one that was begun
            if error.code in {*_TRY_AGAIN, _BEYOND}:
                raise
            raise BadInputError(
                f"The server answers {error.code} {error.reason}. Check the URL and its rights."
            ) from None
        with answer:
            if answer.status not in {_OK, _PARTIAL}:
                raise BadInputError(f"The server answers {answer.status}, which is no file.")
            resumed = answer.status == _PARTIAL
            begins, whole = _range(answer) if resumed else (0, _length(answer))
            if whole is not None:
                self._check_size(whole)
            if begins != (have if resumed else 0):
                raise http.client.HTTPException("the server sends another part than asked for")
            # Unbuffered: what has come is there, should the daemon be killed.
            with part.open("ab" if resumed else "wb", buffering=0) as target:
                self._drain(answer, target, ends_s)

    def _drain(self, source: IO[bytes] | Any, target: IO[bytes], ends_s: float) -> None:
        """Take what is missing, and make sure that nothing follows."""
        have = target.tell()
        while have < self.size:
            if self.stop.is_set():
                raise Cancelled
            if time.monotonic() > ends_s:
                raise RetryError(
                    f"The download was not over within {self.limit_s:g} s. "
                    "What came is kept; ask again to go on."
                )
            # One read of the socket: a slow server is seen in time.
            chunk = getattr(source, "read1", source.read)(min(CHUNK, self.size - have))
            if not chunk:
                raise ConnectionResetError("the connection ended too early")
            try:
                target.write(chunk)
            except OSError as error:  # not the network's, and no better in a minute
                raise RetryError(
                    f"The download cannot be written: {error.strerror}. Make room on the board."
                ) from error
            have += len(chunk)
            self.progress(have / self.size, f"{have >> 10} of {self.size >> 10} KiB")
        if source.read(1):
            raise BadInputError(f"The file is larger than the {self.size} bytes that were told.")

    def _check_size(self, found: int) -> None:
        if found != self.size:
            raise BadInputError(f"The file has {found} bytes; {self.size} were told.")


def _request(url: str) -> urllib.request.Request:
    """User and password of the URL go into a header: urllib would take them for a port."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(parts._replace(netloc=host).geturl())  # noqa: S310 (https)
    if at:
        token = base64.b64encode(unquote(user).encode()).decode("ascii")
        request.add_header("Authorization", f"Basic {token}")
    return request


def _range(answer: http.client.HTTPResponse) -> tuple[int, int | None]:
    """First byte and whole size of `Content-Range: bytes 5-9/10`; the size may be unknown."""
    unit, _, rest = answer.headers.get("Content-Range", "").partition(" ")
    first, _, whole = rest.replace("/", "-").partition("-")
    size = whole.rpartition("-")[2]
    if unit != "bytes" or not first.isdecimal():
        raise http.client.HTTPException("the server sends a part, and does not say which")
    return int(first), int(size) if size.isdecimal() else None


def _length(answer: http.client.HTTPResponse) -> int | None:
    said = answer.headers.get("Content-Length", "")
    return int(said) if said.isdecimal() else None


def _opened(path: Path) -> IO[bytes]:
    """A pipe without a writer would let a plain `open` wait for ever."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")


def _why(error: Exception) -> str:
    """Why a connection failed, as part of a sentence."""
    cause = getattr(error, "reason", error)  # a URLError wraps what happened
    match cause:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({cause.verify_message})"
        case TimeoutError():
            return "the server does not answer"
        case OSError():
            return cause.strerror or str(cause)
        case _:
            return f"{error}" or type(error).__name__


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
