"""A network between client and engine that can break without a word."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Line:
    """A line to an engine; forwards until it is frozen, and then neither forwards nor closes anything.

    Attributes:
        target: where clients connect.
    """

    def __init__(self, host: str, port: int) -> None:
        self._engine = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._wake, woken = socket.socketpair()
        self._selector.register(woken, selectors.EVENT_READ)
        self._sockets: list[socket.socket] = [self._listener, self._wake, woken]
        self._thread = threading.Thread(target=self._forward)
        self._thread.start()

    def freeze(self) -> None:
        """From now on nothing gets through."""
        with suppress(OSError):
            self._wake.send(b"x")
        self._thread.join()

    def close(self) -> None:
        """Closes everything."""
        self.freeze()
        for one in self._sockets:
            one.close()
        self._selector.close()

    def _forward(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    self._connect()
                elif key.data is None:
                    return  # woken
                else:
                    self._pass_on(key.fileobj, key.data)

    def _connect(self) -> None:
        client, _ = self._listener.accept()
        engine = socket.create_connection(self._engine)
        self._sockets += [client, engine]
        self._selector.register(client, selectors.EVENT_READ, engine)
        self._selector.register(engine, selectors.EVENT_READ, client)

    def _pass_on(self, source: object, target: socket.socket) -> None:
        assert isinstance(source, socket.socket)
        with suppress(OSError):
            data = source.recv(1 << 16)
            if data:
                target.sendall(data)
                return
        self._selector.unregister(source)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextmanager
def line_to(host: str, port: int) -> Iterator[Line]:
    """A line that is closed in the end."""
    line = Line(host, port)
    try:
        yield line
    finally:
        line.close()
