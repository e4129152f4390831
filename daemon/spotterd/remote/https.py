"""https as downloads speak it: nothing else, no password to strangers, no server that drips."""

import http.client
import socket
import ssl
import threading
import urllib.request
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from spotterd.errors import BadInputError

MOST_REDIRECTS = 5
HEAD_S = 30.0  # for the head of an answer


class _Connection(http.client.HTTPSConnection):
    """Hangs up on a head that takes too long: the socket's time-out begins anew at every byte."""

    def getresponse(self) -> http.client.HTTPResponse:
        timer = threading.Timer(HEAD_S, _hang_up, [self.sock])  # `self.sock` is gone at the end
        timer.daemon = True
        timer.start()
        try:
            return super().getresponse()
        finally:
            timer.cancel()


def _hang_up(sock: socket.socket) -> None:
    with suppress(OSError):  # it is closed already
        sock.shutdown(socket.SHUT_RDWR)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._trust = context

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, req, context=self._trust)


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = MOST_REDIRECTS

    def redirect_request(  # noqa: PLR0917 (urllib's)
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme != "https":
            raise BadInputError("The server redirects to something that is not https.")
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None and _host(newurl) != _host(req.full_url):
            new.remove_header("Authorization")
        return new


def opener(ca_file: str | None) -> urllib.request.OpenerDirector:
    """Speaks https and nothing else; through the environment's proxy, where there is one."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise BadInputError(
            f"The CA certificate {ca_file} cannot be read: {error}. Check remote.models.ca_file."
        ) from error
    made = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _Https(context),
        urllib.request.HTTPDefaultErrorHandler(),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
    ):
        made.add_handler(handler)
    return made


def _host(url: str) -> str:
    return urlsplit(url).netloc
