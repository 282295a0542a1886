"""The journal's file: whatever was told to be written is there, whatever changed is found."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from fleetlabel.model.errors import CorruptStoreError, StoreError, StoreWriteError
from fleetlabel.store import SequenceStore, verify
from fleetlabel.store.hierarchy import JOURNAL
from fleetlabel.store.journal import GENESIS, Entry, JournalFile, record_hash

TEXTS = [b'{"a":1}', b"", b'{"b":"' + b"x" * 900 + b'"}', b'{"c":3}']


def written(path: Path, texts: list[bytes] = TEXTS) -> list[Entry]:
    journal = JournalFile(path)
    with journal.writing() as writer:
        return [writer.append(text) for text in texts]


def append(path: Path, text: bytes) -> list[Entry]:
    """What a process that begins now finds, before it appends."""
    journal = JournalFile(path)
    with journal.writing() as writer:
        found = writer.read()
        writer.append(text)
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal" / "edits.log"


def test_records_come_back_in_order_each_hanging_on_the_one_before(path: Path) -> None:
    entries = written(path)
    journal = JournalFile(path)
    assert journal.read() == entries
    assert [entry.text for entry in entries] == TEXTS
    before = GENESIS
    for entry in entries:
        assert entry.sha256 == record_hash(before, entry.text)
        before = entry.sha256
    assert (journal.count, journal.sha256) == (len(TEXTS), before)


def test_reading_again_gives_what_came_since(path: Path) -> None:
    journal = JournalFile(path)
    assert journal.read() == []
    first = written(path, TEXTS[:2])
    assert journal.read() == first
    assert journal.read() == []
    append(path, b"more")
    assert [entry.text for entry in journal.read()] == [b"more"]


def test_any_flipped_bit_of_any_byte_is_found(path: Path) -> None:
    written(path, [b'{"a":1}', b'{"b":2}', b'{"c":3}'])
    content = path.read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(CorruptStoreError, match=r"record \d, at byte \d+, is damaged"):
            JournalFile(path).read()
    with pytest.raises(CorruptStoreError), JournalFile(path).writing() as writer:
        writer.read()
    assert path.read_bytes() == damaged  # nobody mends it by throwing records away


def test_the_message_says_which_record_and_how_many_are_whole(path: Path) -> None:
    entries = written(path)
    content = bytearray(path.read_bytes())
    content[entries[1].end + 30] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptStoreError, match=rf"record 3, at byte {entries[1].end}, .* the 2 before it"):
        JournalFile(path).read()


def test_a_record_whose_writer_died_is_none_and_the_next_writer_takes_it_away(path: Path) -> None:
    entries = written(path)
    content = path.read_bytes()
    for size in range(entries[2].end, len(content)):
        path.write_bytes(content[:size])
        assert JournalFile(path).read() == entries[:3]
        assert append(path, b"next") == entries[:3]
        assert [entry.text for entry in JournalFile(path).read()] == [*TEXTS[:3], b"next"]


def test_zeros_that_a_power_cut_left_instead_of_the_last_record_are_none(path: Path) -> None:
    entries = written(path)
    whole = path.read_bytes()
    for begin in range(-(-entries[1].end // 512) * 512, entries[2].end, 512):
        path.write_bytes(whole[:begin] + bytes(entries[2].end - begin))
        assert JournalFile(path).read() == entries[:2]
    path.write_bytes(whole + bytes(2000))
    assert JournalFile(path).read() == entries
    assert append(path, b"next") == entries


def test_a_journal_that_became_shorter_or_went_away_is_no_journal_to_go_on_with(path: Path) -> None:
    entries = written(path)
    journal = JournalFile(path)
    journal.read()
    path.write_bytes(path.read_bytes()[: entries[1].end])
    with pytest.raises(CorruptStoreError, match="became shorter"):
        journal.read()
    path.unlink()
    with pytest.raises(CorruptStoreError, match="is gone"):
        journal.read()


@pytest.mark.parametrize("failing", ["pwrite", "fsync"])
def test_a_full_disk_is_an_error_and_leaves_the_journal_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    entries = written(path)
    before = path.read_bytes()
    journal = JournalFile(path)
    journal.read()
    real = os.pwrite

    def full(handle: int, content: bytes, start: int) -> int:
        if start == entries[-1].end:
            return real(handle, content[:20], start)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def broken(handle: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(f"os.{failing}", full if failing == "pwrite" else broken)
        with (
            journal.writing() as writer,
            pytest.raises(StoreWriteError, match=r"nothing of this was saved"),
        ):
            writer.append(b"too much")
    assert path.read_bytes() == before
    assert append(path, b"next") == entries
    assert [entry.text for entry in journal.read()] == [b"next"]


def test_two_writers_wait_for_one_another(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetlabel.store.journal._WAIT_S", 0.05)
    message = "in another process's hands"
    with JournalFile(path).writing(), pytest.raises(StoreError, match=message), JournalFile(path).writing():
        pass
    append(path, b"free again")


def test_a_store_checks_its_journal_and_keeps_it_from_being_overwritten(store: SequenceStore) -> None:
    assert store.journal().read() == []
    append(store.root / JOURNAL, b"edit")
    assert verify(store) == []
    with pytest.raises(StoreError, match="1 edits of people, so it will not be overwritten"):
        SequenceStore.remove(store.root)
    content = bytearray((store.root / JOURNAL).read_bytes())
    content[25] ^= 4
    (store.root / JOURNAL).write_bytes(content)
    assert ["record 1" in problem for problem in verify(store)] == [True]
