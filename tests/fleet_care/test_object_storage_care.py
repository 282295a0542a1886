"""Stores on object storage: found, checked, collected and deleted like those in folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet_care.test_gc import disposable, intact, run_ids
from fleetlabel.engine.fleet.catalogue import Query, find
from fleetlabel.engine.fleet.deleting import delete_drive, delete_sensor, readmit
from fleetlabel.engine.fleet.gc import collect, survey
from fleetlabel.engine.fleet.verifying import check_fleet
from fleetlabel.model.errors import StoreDeletedError, StoreNotFoundError, UsageError
from fleetlabel.store import SequenceStore
from fleetlabel.store.durable import LOCK
from store.conftest import bucket, s3_port
from store.drives import drive

__all__ = ["bucket", "s3_port"]  # the store's fixtures
pytestmark = pytest.mark.slow
BY = {"who": "ann", "why": "asked for"}


def test_care_of_a_bucket(bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one = SequenceStore.create(bucket / "fleet" / "one.zarr", drive(name="one"))
    SequenceStore.create(bucket / "fleet" / "two.zarr", drive(name="two"))
    kept = disposable(one)

    found = find(bucket / "fleet", Query(classes=("car",)))
    assert ([hit.entry.name for hit in found.found], found.stores) == (["one"], 2)
    assert [seen.problems for seen in check_fleet(bucket / "fleet", 1)] == [(), ()]

    assert len([holding for holding in survey(one, superseded=True) if not holding.pinned_by]) == 3
    collect(one, superseded=True)
    assert run_ids(one) == kept
    intact(one, kept)

    with pytest.raises(UsageError, match="only whole drives"):
        delete_sensor(one.root, "front", **BY)
    done = delete_drive(one.root, **BY)
    assert done.n_bytes > 0
    assert {entry.name for entry in one.root.iterdir()} <= {"zarr.json", LOCK}
    with pytest.raises(StoreDeletedError, match="deleted by ann"):
        SequenceStore.open(one.root)
    with pytest.raises(StoreDeletedError, match="deleted by ann"):
        SequenceStore.create(one.root, drive(name="one"))
    assert [hit.entry.name for hit in find(bucket / "fleet", Query()).found] == ["two"]
    readmit(one.root)
    with pytest.raises(StoreNotFoundError):
        SequenceStore.open(one.root)
    SequenceStore.create(one.root, drive(name="one"))
