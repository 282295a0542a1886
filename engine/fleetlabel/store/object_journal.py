"""The people's edits on object storage: one object per record, which only one writer can make.

Records are numbered, and each begins with the hash of the one before it: whatever byte changes, and whichever record is
taken away but the last, reading says so. A record is durable once its object is put. A lease keeps writers from
getting in each other's way; that no two write the same record is due to the put's condition alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from fleetlabel.model.errors import CorruptStoreError, StoreWriteError
from fleetlabel.store import buckets, durable
from fleetlabel.store.durable import LOCK
from fleetlabel.store.groups import read_group, write_group
from fleetlabel.store.journal import GENESIS, Entry, record_hash
from fleetlabel.store.lease import Lease
from fleetlabel.store.object_path import ObjectPath

_WAIT_S = 30.0
_HASH_BYTES = 65  # and newline


class ObjectJournal:
    """Records below one prefix, read as far as they go; see the module's docstring.

    Attributes:
        path: of the folder of records.
        last_fsync_s: how long the last append took.
    """

    def __init__(self, path: ObjectPath) -> None:
        self.path = path
        self.last_fsync_s = 0.0
        self._count, self._sha256, self._end = 0, GENESIS, 0

    @property
    def count(self) -> int:
        """Number of records read so far."""
        return self._count

    @property
    def sha256(self) -> str:
        """Hash of the last record read so far, which stands for all before it."""
        return self._sha256

    def read(self) -> list[Entry]:
        """Records that came since the last call.

        Raises:
            CorruptStoreError: one is damaged or gone; says which.
        """
        # From the last one on that was read, so that it is noticed if that one is gone.
        first = max(self._count, 1)
        after = self._place(first - 1).key
        keys = [key for key, _, _ in buckets.below(self.path.bucket, self.path.key, after)]
        expected = [
            self._place(number).key for number in range(first, first + max(len(keys), self._count > 0))
        ]
        if keys != expected:
            lost = min(set(expected) - set(keys))
            raise CorruptStoreError(f"{self.path.bucket}/{lost} is gone; restore it from a copy")
        new = keys[1:] if self._count else keys
        return [self._take(content) for content in buckets.get_all(self.path.bucket, new)]

    @contextmanager
    def writing(self) -> Iterator[ObjectWriter]:
        """Makes this process the only one to append while the block lasts.

        Raises:
            StoreError: another process has been appending for half a minute.
        """
        folder = self.path.parent
        if read_group(folder) is None:
            write_group(folder, {})
        with Lease(folder / LOCK, _WAIT_S):
            yield ObjectWriter(self)

    def _place(self, number: int) -> ObjectPath:
        return self.path / f"{number:08d}"

    def _take(self, content: bytes) -> Entry:
        text = content[_HASH_BYTES:]
        sha256 = record_hash(self._sha256, text)
        if content[:_HASH_BYTES] != f"{sha256}\n".encode():
            raise CorruptStoreError(
                f"{self._place(self._count + 1)} is damaged, or not what came after those before it; "
                "restore it from a copy"
            )
        return self._advance(text, sha256)

    def _advance(self, text: bytes, sha256: str) -> Entry:
        self._count, self._sha256, self._end = self._count + 1, sha256, self._end + _HASH_BYTES + len(text)
        return Entry(text, sha256, self._end)


class ObjectWriter:
    """Appends to a journal on object storage."""

    def __init__(self, journal: ObjectJournal) -> None:
        self._journal = journal

    def read(self) -> list[Entry]:
        """Records that others appended."""
        return self._journal.read()

    def append(self, text: bytes) -> Entry:
        """Writes a record; it is durable when this returns.

        Raises:
            StoreWriteError: the storage refused, or somebody else wrote this record meanwhile.
        """
        journal = self._journal
        sha256 = record_hash(journal._sha256, text)
        place = journal._place(journal._count + 1)
        began = time.perf_counter()
        if not durable.create_file(place, f"{sha256}\n".encode() + text):
            raise StoreWriteError(
                f"{place} was written by somebody else meanwhile; nothing of this was saved. Do it again"
            )
        journal.last_fsync_s = time.perf_counter() - began
        return journal._advance(text, sha256)
