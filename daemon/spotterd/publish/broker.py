"""The demo's broker: amqtt in a child process on a loopback port. Not for real use.

`python -m spotterd.publish.broker PORT` is the child. It ends with its parent, however that ends.
"""

import asyncio
import logging
import socket
import subprocess
import sys
from types import TracebackType

from typing_extensions import Self

from spotterd.errors import BadInputError, RetryError

HOST = "127.0.0.1"
READY = "ready"
LEVEL_3_1_1 = b"\x04"
CONNACK_WRONG_LEVEL = b"\x20\x02\x00\x01"


class DemoBroker:
    """A broker for as long as the `with` block lasts.

    Args:
        port: TCP port on 127.0.0.1; 0: any free one.

    Raises:
        BadInputError: the port is taken, or amqtt is not installed.
    """

    def __init__(self, port: int = 0) -> None:
        # Bound here and inherited by the child: nobody can take the port in between.
        self._listener = _listen(port)
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        """For `mqtt.url`."""
        return f"mqtt://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        descriptor = self._listener.fileno()
        self._child = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            [sys.executable, "-m", __name__, str(descriptor)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(descriptor,),
            start_new_session=True,  # Ctrl-C at the terminal is the demo's, it stops us in order
            text=True,
        )
        self._listener.close()
        if self._child.stdout is None or self._child.stdout.readline().strip() != READY:
            raise self._did_not_start()
        return self

    def _did_not_start(self) -> Exception:
        _, said = self._child.communicate()
        lines = said.strip().splitlines() or ["no reason given"]
        if "No module named 'amqtt'" in lines[-1]:
            return BadInputError(
                "The demo needs the Python broker amqtt: pip install 'spotterd[demo]', "
                "or give a broker of your own with --broker mqtt://HOST."
            )
        return RetryError(f"The demo's broker did not start: {lines[-1]}.")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the broker and wait for its end."""
        try:
            self._child.communicate("", timeout=3)  # the end of its input is its signal to stop
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.communicate()


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise BadInputError(
            f"Cannot start the demo's broker on {HOST}:{port}: {error.strerror}. Is another broker "
            "running there? Choose another port, or 0 for any free one."
        ) from error
    return listener


class _Replay:
    """A reader for amqtt that first gives back what `_connect_head` has read."""

    def __init__(self, head: bytes, reader: asyncio.StreamReader) -> None:
        self._head = head
        self._reader = reader

    async def read(self, n: int) -> bytes:
        """Exactly `n` bytes."""
        head, self._head = self._head[:n], self._head[n:]
        return head + await self._reader.readexactly(n - len(head))

    def feed_eof(self) -> None:
        """The other side has ended."""
        self._reader.feed_eof()


async def _serve(listener: socket.socket) -> None:
    """Be the broker until standard input ends."""
    from amqtt.adapters import StreamWriterAdapter  # noqa: PLC0415 (extra)
    from amqtt.broker import Broker  # noqa: PLC0415 (extra)

    async def serve_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await _connect_head(reader)
        if head[-1:] == LEVEL_3_1_1:
            streams = _Replay(head, reader), StreamWriterAdapter(writer)
            await broker.external_connected(*streams, "default")
        else:
            # amqtt leaves a client of MQTT 5 without an answer; told so, it tries 3.1.1 at once.
            writer.write(CONNACK_WRONG_LEVEL)
        writer.close()

    anyone = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    broker = Broker({"listeners": {"default": {"type": "external"}}, "plugins": anyone})
    await broker.start()
    server = await asyncio.start_server(serve_client, sock=listener)
    print(READY, flush=True)  # noqa: T201 (the parent waits for it)
    await asyncio.to_thread(sys.stdin.read)
    server.close()
    await broker.shutdown()


async def _connect_head(reader: asyncio.StreamReader) -> bytes:
    """A CONNECT packet up to its protocol level; empty if it is none."""
    try:
        head = await reader.readexactly(2)
        while head[-1] & 0x80:  # the length goes on
            head += await reader.readexactly(1)
        return head + await reader.readexactly(len(b"\0\x04MQTT\x04"))
    except asyncio.IncompleteReadError:
        return b""


if __name__ == "__main__":
    logging.disable()  # what clients do wrong is not this demo's story
    asyncio.run(_serve(socket.socket(fileno=int(sys.argv[1]))))
