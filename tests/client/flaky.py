"""A line that breaks: a proxy that cuts connections after a random number of bytes."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class FlakyLine:
    """Forwards connections to a port and cuts each one after a while.

    Attributes:
        port: to connect to.
        cuts: connections that were cut so far.
        cut_after: bytes, in either direction, after which a connection is cut, on average; None: never.
    """

    def __init__(self, target_port: int, seed: int, cut_after: int | None) -> None:
        self.cut_after = cut_after
        self.cuts = 0
        self.port = 0
        self._target_port = target_port
        self._random = random.Random(seed)

    async def serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        """Forwards until it is stopped."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.close()
            return
        left = None if self.cut_after is None else [int(self._random.expovariate(1 / self.cut_after))]
        both = [
            asyncio.create_task(self._pump(reader, far_writer, left)),
            asyncio.create_task(self._pump(far_reader, writer, left)),
        ]
        with suppress(asyncio.CancelledError):
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()
        for end in (writer, far_writer):
            end.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: list[int] | None
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if left is not None:
                    left[0] -= len(data)
                    if left[0] <= 0:
                        self.cuts += 1
                        writer.write(data[: max(len(data) + left[0], 0)])  # in the middle of a frame
                        return
                writer.write(data)
                await writer.drain()


@contextmanager
def flaky_line(target_port: int, seed: int = 0, cut_after: int | None = 20_000) -> Iterator[FlakyLine]:
    """A line to a port of this machine, in a thread."""
    line = FlakyLine(target_port, seed, cut_after)
    loop, ready = asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(line.serve(ready, stop)), name="line")
    thread.start()
    ready.wait()
    try:
        yield line
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        with suppress(RuntimeError):
            loop.run_until_complete(asyncio.sleep(0))
        loop.close()
