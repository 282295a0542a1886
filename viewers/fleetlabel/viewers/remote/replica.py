"""The engine's labels on this machine: its records in its order, and after them what is in the outbox.

As long as the engine's records are those that are expected, they are only ticked off. Where somebody else's came in
between, the labels are put together anew: the engine's records, then mine as far as they still work. New objects have
ids of their own until the engine has given them some, so that no other object is ever mistaken for one.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fleetlabel.client import ObjectView
from fleetlabel.labels import Commit, Edit, Labels, Record, Step
from fleetlabel.labels.base import BaseLabels
from fleetlabel.labels.edits import born
from fleetlabel.labels.records import record_of
from fleetlabel.labels.snapshot import Cache
from fleetlabel.labels.track_solver import TrackSolver
from fleetlabel.model.errors import FleetLabelError
from fleetlabel.store import SequenceStore
from fleetlabel.store.journal import Entry
from fleetlabel.viewers.remote.outbox import Outbox, Pending, given_ids

# Far above what born_id() of any journal gives.
PROVISIONAL_ID, _PROVISIONAL_BITS = 1 << 60, 40


class Replica:
    """See the module; called on one thread.

    Attributes:
        labels: as they are with what is in the outbox.
        known: the engine's records.
        refused: request ids that are left out until somebody decides.
    """

    def __init__(
        self, store: SequenceStore, base: str, records: Sequence[Record], outbox: Outbox, author: str
    ) -> None:
        self.known = list(records)
        self.refused: set[str] = set()
        self._store, self._outbox, self._author = store, outbox, author
        self._solver = TrackSolver(store.info.frame_timestamp_ns, store.info.trajectory)
        self._journal = _Journal(self._keep)
        self._replaying = False
        self.labels = self._built(BaseLabels(store, base), {})

    # --- what is done here ------------------------------------------------------------------------------------------

    def commit(self, edits: Sequence[Edit], *, active_ms: int, request_id: str) -> Commit:
        """Saves edits in the outbox; those that were refused are meant again, over what has come since."""
        again = request_id in self._outbox.request_ids
        done = self.labels.commit(
            edits, author=self._author, active_ms=active_ms, request_id=request_id, base=self.labels.sequence
        )
        if again:
            self.refused.discard(request_id)
            self.rebuild()
        return done

    def step(self, step: Step) -> Commit | None:
        """Undo or redo, into the outbox."""
        return self.labels.undo(self._author) if step is Step.UNDO else self.labels.redo(self._author)

    def give_up(self, request_id: str) -> None:
        """Lets edits go, and what took them back."""
        for pending in self._outbox.pending:
            if request_id in (pending.request_id, pending.concerns):
                self._outbox.done(pending.request_id)
        self.refused.discard(request_id)
        self.rebuild()

    def set_aside(self, request_id: str) -> None:
        """The engine refuses edits: labels are shown without them."""
        self.refused.add(request_id)
        self.rebuild()

    # --- what the engine says ---------------------------------------------------------------------------------------

    def take(self, records: Sequence[Record]) -> tuple[dict[int, str], dict[int, int]]:
        """Takes up the engine's next records.

        Returns:
            Objects that others changed, with who did; ids that objects had here, with those that they have.
        """
        mine = {pending.request_id: pending for pending in self._outbox.pending}
        expected = self.labels.history.records[len(self.known) :]
        as_expected = True
        changed: dict[int, str] = {}
        new_ids: dict[int, int] = {}
        for place, record in enumerate(records):
            here = expected[place] if place < len(expected) else None
            as_expected &= here is not None and here.request_id == record.request_id
            as_expected &= here is not None and here.edits == record.edits
            pending = mine.get(record.request_id)
            if pending is None:
                changed |= dict.fromkeys(record.objects, record.author)
            else:
                given = given_ids(pending, record)
                new_ids |= given
                self._outbox.done(record.request_id, given)
        self.known += records
        if as_expected:
            return changed, new_ids
        if expected:
            self.rebuild()
        else:
            self._journal.give(records)
            self.labels.refresh()
        return changed, new_ids

    def take_boxes(self, view: ObjectView) -> bool:
        """Boxes as the engine solved them; whether they are of the object as it is here."""
        if view.item is None or view.boxes is None or self.labels.now.state.get(view.object_id) != view.item:
            return False
        self.labels.now.solved[view.object_id] = (view.item, view.boxes)
        return True

    def rebuild(self) -> None:
        """Puts the labels together anew; boxes of objects that stay as they are need no solving."""
        base, solved = self.labels.base, self.labels.now.solved
        name = self.known[-1].base if self.known else base.name
        if name != base.name:
            base, solved = BaseLabels(self._store, name), {}
        self.labels = self._built(base, solved)

    def _built(self, base: BaseLabels, solved: Cache) -> Labels:
        self._journal = _Journal(self._keep)
        labels = _ReplicaLabels(self._store, base, self._solver, self._journal)
        labels.now.solved.update(solved)
        self._journal.give(self.known)
        labels.refresh()
        self._replaying = True
        try:
            for pending in self._outbox.pending:
                if not {pending.request_id, pending.concerns} & self.refused:
                    _do_again(labels, pending, self._author)
        finally:
            self._replaying = False
        return labels

    def _keep(self, text: bytes) -> float:
        """Where the journal's records go: onto the disk."""
        document = json.loads(text)
        request_id = document["request_id"]
        if self._replaying:
            return 0.0
        if request_id in self._outbox.request_ids:
            return self._outbox.move(request_id, len(self.known))
        about = document["undoes"] or document["redoes"]
        concerns = self.labels.history.records[about - 1].request_id if about else ""
        return self._outbox.keep(Pending(record_of(Entry(text, "", 0), 0), len(self.known), concerns))


def _do_again(labels: Labels, pending: Pending, author: str) -> None:
    """Does what is in the outbox to the labels as they are; what does not work any more the engine will refuse."""
    record = pending.record
    meta: dict[str, Any] = {"active_ms": record.active_ms, "request_id": record.request_id}
    try:
        if record.step is None:
            labels.commit(record.edits, author=author, reason=record.reason, **meta)
        elif record.step is Step.UNDO:
            labels.undo(author, **meta)
        else:
            labels.redo(author, **meta)
    except FleetLabelError:
        return


class _ReplicaLabels(Labels):
    """Labels whose new objects keep the ids that they were given here."""

    def new_id(self) -> int:
        return PROVISIONAL_ID + secrets.randbits(_PROVISIONAL_BITS)

    def _with_new_ids(self, edits: Sequence[Edit]) -> tuple[tuple[Edit, ...], tuple[tuple[int, int], ...]]:
        return tuple(edits), tuple((object_id, object_id) for object_id in born(edits))


class _Journal:
    """In the place of a store's journal; see :class:`fleetlabel.store.journal.Journal`."""

    sha256 = ""

    def __init__(self, keep: Callable[[bytes], float]) -> None:
        self.last_fsync_s = 0.0
        self.count = 0
        self._keep = keep
        self._given: list[Entry] = []

    def give(self, records: Sequence[Record]) -> None:
        """Records of the engine, to be read next."""
        self._given += [Entry(record.text(), record.sha256, 0) for record in records]

    def read(self) -> list[Entry]:
        given, self._given = self._given, []
        self.count += len(given)
        return given

    @contextmanager
    def writing(self) -> Iterator[_Journal]:
        yield self

    def append(self, text: bytes) -> Entry:
        self.last_fsync_s = self._keep(text)
        self.count += 1
        return Entry(text, "", 0)
