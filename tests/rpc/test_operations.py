"""Following long work, and having machines do it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import json_format

from fleetlabel.store import SequenceStore, describe
from fleetlabel.v1 import errors_pb2, prelabel_service_pb2, tracking_service_pb2
from fleetlabel.v1 import operation_service_pb2 as pb
from fleetlabel.v1 import operations_pb2 as ops
from rpc.api import Api, Opened, refused, request_id
from rpc.servers import serving


@pytest.fixture
def waiting(root: Path, tmp_path: Path, held: threading.Event) -> Iterator[Opened]:
    """The API of an engine whose ingests wait until ``held`` is set."""
    with serving(tmp_path, root) as served:
        yield lambda role: Api(served.channel(served.token(role, role)))


def test_operations_are_followed_listed_and_cancelled(waiting: Opened, held: threading.Event) -> None:
    api, other = waiting("reviewer"), waiting("admin")
    first, second = api.ingest("drive", "a.zarr"), api.ingest("drive", "b.zarr")
    theirs = other.ingest("drive", "c.zarr")
    listed = api.operations.ListOperations(pb.ListOperationsRequest(page_size=2))
    assert [one.operation_id for one in listed.operations] == [theirs.operation_id, second.operation_id]
    rest = api.operations.ListOperations(pb.ListOperationsRequest(page_token=listed.next_page_token))
    assert [one.operation_id for one in rest.operations] == [first.operation_id] and not rest.next_page_token
    of_a = api.operations.ListOperations(pb.ListOperationsRequest(sequence_id="a.zarr", done=False))
    assert [one.operation_id for one in of_a.operations] == [first.operation_id]
    assert not api.operations.ListOperations(
        pb.ListOperationsRequest(kinds=[ops.OPERATION_KIND_LIFT])
    ).operations
    assert not api.operations.ListOperations(
        pb.ListOperationsRequest(states=[ops.OPERATION_STATE_FAILED], done=False)
    ).operations

    cancelled = api.operations.CancelOperation(
        pb.CancelOperationRequest(operation_id=second.operation_id)
    ).operation
    assert cancelled.state == ops.OPERATION_STATE_CANCELLED and cancelled.done
    assert cancelled.error.kind == errors_pb2.ERROR_KIND_CANCELLED
    with refused(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION", "admin"):
        api.operations.CancelOperation(pb.CancelOperationRequest(operation_id=theirs.operation_id))
    other.operations.CancelOperation(pb.CancelOperationRequest(operation_id=first.operation_id))

    waited = api.operations.WaitOperation(
        pb.WaitOperationRequest(operation_id=theirs.operation_id, timeout_ms=20)
    )
    assert not waited.operation.done
    early = api.operations.WaitOperation(
        pb.WaitOperationRequest(operation_id=theirs.operation_id), timeout=0.5
    )
    assert not early.operation.done  # it answers before the call's own deadline

    watching = api.operations.WatchOperation(pb.WatchOperationRequest(operation_id=theirs.operation_id))
    assert not next(watching).operation.done
    held.set()
    told = [answer.operation for answer in watching]
    assert told[-1].state == ops.OPERATION_STATE_SUCCEEDED and not any(one.done for one in told[:-1])
    assert told[-1].frames_done == told[-1].frames_total > 0
    assert told[-1].stage in ("ingest", "check")  # the second where drives are checked once they are there
    now = api.operations.GetOperation(pb.GetOperationRequest(operation_id=theirs.operation_id)).operation
    assert now == told[-1]
    assert now.created_ns <= now.started_ns <= now.finished_ns
    ended = api.ended(first)
    assert ended.state == ops.OPERATION_STATE_CANCELLED


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (pb.GetOperationRequest(operation_id="nothing"), grpc.StatusCode.NOT_FOUND),
        (pb.CancelOperationRequest(operation_id="nothing"), grpc.StatusCode.NOT_FOUND),
        (pb.WaitOperationRequest(operation_id="nothing"), grpc.StatusCode.NOT_FOUND),
        (pb.WatchOperationRequest(operation_id="nothing"), grpc.StatusCode.NOT_FOUND),
        (pb.WaitOperationRequest(operation_id="x", timeout_ms=-1), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.ListOperationsRequest(page_token="nothing"), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.ListOperationsRequest(page_size=-1), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.ListOperationsRequest(kinds=[99]), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.ListOperationsRequest(states=[0]), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.ListOperationsRequest(sequence_id="../a.zarr"), grpc.StatusCode.PERMISSION_DENIED),
    ],
)
def test_what_is_not_there_is_said(
    shared: Api, request_: pb.GetOperationRequest, code: grpc.StatusCode
) -> None:
    name = type(request_).__name__.removesuffix("Request")
    with refused(code):
        shared.send(f"/fleetlabel.v1.OperationService/{name}", request_)


Prelabel, Lift = prelabel_service_pb2.StartPrelabelRequest, prelabel_service_pb2.StartLiftRequest
Track = tracking_service_pb2.StartTrackingRequest
Detect = prelabel_service_pb2.DetectSettings


@pytest.mark.slow
def test_stages_over_the_wire_make_the_labels_of_the_command_line(
    api: Api, root: Path, fleetlabel: object
) -> None:
    assert callable(fleetlabel)
    code, _, _ = fleetlabel(
        "run", root / "drive", "--out", root / "cli.zarr", "--model", root / "bright.onnx", "--conf", 0.1,
        "--workers", 1,
    )  # fmt: skip
    assert code == 0
    by_hand = SequenceStore.open(root / "cli.zarr")
    api.done(api.ingest("drive", "wire.zarr"))
    detect = Detect(conf=0.1)
    asked = Prelabel(request_id=request_id(), sequence_id="wire.zarr", model="bright.onnx", detect=detect)
    operation = api.prelabel.StartPrelabel(asked).operation
    told = [answer.operation for answer in api.operations.WatchOperation(
        pb.WatchOperationRequest(operation_id=operation.operation_id)
    )]  # fmt: skip
    assert told[-1].state == ops.OPERATION_STATE_SUCCEEDED, told[-1].error
    assert told[-1].stage == "detect" and told[-1].frames_per_second > 0
    lift = Lift(request_id=request_id(), sequence_id="wire.zarr")
    api.done(api.prelabel.StartLift(lift).operation)
    track = Track(request_id=request_id(), sequence_id="wire.zarr")
    tracked = api.done(api.tracking.StartTracking(track).operation)
    assert tracked.kind == ops.OPERATION_KIND_TRACKING
    assert tracked.pipeline.version == by_hand.latest_labels().name
    assert tracked.pipeline.content_hash == describe(by_hand).content_hash


def _settings(request: object, name: str, value: dict[str, object]) -> object:
    json_format.ParseDict(value, getattr(request, name))
    return request


@pytest.mark.parametrize(
    ("request_", "code", "match"),
    [
        (Prelabel(sequence_id="town.zarr"), grpc.StatusCode.INVALID_ARGUMENT, "detector"),
        (Prelabel(model="bright.onnx"), grpc.StatusCode.INVALID_ARGUMENT, "sequence_id"),
        (Prelabel(sequence_id="none.zarr", model="bright.onnx"), grpc.StatusCode.NOT_FOUND, "none.zarr"),
        (Prelabel(sequence_id="town.zarr", model="/etc/passwd"), grpc.StatusCode.PERMISSION_DENIED, "touch"),
        (Prelabel(sequence_id="town.zarr", detections2d="../x"), grpc.StatusCode.PERMISSION_DENIED, "touch"),
        (Prelabel(sequence_id="town.zarr", model="none.onnx"), grpc.StatusCode.INVALID_ARGUMENT, "nothing"),
        (
            Prelabel(sequence_id="town.zarr", model="bright.onnx", chunk_frames=5000),
            grpc.StatusCode.INVALID_ARGUMENT,
            "chunk_frames",
        ),
        (
            Prelabel(sequence_id="town.zarr", model="bright.onnx", detect=Detect(conf=7)),
            grpc.StatusCode.INVALID_ARGUMENT,
            "conf",
        ),
        (
            Prelabel(sequence_id="town.zarr", model="bright.onnx", detect=Detect(tile_rows=2)),
            grpc.StatusCode.INVALID_ARGUMENT,
            "tile_columns",
        ),
        (
            Prelabel(sequence_id="town.zarr", model="bright.onnx", detect=Detect(backend="abacus")),
            grpc.StatusCode.INVALID_ARGUMENT,
            "backend",
        ),
        (Lift(sequence_id="town.zarr", detections3d="/etc"), grpc.StatusCode.PERMISSION_DENIED, "touch"),
        (
            _settings(Lift(sequence_id="town.zarr"), "lift", {"no_such": 1}),
            grpc.StatusCode.INVALID_ARGUMENT,
            "no_such",
        ),
        (
            _settings(Track(sequence_id="town.zarr"), "track", {"tracker2d": {"no_such": [1]}}),
            grpc.StatusCode.INVALID_ARGUMENT,
            "no_such",
        ),
        (
            _settings(Track(sequence_id="town.zarr"), "track", {"tracker2d": "fast"}),
            grpc.StatusCode.INVALID_ARGUMENT,
            "tracker2d",
        ),
    ],
)
def test_work_that_cannot_be_is_refused_before_it_begins(
    shared: Api, request_: Prelabel, code: grpc.StatusCode, match: str
) -> None:
    request_.request_id = request_id()
    service = "TrackingService" if isinstance(request_, Track) else "PrelabelService"
    with refused(code, match=match):
        shared.send(f"/fleetlabel.v1.{service}/{type(request_).__name__.removesuffix('Request')}", request_)
    assert not shared.operations.ListOperations(pb.ListOperationsRequest()).operations


def test_work_that_fails_says_why(api: Api, root: Path) -> None:
    lift = api.prelabel.StartLift(Lift(request_id=request_id(), sequence_id="town.zarr")).operation
    ended = api.ended(lift)
    assert ended.state == ops.OPERATION_STATE_FAILED and ended.done
    assert ended.error.status_code in (
        grpc.StatusCode.NOT_FOUND.value[0],
        grpc.StatusCode.FAILED_PRECONDITION.value[0],
    )
    assert "detect" in ended.error.message
