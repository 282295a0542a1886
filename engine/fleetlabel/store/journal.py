"""An append-only file of records that hang on one another by their hashes.

On disk a record is one line: the length of its text and a checksum of that (so that a damaged length is not taken for
a write that did not end), the text, and the SHA-256 over the record before and the text. Whatever byte changes, reading
says where. A record is on the disk before :meth:`JournalFile.append` returns; what a dying writer left of one that it
never returned from is taken away by the next writer.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fleetlabel.model.errors import CorruptStoreError, StoreError, StoreWriteError
from fleetlabel.store import durable
from fleetlabel.store.groups import read_group, write_group

GENESIS = "0" * 64
_HEAD_BYTES = 18  # "LLLLLLLL CCCCCCCC "
_TAIL_BYTES = 66  # " " + hash + newline
_PAGE = 512  # what a disk writes at once, at least
_WAIT_S, _PAUSE_S = 30.0, 0.002


@dataclass(frozen=True, slots=True)
class Entry:
    """One record.

    Attributes:
        text: what was written.
        sha256: of the record before and the text.
        end: offset in the file at which the next record begins.
    """

    text: bytes
    sha256: str
    end: int


class JournalWriter(Protocol):
    """Appends to a journal that nobody else can write now."""

    def read(self) -> list[Entry]:
        """Records that others appended; what a dead writer left of one is taken away."""

    def append(self, text: bytes) -> Entry:
        """Writes a record; it is durable when this returns, and nothing is written if it raises.

        Raises:
            StoreWriteError: the storage refused.
        """


class Journal(Protocol):
    """The people's edits of a store, in a file or on object storage."""

    last_fsync_s: float

    @property
    def count(self) -> int:
        """Number of records read so far."""

    @property
    def sha256(self) -> str:
        """Hash of the last record read so far, which stands for all before it."""

    def read(self) -> list[Entry]:
        """Records that came since the last call; a record that is being written is none yet.

        Raises:
            CorruptStoreError: the journal is damaged; says where.
        """

    def writing(self) -> AbstractContextManager[JournalWriter]:
        """Makes this process the only one to append while the block lasts.

        Raises:
            StoreError: another process has been appending for half a minute.
        """


class JournalFile:
    """Records of one file, read as far as they go; see the module's docstring.

    Attributes:
        path: of the file; it need not exist yet.
        last_fsync_s: how long the last append waited for the disk.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last_fsync_s = 0.0
        self._end, self._sha256, self._count = 0, GENESIS, 0

    @property
    def count(self) -> int:
        """Number of records read so far."""
        return self._count

    @property
    def sha256(self) -> str:
        """Hash of the last record read so far, which stands for all before it."""
        return self._sha256

    def read(self) -> list[Entry]:
        """Records that came since the last call; a record that is being written is none yet.

        Raises:
            CorruptStoreError: the file is damaged; says where.
        """
        try:
            handle = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return self._no_file()
        except OSError as error:
            raise StoreError(f"cannot read {self.path}: {error.strerror or error}") from error
        try:
            return self._read(handle)
        finally:
            os.close(handle)

    @contextmanager
    def writing(self) -> Iterator[FileWriter]:
        """Makes this process the only one to append while the block lasts; the lock dies with the process.

        Raises:
            StoreError: another process has been appending for half a minute.
        """
        with durable.write_errors(self.path):
            if read_group(self.path.parent) is None:
                write_group(self.path.parent, {})
            handle = _locked(self.path)
        try:
            yield FileWriter(self, handle)
        finally:
            os.close(handle)

    def _no_file(self) -> list[Entry]:
        if self._count:
            raise CorruptStoreError(
                f"{self.path} is gone, {self._count} records and all; restore it from a copy"
            )
        return []

    def _read(self, handle: int) -> list[Entry]:
        size = os.fstat(handle).st_size
        if size < self._end:
            raise CorruptStoreError(
                f"{self.path} became shorter: {size} bytes where {self._count} records took {self._end}; restore it "
                "from a copy"
            )
        first = self._end
        content = _read_all(handle, first, size)
        entries: list[Entry] = []
        while (found := self._parse(content, self._end - first)) is not None:
            entries.append(found)
            self._end, self._sha256, self._count = found.end, found.sha256, self._count + 1
        return entries

    def _parse(self, content: bytes, position: int) -> Entry | None:
        """The record at a position, None if it is not whole: its writer died, or writes still."""
        head = content[position : position + _HEAD_BYTES]
        if len(head) < _HEAD_BYTES:
            return None
        length = _length(head, self._sha256)
        if length is None:
            self._refuse_damage(content, position, position + _HEAD_BYTES, "its length is damaged")
            return None
        stop = position + _HEAD_BYTES + length + _TAIL_BYTES
        if stop > len(content):
            return None
        text = content[position + _HEAD_BYTES : stop - _TAIL_BYTES]
        sha256 = record_hash(self._sha256, text)
        if content[stop - _TAIL_BYTES : stop] != f" {sha256}\n".encode():
            self._refuse_damage(content, position, stop, "it is not what was written")
            return None
        return Entry(text, sha256, self._end + _HEAD_BYTES + length + _TAIL_BYTES)

    def _refuse_damage(self, content: bytes, position: int, stop: int, what: str) -> None:
        """Lets pass what a power cut leaves: room for the last record, but zeros instead of its bytes."""
        zeros = len(content) - len(content.rstrip(b"\0"))
        begin = self._end + len(content) - zeros - position
        on_whole_pages = zeros - (-begin) % _PAGE
        if on_whole_pages > 1 and len(content) - zeros < stop:
            return
        raise CorruptStoreError(
            f"{self.path}: record {self._count + 1}, at byte {self._end}, is damaged ({what}); the {self._count} "
            "before it are whole. Restore the file from a copy"
        )


class FileWriter:
    """Appends to a journal that nobody else can write now."""

    def __init__(self, journal: JournalFile, handle: int) -> None:
        self._journal = journal
        self._handle = handle

    def read(self) -> list[Entry]:
        """Records that others appended; what a dead writer left of one is taken away."""
        journal = self._journal
        entries = journal._read(self._handle)
        if os.fstat(self._handle).st_size > journal._end:
            with durable.write_errors(journal.path):
                os.ftruncate(self._handle, journal._end)
        return entries

    def append(self, text: bytes) -> Entry:
        """Writes a record; it is on the disk when this returns, and nothing is if it raises.

        Raises:
            StoreWriteError: the file system refused: full, read-only, broken.
        """
        journal = self._journal
        start = journal._end
        sha256 = record_hash(journal._sha256, text)
        record = _head(len(text), journal._sha256) + text + f" {sha256}\n".encode()
        try:
            _write_all(self._handle, record, start)
            began = time.perf_counter()
            os.fsync(self._handle)
            if not start:
                durable.sync(journal.path.parent)
            journal.last_fsync_s = time.perf_counter() - began
        except OSError as error:
            with suppress(OSError):  # the next writer takes away what cannot be taken away now
                os.ftruncate(self._handle, start)
                os.fsync(self._handle)
            raise StoreWriteError(
                f"cannot write {journal.path}: {error.strerror or error}; nothing of this was saved. Make room or "
                "mend the disk, then save again"
            ) from error
        journal._end, journal._sha256, journal._count = start + len(record), sha256, journal._count + 1
        return Entry(text, sha256, journal._end)


def record_hash(before: str, text: bytes) -> str:
    """SHA-256 that names a record and all before it."""
    return hashlib.sha256(before.encode() + text).hexdigest()


def _head(length: int, before: str) -> bytes:
    digits = f"{length:08x}"
    return f"{digits} {zlib.crc32((before + digits).encode()):08x} ".encode()


def _length(head: bytes, before: str) -> int | None:
    try:
        length = int(head[:8], 16)
    except ValueError:
        return None
    return length if _head(length, before) == head else None


def _locked(path: Path) -> int:
    """The file, opened and locked: the one that is there now, not one that was put in its place meanwhile."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(handle, path)
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _lock(handle: int, path: Path) -> None:
    end = time.monotonic() + _WAIT_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise StoreError(
                    f"{path} has been in another process's hands for {_WAIT_S:.0f} s; stop that one, then try again"
                ) from None
            time.sleep(_PAUSE_S)


def _read_all(handle: int, start: int, stop: int) -> bytes:
    pieces = []
    while start < stop and (piece := os.pread(handle, stop - start, start)):
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)


def _write_all(handle: int, content: bytes, start: int) -> None:
    while content:
        written = os.pwrite(handle, content, start)
        content, start = content[written:], start + written
