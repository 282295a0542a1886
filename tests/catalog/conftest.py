"""Catalogs in SQLite and in PostgreSQL, a small drive, and a detector that works on it."""

from __future__ import annotations

import itertools
import multiprocessing
import shutil
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from catalog import postgres
from fleetlabel.engine.catalog import Catalog
from fleetlabel.engine.ingest.testing import Scene, write_pandaset
from pipeline.conftest import fleetlabel as fleetlabel
from pipeline.conftest import write_bright_detector

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[Path]:
    """A PostgreSQL server's socket."""
    programs = postgres.binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed, and only root can install it: apt-get install postgresql")
    with postgres.running(programs) as socket:
        yield socket


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new catalog may be made."""
    if request.param == "sqlite":
        return str(tmp_path / "state" / "catalog.sqlite")
    import psycopg

    socket = request.getfixturevalue("postgres_socket")
    name = f"catalog{next(_NUMBERS)}"
    with psycopg.connect(host=str(socket), user="fleetlabel", dbname="postgres", autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
    return f"postgresql://fleetlabel@/{name}?host={socket}"


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    with Catalog(catalog_url) as opened:
        yield opened


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """Processes that start at once: forked from a server which has the imports and no threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["catalog.engines"])
    return context


@pytest.fixture(scope="session")
def small_drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a drive and a detector's weights; not to be changed."""
    root = tmp_path_factory.mktemp("given")
    write_pandaset(root / "drive", Scene(n_frames=8, n_objects=4))
    write_bright_detector(root / "bright.onnx")
    return root


@pytest.fixture
def root(small_drive: Path, tmp_path: Path) -> Path:
    """A root with the drive and the weights that a test may write to."""
    shutil.copytree(small_drive, tmp_path / "data")
    return tmp_path / "data"
