"""A process that speaks S3: moto's server, on a free port that it prints. Requests are served one at a time.

One at a time, because moto looks whether a condition holds and then writes, and another request must not come between.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

_LOCK = threading.Lock()
_APP = DomainDispatcherApplication(create_backend_app)


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept

    def log_request(self, *_: Any) -> None:
        pass


def _one_at_a_time(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    with _LOCK:
        return list(_APP(environ, start_response))


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, _one_at_a_time, threaded=True, request_handler=_Quiet)
    print(server.port, flush=True)
    server.serve_forever()
