"""A TCP proxy on 127.0.0.1 that misbehaves when told to: a network for tests."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future

from typing_extensions import Self


class FaultProxy:
    """Stands before a port for as long as the `with` block lasts.

    Attributes:
        port: connect here.
        blackhole: bytes go in and nothing comes out, on connections old and new.
        cut_after: reset a connection after this many bytes from the client; None: never.
    """

    def __init__(self, upstream_port: int) -> None:
        self.port = 0
        self.blackhole = False
        self.cut_after: int | None = None
        self._upstream_port = upstream_port
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._in_loop(self._start).result(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._in_loop(self._stop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def reset_all(self) -> None:
        """RST on every open connection."""
        self._loop.call_soon_threadsafe(lambda: [_reset(writer) for writer in list(self._open)])

    def _in_loop(self, what: Callable) -> Future:
        return asyncio.run_coroutine_threadsafe(what(), self._loop)

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        for writer in list(self._open):
            _reset(writer)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        except OSError:
            _reset(writer)
            return
        pair = {writer, up_writer}
        self._open |= pair
        there = self._pump(reader, up_writer, from_client=True)
        back = self._pump(up_reader, writer, from_client=False)
        await asyncio.gather(there, back, return_exceptions=True)
        self._open -= pair
        for side in pair:
            side.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_client: bool
    ) -> None:
        passed = 0
        try:
            while data := await reader.read(65536):
                if self.blackhole:
                    continue
                limit = self.cut_after if from_client else None
                if limit is not None and passed + len(data) > limit:
                    writer.write(data[: max(limit - passed, 0)])
                    await writer.drain()
                    self.cut_after = None
                    for side in list(self._open):
                        _reset(side)
                    return
                passed += len(data)
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    if writer.is_closing():
        return
    linger_0 = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_0)
    writer.transport.abort()
