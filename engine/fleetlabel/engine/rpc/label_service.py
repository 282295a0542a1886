"""The service of labels: read, edited, watched, saved as versions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

import grpc

from fleetlabel.engine.rpc.access import Context, caller
from fleetlabel.engine.rpc.engine import ServedEngine
from fleetlabel.engine.rpc.label_blocks import blocks, provenance_of
from fleetlabel.engine.rpc.label_history import history_page
from fleetlabel.engine.rpc.label_queues import next_items, release_items
from fleetlabel.engine.rpc.label_sessions import LabelSessions, View
from fleetlabel.engine.rpc.requests import request_id_of
from fleetlabel.labels import (
    Commit,
    Conflict,
    Edit,
    Labels,
    Record,
    Snapshot,
    Step,
    differences,
    explain,
    save_version,
)
from fleetlabel.labels.edits import touched
from fleetlabel.labels.saving import changes_of
from fleetlabel.model.errors import EditError, StoreNotFoundError
from fleetlabel.v1 import label_service_pb2 as pb
from fleetlabel.v1 import label_service_pb2_grpc as services
from fleetlabel.v1 import objects_pb2
from fleetlabel.wire.boxes import boxes2d_message, boxes3d_message
from fleetlabel.wire.edits import edits_of, record_message
from fleetlabel.wire.errors import ConflictError, RequestError, RequestIdError
from fleetlabel.wire.frames import at_of, range_of, state_message
from fleetlabel.wire.label_answers import misfit_message, version_message
from fleetlabel.wire.objects import solved_message
from fleetlabel.wire.reasons import difference_message, reason_message

_LONGEST_REASON = 10_000
_KEPT_SAVES = 1_000


class LabelService(services.LabelServiceServicer):
    """See label_service.proto."""

    def __init__(self, engine: ServedEngine) -> None:
        self._engine = engine
        self._sessions = LabelSessions(engine)
        self._saves: OrderedDict[str, tuple[object, pb.SaveVersionResponse]] = OrderedDict()

    # --- reading ----------------------------------------------------------------------------------------------------

    async def ListVersions(self, request: pb.ListVersionsRequest, _: Context) -> pb.ListVersionsResponse:
        """Label versions and the head."""
        store = await self._engine.in_thread(lambda: self._engine.store(request.sequence_id))
        versions = await self._engine.in_thread(
            lambda: [store.labels(name) for name in store.label_versions()]
        )
        versions.sort(key=lambda version: version.created_ns)
        answer = pb.ListVersionsResponse(versions=[version_message(version) for version in versions])
        if versions:
            head = await (await self._sessions.of(request.sequence_id)).now()
            answer.head.CopyFrom(state_message(head.state))
        return answer

    async def GetBoxes2D(
        self, request: pb.GetBoxes2DRequest, _: Context
    ) -> AsyncGenerator[pb.GetBoxes2DResponse]:
        """2D boxes in blocks."""
        view = await self._view(request)
        base = view.snapshot.base
        unknown = [name for name in request.cameras if name not in base.cameras]
        if unknown:
            raise StoreNotFoundError(
                f"there is no camera {unknown[0]!r}; the sequence has {list(base.cameras)}"
            )
        frames, state = range_of(request.frames, base.n_frames), state_message(view.state)
        for camera in request.cameras or await self._cameras_with_boxes(view):
            stream = blocks(view.snapshot, camera, frames)
            async for message in self._encoded(stream, boxes2d_message):
                yield pb.GetBoxes2DResponse(state=state, boxes=message)

    async def GetBoxes3D(
        self, request: pb.GetBoxes3DRequest, _: Context
    ) -> AsyncGenerator[pb.GetBoxes3DResponse]:
        """Cuboids in blocks."""
        view = await self._view(request)
        frames, state = range_of(request.frames, view.snapshot.base.n_frames), state_message(view.state)
        stream = blocks(view.snapshot, "", frames)
        async for message in self._encoded(stream, boxes3d_message):
            yield pb.GetBoxes3DResponse(state=state, boxes=message)

    async def GetObject(self, request: pb.GetObjectRequest, _: Context) -> pb.GetObjectResponse:
        """One object."""
        view = await self._view(request)
        found = await self._engine.in_thread(lambda: _solved(view.snapshot, request.object_id))
        if found is None:
            raise StoreNotFoundError(
                f"there is no object {request.object_id}; it was deleted or merged, or never was"
            )
        return pb.GetObjectResponse(state=state_message(view.state), object=found)

    async def PreviewEdits(
        self, request: pb.PreviewEditsRequest, _: Context
    ) -> AsyncGenerator[pb.PreviewEditsResponse]:
        """What would become of objects."""
        edits = await self._edits(request.edits)
        view = await self._view(request)
        after = await self._engine.in_thread(lambda: view.snapshot.after(edits))
        state = state_message(view.state)
        for object_id in touched(edits):
            found = await self._engine.in_thread(partial(_solved, after, object_id))
            yield pb.PreviewEditsResponse(state=state, object_id=object_id, object=found)

    async def GetHistory(self, request: pb.GetHistoryRequest, _: Context) -> pb.GetHistoryResponse:
        """A page of records."""
        session = await self._sessions.of(request.sequence_id)
        head = await session.now()
        return await self._engine.in_thread(history_page(request, session.labels, head.state.record))

    async def DiffLabels(
        self, request: pb.DiffLabelsRequest, _: Context
    ) -> AsyncGenerator[pb.DiffLabelsResponse]:
        """How labels differ at two moments."""
        session = await self._sessions.of(request.sequence_id)
        before, after = await session.at(at_of(request.before)), await session.at(at_of(request.after))
        named = {"before": state_message(before.state), "after": state_message(after.state)}
        found = await self._engine.in_thread(lambda: differences(before.snapshot, after.snapshot))
        while (each := await self._engine.in_thread(lambda: next(found, None))) is not None:
            yield pb.DiffLabelsResponse(**named, difference=difference_message(each))

    async def ExplainBox(self, request: pb.ExplainBoxRequest, _: Context) -> pb.ExplainBoxResponse:
        """What is behind a box."""
        if not request.HasField("frame"):
            raise RequestError("frame", "the frame of the box", "none")
        session = await self._sessions.of(request.sequence_id)
        head = await session.now()
        while True:
            try:
                found = await self._engine.in_thread(
                    lambda: explain(session.labels, request.object_id, request.frame, request.camera)
                )
            except EditError as error:
                raise StoreNotFoundError(str(error)) from error
            before, head = head, session.head
            # Editors do not wait for it: whoever changes this very object meanwhile has it told anew.
            if before.snapshot.state.get(request.object_id) == head.snapshot.state.get(request.object_id):
                return pb.ExplainBoxResponse(state=state_message(head.state), reason=reason_message(found))

    async def WatchHead(
        self, request: pb.WatchHeadRequest, _: Context
    ) -> AsyncGenerator[pb.WatchHeadResponse]:
        """The head, for as long as the client wants."""
        session = await self._sessions.of(request.sequence_id)
        after = request.after_record if request.HasField("after_record") else None
        person = caller().name
        async with aclosing(session.watch(after, person)) as news:
            async for state, records, watchers in news:
                head = state_message(state)
                yield pb.WatchHeadResponse(head=head, records=records, watchers=watchers, caller=person)

    # --- editing ----------------------------------------------------------------------------------------------------

    async def CommitEdits(self, request: pb.CommitEditsRequest, _: Context) -> pb.CommitEditsResponse:
        """Saves edits, all or none."""
        if not request.HasField("base_record"):
            remedy = "give LabelsState.record of the labels that the edits were made on"
            raise RequestError("base_record", "the record that the edits were made on", "none", remedy)
        meta = _meta(request)
        edits = await self._edits(request.edits)
        session = await self._sessions.of(request.sequence_id, surely=True)

        def work() -> Commit:
            labels = session.labels
            labels.refresh()
            made_on, answered = request.base_record, labels.history.of_request(request.request_id)
            if answered is not None:
                _refuse_other_request(answered, meta["author"], [edit.kind for edit in edits])
            elif request.base_version not in ("", labels.base.name):
                raise ConflictError(made_on, labels.sequence, [_other_base(labels)])
            committed = labels.commit(edits, base=made_on, **meta)
            if committed.conflicts:
                raise ConflictError(made_on, labels.sequence, committed.conflicts)
            return committed

        done = await session.alone(work)
        answer = pb.CommitEditsResponse(record=_saved(done), repeated=done.repeated)
        for given, new in done.new_ids:
            answer.new_objects.add(given_id=given, object_id=new)
        return answer

    async def UndoEdits(self, request: pb.UndoEditsRequest, _: Context) -> pb.UndoEditsResponse:
        """Takes back the caller's last edits."""
        record, repeated = await self._step(request, Step.UNDO)
        return pb.UndoEditsResponse(record=record, repeated=repeated)

    async def RedoEdits(self, request: pb.RedoEditsRequest, _: Context) -> pb.RedoEditsResponse:
        """Does again what the caller's last undo took back."""
        record, repeated = await self._step(request, Step.REDO)
        return pb.RedoEditsResponse(record=record, repeated=repeated)

    async def RevertRecord(self, request: pb.RevertRecordRequest, _: Context) -> pb.RevertRecordResponse:
        """Takes back one record."""
        meta = _meta(request)
        session = await self._sessions.of(request.sequence_id, surely=True)

        def work() -> Commit:
            labels = session.labels
            labels.refresh()
            answered = labels.history.of_request(request.request_id)
            if answered is not None and (answered.undoes, answered.step) != (request.record, None):
                raise _used(answered)
            if not 1 <= request.record <= labels.sequence:
                raise StoreNotFoundError(
                    f"there is no record {request.record}; the sequence has records 1..{labels.sequence}"
                )
            return labels.revert(request.record, **meta)

        done = await session.alone(work)
        return pb.RevertRecordResponse(record=_saved(done), repeated=done.repeated)

    async def RebaseEdits(self, request: pb.RebaseEditsRequest, _: Context) -> pb.RebaseEditsResponse:
        """Goes over to another base version."""
        meta = _meta(request)
        if not request.version:
            raise RequestError("version", "the new base version", "none")
        session = await self._sessions.of(request.sequence_id, surely=True)

        def work() -> pb.RebaseEditsResponse:
            labels = session.labels
            labels.refresh()
            answered = labels.history.of_request(request.request_id)
            if answered is not None:
                if answered.base != request.version or not labels.history.carries_over(answered):
                    raise _used(answered)
                return pb.RebaseEditsResponse(record=record_message(answered), repeated=True)
            carried = labels.rebase_onto(request.version, **meta)
            answer = pb.RebaseEditsResponse(
                record=record_message(labels.history.records[-1]),
                misfits=[misfit_message(misfit) for misfit in carried.misfits],
            )
            for old, new in sorted(carried.new_ids.items()):
                answer.new_ids.add(given_id=old, object_id=new)
            return answer

        return await session.alone(work)

    async def SaveVersion(self, request: pb.SaveVersionRequest, _: Context) -> pb.SaveVersionResponse:
        """Writes the labels as a version."""
        request_id = request_id_of(request.request_id)
        session = await self._sessions.of(request.sequence_id, surely=True)
        asked = (str(session.store.root), request.name, request.record, request.HasField("record"))
        if request_id in self._saves:
            before, answer = self._saves[request_id]
            if before != asked:
                raise RequestIdError(
                    f"request {request_id!r} saved another version; use a new id for a new request"
                )
            return answer
        view = await session.at(request.record if request.HasField("record") else None)
        # Solved before anybody has to wait for it.
        await self._engine.in_thread(lambda: changes_of(view.snapshot))
        version = await session.alone(
            lambda: save_version(session.labels, request.name or None, sequence=view.state.record)
        )
        answer = pb.SaveVersionResponse(version=version_message(version))
        self._saves[request_id] = (asked, answer)
        while len(self._saves) > _KEPT_SAVES:
            self._saves.popitem(last=False)
        return answer

    # --- sending people to places -----------------------------------------------------------------------------------

    async def NextItems(self, request: pb.NextItemsRequest, _: Context) -> pb.NextItemsResponse:
        """Boxes that are most worth a look."""
        return await next_items(self._engine, self._sessions, request)

    async def ReleaseItems(self, request: pb.ReleaseItemsRequest, _: Context) -> pb.ReleaseItemsResponse:
        """Gives back what the caller was sent to."""
        return await release_items(self._engine, self._sessions, request)

    # --- within -----------------------------------------------------------------------------------------------------

    async def _view(self, request: Any) -> View:
        at = at_of(request.at)
        return await (await self._sessions.of(request.sequence_id)).at(at)

    async def _cameras_with_boxes(self, view: View) -> list[str]:
        snapshot = view.snapshot
        made = {camera for item in snapshot.state for camera in item.cameras if camera}
        there = {*snapshot.base.version.cameras, *made}
        return [camera for camera in snapshot.base.cameras if camera in there]

    async def _encoded(self, stream: Any, encode: Callable[[Any], Any]) -> AsyncGenerator[Any]:
        """Messages of blocks; reading and encoding is done in threads."""

        def step() -> list[Any] | None:
            found = next(stream, None)
            return None if found is None else [encode(block) for block in found]

        while (messages := await self._engine.in_thread(step)) is not None:
            messages.reverse()
            while messages:  # sent ones are let go of
                yield messages.pop()

    async def _edits(self, messages: Sequence[Any]) -> tuple[Edit, ...]:
        if len(messages) < 32:
            return edits_of(messages)
        return await self._engine.in_thread(lambda: edits_of(messages))

    async def _step(self, request: Any, step: Step) -> tuple[Any, bool]:
        meta = _meta(request)
        session = await self._sessions.of(request.sequence_id, surely=True)

        def work() -> Commit | None:
            labels = session.labels
            labels.refresh()
            answered = labels.history.of_request(request.request_id)
            if answered is not None and (answered.author, answered.step) != (meta["author"], step):
                raise _used(answered)
            return labels.undo(**meta) if step is Step.UNDO else labels.redo(**meta)

        done = await session.alone(work)
        return (None, False) if done is None else (_saved(done), done.repeated)


def _meta(request: Any) -> dict[str, Any]:
    """Who, why, for how long, and the request's name."""
    if request.active_ms < 0:
        raise RequestError("active_ms", "0 or more milliseconds", str(request.active_ms))
    if len(request.reason) > _LONGEST_REASON:
        raise RequestError("reason", f"up to {_LONGEST_REASON} characters", str(len(request.reason)))
    return {
        "author": caller().name,
        "reason": request.reason,
        "active_ms": request.active_ms,
        "request_id": request_id_of(request.request_id),
    }


def _saved(commit: Commit) -> Any:
    assert commit.record is not None, "conflicts were raised"
    return record_message(commit.record)


def _refuse_other_request(answered: Record, author: str, kinds: list[str]) -> None:
    if answered.author != author or [edit.kind for edit in answered.edits] != kinds:
        raise _used(answered)


def _used(record: Record) -> RequestIdError:
    return RequestIdError(
        f"request {record.request_id!r} was answered by record {record.sequence} of {record.author}, which does "
        "something else; use a new id for a new request"
    )


def _other_base(labels: Labels) -> Conflict:
    """What a client is told that edits labels which nobody works on any more."""
    version = labels.base.version
    return Conflict(
        None, labels.sequence, "", version.created_ns, (), f"people work on the version {version.name} now"
    )


def _solved(snapshot: Snapshot, object_id: int) -> objects_pb2.SolvedObject | None:
    item = snapshot.state.get(object_id)
    if item is None:
        return None
    boxes = snapshot.boxes(object_id)
    return solved_message(
        item,
        snapshot.state.class_of(item),
        boxes,
        snapshot.base.n_frames,
        lambda camera: provenance_of(snapshot, object_id, camera),
    )


def add_label_service(server: grpc.aio.Server, engine: ServedEngine) -> str:
    """Adds the service to a server, and tells its name."""
    services.add_LabelServiceServicer_to_server(LabelService(engine), server)
    return "fleetlabel.v1.LabelService"
