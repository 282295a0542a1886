"""Engines that are killed or stopped in the middle of work, and those that come after them."""

from __future__ import annotations

import re
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from fleetlabel.engine.ingest.testing import Scene, write_pandaset
from fleetlabel.store import SequenceStore, describe
from fleetlabel.v1 import operation_service_pb2 as pb
from fleetlabel.v1 import operations_pb2 as ops
from fleetlabel.v1 import prelabel_service_pb2
from pipeline.conftest import write_bright_detector
from rpc.api import Api, request_id
from rpc.processes import Process, new_token, serve_process

pytestmark = pytest.mark.slow

Watch, Wait = pb.WatchOperationRequest, pb.WaitOperationRequest


@pytest.fixture(scope="module")
def long_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a drive that takes some seconds."""
    root = tmp_path_factory.mktemp("long")
    write_pandaset(root / "drive", Scene(n_frames=24, n_objects=4))
    write_bright_detector(root / "bright.onnx")
    return root


def prelabel(api: Api, sequence_id: str) -> ops.Operation:
    asked = prelabel_service_pb2.StartPrelabelRequest(
        request_id=request_id(),
        sequence_id=sequence_id,
        model="bright.onnx",
        detect=prelabel_service_pb2.DetectSettings(backend="onnxruntime"),
        chunk_frames=2,
    )
    return api.prelabel.StartPrelabel(asked).operation


def until_half_done(api: Api, operation: ops.Operation) -> None:
    """Watches until some of it is done, and some is not."""
    for answer in api.operations.WatchOperation(Watch(operation_id=operation.operation_id)):
        assert not answer.operation.done, answer.operation
        if answer.operation.frames_done:
            return


def test_work_goes_on_after_a_sigkill_and_ends_with_the_same_content(
    long_root: Path, tmp_path: Path, fleetlabel: Callable[..., tuple[int, str, str]]
) -> None:
    with serve_process(tmp_path, long_root) as engine:
        token = new_token(tmp_path, "ann", "admin")
        with engine.api(token) as api:
            api.done(api.ingest("drive", "new.zarr"))
            operation = prelabel(api, "new.zarr")
            until_half_done(api, operation)
            engine.process.send_signal(signal.SIGKILL)
            assert engine.process.wait() == -signal.SIGKILL
    with serve_process(tmp_path, long_root) as engine, engine.api(token) as api:
        resumed = api.done(operation)
        assert (resumed.operation_id, resumed.owner) == (operation.operation_id, "ann")
        assert 0 < resumed.frames_total < 48  # what was committed was not done again
    by_hand = tmp_path / "by_hand.zarr"
    for command in (
        ("ingest", long_root / "drive", "--out", by_hand, "--workers", 1),
        (
            "prelabel",
            by_hand,
            "--model",
            long_root / "bright.onnx",
            "--backend",
            "onnxruntime",
            "--workers",
            1,
        ),
    ):
        assert fleetlabel(*command)[0] == 0
    assert resumed.pipeline.content_hash == describe(SequenceStore.open(by_hand)).content_hash


def test_a_sigterm_lets_calls_and_tasks_end_and_the_next_engine_goes_on(
    long_root: Path, tmp_path: Path
) -> None:
    with serve_process(tmp_path, long_root, "--metrics-port", "0") as engine:
        token = new_token(tmp_path, "ann", "admin")
        with engine.api(token) as api:
            api.done(api.ingest("drive", "other.zarr"))
            operation = prelabel(api, "other.zarr")
            until_half_done(api, operation)
            assert b"fleetlabel_operations" in _metrics(engine)
            watching = api.operations.WatchOperation(Watch(operation_id=operation.operation_id))
            assert not next(watching).operation.done
            waiting = api.operations.WaitOperation.future(Wait(operation_id=operation.operation_id))
            while not re.search(rb'fleetlabel_open_calls\{method="[^"]*WaitOperation"\} 1', _metrics(engine)):
                assert not waiting.done()  # it is on its way
            engine.process.send_signal(signal.SIGTERM)
            with pytest.raises(grpc.RpcError) as ended:
                assert not any(answer.operation.done for answer in watching)
            assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
            assert waiting.exception().code() is grpc.StatusCode.UNAVAILABLE
            assert engine.process.wait(60) == 0
            with pytest.raises(grpc.RpcError) as gone:
                api.operations.GetOperation(pb.GetOperationRequest(operation_id=operation.operation_id))
            assert gone.value.code() is grpc.StatusCode.UNAVAILABLE
        lines = engine.log_lines()
        assert lines[-1]["message"] == "stopped" and not [one for one in lines if one["level"] == "error"]
        calls = [one for one in lines if one["message"] == "call"]
        assert all(one["request_id"] and one["principal"] == "ann" for one in calls)
        assert token not in engine.log.read_text()
    with serve_process(tmp_path, long_root) as engine, engine.api(token) as api:
        resumed = api.done(operation)
        assert 0 < resumed.frames_total < 48


def test_a_task_that_does_not_end_keeps_no_engine_from_stopping(long_root: Path, tmp_path: Path) -> None:
    with serve_process(tmp_path, long_root, "--grace", "0") as engine:
        token = new_token(tmp_path, "ann", "admin")
        with engine.api(token) as api:
            api.done(api.ingest("drive", "third.zarr"))
            operation = prelabel(api, "third.zarr")
            until_half_done(api, operation)
        engine.process.send_signal(signal.SIGTERM)
        assert engine.process.wait(60) == 0
    with serve_process(tmp_path, long_root) as engine, engine.api(token) as api:
        assert api.done(operation).pipeline.n_frames == 24


def _metrics(engine: Process) -> bytes:
    with urllib.request.urlopen(
        f"http://127.0.0.1:{engine.said['metrics_port']}/metrics", timeout=10
    ) as page:
        return bytes(page.read())
