"""Opened labels: one :class:`LabelSession` per sequence, shared by all clients that work on it.

Commits of a sequence come one after the other, in a thread; reads take the immutable head as it is and wait for nobody.
Whoever watches the head holds a number, not a queue: a slow watcher gets more records at once, and costs no more.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fleetlabel.engine.rpc.engine import ServedEngine
from fleetlabel.labels import Labels, Queue, Record, Snapshot, snapshot_of
from fleetlabel.model.errors import StoreNotFoundError
from fleetlabel.store import SequenceStore
from fleetlabel.v1 import edits_pb2
from fleetlabel.wire.edits import record_message
from fleetlabel.wire.errors import RequestError, UnavailableError
from fleetlabel.wire.frames import LabelsState

T = TypeVar("T")

_OPEN_SESSIONS = 128
_LOOK_EVERY_S = 1.0  # for what other processes saved
_OLDEST_S = 5.0  # head that is shown while somebody else is looking
_KEPT_SNAPSHOTS, _KEPT_QUEUES, _KEPT_MESSAGES = 4, 2, 256
_KEPT_HEADS, _KEPT_OBJECTS = 64, 200_000  # heads of lately, as long as they have no more objects together
_BATCH_RECORDS, _BATCH_BYTES = 256, 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Labels at one moment, and what they are called.

    Attributes:
        snapshot: the labels.
        state: which they are.
    """

    snapshot: Snapshot
    state: LabelsState


class LabelSession:
    """The labels of one sequence while the engine has them open.

    Attributes:
        store: that they are in.
        head: the labels as they are now, as far as is known.
        queue_lock: held by whoever asks the session's queues.
    """

    def __init__(self, engine: ServedEngine, store: SequenceStore, labels: Labels) -> None:
        self.store = store
        self.queue_lock = asyncio.Lock()
        self._engine = engine
        self._labels = labels
        self._lock = asyncio.Lock()
        self._changed = asyncio.Event()
        self._looked_s = time.monotonic()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._watchers: Counter[str] = Counter()
        self._there: list[str] = []
        self._untold = False
        self._looker: asyncio.Task[None] | None = None
        self._lost: Exception | None = None
        self._heads: OrderedDict[int, View] = OrderedDict()
        self._snapshots: OrderedDict[str | int, View] = OrderedDict()
        self._queues: OrderedDict[float, Queue] = OrderedDict()
        self._messages: OrderedDict[int, edits_pb2.EditRecord] = OrderedDict()
        self.head = self._view_now()

    @property
    def labels(self) -> Labels:
        """The labels themselves; change them within :meth:`alone` only."""
        return self._labels

    @property
    def is_idle(self) -> bool:
        """Whether nobody is at it right now."""
        return not (self._watchers or self._tasks or self._lock.locked() or self.queue_lock.locked())

    # --- now --------------------------------------------------------------------------------------------------------

    async def now(self) -> View:
        """The head, with what other processes saved up to about a second ago."""
        age_s = time.monotonic() - self._looked_s
        if age_s > _LOOK_EVERY_S and (age_s > _OLDEST_S or not self._lock.locked()):
            await self.alone(self._look)
        return self.head

    async def alone(self, work: Callable[[], T]) -> T:
        """What ``work`` returns, done in a thread while nobody else changes the labels; it ends, come what may."""
        return await self._to_the_end(self._alone(work))

    async def _alone(self, work: Callable[[], T]) -> T:
        async with self._lock:
            try:
                return await self._engine.in_thread(work)
            finally:
                self._advance()

    async def _to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Does work that goes on when its client goes away: a thread cannot be stopped, so neither can its lock."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    def _look(self) -> None:
        labels = self._labels
        labels.refresh()
        if not labels.sequence:  # nobody has edited anything: a newer run is what people would begin with
            latest = self.store.latest_labels()
            if (latest.base or latest.name) != labels.base.name:
                self._labels = Labels.open(self.store)
        self._looked_s = time.monotonic()

    def _advance(self) -> None:
        if self._labels.now is not self.head.snapshot:
            self._keep_head()
            self.head = self._view_now()
            self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _keep_head(self) -> None:
        """Keeps the head for those who read on in it: to replay all records for each of their reads would take long."""
        old = self.head.snapshot
        # With boxes of its own: those of an object that was changed would be solved anew by turns.
        own = Snapshot(old.base, old.state, old.solver, dict(old.solved))
        if self.head.state.base_version == self._labels.base.name:
            self._heads[self.head.state.record] = View(own, self.head.state)
        else:
            self._heads.clear()
        while len(self._heads) > _KEPT_HEADS or (
            len(self._heads) > 1
            and sum(len(view.snapshot.state.objects) for view in self._heads.values()) > _KEPT_OBJECTS
        ):
            self._heads.popitem(last=False)

    def _view_now(self) -> View:
        labels = self._labels
        return View(labels.now, _state(labels, labels.base.name, labels.sequence))

    # --- earlier ----------------------------------------------------------------------------------------------------

    async def at(self, at: str | int | None) -> View:
        """The head, the labels after a record, or those of a version.

        Raises:
            StoreNotFoundError: there is no such version or record.
        """
        head = await self.now()
        if at is None or at == head.state.record:
            return head
        if isinstance(at, int) and at in self._heads:
            return self._heads[at]
        if at in self._snapshots:
            self._snapshots.move_to_end(at)
            return self._snapshots[at]
        view = await self._engine.in_thread(lambda: self._view_at(at, head.state.record))
        self._snapshots[at] = view
        while len(self._snapshots) > _KEPT_SNAPSHOTS:
            self._snapshots.popitem(last=False)
        return view

    def _view_at(self, at: str | int, last: int) -> View:
        labels = self._labels
        if isinstance(at, int):
            if not 0 <= at < last:
                raise StoreNotFoundError(f"there is no record {at}; the sequence has records 1..{last}")
            snapshot = labels.at(at)
            return View(snapshot, _state(labels, snapshot.base.name, at))
        version = self.store.labels(at)
        made_at = version.provenance
        state = LabelsState(
            version.base or at,
            int(made_at.get("journal_sequence") or 0),
            made_at.get("journal_sha256") or "",
            at,
        )
        return View(snapshot_of(labels, at), state)

    def queue(self, iou: float) -> Queue:
        """The queue for an overlap; hold ``queue_lock``. Blocks for long where there is none yet."""
        queue = self._queues.get(iou)
        if queue is None or queue.labels is not self._labels:
            queue = self._queues[iou] = Queue(self._labels, iou=iou)
        self._queues.move_to_end(iou)
        while len(self._queues) > _KEPT_QUEUES:
            self._queues.popitem(last=False)
        return queue

    # --- watching ---------------------------------------------------------------------------------------------------

    async def watch(
        self, after: int | None, person: str
    ) -> AsyncGenerator[tuple[LabelsState, list[edits_pb2.EditRecord], list[str]]]:
        """The head and the records after one, then records as they are saved; and who watches, once that changes.

        Raises:
            RequestError: there is no such record yet.
            UnavailableError: the sequence is not what it was.
        """
        head = await self.now()
        sent = head.state.record if after is None else after
        if not 0 <= sent <= head.state.record:
            raise RequestError("after_record", f"0 to {head.state.record}", str(sent))
        self._comes_or_goes(person, 1)
        try:
            if self._looker is None:
                self._lost = None
                self._looker = asyncio.create_task(self._keep_looking())
            told: list[str] | None = None
            while True:
                if self._lost is not None:
                    raise self._lost
                changed, head, there = self._changed, self.head, self._there
                if head.state.record > sent or there != told:
                    state, records = await self._batch(sent, head)
                    sent, told = state.record, there
                    yield state, records, there
                else:
                    await changed.wait()
        finally:
            self._comes_or_goes(person, -1)
            if not self._watchers and self._looker is not None:
                self._looker.cancel()
                self._looker = None

    def _comes_or_goes(self, person: str, by: int) -> None:
        """Others are told within a second, all of them at once: people may come and go in droves."""
        self._watchers[person] += by
        self._watchers = +self._watchers  # without those that are gone
        there = sorted(self._watchers)
        if there != self._there:
            self._there, self._untold = there, True

    async def _batch(self, sent: int, head: View) -> tuple[LabelsState, list[edits_pb2.EditRecord]]:
        if head.state.record == sent:
            return head.state, []
        messages = await self._engine.in_thread(lambda: self._record_messages(sent, head.state.record))
        last = sent + len(messages)
        if last == head.state.record:
            return head.state, messages
        return LabelsState(messages[-1].base_version, last, messages[-1].sha256), messages

    def _record_messages(self, after: int, last: int) -> list[edits_pb2.EditRecord]:
        found: list[edits_pb2.EditRecord] = []
        size = 0
        for record in self.records(after, last):
            message = self._messages.get(record.sequence)
            if message is None:
                message = self._messages[record.sequence] = record_message(record)
                while len(self._messages) > _KEPT_MESSAGES:
                    with suppress(KeyError):  # another thread was faster
                        self._messages.popitem(last=False)
            size += message.ByteSize()
            if found and (size > _BATCH_BYTES or len(found) == _BATCH_RECORDS):
                break
            found.append(message)
        return found

    def records(self, after: int, last: int) -> list[Record]:
        """Records from ``after + 1`` to ``last``."""
        return self._labels.history.records[after:last]

    async def _keep_looking(self) -> None:
        """Takes up what other processes save, while anybody watches."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            if self._untold:
                self._untold = False
                self._wake()
            try:
                await self.now()
            except Exception as error:
                self._lost = error
                self._changed.set()
                return

    def lose(self) -> None:
        """Ends what watches this session: the sequence is another one now."""
        self._lost = UnavailableError("the sequence was deleted or replaced; open it again")
        self._changed.set()


class LabelSessions:
    """Sessions by sequence; those that nobody uses are closed when there are too many."""

    def __init__(self, engine: ServedEngine) -> None:
        self._engine = engine
        self._sessions: OrderedDict[Path, LabelSession] = OrderedDict()
        self._known: OrderedDict[str, tuple[float, LabelSession]] = OrderedDict()
        self._opening: dict[Path, asyncio.Lock] = {}

    async def of(self, sequence_id: str, surely: bool = False) -> LabelSession:
        """The session of a sequence.

        Args:
            surely: look whether the sequence is still there, even if that was known a second ago.

        Raises:
            OutsideRootsError, StoreNotFoundError: there is no such sequence, or it has no labels.
        """
        if not sequence_id:
            raise RequestError("sequence_id", "a sequence", "none")
        known = self._known.get(sequence_id)
        if known and not surely and time.monotonic() - known[0] < _LOOK_EVERY_S:
            return known[1]
        store = await self._engine.in_thread(lambda: self._engine.store(sequence_id))
        session = await self._of_store(store)
        self._known[sequence_id] = (time.monotonic(), session)
        self._known.move_to_end(sequence_id)
        while len(self._known) > 4 * _OPEN_SESSIONS:
            self._known.popitem(last=False)
        return session

    async def _of_store(self, store: SequenceStore) -> LabelSession:
        path = store.root
        lock = self._opening.setdefault(path, asyncio.Lock())
        async with lock:
            session = self._sessions.get(path)
            if session is None or session.store is not store:
                if session is not None:
                    session.lose()
                labels = await self._engine.in_thread(lambda: Labels.open(store))
                session = self._sessions[path] = LabelSession(self._engine, store, labels)
            self._sessions.move_to_end(path)
        self._close_some()
        return session

    def _close_some(self) -> None:
        for path in list(self._sessions)[: max(len(self._sessions) - _OPEN_SESSIONS, 0)]:
            if self._sessions[path].is_idle:
                gone = self._sessions.pop(path)
                for name in [name for name, (_, session) in self._known.items() if session is gone]:
                    del self._known[name]


def _state(labels: Labels, base: str, record: int) -> LabelsState:
    return LabelsState(base, record, labels.history.records[record - 1].sha256 if record else "")
