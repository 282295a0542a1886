"""Engines behind real ports, in a thread of the test's process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from fleetlabel.engine.catalog import Role
from fleetlabel.engine.rpc import EngineServer, ServedEngine, ServeSettings
from fleetlabel.engine.rpc.server import Addresses


@dataclass(frozen=True, slots=True)
class Served:
    """An engine that serves.

    Attributes:
        engine: behind the wire.
        addresses: where it is reached.
    """

    engine: ServedEngine
    addresses: Addresses

    @property
    def target(self) -> str:
        """``host:port``."""
        return self.addresses.target

    def token(self, person: str, role: Role | str, lasts_s: float | None = None) -> str:
        """A new token's text."""
        return self.engine.catalog.tokens.create(person, Role(role), lasts_s)[1]

    def channel(self, token: str = "", **options: Any) -> grpc.Channel:
        """A channel to it; with a token, every call carries it."""
        channel = grpc.insecure_channel(self.target, options=[(f"grpc.{k}", v) for k, v in options.items()])
        return with_token(channel, token) if token else channel


def with_token(channel: grpc.Channel, token: str) -> grpc.Channel:
    """The channel with a token in every call."""
    return grpc.intercept_channel(channel, _Bearer(token))


@contextmanager
def serving(folder: Path, *data: Path, **settings: Any) -> Iterator[Served]:
    """An engine with these data roots on a free loopback port; its catalog and scratch are below ``folder``."""
    given = {
        "data": tuple(map(str, data)),
        "catalog": str(folder / "catalog.sqlite"),
        "scratch": folder / "scratch",
        "port": 0,
        "workers": 1,
        "grace_s": 20.0,
    }
    asked = ServeSettings.model_validate(given | settings)
    ready, begun = threading.Event(), []
    problem: list[BaseException] = []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        with ServedEngine(asked) as engine:
            async with EngineServer(engine) as server:
                begun.append(Served(engine, server.addresses))
                ready.set()
                await stop.wait()

    def main() -> None:
        try:
            loop.run_until_complete(run())
        except BaseException as error:
            problem.append(error)
        finally:
            ready.set()
            loop.close()

    thread = threading.Thread(target=main, name="engine")
    thread.start()
    ready.wait()
    try:
        if problem:
            raise problem[0]
        yield begun[0]
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
        thread.join()
    if problem:
        raise problem[0]


class _Bearer(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Puts a token into each call."""

    def __init__(self, token: str) -> None:
        self._entry = ("authorization", f"Bearer {token}")

    def _call(self, continuation: Any, details: Any, request: Any) -> Any:
        metadata = [*(details.metadata or ()), self._entry]
        return continuation(_Details(details, metadata), request)

    intercept_unary_unary = intercept_unary_stream = _call
    intercept_stream_unary = intercept_stream_stream = _call


class _Details(grpc.ClientCallDetails):
    def __init__(self, details: Any, metadata: list[tuple[str, str]]) -> None:
        self.method, self.timeout, self.metadata = details.method, details.timeout, metadata
        self.credentials, self.wait_for_ready = details.credentials, details.wait_for_ready
        self.compression = details.compression
