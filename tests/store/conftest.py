"""Fixtures for the store's tests."""

from __future__ import annotations

import http.client
import multiprocessing
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from fleetlabel.store import SequenceStore
from fleetlabel.store.object_path import place_of
from store.drives import drive
from store.faulty_proxy import FaultyProxy

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


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """Port of a process that speaks S3."""
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("s3_server.py"))], stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    yield int(server.stdout.readline())
    server.kill()
    server.wait()


@pytest.fixture
def bucket(s3_port: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new bucket, with the environment that reaches it."""
    use_s3(monkeypatch, f"http://127.0.0.1:{s3_port}")
    name = f"bucket-{secrets.token_hex(6)}"
    signed = (
        "AWS4-HMAC-SHA256 Credential=me/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
    )
    made = http.client.HTTPConnection("127.0.0.1", s3_port)
    made.request("PUT", f"/{name}", headers={"Authorization": signed})
    assert made.getresponse().status == 200
    return place_of(f"s3://{name}")


@pytest.fixture
def proxy(s3_port: int, bucket: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """A proxy that the bucket is reached through; without faults until a test asks for some."""
    made = FaultyProxy(s3_port)
    use_s3(monkeypatch, made.url)
    yield made
    made.close()


def use_s3(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Sets the environment that standard tools know."""
    for name, value in (("ENDPOINT_URL", url), ("ACCESS_KEY_ID", "me"), ("SECRET_ACCESS_KEY", "secret")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
