"""Edits that the engine has not acknowledged: on this machine's disk before anybody is told that they are saved.

One file per open app, locked as long as that lives; what a file holds whose app died is taken over by the next app that
opens the sequence. A request id is never used twice, and the engine does nothing twice for one: so sending again what
it may have had already is harmless.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fleetlabel.labels import Record
from fleetlabel.labels.edits import born
from fleetlabel.labels.records import record_of
from fleetlabel.model.errors import StoreError
from fleetlabel.store.journal import Entry, JournalFile

_MOST_APPS = 100


@dataclass(frozen=True, slots=True)
class Pending:
    """One commit, undo or redo that the engine has not acknowledged.

    Attributes:
        record: what it would be in the engine's journal, but for number, hash and time.
        made_on: last record of the engine's that whoever did it had seen.
        concerns: request id of the commit that an undo or redo is about; "" for a commit.
    """

    record: Record
    made_on: int
    concerns: str = ""

    @property
    def request_id(self) -> str:
        """Names it."""
        return self.record.request_id


class Outbox:
    """See the module; any thread may call.

    Attributes:
        new_ids: ids that objects were given here -> ids that the engine gave them.
        request_ids: everything that was ever kept here.
    """

    def __init__(self, path: Path) -> None:
        """Opens a file that no living app has.

        Raises:
            BlockingIOError: a living app has it.
        """
        self._lock = threading.Lock()
        self._handle = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._handle)
            raise
        self.path = path
        self.new_ids: dict[int, int] = {}
        self.request_ids: set[str] = set()
        self._pending: dict[str, Pending] = {}
        self._file = JournalFile(path)
        for entry in self._file.read():
            self._take(json.loads(entry.text))

    @classmethod
    def open(cls, folder: Path) -> Outbox:
        """This app's outbox in a folder, with whatever apps left there that died."""
        folder.mkdir(parents=True, exist_ok=True)
        mine: Outbox | None = None
        for number in range(_MOST_APPS):
            path = folder / f"edits-{number}"
            if mine is not None and not path.exists():
                continue
            try:
                found = cls(path)
            except BlockingIOError:
                continue
            if mine is None:
                mine = found
            else:
                mine._take_over(found)
        if mine is None:
            raise StoreError(f"{_MOST_APPS} apps have this sequence open on this machine; close one")
        return mine

    @property
    def pending(self) -> tuple[Pending, ...]:
        """What the engine has not acknowledged, in order."""
        with self._lock:
            return tuple(self._pending.values())

    def keep(self, pending: Pending) -> float:
        """Puts something on the disk; tells how long the disk took.

        Raises:
            StoreWriteError: the disk refused; nothing was kept.
        """
        document = {
            "keep": pending.record.text().decode(),
            "made_on": pending.made_on,
            "concerns": pending.concerns,
        }
        return self._write(document)

    def move(self, request_id: str, made_on: int) -> float:
        """Edits that were refused are meant all the same, now that later records have been seen."""
        return self._write({"move": request_id, "made_on": made_on})

    def done(self, request_id: str, new_ids: Mapping[int, int] | None = None) -> None:
        """The engine has it, or it was given up."""
        self._write({"done": request_id, "new_ids": list((new_ids or {}).items())})

    def close(self) -> None:
        """Lets go of the file, which goes away if there is nothing in it that matters."""
        with self._lock:
            if not self._pending:
                self.path.unlink(missing_ok=True)
            os.close(self._handle)

    def _write(self, document: dict[str, Any]) -> float:
        with self._lock, self._file.writing() as writer:
            writer.read()
            writer.append(json.dumps(document).encode())
            self._take(document)
            return self._file.last_fsync_s

    def _take(self, document: Mapping[str, Any]) -> None:
        if "keep" in document:
            record = record_of(Entry(document["keep"].encode(), "", 0), 0)
            self._pending[record.request_id] = Pending(record, document["made_on"], document["concerns"])
            self.request_ids.add(record.request_id)
        elif "move" in document:
            known = self._pending[document["move"]]
            self._pending[known.request_id] = replace(known, made_on=document["made_on"])
        else:
            self._pending.pop(document["done"], None)
            new_ids = dict(document["new_ids"])
            self.new_ids |= new_ids
            self._pending = {name: renamed(pending, new_ids) for name, pending in self._pending.items()}

    def _take_over(self, other: Outbox) -> None:
        for pending in other.pending:
            if pending.request_id not in self.request_ids:
                self.keep(pending)
        for request_id in [pending.request_id for pending in other.pending]:
            other.done(request_id)
        other.close()


def renamed(pending: Pending, new_ids: Mapping[int, int]) -> Pending:
    """The same about objects of other ids."""
    if not new_ids:
        return pending
    edits = tuple(edit.renamed(dict(new_ids)) for edit in pending.record.edits)
    return replace(pending, record=replace(pending.record, edits=edits))


def given_ids(pending: Pending, record: Record) -> dict[int, int]:
    """Ids that new objects were given here -> ids that they have in the engine's record of it."""
    return dict(zip(born(pending.record.edits), born(record.edits), strict=True))


def waiting_in(folders: Iterable[Path]) -> int:
    """How many edits wait in folders, without taking them over."""
    count = 0
    for folder in folders:
        for path in sorted(folder.glob("edits-*")):
            if path.suffix != ".lock":
                documents = [json.loads(entry.text) for entry in JournalFile(path).read()]
                kept = sum("keep" in document for document in documents)
                count += kept - sum("done" in document for document in documents)
    return count
