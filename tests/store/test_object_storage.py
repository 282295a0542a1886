"""Stores on object storage hold the same as local ones, whatever the network does and whoever else writes."""

from __future__ import annotations

import os
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from pathlib import Path, PurePosixPath
from threading import Barrier

import numpy as np
import pytest

from fleetlabel.model.errors import (
    CorruptStoreError,
    StoreError,
    StoreExistsError,
    StoreNotFoundError,
    StoreWriteError,
    UsageError,
)
from fleetlabel.store import SequenceStore, buckets, commits, describe, durable, groups, lease, verify
from fleetlabel.store import object_journal as journals
from fleetlabel.store.hierarchy import INDEX
from fleetlabel.store.object_path import ObjectPath, place_of
from store.drives import NAMES, assert_same_part, boxes2d, boxes3d, drive, pictures, sweeps
from store.faulty_proxy import FaultyProxy


def fill(root: Path, cut: int = 7) -> SequenceStore:
    """A store with pictures, sweeps and labels."""
    store = SequenceStore.create(root, drive())
    whole = pictures()
    for start, stop in ((0, cut), (cut, 12)):
        store.sensor_table("front").write(start, whole.take(start, stop))
    store.sensor_table("top").write(0, sweeps())
    store.write_labels("first", {"front": boxes2d()}, boxes3d(), class_names=NAMES, provenance={"made": "up"})
    return store


def keys(root: Path) -> list[str]:
    """Keys of all objects below a place."""
    assert isinstance(root, ObjectPath)
    return [key for key, _, _ in buckets.below(root.bucket, root.key)]


@pytest.mark.slow
def test_a_store_holds_the_same_as_a_local_one(bucket: Path, tmp_path: Path) -> None:
    local, remote = fill(tmp_path / "drive.zarr"), fill(bucket / "here/drive.zarr", cut=4)
    assert describe(remote).content_hash == describe(local).content_hash
    assert verify(remote) == []
    again = SequenceStore.open(remote.root)
    assert again.was_made_from(drive())
    assert_same_part(again.table("sensors/front").read(2, 9), pictures().take(2, 9))
    assert again.camera("front").jpeg(8) == local.camera("front").jpeg(8)
    assert again.lidar("top").sweep(3).points.tobytes() == local.lidar("top").sweep(3).points.tobytes()
    np.testing.assert_array_equal(
        again.labels3d("first", 3, 6).center_m, local.labels3d("first", 3, 6).center_m
    )
    with pytest.raises(StoreNotFoundError, match="not a FleetLabel store"):
        SequenceStore.open(bucket / "elsewhere")


def test_an_array_is_one_object_however_large(bucket: Path, store: SequenceStore) -> None:
    remote = SequenceStore.create(bucket / "drive.zarr", drive())
    whole = pictures(mean_bytes=2_500_000)  # several chunks
    for one in (store, remote):
        one.sensor_table("front").write(0, whole)
    data = [PurePosixPath(key) for key in keys(remote.root) if "/flat.jpeg/c/" in key]
    assert [path.name for path in data] == ["0"]
    assert len(list((store.root / "sensors/front").rglob("flat.jpeg/c/*"))) > 2
    assert remote.camera("front").jpeg(7) == store.camera("front").jpeg(7)
    assert describe(remote).content_hash == describe(store).content_hash


def test_paths_are_what_they_look_like() -> None:
    path = place_of("s3://drives/a/b.zarr")
    assert (str(path), path.name, path.stem, str(path.parent)) == (
        "s3://drives/a/b.zarr",
        "b.zarr",
        "b",
        "s3://drives/a",
    )
    assert [str(above) for above in path.parents] == ["s3://drives/a", "s3://drives"]
    assert (
        path
        == place_of(path)
        == place_of(str(path))
        == pickle.loads(pickle.dumps(path))
        == Path("s3:/drives/a/b.zarr")
    )
    assert isinstance(path / "c", ObjectPath)
    assert (path / "runs" / "x").relative_to(path).as_posix() == "runs/x"
    assert str(path.with_name("b.ledger.json")) == "s3://drives/a/b.ledger.json"
    assert not isinstance(place_of("here/there"), ObjectPath)
    with pytest.raises(UsageError, match="is on object storage, but this needs a local path"):
        open(path)  # noqa: PTH123, SIM115 - what a library would do
    with pytest.raises(UsageError, match="names no bucket"):
        place_of("s3://")


# --- commits --------------------------------------------------------------------------------------------------------


def test_of_writers_that_race_one_commits_each_sample(bucket: Path) -> None:
    remote, whole = SequenceStore.create(bucket / "drive.zarr", drive()), pictures()
    remote.sensor_table("front")
    ranges = [(0, 6), (0, 6), (4, 8), (6, 12), (6, 12), (0, 12)]
    ready = Barrier(len(ranges))

    def write(part: tuple[int, int]) -> str:
        table = SequenceStore.open(remote.root).sensor_table("front")
        ready.wait()
        try:
            table.write(part[0], whole.take(*part))
        except StoreError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(len(ranges)) as pool:
        said = dict(zip(enumerate(ranges), pool.map(write, ranges), strict=True))
    table = SequenceStore.open(remote.root).table("sensors/front")
    committed = table.ranges()
    assert all(stop <= start for (_, stop), (start, _) in pairwise(committed))
    assert {part for (_, part), error in said.items() if not error} == set(committed)
    assert all("overlaps the committed part" in error for error in said.values() if error)
    for start, stop in committed:
        assert_same_part(table.read(start, stop), whole.take(start, stop))
    assert verify(remote) == []
    folders = {
        PurePosixPath(key).parts[3]
        for key in keys(table._folder)
        if not key.endswith(("front/zarr.json", INDEX))
    }
    assert len(folders) == len(committed)  # losers clear away what they uploaded


@pytest.mark.slow
def test_what_a_dead_writer_left_is_not_seen_and_cleared_away_later(
    bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = SequenceStore.create(bucket / "drive.zarr", drive())
    table = remote.sensor_table("front")
    table.write(0, pictures().take(0, 3))
    before = describe(remote)
    (tmp_path / "flat.jpeg").write_bytes(b"half of a part")
    left = table._folder / "00000003-00000012-0123456789ab"
    assert isinstance(left, ObjectPath)
    durable.upload(tmp_path, left)
    assert table.missing() == [(3, 12)]
    assert describe(remote).content_hash == before.content_hash
    assert verify(remote) == []
    remote.clean()
    assert left.exists()  # its writer may live
    monkeypatch.setattr(commits, "_LEFT_BEHIND", timedelta(0))
    time.sleep(1)  # S3 counts whole seconds
    remote.clean()
    assert not left.exists()
    assert describe(remote).content_hash == before.content_hash


@pytest.mark.slow
def test_a_commit_of_which_the_answer_was_lost_is_one_commit(bucket: Path, proxy: FaultyProxy) -> None:
    remote = SequenceStore.create(bucket / "drive.zarr", drive())
    table = remote.sensor_table("front")
    proxy.chances, proxy.only = {"lost": 0.6}, "commits.json"
    whole = pictures()
    for start in range(0, 12, 3):
        table.write(start, whole.take(start, start + 3))
    proxy.chances = {}
    assert proxy.happened["lost"] > 0
    assert table.ranges() == [(0, 3), (3, 6), (6, 9), (9, 12)]
    assert verify(remote) == []


@pytest.mark.slow
def test_a_damaged_object_is_found(bucket: Path) -> None:
    remote = fill(bucket / "drive.zarr")
    (damaged,) = [
        key for key in keys(remote.root) if "front/00000000-00000007" in key and "/flat.jpeg/c/" in key
    ]
    content, _ = buckets.get(str(bucket), damaged)
    buckets.put(str(bucket), damaged, content[:-1] + bytes([content[-1] ^ 1]))
    assert [problem.partition(":")[0] for problem in verify(remote)] == ["sensors/front 0..7"]


# --- creating, locking, deleting ------------------------------------------------------------------------------------


def test_one_of_two_makes_a_store_and_a_dead_one_is_gone_on_with(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = bucket / "drive.zarr"
    monkeypatch.setattr(lease, "BEAT_S", 0.1)

    def write_group(folder: Path, attributes: object) -> None:
        if folder == root:
            raise KeyboardInterrupt
        groups.write_group(folder, attributes)  # type: ignore[arg-type]

    with monkeypatch.context() as dying:
        dying.setattr("fleetlabel.store.sequence.write_group", write_group)
        with pytest.raises(KeyboardInterrupt):
            SequenceStore.create(root, drive())
    with pytest.raises(StoreNotFoundError):
        SequenceStore.open(root)
    other = drive()
    with pytest.raises(StoreExistsError, match="what is left of a store of another drive"):
        SequenceStore.create(root, drive(frame_timestamp_ns=other.frame_timestamp_ns + 1))

    def create(_: int) -> str:
        try:
            return SequenceStore.create(root, drive()).info.name
        except StoreExistsError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(create, range(2)))
    assert said[0] == "drive"
    assert "already exists" in said[1]
    SequenceStore.remove(root)
    assert all("/.writer.lock/" in key for key in keys(root))
    assert SequenceStore.create(root, drive()).info.name == "drive"
    buckets.put(str(bucket), "notes/mine.txt", b"somebody else's")
    with pytest.raises(StoreExistsError):
        SequenceStore.create(bucket / "notes", drive())


def test_one_process_drives_a_store(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.1)
    remote = SequenceStore.create(bucket / "drive.zarr", drive())
    with (
        remote.writer_lock(),
        pytest.raises(StoreError, match=f"drive.zarr is being driven by process {os.getpid()}"),
        remote.writer_lock(),
    ):
        pass
    with remote.writer_lock():
        pass
    assert verify(remote) == []


# --- the journal ----------------------------------------------------------------------------------------------------


def test_a_journal_takes_records_of_several_writers(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.1)
    remote = SequenceStore.create(bucket / "drive.zarr", drive())

    def append(writer: int) -> None:
        journal = remote.journal()
        for number in range(3):
            with journal.writing() as writing:
                writing.read()
                writing.append(f"{writer} {number}".encode())

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(append, range(2)))
    journal = remote.journal()
    entries = journal.read()
    assert sorted(entry.text for entry in entries) == sorted(
        f"{w} {n}".encode() for w in range(2) for n in range(3)
    )
    assert (journal.count, journal.sha256, journal.read()) == (6, entries[-1].sha256, [])
    with remote.journal().writing() as writing:
        writing.read()
        writing.append(b"last")
    assert [entry.text for entry in journal.read()] == [b"last"]
    with pytest.raises(StoreWriteError, match="was written by somebody else meanwhile"):
        journals.ObjectWriter(remote.journal()).append(b"without looking")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="7 edits of people"):
        SequenceStore.remove(remote.root)


def test_a_record_that_is_gone_or_damaged_is_told(bucket: Path) -> None:
    remote = SequenceStore.create(bucket / "drive.zarr", drive())
    journal = remote.journal()
    with journal.writing() as writing:
        for number in range(3):
            writing.append(f"record {number}".encode())
    folder = remote.root / "journal/edits.log"
    for number in (1, 3):
        place = folder / f"{number:08d}"
        content = place.read_bytes()
        place.write_bytes(content.replace(b"record", b"rumour"))
        with pytest.raises(CorruptStoreError, match=f"{place} is damaged"):
            remote.journal().read()
        place.write_bytes(content)
    (folder / "00000002").unlink()
    assert any("00000002 is gone" in problem for problem in verify(remote))
    (folder / "00000003").unlink()
    with pytest.raises(CorruptStoreError, match="00000003 is gone"):
        journal.read()


# --- the network ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_faults_of_the_network_change_nothing(
    bucket: Path, proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "_TIMEOUT_S", 1)
    proxy.chances = {"error": 0.06, "throttled": 0.06, "cut": 0.05, "lost": 0.05, "stuck": 0.005}
    remote = fill(bucket / "drive.zarr")
    assert verify(remote) == []
    happened = dict(proxy.happened)
    assert happened.keys() >= {"error", "throttled", "cut", "lost"}
    assert describe(remote).content_hash == describe(fill(tmp_path / "drive.zarr")).content_hash


def test_what_is_wrong_is_told_within_seconds(
    bucket: Path, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(place: str) -> str:
        began = time.monotonic()
        with pytest.raises(StoreError) as caught:
            SequenceStore.create(place_of(place), drive())
        assert time.monotonic() - began < 12
        return str(caught.value)

    assert "there is no such bucket at http://127.0.0.1" in told("s3://nobody-made-this/drive.zarr")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    message = told(f"{bucket}/drive.zarr")
    assert "http://127.0.0.1:9 does not answer; look at the network, and at AWS_ENDPOINT_URL" in message
    proxy.chances = {"throttled": 1.0}
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    assert "was too busy for too long" in told("s3://asked-first/drive.zarr")
