"""An HTTP proxy before the S3 server, on which requests meet what they meet on the internet."""

from __future__ import annotations

import http.client
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STATUS = {"error": (500, "InternalError"), "throttled": (503, "SlowDown")}
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class FaultyProxy:
    """Passes requests on, most of the time.

    Attributes:
        url: where it listens.
        chances: of each kind of fault: ``error`` (500), ``throttled`` (503 SlowDown), ``cut`` (the connection breaks
            before the server has the request), ``lost`` (it breaks after the server did it, so that nobody hears the
            answer), ``stuck`` (no answer for ``stuck_s``).
        only: faults happen only where this is part of the request's path.
        happened: how often each kind did.
        requests: how many came, by method.
    """

    def __init__(self, port: int, seed: int = 0) -> None:
        self.chances: Mapping[str, float] = {}
        self.only = ""
        self.stuck_s = 2.0
        self.happened: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self._rng = random.Random(seed)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, port))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fault(self, method: str, path: str) -> str | None:
        self.requests[method] += 1
        if self.only not in path:
            return None
        drawn = self._rng.random()
        for kind, chance in self.chances.items():
            drawn -= chance
            if drawn < 0:
                self.happened[kind] += 1
                return kind
        return None


def _handler(proxy: FaultyProxy, port: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kind = proxy.fault(self.command, self.path)
            if kind == "cut":
                self._cut()
            elif kind in STATUS:
                status, code = STATUS[kind]
                self._answer(status, {}, f"<Error><Code>{code}</Code></Error>".encode())
            else:
                if kind == "stuck":
                    time.sleep(proxy.stuck_s)
                upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                upstream.request(self.command, self.path, body, dict(self.headers))
                answer = upstream.getresponse()
                content = answer.read()
                upstream.close()
                if kind == "lost":
                    self._cut()
                else:
                    self._answer(answer.status, dict(answer.getheaders()), content)

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _serve

        def _answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
            length = headers.get("Content-Length") if self.command == "HEAD" else None
            try:
                self.send_response_only(status)
                for name, value in headers.items():
                    if name.lower() not in _HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", length or str(len(content)))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else content)
            except OSError:
                self.close_connection = True  # the client did not wait

        def _cut(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
