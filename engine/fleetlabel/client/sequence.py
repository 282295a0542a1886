"""One sequence on the engine: what is known of it, and work that makes labels of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetlabel.client.connection import Connection, new_request_id
from fleetlabel.client.frames import RemoteFrames
from fleetlabel.client.labels import RemoteLabels
from fleetlabel.client.operations import ExportResult, Progress, RemoteOperation
from fleetlabel.model.errors import SourceError
from fleetlabel.v1 import export_service_pb2, prelabel_service_pb2, sequence_service_pb2, tracking_service_pb2
from fleetlabel.v1.export_service_pb2_grpc import ExportServiceStub
from fleetlabel.v1.prelabel_service_pb2_grpc import PrelabelServiceStub
from fleetlabel.v1.sequence_service_pb2_grpc import SequenceServiceStub
from fleetlabel.v1.tracking_service_pb2_grpc import TrackingServiceStub
from fleetlabel.wire.label_answers import struct_of

_STATES = {0: "", 1: "unlabelled", 2: "unreviewed", 3: "in_review", 4: "reviewed"}


@dataclass(frozen=True, slots=True)
class SequenceEntry:
    """A drive as the engine lists it.

    Attributes:
        sequence_id: names it in this engine.
        name: the drive's own name.
        source_format: of the drive log.
        vehicle: that drove; empty if the log does not say.
        n_frames: number of frames.
        start_ns, stop_ns: times of the first and the last frame, on the drive's clock.
        cameras, lidars: names of sensors.
        labels_version: newest label version; empty if there is none.
        head_record: number of the last record of people's edits.
        review: how far people are: ``unlabelled``, ``unreviewed``, ``in_review``, ``reviewed``.
        quarantined_samples: that could not be used.
        objects_by_class: in the newest labels.
        deleted: what people deleted of it, in words.
        problem: why it cannot be used; empty if it can.
    """

    sequence_id: str
    name: str
    source_format: str
    vehicle: str
    n_frames: int
    start_ns: int
    stop_ns: int
    cameras: tuple[str, ...]
    lidars: tuple[str, ...]
    labels_version: str
    head_record: int
    review: str
    quarantined_samples: int
    objects_by_class: Mapping[str, int]
    deleted: tuple[str, ...]
    problem: str


class RemoteSequence:
    """One sequence of an engine.

    Attributes:
        sequence_id: names it.
        labels: its labels.
        frames: what its sensors saw.
    """

    def __init__(self, connection: Connection, sequence_id: str) -> None:
        self.sequence_id = sequence_id
        self.labels = RemoteLabels(connection, sequence_id)
        self.frames = RemoteFrames(connection, sequence_id)
        self._connection = connection

    def describe(self) -> SequenceEntry:
        """What the engine knows of it.

        Raises:
            StoreNotFoundError: there is no such sequence.
        """
        stub = self._connection.stub(SequenceServiceStub)
        request = sequence_service_pb2.GetSequenceRequest(sequence_id=self.sequence_id)
        return entry_of(self._connection.call(stub.GetSequence, request).sequence)

    def delete(self, reason: str) -> int:
        """Deletes it for good, with labels and edits; says how many bytes were freed.

        Raises:
            AccessError: the token's role does not allow it.
        """
        stub = self._connection.stub(SequenceServiceStub)
        request = sequence_service_pb2.DeleteSequenceRequest(
            request_id=new_request_id(), sequence_id=self.sequence_id, reason=reason
        )
        return int(self._connection.call(stub.DeleteSequence, request).freed_bytes)

    # --- work -------------------------------------------------------------------------------------------------------

    def prelabel(
        self,
        model: str | None = None,
        *,
        detections2d: str | None = None,
        chunk_frames: int = 0,
        request_id: str | None = None,
        **detect: Any,
    ) -> RemoteOperation:
        """Starts to detect 2D boxes.

        Args:
            model: weights within the engine's data roots, or ``synthetic``.
            detections2d: instead, a folder with another detector's boxes within the engine's data roots.
            detect: settings of ``DetectSettings``, ``conf=0.3`` for example.
        """
        request = prelabel_service_pb2.StartPrelabelRequest(
            **self._named(request_id), model=model, detections2d=detections2d, chunk_frames=chunk_frames
        )
        if detect:
            request.detect.CopyFrom(prelabel_service_pb2.DetectSettings(**detect))
        return self._started(self._connection.stub(PrelabelServiceStub).StartPrelabel, request)

    def lift(
        self,
        *,
        detections3d: str = "",
        chunk_frames: int = 0,
        request_id: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> RemoteOperation:
        """Starts to make cuboids; ``settings`` are those of the section ``lift`` of a run's configuration."""
        request = prelabel_service_pb2.StartLiftRequest(
            **self._named(request_id), detections3d=detections3d, chunk_frames=chunk_frames
        )
        request.lift.CopyFrom(struct_of(settings or {}))
        return self._started(self._connection.stub(PrelabelServiceStub).StartLift, request)

    def track(
        self,
        version: str = "",
        *,
        chunk_frames: int = 0,
        request_id: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> RemoteOperation:
        """Starts to track, and to write a label version; ``settings`` are those of the section ``track``."""
        request = tracking_service_pb2.StartTrackingRequest(
            **self._named(request_id), version=version, chunk_frames=chunk_frames
        )
        request.track.CopyFrom(struct_of(settings or {}))
        return self._started(self._connection.stub(TrackingServiceStub).StartTracking, request)

    def export(
        self,
        format_name: str,
        out: Path,
        *,
        version: str = "",
        request_id: str | None = None,
        on_progress: Progress | None = None,
    ) -> ExportResult:
        """Exports a label version (the newest by default) and fetches its files into the folder ``out``.

        Raises:
            UsageError: the engine knows no such format; says which it knows.
            SourceError: a file did not arrive as it was made.
        """
        stub = self._connection.stub(ExportServiceStub)
        request = export_service_pb2.StartExportRequest(
            **self._named(request_id), format=format_name, version=version
        )
        operation = self._started(stub.StartExport, request)
        result = operation.wait(on_progress).result
        assert isinstance(result, ExportResult), "an export ends with files"
        for path, (size, sha256) in result.files.items():
            self._fetch(operation.operation_id, path, _within(out, path), size, sha256)
        return result

    def _fetch(self, operation_id: str, path: str, target: Path, size: int, sha256: str) -> None:
        stub = self._connection.stub(ExportServiceStub)
        request = export_service_pb2.DownloadExportRequest(operation_id=operation_id, paths=[path])
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        digest = hashlib.sha256()
        with part.open("wb") as file:
            for piece in _pieces(self._connection, stub.DownloadExport, request):
                if piece is None:
                    file.seek(0)
                    file.truncate()
                    digest = hashlib.sha256()
                    continue
                file.write(piece)
                digest.update(piece)
        found = part.stat().st_size
        if digest.hexdigest() != sha256:
            part.unlink()
            raise SourceError(
                f"{path} arrived with {found} bytes of {size}, or others than it was made of; export again"
            )
        part.replace(target)

    def _named(self, request_id: str | None) -> dict[str, Any]:
        request_id = new_request_id() if request_id is None else request_id
        return {"request_id": request_id, "sequence_id": self.sequence_id}

    def _started(self, method: Any, request: Any) -> RemoteOperation:
        return RemoteOperation(
            self._connection, self._connection.call(method, request).operation.operation_id
        )


def entry_of(message: sequence_service_pb2.Sequence) -> SequenceEntry:
    """The sequence that a message tells of."""
    return SequenceEntry(
        sequence_id=message.sequence_id,
        name=message.name,
        source_format=message.source_format,
        vehicle=message.vehicle,
        n_frames=message.n_frames,
        start_ns=message.start_ns,
        stop_ns=message.stop_ns,
        cameras=tuple(message.cameras),
        lidars=tuple(message.lidars),
        labels_version=message.labels_version,
        head_record=message.head_record,
        review=_STATES.get(message.review, ""),
        quarantined_samples=message.quarantined_samples,
        objects_by_class=dict(message.objects_by_class),
        deleted=tuple(message.deleted),
        problem=message.problem,
    )


def _pieces(connection: Connection, method: Any, request: Any) -> Iterator[bytes | None]:
    """A file's pieces; None where it begins anew because the line broke."""
    begun = False
    for piece in connection.stream(method, lambda: request):
        if piece.offset_bytes == 0 and begun:
            yield None
        begun = True
        yield piece.data


def _within(folder: Path, path: str) -> Path:
    """Where a file of an export goes: never out of the folder.

    Raises:
        SourceError: its path leads out.
    """
    parts = path.split("/")
    if path.startswith("/") or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise SourceError(
            f"the engine sent a file named {path!r}, which leads out of the folder; it was refused"
        )
    return folder.joinpath(*parts)
