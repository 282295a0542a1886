"""Everything that an engine that serves can be told."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

LOOPBACK = "127.0.0.1"
PORT = 50_551


class ServeSettings(BaseModel):
    """Settings of :class:`EngineServer`; units are in the fields' names.

    Attributes:
        data: data roots, folders or ``s3://bucket/prefix``: what clients may have read and written.
        catalog: URL or file; see :class:`fleetlabel.engine.catalog.Catalog`.
        scratch: folder for uploads that are not ingested yet and for exports; on a disk with room for both.
        host: address to bind; by default loopback without TLS, all addresses with it.
        port: 0: any that is free.
        metrics_host, metrics_port: where Prometheus may ask; None: nowhere.
        tls_certificate, tls_key: PEM files of the server; without them nothing is encrypted.
        client_ca: PEM file; clients have to show a certificate that it signed (mutual TLS).
        workers: tasks at once of one operation; by default one per core.
        operations: that run at a time.
        cluster: address or scheduler file of a Dask cluster that does the work; None: this machine.
        threads: calls that read or write stores at the same time.
        max_message_mib: of a request or an answer.
        max_streams: that one client (a token's person) may have open at a time.
        max_operations: that one client may have open at a time.
        max_calls: of all clients together at a time.
        keepalive_s: of silence, after which a client is asked whether it is still there; it has two
            thirds of that to answer.
        grace_s: that calls and tasks have to end when the engine is stopped.
        export_days: exports are kept so long at least.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: tuple[str, ...] = Field(min_length=1)
    catalog: str
    scratch: Path
    host: str | None = None
    port: int = Field(default=PORT, ge=0, le=65_535)
    metrics_host: str = LOOPBACK
    metrics_port: int | None = Field(default=None, ge=0, le=65_535)
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    workers: int = Field(default_factory=lambda: len(os.sched_getaffinity(0)), ge=1)
    operations: int = Field(default=1, ge=1)
    cluster: str | None = None
    threads: int = Field(default=16, ge=1)
    max_message_mib: int = Field(default=64, ge=1, le=1024)
    max_streams: int = Field(default=200, ge=1)
    max_operations: int = Field(default=100, ge=1)
    max_calls: int = Field(default=10_000, ge=1)
    keepalive_s: float = Field(default=30.0, gt=0)
    grace_s: float = Field(default=60.0, ge=0)
    export_days: float = Field(default=7.0, ge=1)

    @model_validator(mode="after")
    def _keys_belong_together(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("a certificate and its key belong together: give both or neither")
        if self.client_ca is not None and self.tls_certificate is None:
            raise ValueError(
                "clients' certificates can be asked for with TLS only: give the server's as well"
            )
        return self

    @property
    def bind_host(self) -> str:
        """Where the engine listens: without TLS nobody but this machine may talk to it unless that was said."""
        return self.host or (LOOPBACK if self.tls_certificate is None else "0.0.0.0")

    @property
    def is_exposed(self) -> bool:
        """Whether tokens and data would cross a network in the clear."""
        return self.tls_certificate is None and not _is_loopback(self.bind_host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
