"""What reaches the disk before a part counts, and what happens where nothing more does."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from fleetlabel.model.errors import StoreError, StoreWriteError
from fleetlabel.store import Part, SequenceStore, describe, durable, verify
from store.drives import drive, leftovers, pictures

# --- syncing --------------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is done to the disk, in order: ("sync" | "rename", path)."""
    log: list[tuple[str, str]] = []
    rename = Path.rename

    def logged_rename(self: Path, target: Path) -> Path:
        log.append(("rename", str(target)))
        return rename(self, target)

    monkeypatch.setattr(
        os, "fsync", lambda handle: log.append(("sync", str(Path(f"/proc/self/fd/{handle}").readlink())))
    )
    monkeypatch.setattr(Path, "rename", logged_rename)
    return log


def test_a_part_is_renamed_into_place_once_all_of_it_is_synced(
    store: SequenceStore, disk: list[tuple[str, str]]
) -> None:
    table = store.sensor_table("front")
    disk.clear()
    table.write(0, pictures())
    folder = table.part_folder(0, 12)
    at = disk.index(("rename", str(folder)))
    scratch = next(path for _, path in disk if Path(path).parent == folder.parent)
    assert Path(scratch).name.startswith(".pending-00000000-00000012-")
    synced = {os.path.relpath(path, scratch) for what, path in disk[:at] if what == "sync"}
    assert synced == {path.relative_to(folder).as_posix() for path in folder.rglob("*")} | {"."}
    assert disk[at + 1 :] == [("sync", str(folder.parent))]


def test_a_document_is_synced_before_and_its_folder_after_it_is_renamed(
    tmp_path: Path, disk: list[tuple[str, str]]
) -> None:
    durable.write_file(tmp_path / "x.json", b"{}")
    (first, scratch), second, third = disk
    assert (first, Path(scratch).name.startswith(".pending-x.json-")) == ("sync", True)
    assert second == ("rename", str(tmp_path / "x.json"))
    assert third == ("sync", str(tmp_path))


def test_new_folders_are_synced_into_their_parents(tmp_path: Path, disk: list[tuple[str, str]]) -> None:
    durable.make_folder(tmp_path / "a" / "b")
    assert disk == [("sync", str(tmp_path)), ("sync", str(tmp_path / "a"))]
    durable.make_folder(tmp_path / "a" / "b")
    assert len(disk) == 2


# --- disks that refuse ----------------------------------------------------------------------------------------------


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts something of its own; skips where that is not permitted."""
    mounts: list[Path] = []

    def mount(*arguments: str) -> Path:
        place = tmp_path / f"mount{len(mounts)}"
        place.mkdir()
        done = subprocess.run(["mount", *arguments, str(place)], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
        mounts.append(place)
        return place

    yield mount
    for place in reversed(mounts):
        subprocess.run(["umount", str(place)], check=True)


def assert_intact_and_resumable(store: SequenceStore, expected_ranges: list[tuple[int, int]]) -> None:
    table = store.table("sensors/front")
    assert table.ranges() == expected_ranges
    assert verify(store) == []
    assert leftovers(store.root) == []


def big() -> Part:
    return pictures(mean_bytes=200_000)


def test_a_full_disk(mounted: Callable[..., Path]) -> None:
    disk = mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs")
    store = SequenceStore.create(disk / "drive.zarr", drive())
    table = store.sensor_table("front")
    table.write(0, big().take(0, 3))
    with pytest.raises(StoreWriteError, match="00000003-00000012: the disk is full; free some space and run"):
        table.write(3, big().take(3, 12))
    assert_intact_and_resumable(store, [(0, 3)])
    subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
    table.write(3, big().take(3, 12))
    assert_intact_and_resumable(store, [(0, 3), (3, 12)])


def test_no_room_for_a_store(mounted: Callable[..., Path]) -> None:
    disk = mounted("-t", "tmpfs", "-o", "size=16k", "tmpfs")
    with pytest.raises(StoreWriteError, match=r"cannot write .*drive\.zarr.*disk is full"):
        SequenceStore.create(disk / "drive.zarr", drive())
    assert list(disk.iterdir()) == []


def test_a_disk_without_inodes(mounted: Callable[..., Path]) -> None:
    disk = mounted("-t", "tmpfs", "-o", "size=20m,nr_inodes=150", "tmpfs")
    store = SequenceStore.create(disk / "drive.zarr", drive())
    table = store.sensor_table("front")

    def write_one_by_one() -> None:
        for start in range(12):
            table.write(start, big().take(start, start + 1))

    with pytest.raises(StoreWriteError, match="disk is full"):
        write_one_by_one()
    assert_intact_and_resumable(store, table.ranges())


def test_a_read_only_disk(store: SequenceStore, mounted: Callable[..., Path]) -> None:
    store.sensor_table("front").write(0, pictures().take(0, 3))
    disk = mounted("--bind", str(store.root.parent))
    subprocess.run(["mount", "-o", "remount,ro,bind", str(disk)], check=True)
    frozen = SequenceStore.open(disk / "drive.zarr")
    assert verify(frozen) == []
    assert describe(frozen).content_hash == describe(store).content_hash
    refused = "read-only; choose another --out"
    with pytest.raises(StoreWriteError, match=refused):
        frozen.table("sensors/front").write(3, pictures().take(3, 12))
    with pytest.raises(StoreWriteError, match=refused):
        frozen.sensor_table("left")
    with pytest.raises(StoreWriteError, match=refused), frozen.writer_lock():
        pass
    with pytest.raises(StoreWriteError, match=refused):
        SequenceStore.remove(frozen.root)
    with pytest.raises(StoreWriteError, match=refused):
        SequenceStore.create(disk / "new.zarr", drive())


def test_a_limit_on_the_size_of_files(store: SequenceStore) -> None:
    table = store.sensor_table("front")
    table.write(0, big().take(0, 3))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))
    try:
        with pytest.raises(
            StoreWriteError, match="larger than the file system or the process's limit allows"
        ):
            table.write(3, big().take(3, 12))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert_intact_and_resumable(store, [(0, 3)])


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "disk is full; free some space"),
        (errno.EDQUOT, "quota is used up"),
        (errno.EROFS, "read-only; choose another --out"),
        (errno.EACCES, "permission denied"),
        (errno.EIO, "Input/output error"),
    ],
)
@pytest.mark.parametrize("call", ["fsync", "rename", "mkdir"])
def test_every_refusal_is_one_message_and_leaves_nothing(
    store: SequenceStore, monkeypatch: pytest.MonkeyPatch, number: int, advice: str, call: str
) -> None:
    table = store.sensor_table("front")
    table.write(0, pictures().take(0, 3))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os if call == "fsync" else Path, call, refuse)
        with pytest.raises(StoreWriteError, match=f"cannot write .*00000003-00000012: .*{advice}"):
            table.write(3, pictures().take(3, 12))
    assert_intact_and_resumable(store, [(0, 3)])


def test_errors_of_our_own_are_not_dressed_up_as_the_disk_s(store: SequenceStore, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a bug"), durable.write_errors(tmp_path):
        raise RuntimeError("a bug")
    with pytest.raises(TypeError, match="JSON"):
        store.sensor_table("front").write(0, pictures(), provenance={"run": {1, 2}})
    with pytest.raises(ValueError, match="JSON"):
        store.sensor_table("front").write(0, pictures(), provenance={"score": np.nan})
    assert store.table("sensors/front").ranges() == []
    assert leftovers(store.root) == []


def test_the_output_is_in_a_file_or_below_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot write"):
        SequenceStore.create(tmp_path / "file" / "drive.zarr", drive())
