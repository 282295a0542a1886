"""The server itself: probes, reflection, metrics, and how it ends."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from rpc.servers import serving


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
