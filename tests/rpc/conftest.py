"""A small drive, a detector that works on it, and engines that serve them."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fleetlabel.engine.ingest.testing import Scene, ingest, write_pandaset
from fleetlabel.engine.pipeline import run as pipeline
from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.engine.pipeline.driver import Hire
from pipeline.conftest import fleetlabel as fleetlabel
from pipeline.conftest import write_bright_detector
from rpc.api import Api, Opened
from rpc.servers import Served, serving

FRAMES = 8


@pytest.fixture(scope="session")
def given_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a drive log, a detector's weights and an ingested sequence with ground truth; not to be changed."""
    root = tmp_path_factory.mktemp("given")
    write_pandaset(root / "drive", Scene(n_frames=FRAMES, n_objects=4))
    write_bright_detector(root / "bright.onnx")
    ingest(root / "drive", root / "town.zarr")
    return root


@pytest.fixture
def root(given_root: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(given_root, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def served(root: Path, tmp_path: Path) -> Iterator[Served]:
    """An engine that serves the copy."""
    with serving(tmp_path, root) as engine:
        yield engine


@pytest.fixture
def opened(served: Served) -> Iterator[Opened]:
    """The API as somebody of a role sees it."""
    with ExitStack() as stack:
        yield lambda role: Api(stack.enter_context(served.channel(served.token(role, role))))


@pytest.fixture
def api(opened: Opened) -> Api:
    """The API as an admin sees it."""
    return opened("admin")


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Set it, and drives are ingested; until then, ingests of engines that were begun after this wait."""
    go_on = threading.Event()
    ingest_drive = pipeline.ingest

    def ingest_then(
        source: Path, config: RunConfig, observer: pipeline.Observer, hire: Hire
    ) -> pipeline.Outcome:
        go_on.wait()
        return ingest_drive(source, config, observer, hire)

    monkeypatch.setattr(pipeline, "ingest", ingest_then)
    yield go_on
    go_on.set()


@pytest.fixture(scope="session")
def shared_engine(given_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An engine for tests whose calls change nothing."""
    with serving(tmp_path_factory.mktemp("shared"), given_root) as engine:
        yield engine


@pytest.fixture(scope="session")
def shared(shared_engine: Served) -> Iterator[Api]:
    """Its API as an admin sees it."""
    with shared_engine.channel(shared_engine.token("admin", "admin")) as channel:
        yield Api(channel)
