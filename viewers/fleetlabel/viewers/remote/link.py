"""Threads that talk to the engine: fetch its records, send what is in the outbox, ask for boxes as it solved them.

What they find they put into an inbox, which the app empties; they change no labels themselves. A line that breaks, an
engine that restarts or refuses the token: all of that is a reason in words, and another attempt a little later.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fleetlabel.client import LabelsState, ObjectView, RemoteSequence
from fleetlabel.labels import Commit, Conflict, Record, Step
from fleetlabel.labels.edits import touched
from fleetlabel.model.errors import EditError, FleetLabelError, StoreNotFoundError, UsageError
from fleetlabel.viewers.editor.source import Refused, Standing
from fleetlabel.viewers.remote.outbox import Outbox, Pending, given_ids, renamed

_LOOK_EVERY_S = 1.0  # where nobody says that there are news
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 3.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """The engine's next records."""

    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Dropped:
    """An undo or redo that the engine had nothing to do for, or refuses; ``problem`` says why."""

    request_id: str
    problem: str


Found = Arrived | Dropped | ObjectView | Refused


class Link:
    """See the module.

    Attributes:
        watchers: who has the sequence open, as the engine says.

    Args:
        records: the engine's, as far as the app knows them.
        before_base: has a label version brought here before its first record is.
    """

    def __init__(
        self,
        sequence: RemoteSequence,
        outbox: Outbox,
        records: Sequence[Record],
        before_base: Callable[[str], None],
    ) -> None:
        self._sequence, self._outbox, self._before_base = sequence, outbox, before_base
        self._records = list(records)
        self._inbox: queue.SimpleQueue[Found] = queue.SimpleQueue()
        self._acknowledged: set[str] = {record.request_id for record in records} & outbox.request_ids
        self._undecided = ""  # request id of what was refused
        self._away, self._losses = "", 0
        self._awake, self._closing = threading.Event(), threading.Event()
        self._idle = threading.Condition()
        self.watchers: frozenset[str] = frozenset()

    def start(self) -> None:
        """Begins."""
        for work in (self._run, self._watch):
            threading.Thread(target=work, name="engine", daemon=True).start()

    def close(self) -> None:
        """Ends the thread as soon as what it is at ends."""
        self._closing.set()
        self._awake.set()

    def wake(self) -> None:
        """There is something to send."""
        self._awake.set()

    def decided(self) -> None:
        """Somebody decided about what was refused."""
        self._undecided = ""
        self._awake.set()

    def lose(self, why: str) -> None:
        """The engine cannot be reached, as somebody found out."""
        if not self._away:
            self._losses += 1
        self._away = why
        self._awake.set()

    @property
    def standing(self) -> Standing:
        """What is not sent, and why the engine cannot be reached."""
        unsent = sum(p.request_id not in self._acknowledged for p in self._outbox.pending)
        return Standing(unsent, self._away, self._losses)

    @property
    def has_found(self) -> bool:
        """Whether there is something in the inbox."""
        return not self._inbox.empty()

    def found(self) -> Iterator[Found]:
        """Empties the inbox."""
        while True:
            try:
                yield self._inbox.get_nowait()
            except queue.Empty:
                return

    def flush(self, patience_s: float) -> bool:
        """Waits until all is sent; whether it is."""
        self.wake()
        with self._idle:
            return self._idle.wait_for(lambda: not self.standing.unsent, patience_s)

    # --- the threads ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._closing.is_set():
            self._awake.clear()
            try:
                self._round()
            except Exception as error:  # whatever it is, edits are safe here and sent later
                self.lose(str(error) if isinstance(error, FleetLabelError) else repr(error))
                self._closing.wait(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            self._away, pause_s = "", _FIRST_PAUSE_S
            self._awake.wait(_LOOK_EVERY_S)

    def _watch(self) -> None:
        """Looks for news as soon as the engine has some; who else watches is somebody who is there."""
        while not self._closing.is_set():
            try:
                for news in self._sequence.labels.watch(after=len(self._records)):
                    self.watchers = frozenset(news.watchers)
                    self._awake.set()
                    if self._closing.is_set():
                        return
            except Exception:  # the other thread says why
                self.watchers = frozenset()
            self._closing.wait(_LOOK_EVERY_S)

    def _round(self) -> None:
        changed = self._fetch()
        for pending in self._outbox.pending:
            if pending.request_id in self._acknowledged:
                continue
            if self._closing.is_set() or not self._send(pending):
                break
            changed |= self._fetch()
        self._fetch_boxes(changed)

    def _fetch(self) -> set[int]:
        """The engine's next records; ids of the objects that they changed."""
        news = tuple(entry.record for entry in self._sequence.labels.history(after=len(self._records)))
        if news:
            before = self._records[-1].base if self._records else ""
            for base in {record.base for record in news} - {before}:
                self._before_base(base)
            self._records += news
            self._inbox.put(Arrived(news))
        with self._idle:
            self._acknowledged |= {record.request_id for record in news} & self._outbox.request_ids
            self._idle.notify_all()
        return {object_id for record in news for object_id in record.objects}

    def _send(self, pending: Pending) -> bool:
        """Sends one; whether the next may follow."""
        if pending.request_id == self._undecided:
            return False
        pending = renamed(pending, self._given_ids())
        try:
            if pending.record.step is not None:
                return self._send_step(pending)
            conflicts = self._conflicts(pending)
            if not conflicts:
                done = self._commit(pending)
                while done.conflicts and self._fetch():  # somebody was faster just now
                    if conflicts := self._conflicts(pending):
                        break
                    done = self._commit(pending)
                conflicts = conflicts or done.conflicts
            if not conflicts:
                return True
            self._refuse(pending, conflicts, "")
        except (EditError, UsageError) as error:
            self._refuse(pending, (), str(error))
        return False

    def _commit(self, pending: Pending) -> Commit:
        record = pending.record
        return self._sequence.labels.commit(
            record.edits,
            base=LabelsState(record.base, len(self._records), ""),
            reason=record.reason,
            active_ms=record.active_ms,
            request_id=record.request_id,
        )

    def _send_step(self, pending: Pending) -> bool:
        record, labels = pending.record, self._sequence.labels
        step = labels.undo if record.step is Step.UNDO else labels.redo
        try:
            done = step(reason=record.reason, active_ms=record.active_ms, request_id=record.request_id)
        except (EditError, UsageError) as error:
            done, problem = None, str(error)
        else:
            problem = ""
        if done is None:
            self._acknowledged.add(record.request_id)
            self._inbox.put(Dropped(record.request_id, problem))
        return True

    def _conflicts(self, pending: Pending) -> tuple[Conflict, ...]:
        """What others did to the same objects since; what was sent from here does not count."""
        others = [r for r in self._records[pending.made_on :] if r.request_id not in self._outbox.request_ids]
        for record in others:
            if record.base != pending.record.base:
                return (_conflict(None, record),)
        found = []
        for object_id in touched(pending.record.edits):
            changes = [record for record in others if object_id in record.objects]
            if changes:
                found.append(_conflict(object_id, changes[-1]))
        return tuple(found)

    def _refuse(self, pending: Pending, conflicts: tuple[Conflict, ...], problem: str) -> None:
        """Nothing more is sent until somebody has decided: what follows may hang on it."""
        self._undecided = pending.request_id
        self._inbox.put(Refused(pending.request_id, pending.record.edits, conflicts, problem))

    def _given_ids(self) -> dict[int, int]:
        """Ids that the engine gave to objects of this outbox, whether the app has taken them up or not."""
        given = dict(self._outbox.new_ids)
        mine = {pending.request_id: pending for pending in self._outbox.pending}
        for record in self._records:
            if (pending := mine.get(record.request_id)) is not None:
                given |= given_ids(pending, record)
        return given

    def _fetch_boxes(self, changed: set[int]) -> None:
        """Boxes of objects as the engine solved them: from detections, which are not here."""
        if not changed:
            return
        labels = self._sequence.labels.now()
        for object_id in sorted(changed):
            try:
                self._inbox.put(labels.object(object_id))
            except StoreNotFoundError:
                continue  # deleted or merged


def _conflict(object_id: int | None, record: Record) -> Conflict:
    kinds = tuple(dict.fromkeys(edit.kind for edit in record.edits))
    return Conflict(object_id, record.sequence, record.author, record.at_ns, kinds, record.reason)
