"""A sequence of an engine elsewhere as the app's source."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from fleetlabel.client import Engine, ObjectView, RemoteSequence
from fleetlabel.labels import Commit, Edit, Item, Record, Step
from fleetlabel.labels.edits import touched
from fleetlabel.model.errors import FleetLabelError, StoreError, StoreNotFoundError
from fleetlabel.viewers.editor.labels_source import LabelsSource
from fleetlabel.viewers.editor.source import News, Refused, Standing
from fleetlabel.viewers.remote.link import Arrived, Dropped, Link
from fleetlabel.viewers.remote.mirror import Mirror
from fleetlabel.viewers.remote.outbox import Outbox, given_ids, waiting_in
from fleetlabel.viewers.remote.remote_sensors import RemoteSensors
from fleetlabel.viewers.remote.replica import PROVISIONAL_ID, Replica

_FETCHERS = 8
_PATIENCE_S, _ANSWER_S, _SOON_S = 2.0, 60.0, 5.0
_SEND_FIRST_S = 2.0  # that the queue, and whoever closes the window, wait for what is being sent

Connect = Callable[[float, float], Engine]


class RemoteSource(LabelsSource):
    """A sequence of an engine; see :class:`~fleetlabel.viewers.editor.source.Source`.

    Args:
        connect: makes a connection, by how long an answer may take and how long calls that fail are made again.
        folder: of this machine's copies and of the outbox.

    Raises:
        FleetLabelError: the engine does not answer, or has no such sequence; says what waits here to be sent.
    """

    def __init__(self, connect: Connect, sequence_id: str, folder: Path) -> None:
        self._patient, self._prompt = connect(_ANSWER_S, _PATIENCE_S), connect(_SOON_S, 0.0)
        self._linked = connect(_ANSWER_S, 0.0)  # who makes calls again itself
        sequence = self._linked.sequence(sequence_id)
        mirror, records, base = _fetched(self._patient.sequence(sequence_id), folder)
        author = next(sequence.labels.watch(timeout_s=_ANSWER_S)).caller
        # Each person's apart: edits are saved under the name of whoever sends them.
        self._outbox = Outbox.open(folder / "outbox" / file_name(author))
        _tick_off(self._outbox, records)
        self._replica = Replica(mirror.store, base, records, self._outbox, author)
        _fetch_solved(sequence, self._replica)
        super().__init__(self._replica.labels, author)
        self.info = mirror.store.info
        self._sequence_id = sequence_id
        self._link = Link(sequence, self._outbox, records, mirror.fetch_labels)
        frames = self._patient.sequence(sequence_id).frames
        self.sensors = RemoteSensors(frames, self.info, mirror.timeline, self._link.lose)
        self._first_item: Item | None = None
        self._ranked = False
        self._link.start()

    # --- editing ----------------------------------------------------------------------------------------------------

    def new_id(self) -> int:
        """An id for an object that an edit makes, until the engine gives it one."""
        return self.labels.new_id()

    def commit(self, edits: Sequence[Edit], *, active_ms: int, request_id: str) -> Commit:
        """Saves edits on this machine's disk, and has them sent."""
        decided = request_id in self._replica.refused
        done = self._replica.commit(edits, active_ms=active_ms, request_id=request_id)
        self._changed_here(decided)
        return done

    def give_up(self, request_id: str) -> None:
        """Lets edits go that were refused."""
        self._replica.give_up(request_id)
        self._changed_here(decided=True)

    def undo(self) -> Commit | None:
        """Takes back the author's last edits; None if there are none."""
        return self._step(Step.UNDO)

    def redo(self) -> Commit | None:
        """Does again what undo took back; None if there is nothing."""
        return self._step(Step.REDO)

    def _step(self, step: Step) -> Commit | None:
        done = self._replica.step(step)
        self._changed_here()
        return done

    def _changed_here(self, decided: bool = False) -> None:
        self.labels = self._replica.labels
        if decided:
            self._link.decided()
        else:
            self._link.wake()

    @property
    def standing(self) -> Standing:
        """What the engine does not have yet, and why."""
        return self._link.standing

    # --- working together -------------------------------------------------------------------------------------------

    @property
    def has_news(self) -> bool:
        """Whether the link has found something."""
        return self._link.has_found

    def refresh(self) -> News:
        """Takes up what the link has found."""
        changed: dict[int, str] = {}
        new_ids: dict[int, int] = {}
        refused: list[Refused] = []
        for found in self._link.found():
            if isinstance(found, Arrived):
                others, given = self._replica.take(found.records)
                changed |= others | dict.fromkeys(given.values(), "")
                new_ids |= given
            elif isinstance(found, Refused):
                self._replica.set_aside(found.request_id)
                changed |= dict.fromkeys(touched(found.edits), "")
                refused.append(found)
            elif isinstance(found, Dropped):
                self._replica.give_up(found.request_id)
                if found.problem:
                    refused.append(Refused(found.request_id, (), (), found.problem))
            elif self._replica.take_boxes(found):
                changed.setdefault(found.object_id, "")
                self._tracks = None
        self.labels = self._replica.labels
        self.class_names = self.labels.base.class_names  # somebody may have gone over to another run
        return News(changed, new_ids, tuple(refused))

    def build_queue(self) -> None:
        """Has the engine rank everything, and send the first item."""
        try:
            self._first_item = self._item_of(self._patient)
        finally:
            self._ranked = True

    @property
    def queue_ready(self) -> bool:
        """Whether everything is ranked."""
        return self._ranked

    def next_item(self) -> Item | None:
        """Where a look is worth most, leased to the author."""
        item, self._first_item = self._first_item, None
        if item is not None:
            return item
        self._link.flush(_SEND_FIRST_S)  # what was accepted just now is not to come again
        self.refresh()
        return self._item_of(self._prompt)

    def _item_of(self, engine: Engine) -> Item | None:
        items, _ = engine.next_items([self._sequence_id])
        return replace(items[0], sequence=self.info.name) if items else None

    def others(self) -> tuple[str, ...]:
        """Who else is at work here."""
        return tuple(sorted((self._link.watchers | self.recent_authors()) - {self.author}))

    def close(self) -> None:
        """Ends all threads; what cannot be sent any more stays in the outbox."""
        if not self.standing.away:
            self._link.flush(_SEND_FIRST_S)
        self._link.close()
        self._outbox.close()
        for engine in (self._patient, self._prompt, self._linked):
            engine.close()


def _fetched(sequence: RemoteSequence, folder: Path) -> tuple[Mirror, list[Record], str]:
    """What an app needs to begin with: what does not change, the engine's records, the version that they begin with."""
    try:
        mirror = Mirror(folder, sequence)
        records = [entry.record for entry in sequence.labels.history()]
        base = records[-1].base if records else sequence.labels.now().state.base_version
        for name in {*(record.base for record in records), base}:
            mirror.fetch_labels(name)
    except FleetLabelError as error:
        waiting = waiting_in((folder / "outbox").glob("*"))
        if not waiting or isinstance(error, StoreNotFoundError):
            raise
        kept = f"{waiting} edits of yours wait" if waiting > 1 else "an edit of yours waits"
        raise StoreError(
            f"{error}. {kept.capitalize()} here to be sent, safe on the disk ({folder}); they are sent when the "
            "sequence is opened again"
        ) from error
    return mirror, records, base


def _tick_off(outbox: Outbox, records: Sequence[Record]) -> None:
    """Ticks off what the engine had already when the app died that sent it."""
    answered = {record.request_id: record for record in records}
    for pending in outbox.pending:
        if (record := answered.get(pending.request_id)) is not None:
            outbox.done(pending.request_id, given_ids(pending, record))


def _fetch_solved(sequence: RemoteSequence, replica: Replica) -> None:
    """Boxes of all objects that people touched, as the engine solved them."""
    if not replica.known:
        return
    snapshot = sequence.labels.at(replica.known[-1].sequence)
    ids = [item.object_id for item in replica.labels.now.state]
    ids = [object_id for object_id in ids if object_id < PROVISIONAL_ID]

    def view(object_id: int) -> ObjectView | None:
        try:
            return snapshot.object(object_id)
        except StoreNotFoundError:
            return None  # only here is it thought to be there

    with ThreadPoolExecutor(_FETCHERS) as pool:
        for found in pool.map(view, ids):
            if found is not None:
                replica.take_boxes(found)


def state_folder(address: str, sequence_id: str) -> Path:
    """Where an engine's sequence is kept on this machine: below ``$XDG_STATE_HOME``, by default ``~/.local/state``."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    folder = Path(state).expanduser() / "fleetlabel" / "engines"
    return folder / file_name(address) / file_name(sequence_id)


def file_name(text: str) -> str:
    """A name of anything as one of a file: the same for the same, another for another."""
    quoted = quote(text, safe=" ")
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E")
