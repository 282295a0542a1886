"""Engines with a drive whose labels people edit, and clients of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from catalog.conftest import catalog_url as catalog_url
from catalog.conftest import postgres_socket as postgres_socket
from fleetlabel.client import Engine, RemoteLabels
from fleetlabel.store import SequenceStore
from labels.scenes import copied_store
from pipeline.conftest import fleetlabel as fleetlabel
from rpc.servers import Served, serving

Connect = Callable[..., Engine]


@pytest.fixture(autouse=True)
def _without_syncing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in this process cuts the power: syncing to a disk would only take time."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture
def store(tmp_path: Path) -> SequenceStore:
    """A sequence ``drive`` with a label version ``auto`` of five tracks, 1..5, in 20 frames."""
    (tmp_path / "data").mkdir()
    return copied_store(tmp_path / "data" / "drive.zarr")


@pytest.fixture
def served(store: SequenceStore, tmp_path: Path) -> Iterator[Served]:
    """An engine that serves it."""
    with serving(tmp_path, store.root.parent, metrics_port=0) as engine:
        yield engine


@pytest.fixture
def connect(served: Served) -> Iterator[Connect]:
    """Connects somebody, an annotator by default."""
    with ExitStack() as stack:

        def begin(person: str = "ann", role: str = "annotator", **settings: object) -> Engine:
            token = served.token(person, role)
            return stack.enter_context(Engine(served.target, token=token, **settings))  # type: ignore[arg-type]

        yield begin


@pytest.fixture
def labels(connect: Connect) -> RemoteLabels:
    """Labels as Ann sees them."""
    return connect("ann").sequence("drive").labels
