"""Fixtures of the viewers' tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleetlabel.store import SequenceStore
from viewers.synthetic_drive import Drive, make_store


@pytest.fixture(autouse=True, scope="session")
def _no_sync() -> Iterator[None]:
    """What these tests write need not survive a power cut, and syncing is most of what making a store takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda handle: None)
        yield


@pytest.fixture
def store_of(tmp_path: Path) -> Callable[[Drive], SequenceStore]:
    """Writes drives into fresh folders."""
    made = []

    def make(drive: Drive) -> SequenceStore:
        made.append(drive)
        return make_store(tmp_path / f"drive{len(made)}.zarr", drive)

    return make
