"""One channel to an engine: TLS, token, deadlines, retries, and errors of our own tree."""

from __future__ import annotations

import ipaddress
import random
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError

from fleetlabel.model.errors import ClusterError, FleetLabelError, UsageError
from fleetlabel.v1 import errors_pb2
from fleetlabel.wire.errors import DETAIL_TRAILER, UnavailableError, error_of, error_of_status

Q = TypeVar("Q")
R = TypeVar("R")

MAX_MESSAGE_BYTES = 64 << 20
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """How an engine is reached.

    Attributes:
        address: ``HOST:PORT``.
        token: who asks; None: the engine is asked without one.
        ca: PEM file with the authority that signed the engine's certificate; TLS is used.
        certificate, key: PEM files of the client, where the engine asks for them.
        tls: use TLS, by the authorities that this machine trusts if ``ca`` is None.
        in_the_clear: send the token over a network without TLS.
        timeout_s: deadline of one attempt at a call that answers once.
        patience_s: how long calls are made again that the engine could not take; 0: not at all.
    """

    address: str
    token: str | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    tls: bool = False
    in_the_clear: bool = False
    timeout_s: float = 60.0
    patience_s: float = 30.0

    def __post_init__(self) -> None:
        found = _AUTHORITY.fullmatch(self.address)
        if found is None or not 0 < int(found[2]) < 65_536:
            raise UsageError(f"{self.address!r} is no address of an engine; expected HOST:PORT")
        if (self.certificate is None) != (self.key is None):
            raise UsageError("a certificate and its key belong together: give both or neither")
        if self.token and not self.uses_tls and not self.in_the_clear and not _is_loopback(found[1]):
            raise UsageError(
                f"the token would go to {self.address} unencrypted, for everybody on the way to read; give the "
                "engine's authority (ca), or say that this network is safe (in_the_clear)"
            )

    @property
    def uses_tls(self) -> bool:
        """Whether calls are encrypted."""
        return self.tls or self.ca is not None or self.certificate is not None


class Connection:
    """A channel to an engine, which any thread may use."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings
        options = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.keepalive_time_ms", 20_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2_000),
        ]
        self._channel = (
            grpc.secure_channel(settings.address, _credentials(settings), options)
            if settings.uses_tls
            else grpc.insecure_channel(settings.address, options)
        )
        self._metadata = (("authorization", f"Bearer {settings.token}"),) if settings.token else ()
        self._closed = False

    def close(self) -> None:
        """Ends all calls."""
        self._closed = True
        self._channel.close()

    def stub(self, kind: Callable[[grpc.Channel], Any]) -> Any:
        """A service's stub."""
        return kind(self._channel)

    def call(self, method: Callable[..., R], request: Any, timeout_s: float | None = None) -> R:
        """What a method answers; a call that the engine could not take is made again.

        Raises:
            FleetLabelError: what the engine said.
        """
        patience = _Patience(self.settings.patience_s)
        deadline_s = self.settings.timeout_s if timeout_s is None else timeout_s
        while True:
            try:
                return method(request, timeout=deadline_s, metadata=self._metadata)
            except grpc.RpcError as error:
                patience.wait_or_raise(self.error_of(error))

    def call_stream(
        self, method: Callable[..., R], requests: Iterator[Any], timeout_s: float | None = None
    ) -> R:
        """What a method answers to a stream of requests, which is sent once.

        Raises:
            FleetLabelError: what the engine said.
        """
        try:
            return method(requests, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self.error_of(error) from None

    def stream(
        self, method: Callable[..., Any], request_of: Callable[[], Q | None], timeout_s: float | None = None
    ) -> Iterator[Any]:
        """What a method answers, message by message; a stream that broke is begun again where it was.

        Args:
            request_of: the request for what is still to come, None if that is nothing.
            timeout_s: of all of it; None: as long as it takes.

        Raises:
            FleetLabelError: what the engine said.
        """
        patience = _Patience(self.settings.patience_s)
        while (request := request_of()) is not None:
            answers = method(request, timeout=timeout_s, metadata=self._metadata)
            try:
                for message in answers:
                    patience.renew()
                    yield message
                return
            except grpc.RpcError as error:
                patience.wait_or_raise(self.error_of(error))
            finally:
                answers.cancel()

    def error_of(self, error: grpc.RpcError) -> FleetLabelError:
        """An error of our own tree for one of gRPC's."""
        code, message = error.code().value[0], error.details() or error.code().name
        trailers: dict[str, Any] = {entry.key: entry.value for entry in error.trailing_metadata() or ()}
        with suppress(DecodeError):  # it is not an engine that answers
            if DETAIL_TRAILER in trailers:
                return error_of(errors_pb2.ErrorDetail.FromString(trailers[DETAIL_TRAILER]))
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            message = (
                f"no engine answers at {self.settings.address} ({message}); is it running, and is TLS meant?"
            )
        if error.code() is grpc.StatusCode.CANCELLED and not self._closed:
            # Nobody here cancels calls, and an engine says why: gRPC broke off one that came as the engine stopped.
            return UnavailableError(f"the engine at {self.settings.address} stopped before it took the call")
        return error_of_status(code, message)


def made(kind: Callable[..., Q], **fields: Any) -> Q:
    """A request.

    Raises:
        UsageError: a number or a text is none that it can hold.
    """
    try:
        return kind(**fields)
    except (ValueError, TypeError) as error:
        raise UsageError(f"this cannot be asked of an engine: {error}") from error


def new_request_id() -> str:
    """A name for a request that nobody else's has."""
    return uuid.uuid4().hex


class _Patience:
    """How long, and at what distances, a call is made again: exponential backoff with full jitter."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self.renew()

    def renew(self) -> None:
        """Something worked."""
        self._since_s: float | None = None
        self._pause_s = _FIRST_PAUSE_S

    def wait_or_raise(self, error: FleetLabelError) -> None:
        """Waits for the next attempt, or raises the error: it is no such one, or patience is at its end."""
        if not isinstance(error, (UnavailableError, ClusterError)):
            raise error from None
        now_s = time.monotonic()
        self._since_s = now_s if self._since_s is None else self._since_s
        pause_s = random.uniform(0, self._pause_s)
        if now_s + pause_s - self._since_s >= self._patience_s:
            raise error from None
        time.sleep(pause_s)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)


def _credentials(settings: ConnectionSettings) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(_pem(settings.ca), _pem(settings.key), _pem(settings.certificate))


def _pem(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
