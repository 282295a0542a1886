"""Files that are in memory are read in place; whatever else is the matter with them, there is no crash."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetlabel.store import resident
from fleetlabel.store.resident import PlainFiles, resident_rows

_SIZE = 10_000
_DATA = os.urandom(int(3.5 * _SIZE))


@pytest.fixture
def files(tmp_path: Path) -> PlainFiles:
    """``_DATA`` in files of ``_SIZE`` bytes."""
    for number in range(4):
        (tmp_path / str(number)).write_bytes(_DATA[number * _SIZE : (number + 1) * _SIZE])
    resident.let_go()
    return PlainFiles(str(tmp_path), _SIZE)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ends=st.lists(st.integers(0, len(_DATA)), min_size=2, max_size=6).map(sorted))
def test_rows_are_the_files_bytes_wherever_they_end(files: PlainFiles, ends: list[int]) -> None:
    found = resident_rows(files, ends)
    assert found is not None
    assert [b"".join(pieces) for pieces in found] == [_DATA[low:high] for low, high in pairwise(ends)]


def test_a_file_that_was_shortened_or_taken_away_is_left_to_who_says_what_is_wrong(files: PlainFiles) -> None:
    assert resident_rows(files, [0, len(_DATA)]) is not None
    os.truncate(f"{files.folder}/1", 100)
    assert resident_rows(files, [0, len(_DATA)]) is None
    assert resident_rows(files, [0, _SIZE]) is not None
    Path(files.folder, "0").unlink()
    Path(files.folder, "1").write_bytes(b"")
    assert resident_rows(files, [0, _SIZE]) is None and resident_rows(files, [_SIZE, _SIZE + 1]) is None
    assert resident_rows(files, [len(_DATA), len(_DATA) + 1]) is None


def test_a_file_that_was_replaced_is_read_anew(files: PlainFiles) -> None:
    assert resident_rows(files, [0, _SIZE]) is not None
    other = Path(files.folder, "new")
    other.write_bytes(bytes(_SIZE))
    other.rename(Path(files.folder, "0"))
    found = resident_rows(files, [0, _SIZE])
    assert found is not None and b"".join(found[0]) == bytes(_SIZE)


def test_what_a_disk_has_to_be_waited_for_is_not_waited_for(files: PlainFiles) -> None:
    handle = os.open(f"{files.folder}/0", os.O_RDWR)
    os.fsync(handle)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)
    found = resident_rows(files, [0, _SIZE])
    # A file system that has nothing but memory keeps it there.
    assert found is None or b"".join(found[0]) == _DATA[:_SIZE]


def test_no_more_files_are_mapped_than_may_be(files: PlainFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident, "_MAPPED_FILES", 2)
    before = _open_files()
    for _ in range(3):
        assert resident_rows(files, [0, len(_DATA)]) is not None
    assert _open_files() <= before + 2
    resident.let_go()
    assert _open_files() == before


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
