"""A sequence's labels as people work on them: read, edit, undo, look back, save a version."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fleetlabel.labels.applying import apply_all
from fleetlabel.labels.base import BaseLabels
from fleetlabel.labels.edit_bases import Edit
from fleetlabel.labels.edits import Restore, born, touched
from fleetlabel.labels.history import History
from fleetlabel.labels.objects import BIRTHS_PER_COMMIT, born_id
from fleetlabel.labels.rebasing import CarriedOver, carry_over
from fleetlabel.labels.records import Record, Step, record_of
from fleetlabel.labels.snapshot import Snapshot
from fleetlabel.labels.solving import Solver
from fleetlabel.labels.state import LabelState
from fleetlabel.labels.track_solver import TrackSolver
from fleetlabel.model.errors import EditError, UsageError
from fleetlabel.store import SequenceStore
from fleetlabel.store.journal import Entry, Journal, JournalWriter


@dataclass(frozen=True, slots=True)
class Conflict:
    """Somebody changed an object after the labels that an edit was made on.

    Attributes:
        object_id: of the object; None if everything is concerned, because another base version was taken.
        sequence: record that changed it.
        author: who did.
        at_ns: when.
        kinds: what they did.
        reason: why, in their words.
    """

    object_id: int | None
    sequence: int
    author: str
    at_ns: int
    kinds: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Commit:
    """What became of edits that were to be saved: all of them were, or, on conflict, none.

    Attributes:
        record: what was saved, with ids and sequence number as they are now; None if nothing was.
        conflicts: why nothing was saved; empty if it was.
        repeated: the request had been answered before, and ``record`` is what was saved then.
        new_ids: id that a new object was given by the edits -> id that it has.
        fsync_s: how long the disk took to have it.
    """

    record: Record | None
    conflicts: tuple[Conflict, ...] = ()
    repeated: bool = False
    new_ids: tuple[tuple[int, int], ...] = ()
    fsync_s: float = 0.0

    @property
    def saved(self) -> bool:
        """Whether the edits are saved."""
        return self.record is not None


class Labels:
    """The labels of one sequence, with the journal of people's edits; several processes may hold them at once.

    Attributes:
        store: that they are in.
        history: every record that was read so far.
        now: the labels after the last of them.
    """

    def __init__(self, store: SequenceStore, base: BaseLabels, solver: Solver, journal: Journal) -> None:
        self.store = store
        self.history = History()
        self.solver = solver
        self._bases = {base.name: base}
        self._journal = journal
        self._drawn = (0, 0)
        self.now = Snapshot(base, LabelState(base), solver)

    @classmethod
    def open(cls, store: SequenceStore, base: str | None = None, solver: Solver | None = None) -> Labels:
        """Opens the labels of a sequence, with every edit that was saved.

        Args:
            base: label version to begin with if there are no edits yet; by default the newest one.
            solver: what fills in between keyframes; FleetLabel's own by default.

        Raises:
            UsageError: people already work on another base version.
            CorruptStoreError: the journal is damaged.
        """
        journal = store.journal()
        entries = journal.read()
        name = record_of(entries[-1], len(entries)).base if entries else base or _newest_base(store)
        if base not in (None, name):
            raise UsageError(
                f"people's edits are on {name!r}, not on {base!r}; carry them over with Labels.rebase_onto"
            )
        own = TrackSolver(store.info.frame_timestamp_ns, store.info.trajectory)
        labels = cls(store, BaseLabels(store, name), solver or own, journal)
        labels._take(entries)
        return labels

    @property
    def sequence(self) -> int:
        """Sequence number of the last record that was read, 0 if there is none."""
        return self.history.sequence

    @property
    def base(self) -> BaseLabels:
        """The version that people work on."""
        return self.now.base

    def refresh(self) -> list[Record]:
        """Takes up what others have saved since; returns it."""
        return self._take(self._journal.read())

    def new_id(self) -> int:
        """An id for an object that an edit makes; :attr:`Commit.new_ids` says if it had to be another one."""
        sequence, drawn = self._drawn
        drawn = drawn if sequence == self.sequence + 1 else 0
        self._drawn = (self.sequence + 1, drawn + 1)
        return born_id(self.sequence + 1, drawn)

    # --- saving edits -----------------------------------------------------------------------------------------------

    def commit(
        self,
        edits: Sequence[Edit],
        *,
        author: str,
        reason: str = "",
        active_ms: int = 0,
        request_id: str | None = None,
        base: int | None = None,
    ) -> Commit:
        """Saves edits, all or none: when this returns a record, it is on the disk.

        Edits of objects that nobody changed since ``base`` are done to the labels as they are now; if somebody did,
        nothing is saved and the conflicts are returned.

        Args:
            author: who edits.
            reason: why, in their words.
            active_ms: how long they worked for it.
            request_id: the same one again saves nothing again, so that a request may be repeated.
            base: sequence number of the labels that the edits were made on; those last read by default.

        Raises:
            EditError: an edit cannot be done.
            StoreWriteError: the disk refused; nothing was saved.
        """
        made_on = self.sequence if base is None else base
        with self._journal.writing() as writer:
            self._take(writer.read())
            if not 0 <= made_on <= self.sequence:
                raise UsageError(f"there are records 0..{self.sequence}; {made_on} is none to have edited on")
            if request_id is not None and (answered := self._answered(request_id, author, edits)):
                return answered
            if not edits:
                raise UsageError("there is nothing to save: no edits were given")
            edits, new_ids = self._with_new_ids(edits)
            conflicts = self._conflicts(edits, made_on)
            if conflicts:
                return Commit(None, conflicts)
            state = apply_all(self.now.state, edits)
            meta = self._meta(author, reason, active_ms, request_id)
            record = self._write(writer, self._record(edits, **meta), self._moved(state))
            return Commit(record, (), False, new_ids, self._journal.last_fsync_s)

    def undo(self, author: str, **meta: Any) -> Commit | None:
        """Takes back the author's last edits that are in effect; None if there are none. Others' edits stay.

        Args:
            meta: ``reason``, ``active_ms`` and ``request_id`` as for :meth:`commit`.

        Raises:
            EditError: somebody built on them; says what.
        """
        return self._step(author, Step.UNDO, meta)

    def redo(self, author: str, **meta: Any) -> Commit | None:
        """Does again what the author's last undo took back; None if there is nothing."""
        return self._step(author, Step.REDO, meta)

    def revert(self, sequence: int, *, author: str, **meta: Any) -> Commit:
        """Takes back one record, whoever made it and however long ago, and leaves what was done besides it.

        Raises:
            EditError: it is taken back already, or later edits do not work without it.
        """
        with self._journal.writing() as writer:
            self._take(writer.read())
            if (request := meta.get("request_id")) and (record := self.history.of_request(request)):
                return Commit(record, repeated=True)
            return self._toggle(writer, sequence, False, None, self._meta(author, **meta))

    def rebase_onto(self, version: str, *, author: str, **meta: Any) -> CarriedOver:
        """Goes over to another base version, a better model's run, and takes people's edits along.

        Returns:
            Which object became which, and what the new run contradicts or has no place for.

        Raises:
            UsageError: they are on this version already.
        """
        with self._journal.writing() as writer:
            self._take(writer.read())
            if version == self.base.name:
                raise UsageError(f"people's edits are on {version!r} already")
            if not self.sequence:
                raise UsageError(f"nobody has edited anything yet; open the labels with base {version!r}")
            base = self.base_named(version)
            carried = carry_over(self.now, base, born_id(self.sequence + 1, 0))
            images = tuple(sorted(carried.images.items()))
            edits = (Restore(object_id=images[0][0], images=images),) if images else ()
            state = apply_all(LabelState(base), edits)
            record = self._record(edits, base=version, **self._meta(author, **meta))
            self._write(writer, record, Snapshot(base, state, self.solver))
            return carried

    # --- looking back -----------------------------------------------------------------------------------------------

    def at(self, sequence: int) -> Snapshot:
        """The labels right after a record; 0 is before the first.

        Raises:
            UsageError: there is no such record yet.
        """
        if not 0 <= sequence <= self.sequence:
            raise UsageError(f"there is no record {sequence}; the journal has records 1..{self.sequence}")
        if sequence == self.sequence:
            return self.now
        first = self.history.records[0].base
        base = self.base_named(self.history.base_at(sequence) or first)
        return Snapshot(base, self.history.state_at(sequence, base), self.solver)

    # --- within -----------------------------------------------------------------------------------------------------

    def _take(self, entries: Sequence[Entry]) -> list[Record]:
        """Takes up records of the journal."""
        new = []
        for entry in entries:
            record = record_of(entry, self.history.sequence + 1)
            self.history.add(record)
            new.append(record)
        if len(new) == 1 and new[0].base == self.now.base.name:
            self.now = self._moved(apply_all(self.now.state, new[0].edits))
        elif new:
            base = self.base_named(new[-1].base)
            solved = self.now.solved if base is self.now.base else None
            self.now = Snapshot(base, self.history.state_at(self.sequence, base), self.solver, solved)
        return new

    def _moved(self, state: LabelState) -> Snapshot:
        """The present, moved on; boxes of objects that did not change are kept."""
        return Snapshot(self.now.base, state, self.solver, self.now.solved)

    def base_named(self, name: str) -> BaseLabels:
        """A version that people can begin with, opened."""
        if name not in self._bases:
            self._bases[name] = BaseLabels(self.store, name)
        return self._bases[name]

    def _meta(
        self, author: str, reason: str = "", active_ms: int = 0, request_id: str | None = None
    ) -> dict[str, Any]:
        if not author.strip():
            raise UsageError("an edit needs an author: say who you are")
        if active_ms < 0:
            raise UsageError(f"active_ms is {active_ms}, expected the milliseconds that somebody worked")
        request = uuid.uuid4().hex if request_id is None else request_id
        return {"author": author, "reason": reason, "active_ms": int(active_ms), "request_id": request}

    def _record(self, edits: Sequence[Edit], **fields: Any) -> Record:
        values = {"base": self.now.base.name} | fields
        return Record(sequence=self.sequence + 1, at_ns=time.time_ns(), edits=tuple(edits), **values)

    def _write(self, writer: JournalWriter, record: Record, after: Snapshot) -> Record:
        """Puts a record on the disk, and only then believes it."""
        written = record_of(writer.append(record.text()), record.sequence)
        self.history.add(written)
        self.now = after
        return written

    def _answered(self, request_id: str, author: str, edits: Sequence[Edit]) -> Commit | None:
        record = self.history.of_request(request_id)
        if record is None:
            return None
        if record.author != author or [e.kind for e in record.edits] != [e.kind for e in edits]:
            raise UsageError(
                f"request {request_id!r} was answered by record {record.sequence} of {record.author}, which does "
                "something else; use a new id for a new request"
            )
        ids = zip(born(edits), born(record.edits), strict=True)
        return Commit(record, repeated=True, new_ids=tuple(ids))

    def _with_new_ids(self, edits: Sequence[Edit]) -> tuple[tuple[Edit, ...], tuple[tuple[int, int], ...]]:
        """Edits that give new objects the ids of this very commit: nobody else draws those, now or ever."""
        given = born(edits)
        if len(given) > BIRTHS_PER_COMMIT or len(set(given)) < len(given):
            raise EditError(
                f"edits make {len(given)} objects; at most {BIRTHS_PER_COMMIT}, each once, can be saved"
            )
        new_id = {old: born_id(self.sequence + 1, index) for index, old in enumerate(given)}
        return tuple(edit.renamed(new_id) for edit in edits), tuple(new_id.items())

    def _conflicts(self, edits: Sequence[Edit], made_on: int) -> tuple[Conflict, ...]:
        since = self.history.records[made_on:]
        for record in since:
            if self.history.carries_over(record):
                return (_conflict(None, record),)
        return tuple(
            _conflict(object_id, changes[-1])
            for object_id in touched(edits)
            if (changes := self.history.changes_since(made_on, object_id))
        )

    def _step(self, author: str, step: Step, meta: dict[str, Any]) -> Commit | None:
        with self._journal.writing() as writer:
            self._take(writer.read())
            if (request := meta.get("request_id")) and (record := self.history.of_request(request)):
                return Commit(record, repeated=True)
            found = self.history.next_step(author, step)
            if found is None:
                return None
            return self._toggle(writer, *found, step, self._meta(author, **meta))

    def _toggle(
        self, writer: JournalWriter, sequence: int, effective: bool, step: Step | None, meta: dict[str, Any]
    ) -> Commit:
        edits = self.history.toggled(self.now.state, sequence, effective)
        target = {"redoes" if effective else "undoes": sequence}
        record = self._record(edits, step=step, **target, **meta)
        written = self._write(writer, record, self._moved(apply_all(self.now.state, edits)))
        return Commit(written, fsync_s=self._journal.last_fsync_s)


def _conflict(object_id: int | None, record: Record) -> Conflict:
    kinds = tuple(dict.fromkeys(edit.kind for edit in record.edits))
    return Conflict(object_id, record.sequence, record.author, record.at_ns, kinds, record.reason)


def _newest_base(store: SequenceStore) -> str:
    """The newest version that a machine made; the source's own if there is no other."""
    latest = store.latest_labels()
    return latest.name if latest.base is None else latest.base
