"""Releases of stores on object storage are those of local ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetlabel.engine.exchange import writable_format
from fleetlabel.engine.fleet.deleting import delete_drive
from fleetlabel.engine.release import Asked, create, drop, export_release, read_manifest, verify_release
from fleetlabel.model.errors import StoreError
from fleetlabel.store.pins import pins_of
from release.fleets import make_store
from store.conftest import bucket, s3_port

__all__ = ["bucket", "s3_port"]  # the store's fixtures
pytestmark = pytest.mark.slow


def test_a_release_in_a_bucket(bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for root in (bucket / "fleet", tmp_path / "fleet"):
        for seed in range(2):
            make_store(root, f"drive-{seed}", 1000.0 * seed, seed=seed, start_s=1000 * seed)
    there, here = (create(root, "one", Asked()) for root in (bucket / "fleet", tmp_path / "fleet"))
    assert there.path.read_bytes() == here.path.read_bytes()
    assert create(bucket / "fleet", "one", Asked()).repeated
    release = read_manifest(there.path)
    assert not any(one.problems or one.unpinned for one in verify_release(release, bucket / "fleet"))
    done = export_release(release, bucket / "fleet", writable_format("coco"), tmp_path / "out")
    assert done.not_back == 0
    with pytest.raises(StoreError, match="part of releases: one"):
        delete_drive(bucket / "fleet" / "drive-0.zarr", who="ann", why="asked for")
    drop(bucket / "fleet", release)
    assert not pins_of(bucket / "fleet" / "drive-0.zarr")
