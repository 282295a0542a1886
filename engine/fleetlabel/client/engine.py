"""An engine, wherever it runs: its sequences and its operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

from fleetlabel.client import uploads
from fleetlabel.client.connection import Connection, ConnectionSettings, new_request_id
from fleetlabel.client.operations import (
    Operation,
    OperationKind,
    OperationState,
    RemoteOperation,
    operation_of,
)
from fleetlabel.client.sequence import RemoteSequence, SequenceEntry, entry_of
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.labels import Item, Progress
from fleetlabel.model.errors import UsageError
from fleetlabel.model.sensors import Sensor
from fleetlabel.v1 import label_service_pb2, operation_service_pb2, sequence_service_pb2
from fleetlabel.v1.label_service_pb2_grpc import LabelServiceStub
from fleetlabel.v1.operation_service_pb2_grpc import OperationServiceStub
from fleetlabel.v1.sequence_service_pb2_grpc import SequenceServiceStub
from fleetlabel.wire.label_answers import item_of, progress_of
from fleetlabel.wire.samples import LidarSample, Picture

_PAGE = 1000
_EXISTING = ("refuse", "resume", "overwrite")
_REVIEW = ("unlabelled", "unreviewed", "in_review", "reviewed")


class Engine:
    """A connection to an engine; a context that ends it.

    Args:
        address: ``HOST:PORT``.
        token: who asks, ``fl_...``.
        ca, certificate, key, tls, in_the_clear, timeout_s, patience_s: see :class:`ConnectionSettings`.
    """

    def __init__(
        self,
        address: str,
        *,
        token: str | None = None,
        ca: Path | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
        tls: bool = False,
        in_the_clear: bool = False,
        timeout_s: float = 60.0,
        patience_s: float = 30.0,
    ) -> None:
        self._connection = Connection(
            ConnectionSettings(address, token, ca, certificate, key, tls, in_the_clear, timeout_s, patience_s)
        )

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection, and all calls that are going on."""
        self._connection.close()

    # --- sequences --------------------------------------------------------------------------------------------------

    def sequence(self, sequence_id: str) -> RemoteSequence:
        """A sequence by its name; nothing is asked yet."""
        return RemoteSequence(self._connection, sequence_id)

    def sequences(
        self,
        name: str = "",
        *,
        vehicle: str = "",
        start_ns: int | None = None,
        stop_ns: int | None = None,
        class_names: Sequence[str] = (),
        review: str = "",
        quarantined: bool | None = None,
    ) -> Iterator[SequenceEntry]:
        """Sequences in the order of the first frames' times; everything that is given must hold.

        Args:
            name, vehicle: with * and ? for anything.
            start_ns, stop_ns: the drive has frames in between, on its clock.
            class_names: the newest labels have objects of all of them.
            review: ``unlabelled``, ``unreviewed``, ``in_review`` or ``reviewed``.
            quarantined: whether there are samples that could not be used.
        """
        if review not in ("", *_REVIEW):
            raise UsageError(f"review is {review!r}, expected one of {', '.join(_REVIEW)}")
        wanted = sequence_service_pb2.SequenceFilter(
            name_pattern=name,
            vehicle_pattern=vehicle,
            start_ns=start_ns,
            stop_ns=stop_ns,
            class_names=class_names,
            review=f"REVIEW_STATE_{review.upper()}" if review else None,
            quarantined=quarantined,
        )
        stub, token = self._connection.stub(SequenceServiceStub), ""
        while True:
            request = sequence_service_pb2.ListSequencesRequest(
                page_size=_PAGE, page_token=token, filter=wanted
            )
            answer = self._connection.call(stub.ListSequences, request)
            yield from map(entry_of, answer.sequences)
            token = answer.next_page_token
            if not token:
                return

    def ingest(
        self,
        source: str,
        sequence_id: str,
        *,
        source_sequence: str = "",
        existing: str = "refuse",
        chunk_frames: int = 0,
        request_id: str | None = None,
    ) -> RemoteOperation:
        """Starts to read a drive log that the engine can see.

        Args:
            source: path within the engine's data roots, or ``s3://`` URL.
            sequence_id: the sequence to make.
            source_sequence: which of the log's sequences; may be left out if there is only one.
            existing: ``refuse``, ``resume`` or ``overwrite`` a sequence of this name.
        """
        if existing not in _EXISTING:
            raise UsageError(f"existing is {existing!r}, expected one of {', '.join(_EXISTING)}")
        request = sequence_service_pb2.IngestSequenceRequest(
            request_id=new_request_id() if request_id is None else request_id,
            source=source,
            source_sequence=source_sequence,
            sequence_id=sequence_id,
            existing=f"EXISTING_SEQUENCE_{existing.upper()}",
            chunk_frames=chunk_frames,
        )
        answer = self._connection.call(self._connection.stub(SequenceServiceStub).IngestSequence, request)
        return RemoteOperation(self._connection, answer.operation.operation_id)

    def upload(
        self,
        sequence_id: str,
        *,
        sensors: Sequence[Sensor],
        frame_timestamp_ns: I64,
        samples: Iterable[Picture | LidarSample],
        trajectory: Trajectory | None = None,
        world_offset_m: F64 | None = None,
        name: str = "",
        vehicle: str = "",
        on_progress: Callable[[int, int], None] | None = None,
        request_id: str | None = None,
    ) -> RemoteOperation:
        """Streams a drive to the engine; the operation that ingests it then is returned.

        Args:
            frame_timestamp_ns: (F,) int64 reference times of all frames, ascending.
            samples: pictures and sweeps, those of one sensor in the order of frames; frames without one are missing.
            trajectory: where the vehicle was; None: it stood still at the world's origin.
            world_offset_m: (3,) what was subtracted from the log's own world coordinates.
            on_progress: is told samples and bytes that were sent so far.
        """
        first = uploads.header(
            new_request_id() if request_id is None else request_id,
            sequence_id,
            sensors,
            frame_timestamp_ns,
            trajectory,
            world_offset_m,
            name,
            vehicle,
        )
        stub = self._connection.stub(SequenceServiceStub)
        stream = uploads.requests(first, samples, on_progress)
        answer = self._connection.call_stream(stub.UploadSequence, stream)
        return RemoteOperation(self._connection, answer.operation.operation_id)

    # --- operations -------------------------------------------------------------------------------------------------

    def operation(self, operation_id: str) -> RemoteOperation:
        """An operation by its id; nothing is asked yet."""
        return RemoteOperation(self._connection, operation_id)

    def operations(
        self,
        sequence_id: str = "",
        *,
        kinds: Sequence[OperationKind] = (),
        states: Sequence[OperationState] = (),
        done: bool | None = None,
    ) -> Iterator[Operation]:
        """Operations, the newest first; everything that is given must hold."""
        stub, token = self._connection.stub(OperationServiceStub), ""
        while True:
            request = operation_service_pb2.ListOperationsRequest(
                page_size=_PAGE,
                page_token=token,
                sequence_id=sequence_id,
                kinds=[f"OPERATION_KIND_{kind.name}" for kind in kinds],
                states=[f"OPERATION_STATE_{state.name}" for state in states],
                done=done,
            )
            answer = self._connection.call(stub.ListOperations, request)
            yield from map(operation_of, answer.operations)
            token = answer.next_page_token
            if not token:
                return

    # --- the queue --------------------------------------------------------------------------------------------------

    def next_items(
        self, sequence_ids: Sequence[str], count: int = 1, *, iou: float = 0.7, lease_s: float = 0.0
    ) -> tuple[list[Item], dict[str, Progress]]:
        """Boxes that are most worth a look, leased to the caller, and how far the work on each sequence is.

        What the caller was sent to before in these sequences is given back; an item's ``sequence`` is the sequence_id.

        Args:
            iou: overlap with the truth below which a box is wrong, 0.5 to 0.95.
            lease_s: how long nobody else is sent there; the engine's quarter of an hour by default.
        """
        request = label_service_pb2.NextItemsRequest(
            sequence_ids=sequence_ids, count=count, iou=iou, lease_s=lease_s
        )
        answer = self._connection.call(self._connection.stub(LabelServiceStub).NextItems, request)
        progress = {each.sequence_id: progress_of(each) for each in answer.progress}
        return [item_of(item) for item in answer.items], progress
