"""Fixtures for tests of labels."""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from fleetlabel.labels import Labels
from fleetlabel.store import SequenceStore
from labels.scenes import copied_store, open_labels


@pytest.fixture(autouse=True)
def _without_syncing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here cuts the power: syncing to a disk would only take time, most of it."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture
def store(tmp_path: Path) -> SequenceStore:
    """A store with a label version ``auto`` of five tracks, 1..5, in 20 frames."""
    return copied_store(tmp_path / "drive.zarr")


@pytest.fixture
def labels(store: SequenceStore) -> Labels:
    """Labels of that store, not edited yet."""
    return open_labels(store.root)


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """Worker processes that start at once: forked from a server which has the imports and no threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fleetlabel.labels"])
    return context
