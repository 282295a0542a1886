"""Long work on the engine: how far it is, what came out, waiting for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from fleetlabel.client.connection import Connection
from fleetlabel.model.errors import FleetLabelError
from fleetlabel.v1 import operation_service_pb2 as pb
from fleetlabel.v1 import operations_pb2
from fleetlabel.v1.operation_service_pb2_grpc import OperationServiceStub
from fleetlabel.wire.errors import UnavailableError, error_of


class OperationKind(StrEnum):
    """What an operation does; UNSPECIFIED: something that this client does not know yet."""

    UNSPECIFIED = "unspecified"
    INGEST = "ingest"
    UPLOAD = "upload"
    PRELABEL = "prelabel"
    LIFT = "lift"
    TRACKING = "tracking"
    EXPORT = "export"


class OperationState(StrEnum):
    """How far an operation is."""

    UNSPECIFIED = "unspecified"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class PipelineResult:
    """What work on a sequence left behind.

    Attributes:
        sequence_id: of the sequence.
        version: label version that was written; empty if none was.
        content_hash: of what the sequence's store holds after it.
        n_frames: of the sequence.
        wall_s: how long it took since it was last begun.
        quarantined_samples: that could not be used.
        warnings: what people should know, in words.
    """

    sequence_id: str
    version: str
    content_hash: str
    n_frames: int
    wall_s: float
    quarantined_samples: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExportResult:
    """Files that an export wrote.

    Attributes:
        version: label version that they are of.
        files: path -> (bytes, SHA-256).
        notes: what the format could not carry, in words.
    """

    version: str
    files: dict[str, tuple[int, str]]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation as it was when it was asked for; times in nanoseconds since 1970-01-01 00:00 UTC.

    Attributes:
        operation_id: names it.
        kind, state, done: what it does, how far it is, whether it has ended.
        sequence_id: that it works on.
        owner: who started it.
        stage: that it is at; empty before it has begun.
        frames_done, frames_total, frames_per_second: samples of that stage.
        cancel_requested: whether somebody asked it to end.
        error: why it ended badly; None if it did not.
        result: what came out; None before it is done.
    """

    operation_id: str
    kind: OperationKind
    state: OperationState
    done: bool
    sequence_id: str
    owner: str
    stage: str
    frames_done: int
    frames_total: int
    frames_per_second: float
    cancel_requested: bool
    created_ns: int
    started_ns: int | None
    updated_ns: int
    finished_ns: int | None
    error: FleetLabelError | None
    result: PipelineResult | ExportResult | None


Progress = Callable[[Operation], None]


class RemoteOperation:
    """One operation of an engine.

    Attributes:
        operation_id: names it, after a restart of the engine too.
    """

    def __init__(self, connection: Connection, operation_id: str) -> None:
        self.operation_id = operation_id
        self._connection = connection
        self._stub = connection.stub(OperationServiceStub)

    def now(self) -> Operation:
        """How far it is.

        Raises:
            OperationNotFoundError: the engine knows no such operation any more.
        """
        request = pb.GetOperationRequest(operation_id=self.operation_id)
        return operation_of(self._connection.call(self._stub.GetOperation, request).operation)

    def cancel(self) -> Operation:
        """Asks it to end; tasks that are running are finished first."""
        request = pb.CancelOperationRequest(operation_id=self.operation_id)
        return operation_of(self._connection.call(self._stub.CancelOperation, request).operation)

    def watch(self, timeout_s: float | None = None) -> Iterator[Operation]:
        """How far it is, then whenever that changed, until it has ended; a restart of the engine in between too."""
        request = pb.WatchOperationRequest(operation_id=self.operation_id)
        for message in self._connection.stream(self._stub.WatchOperation, lambda: request, timeout_s):
            yield operation_of(message.operation)

    def wait(self, on_progress: Progress | None = None, timeout_s: float | None = None) -> Operation:
        """The operation once it has ended well.

        Args:
            on_progress: is told how far it is, whenever that changed.

        Raises:
            FleetLabelError: it ended badly: the error that the work met.
            DeadlineError: it has not ended within ``timeout_s``; it goes on.
        """
        for operation in self.watch(timeout_s):
            if on_progress is not None:
                on_progress(operation)
            if operation.done:
                if operation.error is not None:
                    raise operation.error
                return operation
        raise UnavailableError(
            f"the engine ended the news of operation {self.operation_id} before it was done"
        )


def operation_of(message: operations_pb2.Operation) -> Operation:
    """The operation that a message tells of."""
    outcome = message.WhichOneof("outcome")
    result: PipelineResult | ExportResult | None = None
    if outcome == "pipeline":
        made = message.pipeline
        result = PipelineResult(
            made.sequence_id,
            made.version,
            made.content_hash,
            made.n_frames,
            made.wall_s,
            made.quarantined_samples,
            tuple(made.warnings),
        )
    elif outcome == "export":
        files = {file.path: (file.size_bytes, file.sha256) for file in message.export.files}
        result = ExportResult(message.export.version, files, tuple(message.export.notes))
    return Operation(
        operation_id=message.operation_id,
        kind=_kind(message.kind),
        state=_state(message.state),
        done=message.done,
        sequence_id=message.sequence_id,
        owner=message.owner,
        stage=message.stage,
        frames_done=message.frames_done,
        frames_total=message.frames_total,
        frames_per_second=message.frames_per_second,
        cancel_requested=message.cancel_requested,
        created_ns=message.created_ns,
        started_ns=message.started_ns if message.HasField("started_ns") else None,
        updated_ns=message.updated_ns,
        finished_ns=message.finished_ns if message.HasField("finished_ns") else None,
        error=error_of(message.error) if outcome == "error" else None,
        result=result,
    )


def _kind(number: int) -> OperationKind:
    names = {value: name for name, value in operations_pb2.OperationKind.items()}
    return OperationKind[names.get(number, "OPERATION_KIND_UNSPECIFIED").removeprefix("OPERATION_KIND_")]


def _state(number: int) -> OperationState:
    names = {value: name for name, value in operations_pb2.OperationState.items()}
    return OperationState[names.get(number, "OPERATION_STATE_UNSPECIFIED").removeprefix("OPERATION_STATE_")]
