"""The service that brings drives in, tells of them and deletes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc

from fleetlabel.engine.fleet.catalogue import Query
from fleetlabel.engine.fleet.deleting import Deletion, delete_drive
from fleetlabel.engine.fleet.indexing import Entry
from fleetlabel.engine.rpc.access import Context, caller
from fleetlabel.engine.rpc.engine import ServedEngine
from fleetlabel.engine.rpc.operation_messages import message_of, start
from fleetlabel.engine.rpc.requests import (
    chunk_config,
    existing_of,
    needed,
    page_size_of,
    request_id_of,
    without_empty,
)
from fleetlabel.engine.rpc.uploads import receive
from fleetlabel.engine.serving import SequencePage, list_sequences
from fleetlabel.v1 import sequence_service_pb2 as pb
from fleetlabel.v1 import sequence_service_pb2_grpc as services
from fleetlabel.wire.errors import RequestError

_MAX_TEXT = 1000
_REVIEW = {
    "unlabelled": pb.REVIEW_STATE_UNLABELLED,
    "unreviewed": pb.REVIEW_STATE_UNREVIEWED,
    "in-review": pb.REVIEW_STATE_IN_REVIEW,
    "reviewed": pb.REVIEW_STATE_REVIEWED,
}


class SequenceService(services.SequenceServiceServicer):
    """See sequence_service.proto."""

    def __init__(self, engine: ServedEngine) -> None:
        self._engine = engine

    async def IngestSequence(
        self, request: pb.IngestSequenceRequest, _: Context
    ) -> pb.IngestSequenceResponse:
        """Reads a drive log that the engine can see."""
        asked = without_empty(
            {
                "source": needed("source", request.source),
                "store": needed("sequence_id", request.sequence_id),
                "sequence": request.source_sequence,
                "existing": existing_of(request.existing),
                "config": chunk_config(request.chunk_frames),
            }
        )
        return pb.IngestSequenceResponse(
            operation=await start(self._engine, "ingest", asked, request.request_id)
        )

    async def UploadSequence(
        self, requests: AsyncIterator[pb.UploadSequenceRequest], _: Context
    ) -> pb.UploadSequenceResponse:
        """Takes a drive from a client that shares no files."""
        operation = await receive(self._engine, caller().name, requests)
        return pb.UploadSequenceResponse(operation=message_of(operation, self._engine))

    async def ListSequences(self, request: pb.ListSequencesRequest, _: Context) -> pb.ListSequencesResponse:
        """Sequences in the order of the first frames' times; what cannot be read comes last, with the reason."""
        size, query = page_size_of(request.page_size), _query(request.filter)

        def look() -> SequencePage:
            return list_sequences(self._engine.roots, query, page_size=size, page_token=request.page_token)

        page = await self._engine.in_thread(look)
        sequences = [self._sequence(one.store, one.entry) for one in page.found]
        if query == Query() and not page.next_page_token:
            sequences += [
                pb.Sequence(
                    sequence_id=self._engine.sequence_id(store), problem=self._engine.in_clients_words(why)
                )
                for store, why in page.unreadable.items()
            ]
        return pb.ListSequencesResponse(sequences=sequences, next_page_token=page.next_page_token)

    async def GetSequence(self, request: pb.GetSequenceRequest, _: Context) -> pb.GetSequenceResponse:
        """One sequence."""
        name = needed("sequence_id", request.sequence_id)

        def look() -> tuple[Path, Entry]:
            store = self._engine.store(name)  # which complains of what was deleted
            return store.root, self._engine.entry(store.root)

        return pb.GetSequenceResponse(sequence=self._sequence(*await self._engine.in_thread(look)))

    async def DeleteSequence(
        self, request: pb.DeleteSequenceRequest, _: Context
    ) -> pb.DeleteSequenceResponse:
        """Deletes a sequence for good."""
        request_id_of(request.request_id)  # deleting again does no harm in any case
        name, why = needed("sequence_id", request.sequence_id), needed("reason", request.reason.strip())
        if len(why) > _MAX_TEXT or not why.isprintable():
            raise RequestError("reason", f"up to {_MAX_TEXT} printable characters", f"{len(why)} characters")
        who = caller().name

        def delete() -> Deletion:
            deletion = delete_drive(self._engine.roots.store(name), who=who, why=why)
            self._engine.exports.forget_sequence(deletion.store)
            return deletion

        deletion = await self._engine.in_thread(delete)
        freed = 0 if deletion.repeated else deletion.n_bytes
        return pb.DeleteSequenceResponse(deleted_ns=deletion.tombstone.at_ns, freed_bytes=freed)

    def _sequence(self, store: Path, entry: Entry) -> pb.Sequence:
        return pb.Sequence(
            sequence_id=self._engine.sequence_id(store),
            name=entry.sequence,
            source_format=entry.format,
            vehicle=entry.vehicle or "",
            n_frames=entry.frames,
            start_ns=entry.start_ns,
            stop_ns=entry.stop_ns,
            cameras=entry.cameras,
            lidars=entry.lidars,
            labels_version=entry.labels or "",
            head_record=entry.edits,
            review=_REVIEW[entry.review],
            quarantined_samples=entry.quarantined,
            objects_by_class=dict(entry.objects or {}),
            deleted=entry.deleted,
            problem=self._engine.in_clients_words(entry.problem or ""),
        )


def _query(asked: pb.SequenceFilter) -> Query:
    for name in ("name_pattern", "vehicle_pattern"):
        if len(getattr(asked, name)) > _MAX_TEXT:
            raise RequestError(f"filter.{name}", f"up to {_MAX_TEXT} characters", "more")
    reviews = {value: name for name, value in _REVIEW.items()}
    if asked.review and asked.review not in reviews:
        raise RequestError("filter.review", "a value of ReviewState", str(asked.review))
    return Query(
        name=asked.name_pattern or None,
        vehicle=asked.vehicle_pattern or None,
        start_ns=asked.start_ns if asked.HasField("start_ns") else None,
        stop_ns=asked.stop_ns if asked.HasField("stop_ns") else None,
        classes=tuple(asked.class_names),
        review=reviews.get(asked.review),
        quarantined=asked.quarantined if asked.HasField("quarantined") else None,
    )


def add_sequence_service(server: grpc.aio.Server, engine: ServedEngine) -> str:
    """Adds the service to a server, and tells its name."""
    services.add_SequenceServiceServicer_to_server(SequenceService(engine), server)
    return "fleetlabel.v1.SequenceService"
