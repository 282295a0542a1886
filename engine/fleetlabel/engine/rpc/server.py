"""The server: ports, TLS, services, and the way in and out of them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from wsgiref.simple_server import WSGIServer

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from fleetlabel.engine.rpc.access import Access
from fleetlabel.engine.rpc.engine import ServedEngine
from fleetlabel.engine.rpc.export_service import add_export_service
from fleetlabel.engine.rpc.frame_service import add_frame_service
from fleetlabel.engine.rpc.label_service import add_label_service
from fleetlabel.engine.rpc.logs import told
from fleetlabel.engine.rpc.metrics import Metrics
from fleetlabel.engine.rpc.operation_service import add_operation_service
from fleetlabel.engine.rpc.prelabel_service import add_prelabel_service
from fleetlabel.engine.rpc.process import keep_freed_memory, take_short_turns, warm_solver
from fleetlabel.engine.rpc.sequence_service import add_sequence_service
from fleetlabel.engine.rpc.settings import ServeSettings
from fleetlabel.engine.rpc.tracking_service import add_tracking_service
from fleetlabel.model.errors import FleetLabelError, UsageError

# Adds a service to a server -> name of the service. Each is made with the engine that it serves.
Adder = Callable[[grpc.aio.Server, ServedEngine], str]
SERVICES: tuple[Adder, ...] = (
    add_sequence_service,
    add_prelabel_service,
    add_tracking_service,
    add_label_service,
    add_frame_service,
    add_export_service,
    add_operation_service,
)

_MIB = 1 << 20
_TIDY_EVERY_S = 60.0
_SAME_SIGNAL_S = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where an engine can be reached.

    Attributes:
        host, port: of the API.
        metrics_port: of the metrics; None: nowhere.
    """

    host: str
    port: int
    metrics_port: int | None

    @property
    def target(self) -> str:
        """``host:port``, as clients write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class EngineServer:
    """An engine behind its ports: an asynchronous context that serves.

    Attributes:
        engine: what is served.
        addresses: where; once the context is entered.
        ended: once it is left: whether all tasks have ended.
    """

    addresses: Addresses
    ended: bool

    def __init__(self, engine: ServedEngine) -> None:
        self.engine = engine
        self._metrics = Metrics(engine.operations)
        self._metrics_server: WSGIServer | None = None
        self._health = health.aio.HealthServicer()

    async def __aenter__(self) -> EngineServer:
        """Begins to serve.

        Raises:
            UsageError: a port is taken, or a certificate cannot be used.
        """
        settings = self.engine.settings
        self._server = grpc.aio.server(
            interceptors=(Access(self.engine, self._metrics),),
            options=_options(settings),
            maximum_concurrent_rpcs=settings.max_calls,
        )
        names = [add(self._server, self.engine) for add in SERVICES]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (*names, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )
        port = self._bind(settings)
        metrics_port = self._serve_metrics(settings)
        await self.engine.in_thread(self.engine.tidy)
        await self._server.start()
        self._tidying = asyncio.create_task(self._tidy_often())
        self._warming = asyncio.create_task(self.engine.in_thread(warm_solver))
        for name in names:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        self.addresses = Addresses(settings.bind_host, port, metrics_port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Takes no more calls, lets calls and tasks end, and leaves open operations to the next engine."""
        grace_s = self.engine.settings.grace_s
        self._tidying.cancel()
        self._warming.cancel()
        await self._health.enter_graceful_shutdown()
        self.engine.stopping.set()
        closing = asyncio.to_thread(self.engine.stop_operations, grace_s)
        _, self.ended = await asyncio.gather(self._server.stop(grace_s), closing)
        if not self.ended:
            _log.warning("a task did not end within %g s; the next engine does it again", grace_s)
        if self._metrics_server is not None:
            self._metrics_server.shutdown()
            self._metrics_server.server_close()

    async def _tidy_often(self) -> None:
        while True:
            await asyncio.sleep(_TIDY_EVERY_S)
            try:
                await self.engine.in_thread(self.engine.tidy)
            except (FleetLabelError, OSError) as error:
                _log.warning("uploads and exports could not be tidied up: %s", error)

    def _bind(self, settings: ServeSettings) -> int:
        host = settings.bind_host
        address = (
            f"[{host}]:{settings.port}"
            if ":" in host and not host.startswith("[")
            else f"{host}:{settings.port}"
        )
        try:
            if settings.tls_certificate is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, _credentials(settings))
        except RuntimeError as error:
            why = "another program does, or it is not this machine's"
            if settings.tls_certificate is not None:
                why += f"; or {settings.tls_certificate} is no certificate, or {settings.tls_key} not its key"
            raise UsageError(f"cannot serve on {address}: {why}") from error

    def _serve_metrics(self, settings: ServeSettings) -> int | None:
        if settings.metrics_port is None:
            return None
        try:
            self._metrics_server, _ = self._metrics.serve(settings.metrics_host, settings.metrics_port)
        except OSError as error:
            where = f"{settings.metrics_host}:{settings.metrics_port}"
            raise UsageError(f"cannot serve metrics on {where}: {error.strerror or error}") from error
        return int(self._metrics_server.server_port)


async def serve(settings: ServeSettings, on_start: Callable[[Addresses], None]) -> None:
    """Serves until SIGTERM or SIGINT, then ends in peace; a second signal ends at once, which loses nothing committed.

    Raises:
        UsageError, CatalogError: it cannot be begun.
    """
    keep_freed_memory()
    take_short_turns()
    loop = asyncio.get_running_loop()
    stop = _Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.on_signal)
    with ServedEngine(settings) as engine:
        async with EngineServer(engine) as server:
            on_start(server.addresses)
            _log.info("serving", extra=told(address=server.addresses.target))
            await stop.wait()
            _log.info("stopping: calls and tasks that are going on may end")
    _log.info("stopped")
    if not server.ended:  # Python would wait for its threads
        logging.shutdown()
        os._exit(0)


class _Stop(asyncio.Event):
    """Set by the first signal; a later one ends the process. Some send one to a process and to its group at once."""

    _since_s = 0.0

    def on_signal(self) -> None:
        """A signal came."""
        now_s = time.monotonic()
        if not self.is_set():
            self._since_s = now_s
            self.set()
        elif now_s - self._since_s > _SAME_SIGNAL_S:
            os._exit(130)


def _options(settings: ServeSettings) -> list[tuple[str, int]]:
    keepalive_ms = int(settings.keepalive_s * 1000)
    answer_ms = keepalive_ms * 2 // 3
    return [
        ("grpc.max_receive_message_length", settings.max_message_mib * _MIB),
        ("grpc.max_send_message_length", settings.max_message_mib * _MIB),
        ("grpc.max_concurrent_streams", settings.max_calls),
        ("grpc.keepalive_time_ms", keepalive_ms),
        ("grpc.keepalive_timeout_ms", answer_ms),
        ("grpc.http2.ping_timeout_ms", answer_ms),  # a minute by default, whatever the line above says
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 10),
        ("grpc.max_metadata_size", 16 << 10),
        ("grpc.so_reuseport", 0),
    ]


def _credentials(settings: ServeSettings) -> grpc.ServerCredentials:
    assert settings.tls_certificate is not None and settings.tls_key is not None
    pair = (_pem(settings.tls_key), _pem(settings.tls_certificate))
    client_ca = None if settings.client_ca is None else _pem(settings.client_ca)
    return grpc.ssl_server_credentials([pair], client_ca, require_client_auth=client_ca is not None)


def _pem(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    if b"-----BEGIN" not in data:
        raise UsageError(f"{path} is no PEM file; expected a text with -----BEGIN ...-----")
    return data
