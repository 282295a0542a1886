"""Operations as the API tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleetlabel.engine.catalog import Operation, State
from fleetlabel.engine.rpc.access import caller
from fleetlabel.engine.rpc.engine import ServedEngine
from fleetlabel.engine.rpc.requests import request_id_of
from fleetlabel.store.object_path import place_of
from fleetlabel.v1 import operations_pb2
from fleetlabel.wire.errors import detail_of_kept

KINDS: Mapping[str, operations_pb2.OperationKind] = {
    "ingest": operations_pb2.OPERATION_KIND_INGEST,
    "upload": operations_pb2.OPERATION_KIND_UPLOAD,
    "prelabel": operations_pb2.OPERATION_KIND_PRELABEL,
    "lift": operations_pb2.OPERATION_KIND_LIFT,
    "track": operations_pb2.OPERATION_KIND_TRACKING,
    "export": operations_pb2.OPERATION_KIND_EXPORT,
}
STATES: Mapping[State, operations_pb2.OperationState] = {
    State.QUEUED: operations_pb2.OPERATION_STATE_QUEUED,
    State.RUNNING: operations_pb2.OPERATION_STATE_RUNNING,
    State.SUCCEEDED: operations_pb2.OPERATION_STATE_SUCCEEDED,
    State.FAILED: operations_pb2.OPERATION_STATE_FAILED,
    State.CANCELLED: operations_pb2.OPERATION_STATE_CANCELLED,
}


def message_of(operation: Operation, engine: ServedEngine) -> operations_pb2.Operation:
    """An operation as it is."""
    progress = operation.progress
    message = operations_pb2.Operation(
        operation_id=operation.id,
        kind=KINDS.get(operation.kind, operations_pb2.OPERATION_KIND_UNSPECIFIED),
        state=STATES[operation.state],
        done=operation.state.is_final,
        cancel_requested=operation.cancel_requested,
        sequence_id=engine.sequence_id(place_of(operation.place)),
        owner=operation.owner,
        request_id=operation.request_id or "",
        stage=progress.stage,
        frames_done=progress.frames_done,
        frames_total=progress.frames_total,
        frames_per_second=progress.frames_per_s,
        created_ns=operation.created_ns,
        started_ns=operation.started_ns,
        updated_ns=operation.updated_ns,
        finished_ns=operation.finished_ns,
    )
    if operation.error_kind is not None:
        told = engine.in_clients_words(operation.error or "")
        message.error.CopyFrom(detail_of_kept(operation.error_kind, told))
    elif operation.result is not None and operation.kind == "export":
        message.export.CopyFrom(_export_result(operation.result))
    elif operation.result is not None:
        message.pipeline.CopyFrom(_pipeline_result(operation.result, engine))
    return message


def _pipeline_result(result: Mapping[str, Any], engine: ServedEngine) -> operations_pb2.PipelineResult:
    return operations_pb2.PipelineResult(
        sequence_id=engine.sequence_id(place_of(result["store"])),
        version=result["labels"] or "",
        content_hash=result["content_hash"],
        n_frames=result["frames"],
        wall_s=result["wall_s"],
        quarantined_samples=result["quarantined"],
        warnings=list(map(engine.in_clients_words, result["warnings"])),
    )


def _export_result(result: Mapping[str, Any]) -> operations_pb2.ExportResult:
    files = [operations_pb2.ExportedFile(**file) for file in result["files"]]
    return operations_pb2.ExportResult(version=result["version"], files=files, notes=result["notes"])


async def start(
    engine: ServedEngine, kind: str, request: Mapping[str, Any], request_id: str
) -> operations_pb2.Operation:
    """Starts an operation of the caller's, or finds the one that the same request started.

    Raises:
        RequestError: the request id is none.
        FleetLabelError: it cannot be done; see :meth:`Operations.start`.
    """
    named, owner = request_id_of(request_id), caller().name
    operation = await engine.in_thread(lambda: engine.operations.start(owner, kind, request, named))
    return message_of(operation, engine)
