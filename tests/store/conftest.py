"""Fixtures for the store's tests."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from fleetlabel.store import SequenceStore
from store.drives import drive

MakeStore = Callable[..., AbstractContextManager[SequenceStore]]


@pytest.fixture
def store(tmp_path: Path) -> SequenceStore:
    """A new store of 12 frames, cameras ``front`` and ``left``, lidar ``top``, without data."""
    return SequenceStore.create(tmp_path / "drive.zarr", drive())


@pytest.fixture(autouse=True)
def _without_syncing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here cuts the power: syncing to a disk would only take time, most of it."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture(scope="session")
def fresh_store() -> MakeStore:
    """A context with a store of its own: for hypothesis, which runs many examples in one test."""

    @contextmanager
    def make(n_frames: int = 12, **changes: object) -> Iterator[SequenceStore]:
        with tempfile.TemporaryDirectory() as folder:
            yield SequenceStore.create(Path(folder) / "drive.zarr", drive(n_frames, **changes))

    return make


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """Worker processes that start at once: forked from a server which has the imports and no threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["store.drives"])
    return context
