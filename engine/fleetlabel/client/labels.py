"""Labels of a sequence on the engine: read, edited, watched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fleetlabel.client.connection import Connection, made, new_request_id
from fleetlabel.client.snapshot import RemoteSnapshot
from fleetlabel.labels import (
    CarriedOver,
    Commit,
    Difference,
    Edit,
    Reason,
    Record,
)
from fleetlabel.store import LabelVersion
from fleetlabel.v1 import label_service_pb2 as pb
from fleetlabel.v1.label_service_pb2_grpc import LabelServiceStub
from fleetlabel.wire.edits import edit_message, record_of
from fleetlabel.wire.errors import ConflictError
from fleetlabel.wire.frames import LabelsState, at_message, range_message, state_of
from fleetlabel.wire.label_answers import carried_of, version_of
from fleetlabel.wire.reasons import difference_of, reason_of

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A record of people's edits, and whether it has not been taken back."""

    record: Record
    in_effect: bool


class HeadNews(NamedTuple):
    """What somebody who watches a sequence's head is told.

    Attributes:
        state: where the head is.
        records: that were saved since the last news, in order.
        watchers: who watches at the moment, by name, the caller among them.
        caller: who that is, and whose name edits are saved under.
    """

    state: LabelsState
    records: list[Record]
    watchers: tuple[str, ...]
    caller: str


class RemoteLabels:
    """Labels of one sequence, with the journal of people's edits."""

    def __init__(self, connection: Connection, sequence_id: str) -> None:
        self._connection = connection
        self._sequence_id = sequence_id
        self._stub = connection.stub(LabelServiceStub)

    # --- reading ----------------------------------------------------------------------------------------------------

    def now(self) -> RemoteSnapshot:
        """The labels as they are now.

        Raises:
            StoreNotFoundError: there is no such sequence, or it has no labels.
        """
        return self._pinned(None)

    def at(self, which: str | int) -> RemoteSnapshot:
        """The labels of a version, by its name, or right after a record, by its number.

        Raises:
            StoreNotFoundError: there is no such version or record.
        """
        return self._pinned(which)

    def versions(self) -> list[LabelVersion]:
        """Label versions, the newest last."""
        request = made(pb.ListVersionsRequest, sequence_id=self._sequence_id)
        return [version_of(each) for each in self._connection.call(self._stub.ListVersions, request).versions]

    def history(
        self,
        after: int = 0,
        object_id: int | None = None,
        *,
        frame: int | None = None,
        camera: str | None = None,
    ) -> Iterator[HistoryEntry]:
        """Records after one, in order.

        Args:
            object_id: just those that changed this object.
            frame, camera: just those that say something of boxes there, or of whole objects; camera "": of cuboids.
        """
        token = ""
        while True:
            request = made(
                pb.GetHistoryRequest,
                sequence_id=self._sequence_id,
                page_size=_PAGE,
                page_token=token,
                after_record=after,
                object_id=object_id,
                frame=frame,
                camera=camera,
            )
            answer = self._connection.call(self._stub.GetHistory, request)
            yield from (HistoryEntry(record_of(each.record), each.in_effect) for each in answer.entries)
            token = answer.next_page_token
            if not token:
                return

    def diff(self, before: RemoteSnapshot, after: RemoteSnapshot) -> Iterator[Difference]:
        """Which objects differ, and in what, by id: just those that people touched are looked at.

        Raises:
            UsageError: these are on different base versions, whose ids have nothing to do with one another.
        """
        first = -1

        def ask() -> pb.DiffLabelsRequest:
            return made(
                pb.DiffLabelsRequest,
                sequence_id=self._sequence_id,
                before=at_message(before.state.version or before.state.record),
                after=at_message(after.state.version or after.state.record),
            )

        for answer in self._connection.stream(self._stub.DiffLabels, ask):
            before.check(answer.before)
            after.check(answer.after)
            if answer.difference.object_id > first:  # else it was told before the line broke
                first = answer.difference.object_id
                yield difference_of(answer.difference)

    def why(self, object_id: int, frame: int, camera: str = "") -> Reason:
        """What is behind a box of the labels as they are now: detection, keyframes, model, parameters, people.

        Args:
            camera: of a 2D box; "" for the cuboid.

        Raises:
            StoreNotFoundError: there is no such box; says where the object has some.
        """
        request = made(
            pb.ExplainBoxRequest,
            sequence_id=self._sequence_id,
            object_id=object_id,
            frame=frame,
            camera=camera,
        )
        return reason_of(self._connection.call(self._stub.ExplainBox, request).reason)

    def watch(self, after: int | None = None, timeout_s: float | None = None) -> Iterator[HeadNews]:
        """Where the head is, then every record as it is saved, in order and without a gap, restarts of the engine too.

        There is news without a record when somebody begins or ends to watch.

        Args:
            after: last record that is known already; by default only what is saved from now on is told.
            timeout_s: after which :class:`DeadlineError` ends it; None: never.
        """
        last = after

        def ask() -> pb.WatchHeadRequest:
            return made(pb.WatchHeadRequest, sequence_id=self._sequence_id, after_record=last)

        for answer in self._connection.stream(self._stub.WatchHead, ask, timeout_s):
            last = answer.head.record
            records = [record_of(record) for record in answer.records]
            yield HeadNews(state_of(answer.head), records, tuple(answer.watchers), answer.caller)

    # --- editing ----------------------------------------------------------------------------------------------------

    def commit(
        self,
        edits: Sequence[Edit],
        *,
        base: RemoteSnapshot | LabelsState,
        reason: str = "",
        active_ms: int = 0,
        request_id: str | None = None,
    ) -> Commit:
        """Saves edits, all or none: when this returns a record, it is on the engine's disk.

        Edits of objects that nobody changed since ``base`` are done to the labels as they are now; if somebody did,
        nothing is saved and the conflicts are returned.

        Args:
            base: labels that the edits were made on.
            reason: why, in the author's words; the author is who the token says.
            active_ms: how long they worked for it.
            request_id: the same one again saves nothing again; by default a new one, which covers retries.

        Raises:
            EditError: an edit cannot be done.
            UnavailableError: the engine could not be reached for long; it is not known whether the edits were saved.
                With the same ``request_id`` again they are saved once.
        """
        state = base.state if isinstance(base, RemoteSnapshot) else base
        request = made(
            pb.CommitEditsRequest,
            **self._meta(reason, active_ms, request_id),
            base_record=state.record,
            base_version=state.base_version,
            edits=[edit_message(edit, f"edits[{i}]") for i, edit in enumerate(edits)],
        )
        try:
            answer = self._connection.call(self._stub.CommitEdits, request)
        except ConflictError as conflict:
            return Commit(None, conflict.conflicts)
        new_ids = tuple((each.given_id, each.object_id) for each in answer.new_objects)
        return Commit(record_of(answer.record), (), answer.repeated, new_ids)

    def undo(self, *, reason: str = "", active_ms: int = 0, request_id: str | None = None) -> Commit | None:
        """Takes back the caller's last edits that are in effect; None if there are none. Others' edits stay.

        Raises:
            EditError: somebody built on them; says what.
        """
        return self._step(self._stub.UndoEdits, pb.UndoEditsRequest, reason, active_ms, request_id)

    def redo(self, *, reason: str = "", active_ms: int = 0, request_id: str | None = None) -> Commit | None:
        """Does again what the caller's last undo took back; None if there is nothing."""
        return self._step(self._stub.RedoEdits, pb.RedoEditsRequest, reason, active_ms, request_id)

    def revert(
        self, record: int, *, reason: str = "", active_ms: int = 0, request_id: str | None = None
    ) -> Commit:
        """Takes back one record, whoever made it and however long ago, and leaves what was done besides it.

        Raises:
            EditError: it is taken back already, or later edits do not work without it.
        """
        request = made(pb.RevertRecordRequest, **self._meta(reason, active_ms, request_id), record=record)
        answer = self._connection.call(self._stub.RevertRecord, request)
        return Commit(record_of(answer.record), repeated=answer.repeated)

    def rebase_onto(
        self, version: str, *, reason: str = "", active_ms: int = 0, request_id: str | None = None
    ) -> CarriedOver:
        """Goes over to another base version, a better model's run, and takes people's edits along.

        Returns:
            Which object became which, and what people should look at; ``images`` stays with the engine.
        """
        request = made(pb.RebaseEditsRequest, **self._meta(reason, active_ms, request_id), version=version)
        return carried_of(self._connection.call(self._stub.RebaseEdits, request))

    def save_version(self, name: str = "", *, at: RemoteSnapshot | None = None) -> LabelVersion:
        """Writes the labels as an immutable version.

        Args:
            name: of the version; named after its content by default.
            at: labels that are saved; those of now by default.

        Raises:
            StoreExistsError: another version has this name.
        """
        state = (self.now() if at is None else at).state
        request = made(
            pb.SaveVersionRequest,
            request_id=new_request_id(),
            sequence_id=self._sequence_id,
            name=name,
            record=state.record,
        )
        return version_of(self._connection.call(self._stub.SaveVersion, request).version)

    def release(self, object_ids: Sequence[int] = ()) -> list[int]:
        """Gives back objects that the caller was sent to, all of this sequence by default; says which those were."""
        request = made(pb.ReleaseItemsRequest, sequence_id=self._sequence_id, object_ids=object_ids)
        return list(self._connection.call(self._stub.ReleaseItems, request).released_object_ids)

    # --- within -----------------------------------------------------------------------------------------------------

    def _pinned(self, which: str | int | None) -> RemoteSnapshot:
        request = made(
            pb.GetBoxes3DRequest,
            sequence_id=self._sequence_id,
            at=at_message(which),
            frames=range_message(0, 1),
        )
        timeout_s = self._connection.settings.timeout_s
        answers = list(self._connection.stream(self._stub.GetBoxes3D, lambda: request, timeout_s))
        return RemoteSnapshot(self._connection, self._sequence_id, state_of(answers[0].state))

    def _meta(self, reason: str, active_ms: int, request_id: str | None) -> dict[str, Any]:
        request_id = new_request_id() if request_id is None else request_id
        return {
            "request_id": request_id,
            "sequence_id": self._sequence_id,
            "reason": reason,
            "active_ms": active_ms,
        }

    def _step(
        self, method: Any, kind: Callable[..., Any], reason: str, active_ms: int, request_id: str | None
    ) -> Commit | None:
        answer = self._connection.call(method, made(kind, **self._meta(reason, active_ms, request_id)))
        return (
            Commit(record_of(answer.record), repeated=answer.repeated) if answer.HasField("record") else None
        )
