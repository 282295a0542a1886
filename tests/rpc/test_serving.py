"""The server itself: probes, reflection, metrics, and how it ends."""

from __future__ import annotations

import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from fleetlabel.v1 import operation_service_pb2
from rpc.api import Api
from rpc.proxy import line_to
from rpc.servers import serving, with_token


def test_probes_need_no_token_and_reflection_does(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with serving(tmp_path, tmp_path / "data", metrics_port=0) as served:
        with served.channel() as channel:
            health = health_pb2_grpc.HealthStub(channel)
            answer = health.Check(health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            with pytest.raises(grpc.RpcError) as unknown:
                health.Check(health_pb2.HealthCheckRequest(service="nobody"))
            assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
            asked = [reflection_pb2.ServerReflectionRequest(list_services="")]
            reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
            with pytest.raises(grpc.RpcError) as refused:
                list(reflection.ServerReflectionInfo(iter(asked)))
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        with served.channel(served.token("ann", "viewer")) as channel:
            reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
            (told,) = reflection.ServerReflectionInfo(iter(asked))
            assert "grpc.health.v1.Health" in {one.name for one in told.list_services_response.service}
        url = f"http://127.0.0.1:{served.addresses.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as page:
            text = page.read().decode()
        assert 'fleetlabel_calls_total{code="OK",method="/grpc.health.v1.Health/Check"} 1.0' in text


@pytest.mark.slow
def test_a_client_whose_line_breaks_without_a_word_holds_nothing_for_long(
    root: Path, tmp_path: Path, held: threading.Event
) -> None:
    with serving(tmp_path, root, max_streams=1, keepalive_s=3.0) as served:
        token = served.token("ann", "admin")
        with served.channel(token) as direct, line_to(served.addresses.host, served.addresses.port) as line:
            api = Api(direct)
            operation_id = api.ingest("drive", "new.zarr").operation_id
            asked = operation_service_pb2.WatchOperationRequest(operation_id=operation_id)
            vanished = grpc.insecure_channel(line.target)
            stream = Api(with_token(vanished, token)).operations.WatchOperation(asked)
            assert next(stream)
            assert not _is_open(api.operations.WatchOperation(asked))
            line.freeze()
            while not _is_open(api.operations.WatchOperation(asked)):
                time.sleep(0.05)  # until the engine has given it up
            held.set()
            stream.cancel()
            vanished.close()


def _is_open(stream: Any) -> bool:
    try:
        return bool(next(stream))
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise
        return False
