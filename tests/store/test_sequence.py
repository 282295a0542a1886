"""Stores are created whole, opened only if they are ours, and never cost anybody's data when replaced."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from fleetlabel.model.errors import (
    CorruptStoreError,
    SourceError,
    StoreError,
    StoreExistsError,
    StoreNotFoundError,
)
from fleetlabel.store import SequenceStore, describe, verify
from fleetlabel.store.groups import read_group, write_group
from store.drives import drive, leftovers, pictures

ODD_NAMES = ("front camera", "камера", "a\\b", "100%", "0-8", "c", "00000000-00000005", "'\"", "x" * 200)


def test_what_is_known_of_a_drive_comes_back(tmp_path: Path) -> None:
    info = drive(world_offset_m=np.array([1e6, -2e6, 0.1]), source={"format": "x", "n": [1, {"a": None}]})
    created = SequenceStore.create(tmp_path / "deep" / "er" / "drive.zarr", info)
    for store in (created, SequenceStore.open(created.root)):
        found = store.info
        assert (found.name, found.source, found.n_frames) == (info.name, info.source, info.n_frames)
        np.testing.assert_array_equal(found.frame_timestamp_ns, info.frame_timestamp_ns)
        np.testing.assert_array_equal(found.world_offset_m, info.world_offset_m)
        np.testing.assert_array_equal(found.trajectory.world_from_ego, info.trajectory.world_from_ego)
        np.testing.assert_array_equal(found.trajectory.timestamp_ns, info.trajectory.timestamp_ns)
        assert found.trajectory.max_extrapolation_ns == info.trajectory.max_extrapolation_ns
        assert [s.to_dict() for s in found.sensors] == [s.to_dict() for s in info.sensors]
    assert leftovers(tmp_path) == []


def test_a_drive_without_sensors(tmp_path: Path) -> None:
    store = SequenceStore.create(tmp_path / "s", drive(cameras=(), lidars=()))
    assert SequenceStore.open(store.root).info.sensors == ()
    assert verify(store) == []
    assert describe(store).sensors == ()


def test_sensors_with_odd_names(tmp_path: Path) -> None:
    store = SequenceStore.create(tmp_path / "s p a c e é", drive(cameras=ODD_NAMES))
    for seed, name in enumerate(ODD_NAMES):
        store.sensor_table(name).write(0, pictures(seed=seed))
    again = SequenceStore.open(store.root)
    for seed, name in enumerate(ODD_NAMES):
        assert again.camera(name).jpeg(0) == pictures(seed=seed).take(0, 1).flat["jpeg"].tobytes()
    assert verify(again) == []
    assert len(describe(again).tables) == len(ODD_NAMES) + 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame_timestamp_ns": np.empty(0, np.int64)}, "at least one frame"),
        ({"frame_timestamp_ns": np.array([1, 3, 3])}, "frame 2 has timestamp 3 ns, not later than frame 1"),
        ({"frame_timestamp_ns": np.array([0.0, 1.0])}, "float64"),
        ({"sensors": drive().sensors + drive().sensors[:1]}, "same name"),
    ],
)
def test_what_is_no_sequence_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        drive(**changes)


# --- create and open ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["store", "folder", "full folder", "file", "link", "dangling link"])
def test_nothing_that_exists_is_written_over(tmp_path: Path, what: str) -> None:
    out = tmp_path / "out"
    match what:
        case "store":
            SequenceStore.create(out, drive())
        case "folder":
            out.mkdir()
        case "full folder":
            out.mkdir()
            (out / "thesis.tex").write_text("years of work")
        case "file":
            out.write_text("years of work")
        case "link":
            (tmp_path / "elsewhere").mkdir()
            out.symlink_to(tmp_path / "elsewhere")
        case "dangling link":
            out.symlink_to(tmp_path / "elsewhere")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreExistsError, match="already exists; pass --resume"):
        SequenceStore.create(out, drive())
    with pytest.raises(FileExistsError):
        SequenceStore.create(out, drive())
    assert sorted(tmp_path.rglob("*")) == before


def test_a_store_that_another_process_created_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that start at once: the later one must not go on with the other's store as if it were its own."""
    from fleetlabel.store import sequence

    def other_is_faster(folder: Path, attributes: dict[str, object]) -> None:
        if "schema" in attributes:
            monkeypatch.undo()
            SequenceStore.create(tmp_path / "out", drive(name="other"))
        write_group(folder, attributes)

    monkeypatch.setattr(sequence, "write_group", other_is_faster)
    with pytest.raises(StoreExistsError):
        SequenceStore.create(tmp_path / "out", drive(name="mine"))
    assert SequenceStore.open(tmp_path / "out").info.name == "other"
    assert leftovers(tmp_path) == []


def test_what_a_killed_create_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    for name in (".pending-out-0123456789ab", ".pending-out-two-0123456789ab", ".pending-notes"):
        (tmp_path / name).mkdir()
    SequenceStore.create(tmp_path / "out", drive())
    assert sorted(leftovers(tmp_path)) == [".pending-notes", ".pending-out-two-0123456789ab"]


@pytest.mark.parametrize("what", ["nothing", "folder", "file", "other zarr", "not json"])
def test_what_is_no_store_is_not_opened(tmp_path: Path, what: str) -> None:
    out = tmp_path / "out"
    if what == "file":
        out.write_text("hello")
    elif what != "nothing":
        out.mkdir()
    if what == "other zarr":
        (out / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    if what == "not json":
        (out / "zarr.json").write_text("{")
        with pytest.raises(CorruptStoreError, match="is damaged"):
            SequenceStore.open(out)
        return
    with pytest.raises(StoreNotFoundError, match="not a FleetLabel store; make one with `fleetlabel ingest"):
        SequenceStore.open(out)


def test_another_schema_version_is_named(store: SequenceStore) -> None:
    write_group(store.root, (read_group(store.root) or {}) | {"schema": 99})
    with pytest.raises(StoreError, match="has schema version 99, this FleetLabel reads 1"):
        SequenceStore.open(store.root)


# --- remove ---------------------------------------------------------------------------------------------------------


def test_a_store_is_removed_whole(store: SequenceStore) -> None:
    store.sensor_table("front").write(0, pictures())
    (store.root / "sensors" / ".pending-x-0123456789ab").mkdir()
    SequenceStore.remove(store.root)
    assert list(store.root.parent.iterdir()) == []
    SequenceStore.remove(store.root)  # nothing there: nothing to do
    SequenceStore.create(store.root, drive())


@pytest.mark.parametrize("what", ["parent", "home", "file", "other zarr", "damaged", "inner"])
def test_what_is_no_store_is_never_removed(store: SequenceStore, what: str) -> None:
    parent = store.root.parent
    match what:
        case "parent":
            target = parent
        case "home":
            target = parent / "home"
            target.mkdir()
            (target / "thesis.tex").write_text("years of work")
        case "file":
            target = parent / "thesis.tex"
            target.write_text("years of work")
        case "other zarr":
            target = parent / "other.zarr"
            target.mkdir()
            (target / "zarr.json").write_text(
                '{"zarr_format": 3, "node_type": "group", "attributes": {"schema": 1}}'
            )
        case "damaged":
            target = store.root
            (target / "zarr.json").write_text("{")
        case "inner":
            target = store.root / "sensors"
    before = sorted(parent.rglob("*"))
    with pytest.raises(StoreError, match="will not be overwritten|is damaged"):
        SequenceStore.remove(target)
    assert sorted(parent.rglob("*")) == before


def test_a_link_to_a_store_is_not_followed(store: SequenceStore) -> None:
    link = store.root.with_name("link")
    link.symlink_to(store.root)
    with pytest.raises(StoreError, match="is a link"):
        SequenceStore.remove(link)
    assert verify(store) == []
    dangling = store.root.with_name("dangling")
    dangling.symlink_to(store.root.with_name("nowhere"))
    with pytest.raises(StoreError, match="is a link"):
        SequenceStore.remove(dangling)


def test_links_inside_a_store_are_removed_not_followed(store: SequenceStore, tmp_path: Path) -> None:
    other = SequenceStore.create(tmp_path / "other", drive())
    other.sensor_table("front").write(0, pictures())
    (store.root / "sensors" / "front").symlink_to(other.root / "sensors" / "front")
    assert store.camera("front").jpeg(0)
    SequenceStore.remove(store.root)
    assert verify(other) == []
    assert other.camera("front").jpeg(0)


@pytest.mark.parametrize("place", [".", "sensors", "sensors/front", "labels", "runs"])
def test_a_store_in_which_people_put_their_files_is_not_removed(store: SequenceStore, place: str) -> None:
    store.sensor_table("front").write(0, pictures())
    (store.root / place / "notes.txt").write_text("years of work")
    (store.root / place / "videos").mkdir()
    with pytest.raises(
        StoreError, match=r"did not write.*notes\.txt.*videos|did not write.*videos.*notes\.txt"
    ):
        SequenceStore.remove(store.root)
    assert (store.root / place / "notes.txt").exists()
    assert verify(SequenceStore.open(store.root)) == []
    assert store.camera("front").jpeg(0)


@pytest.mark.parametrize("inside", [True, False])
def test_the_current_folder(store: SequenceStore, monkeypatch: pytest.MonkeyPatch, inside: bool) -> None:
    """``--out .``: removed if it is a store, refused if it merely holds one."""
    monkeypatch.chdir(store.root if inside else store.root.parent)
    if inside:
        SequenceStore.remove(Path())
        assert not store.root.exists()
    else:
        for path in (Path(), Path(), Path("..")):
            with pytest.raises(StoreError, match="not a FleetLabel store"):
                SequenceStore.remove(path)
        assert verify(store) == []
        SequenceStore.remove(Path("drive.zarr"))
        assert not store.root.exists()


def test_a_removal_that_was_interrupted_can_be_done_again(
    store: SequenceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.sensor_table("front").write(0, pictures())
    real, calls = shutil.rmtree, []

    def dies(path: Path, *args: object, **more: object) -> None:
        calls.append(path)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(path)

    monkeypatch.setattr(shutil, "rmtree", dies)
    with pytest.raises(KeyboardInterrupt):
        SequenceStore.remove(store.root)
    monkeypatch.undo()
    assert store.root.exists()
    SequenceStore.remove(store.root)
    assert not store.root.exists()


def test_a_store_that_is_being_written_is_not_removed(store: SequenceStore) -> None:
    with (
        store.writer_lock(),
        pytest.raises(StoreError, match=f"written by another process .pid {os.getpid()}"),
    ):
        SequenceStore.remove(store.root)
    assert verify(store) == []


# --- clean ----------------------------------------------------------------------------------------------------------


def test_clean_takes_leftovers_and_nothing_else(store: SequenceStore) -> None:
    table = store.sensor_table("front")
    table.write(0, pictures().take(0, 5))
    places = [store.root, store.root / "sensors", store.root / "sensors" / "front", store.root / "labels"]
    for place in places:
        (place / ".pending-00000005-00000012-0123456789ab" / "flat.jpeg").mkdir(parents=True)
        (place / ".pending-zarr.json-0123456789ab").write_bytes(b"{")
        (place / ".pending-mine").write_text("not one of ours")
    before = describe(store).content_hash
    with store.writer_lock():
        store.clean()
    assert set(leftovers(store.root)) == {".pending-mine"}
    assert describe(store).content_hash == before
    assert verify(store) == []
    assert table.ranges() == [(0, 5)]
