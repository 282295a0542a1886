"""Encryption, and clients that have to show who they are."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from pydantic import ValidationError

from fleetlabel.engine.rpc import ServeSettings
from fleetlabel.model.errors import UsageError
from fleetlabel.v1 import sequence_service_pb2
from rpc.api import Api, refused
from rpc.certificates import Authority, Pair
from rpc.servers import Served, serving

LIST = sequence_service_pb2.ListSequencesRequest()


def channel(served: Served, ca: Path, client: Pair | None = None) -> grpc.Channel:
    pair = (None, None) if client is None else (client.key.read_bytes(), client.certificate.read_bytes())
    return grpc.secure_channel(served.target, grpc.ssl_channel_credentials(ca.read_bytes(), *pair))


def listed(channel: grpc.Channel, token: str) -> int:
    metadata = (("authorization", f"Bearer {token}"),)
    with channel:
        return len(Api(channel).sequences.ListSequences(LIST, metadata=metadata, timeout=20).sequences)


def test_with_tls_only_those_who_know_the_authority_come_in(root: Path, tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    server = ours.sign("server")
    keys: dict[str, Any] = {"tls_certificate": server.certificate, "tls_key": server.key, "host": "127.0.0.1"}
    with serving(tmp_path, root, **keys) as served:
        token = served.token("ann", "viewer")
        assert listed(channel(served, ours.certificate), token) == 1
        with refused(grpc.StatusCode.UNAVAILABLE):
            listed(channel(served, theirs.certificate), token)
        with refused(grpc.StatusCode.UNAVAILABLE):
            listed(grpc.insecure_channel(served.target), token)
        with refused(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            listed(channel(served, ours.certificate), "fl_none")


def test_with_mutual_tls_clients_need_a_good_certificate_and_a_token(root: Path, tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    server = ours.sign("server")
    keys: dict[str, Any] = {"tls_certificate": server.certificate, "tls_key": server.key, "host": "127.0.0.1"}
    with serving(tmp_path, root, client_ca=ours.certificate, **keys) as served:
        token = served.token("ann", "viewer")
        assert listed(channel(served, ours.certificate, ours.sign("client")), token) == 1
        for client in (None, theirs.sign("stranger"), ours.sign("late", timedelta(days=-1))):
            with refused(grpc.StatusCode.UNAVAILABLE):
                listed(channel(served, ours.certificate, client), token)
        with refused(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            listed(channel(served, ours.certificate, ours.sign("client")), "fl_none")


def test_without_tls_only_this_machine_is_served_unless_that_was_said(tmp_path: Path) -> None:
    given: dict[str, Any] = {"data": (str(tmp_path),), "catalog": str(tmp_path / "c"), "scratch": tmp_path}
    plain = ServeSettings(**given)
    assert (plain.bind_host, plain.is_exposed) == ("127.0.0.1", False)
    for host, exposed in (
        ("0.0.0.0", True),
        ("::", True),
        ("engine.example", True),
        ("::1", False),
        ("localhost", False),
    ):
        assert ServeSettings(**given, host=host).is_exposed is exposed
    secured = ServeSettings(**given, tls_certificate=tmp_path / "c", tls_key=tmp_path / "k")
    assert (secured.bind_host, secured.is_exposed) == ("0.0.0.0", False)
    for wrong in ({"tls_key": tmp_path}, {"tls_certificate": tmp_path}, {"client_ca": tmp_path}):
        with pytest.raises(ValidationError, match="certificate"):
            ServeSettings(**given, **wrong)


@pytest.mark.parametrize("content", [b"", b"not a certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_files_that_hold_no_certificate_are_said(root: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.pem").write_bytes(content)
    bad = tmp_path / "bad.pem"
    said = pytest.raises(UsageError, match="certificate|PEM")
    with said, serving(tmp_path, root, tls_certificate=bad, tls_key=bad):
        pass


def test_a_port_that_is_taken_is_said(shared_engine: Served, root: Path, tmp_path: Path) -> None:
    port = shared_engine.addresses.port
    with pytest.raises(UsageError, match=f"on 127.0.0.1:{port}: another"), serving(tmp_path, root, port=port):
        pass
