"""Deadlines, retries and what is told when nobody answers."""

from __future__ import annotations

import socket

import grpc
import pytest

from client.test_labels import pose
from fleetlabel.client import ConnectionSettings, DeadlineError, Engine, EngineFaultError, UnavailableError
from fleetlabel.client.connection import Connection
from fleetlabel.model.errors import CancelledOperationError, UnknownTokenError, UsageError
from fleetlabel.store import SequenceStore
from rpc.servers import Served, serving


@pytest.mark.parametrize(
    "address", ["", "host", "host:", ":1", "host:0", "host:70000", "a b:1", "http://host:1"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        ConnectionSettings(address)


def test_a_token_does_not_cross_a_network_in_the_clear() -> None:
    for address in ("engine.example:50551", "192.0.2.1:50551", "[2001:db8::1]:50551"):
        with pytest.raises(UsageError, match="unencrypted"):
            ConnectionSettings(address, token="fl_x")
        ConnectionSettings(address, token="fl_x", tls=True)
        ConnectionSettings(address, token="fl_x", in_the_clear=True)
    for address in ("localhost:1", "127.0.0.1:1", "[::1]:1"):
        ConnectionSettings(address, token="fl_x")


def test_nobody_answering_is_said_in_time() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            Engine(address, token="fl_x", patience_s=0.0) as engine,
            pytest.raises(UnavailableError, match=address),
        ):
            engine.sequence("drive").describe()


def test_a_server_that_says_nothing_runs_into_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        engine = Engine(address, timeout_s=0.3, patience_s=0.0)
        with engine, pytest.raises((DeadlineError, UnavailableError)):
            engine.sequence("drive").describe()


def test_a_wrong_token_is_refused(served: Served) -> None:
    engine = Engine(served.target, token="fl_000000000000_" + "x" * 43)
    with engine, pytest.raises(UnknownTokenError) as refused:
        engine.sequence("drive").labels.now()
    assert "request id" in refused.value.__notes__[0]


def test_an_engine_that_comes_back_is_found_again(store: SequenceStore) -> None:
    folder = store.root.parent.parent
    with serving(folder, store.root.parent) as first:
        token, port = first.token("ann", "annotator"), first.addresses.port
        engine = Engine(first.target, token=token, patience_s=60.0)
        labels = engine.sequence("drive").labels
        base = labels.now()
    with serving(folder, store.root.parent, port=port):
        assert labels.commit([pose(1, 4)], base=base).saved
    engine.close()


def test_only_what_trying_again_can_cure_is_tried_again() -> None:
    connection = Connection(ConnectionSettings("localhost:1", patience_s=0.5))
    calls = 0

    def refuse(request: object, **_: object) -> object:
        nonlocal calls
        calls += 1
        raise _Refusal(code)

    code = grpc.StatusCode.INTERNAL
    with pytest.raises(EngineFaultError):
        connection.call(refuse, None)
    assert calls == 1
    # CANCELLED, of a call that nobody cancelled: it came as the engine stopped.
    for passing in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        calls, code = 0, passing
        with pytest.raises(UnavailableError):
            connection.call(refuse, None)
        assert calls > 1
    connection.close()
    calls = 0
    with pytest.raises(CancelledOperationError):
        connection.call(refuse, None)
    assert calls == 1


class _Refusal(grpc.RpcError):
    """As gRPC raises it."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "no"

    def trailing_metadata(self) -> tuple[()]:
        return ()
