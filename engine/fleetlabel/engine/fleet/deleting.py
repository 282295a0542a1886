"""Deleting on purpose: a drive, a sensor or a range of time, with everything that was derived from it.

What goes with a range of frames: the sensors' data, ego poses, detections, cuboids and tracks of these frames, boxes of
all label versions, and what people said of them. With a camera: its pictures, its calibration, and all boxes in them.
With a lidar: its sweeps, its calibration, and all cuboids, which were made of its points; a source's own cuboids stay.
Boxes of other frames and other cameras stay, even where tracking or a person took what is deleted into account.

A tombstone is written first and says so once nothing is left, so that a deletion that was cut short is seen and can be
finished: every step can be done again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.fleet.catalogue import forget
from fleetlabel.engine.fleet.erasing import erase, paths_by_frame, paths_of_sensor
from fleetlabel.engine.fleet.stores import nobody_drives
from fleetlabel.engine.pipeline.ledger import ledger_path
from fleetlabel.labels.forgetting import Forgotten, condense_journal
from fleetlabel.model.errors import CorruptStoreError, StoreError, StoreNotFoundError, UsageError
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import SequenceStore, describe, durable
from fleetlabel.store.groups import DOCUMENT, read_group
from fleetlabel.store.integrity import file_sizes
from fleetlabel.store.object_path import ObjectPath
from fleetlabel.store.pins import refuse_pinned
from fleetlabel.store.rewriting import finish_rewriting
from fleetlabel.store.sequence import writer_lock_of
from fleetlabel.store.tombstones import (
    FOLDER,
    Tombstone,
    bury,
    tombstone_of,
    tombstones_of,
    write_tombstone,
)


@dataclass(frozen=True, slots=True)
class Deletion:
    """What came of it.

    Attributes:
        store: that it was deleted from.
        tombstone: that is left.
        n_bytes: by how much the store is smaller.
        repeated: it had been deleted before, and nothing was left to do.
    """

    store: Path
    tombstone: Tombstone
    n_bytes: int
    repeated: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "store": str(self.store),
            "what": self.tombstone.what,
            "bytes": self.n_bytes,
            "repeated": self.repeated,
            "tombstone": self.tombstone.to_dict(),
        }


# --- a whole drive --------------------------------------------------------------------------------------------------


def delete_drive(root: Path, *, who: str, why: str, despite_releases: bool = False) -> Deletion:
    """Deletes a store, but for its tombstone, and what the engine wrote beside it.

    Raises:
        StoreNotFoundError: there is no store.
        StoreError: somebody drives the store, or the fleet that it is in; or releases use it.
    """
    with nobody_drives(root), writer_lock_of(root):
        head = read_group(root)
        if head is None or "schema" not in head:
            raise StoreNotFoundError(f"{root} is not a FleetLabel store, so nothing of it is deleted")
        tombstone, size = tombstone_of(head), sum(file_sizes(root))
        if tombstone is None:
            _mind_releases(root, despite_releases)
            tombstone = Tombstone(
                number=0, who=who, at_ns=time.time_ns(), why=why, name=head["name"], sha256=_content_hash(root),
                finished=True,
            )  # fmt: skip
            bury(root, head, tombstone)
        left = [entry for entry in root.iterdir() if entry.name not in (DOCUMENT, durable.LOCK)]
        beside = [path for path in (ledger_path(root), _page(root)) if path is not None and path.is_file()]
        for entry in left:
            durable.take_away(entry) if entry.is_dir() else durable.remove_files([entry])
        durable.remove_files(beside)
        forget(root.parent)
        return Deletion(root, tombstone, size - sum(file_sizes(root)), repeated=not (left or beside))


def readmit(root: Path) -> list[Tombstone]:
    """Takes tombstones away, so that what they stand for may be ingested again; returns them.

    Of a whole drive, the next run makes the store anew. Of a sensor or a range of time, `--overwrite` brings it back.

    Raises:
        StoreError: nothing was deleted, or its deletion is not finished.
    """
    with nobody_drives(root), writer_lock_of(root):
        whole = tombstone_of(read_group(root))
        found = [whole] if whole else list(tombstones_of(root))
        unfinished = [one for one in found if not one.finished]
        if unfinished:
            raise StoreError(f"{root}: {unfinished[0].what} is not deleted to the end; delete it again first")
        if not found:
            raise StoreNotFoundError(f"nothing of {root} was deleted, so there is nothing to readmit")
        if whole is None:
            durable.take_away(root / FOLDER)
    if whole is not None:
        durable.remove_folder(root, last=DOCUMENT)
    return found


# --- a sensor, a range of time --------------------------------------------------------------------------------------


def delete_sensor(root: Path, sensor: str, *, who: str, why: str, despite_releases: bool = False) -> Deletion:
    """Deletes a sensor from a store, with its calibration and everything that was made of its data.

    Raises:
        StoreNotFoundError: the store has no such sensor.
        UsageError: it is the only one.
        StoreError: releases use the store.
    """
    with _deleting(root) as store:
        earlier = [one for one in store.tombstones() if one.sensor == sensor]
        if earlier and earlier[-1].finished:
            return Deletion(root, earlier[-1], 0, repeated=True)
        if not earlier:
            kind = store.info.sensor(sensor).kind
            if len(store.info.sensors) == 1:
                raise UsageError(f"{sensor} is the only sensor of {root}; delete the whole drive")
            _mind_releases(root, despite_releases)
            tombstone = _begin(
                store, paths_of_sensor(store, sensor, kind), who, why, sensor=sensor, kind=kind.value
            )
        else:
            tombstone = earlier[-1]
        return _finish(store, tombstone)


def delete_frames(
    root: Path, start_ns: int, stop_ns: int, *, who: str, why: str, despite_releases: bool = False
) -> Deletion | None:
    """Deletes the frames whose times lie in ``start_ns:stop_ns`` from a store, and everything of these frames.

    Returns:
        None if the store has no frames in that time.

    Raises:
        UsageError: it has no others.
        StoreError: releases use the store.
    """
    with _deleting(root) as store:
        times = store.info.frame_timestamp_ns
        first, stop = (int(row) for row in np.searchsorted(times, (start_ns, stop_ns)))
        if first == stop:
            return None
        if stop - first == len(times):
            raise UsageError(f"{root} has no frames but those; delete the whole drive")
        for earlier in store.tombstones():
            if earlier.frames == (first, stop) and earlier.times_ns == (start_ns, stop_ns):
                return Deletion(root, earlier, 0, True) if earlier.finished else _finish(store, earlier)
        _mind_releases(root, despite_releases)
        frames, span = (first, stop), (start_ns, stop_ns)
        return _finish(store, _begin(store, paths_by_frame(store), who, why, frames=frames, times_ns=span))


def _mind_releases(root: Path, despite_releases: bool) -> None:
    if not despite_releases:
        refuse_pinned(
            root, "say --despite-releases, and `fleetlabel release verify` will tell what they lack"
        )


@contextmanager
def _deleting(root: Path) -> Iterator[SequenceStore]:
    """The store, ours alone, with earlier deletions finished."""
    if isinstance(root, ObjectPath):
        raise UsageError(
            f"{root} is on object storage, where only whole drives are deleted; copy it to a folder, delete there, "
            "delete the drive here, readmit it and copy it back"
        )
    with nobody_drives(root):
        store = SequenceStore.open(root)
        with store.writer_lock():
            finish_rewriting(root)
            store.clean()
            yield SequenceStore.open(root)


def _begin(store: SequenceStore, paths: list[str], who: str, why: str, **what: Any) -> Tombstone:
    described = describe(store)
    tombstone = Tombstone(
        number=1 + max((one.number for one in store.tombstones()), default=0),
        who=who,
        at_ns=time.time_ns(),
        why=why,
        name=store.info.name,
        sha256=described.content_hash,
        tables={table.path: table.content_hash for table in described.tables if table.path in paths},
        **what,
    )
    write_tombstone(store.root, tombstone)
    return tombstone


def _finish(store: SequenceStore, tombstone: Tombstone) -> Deletion:
    size = sum(file_sizes(store.root))
    reason = f"{tombstone.what} was deleted: {tombstone.why}"
    kind = None if tombstone.kind is None else SensorKind(tombstone.kind)
    forgotten = Forgotten(tombstone.frames)
    if kind is not None:
        forgotten = Forgotten(camera=tombstone.sensor if kind is SensorKind.CAMERA else "")
    # While its edits still fit the labels.
    condense_journal(store, forgotten, author=tombstone.who, reason=reason)
    erase(store, tombstone, forgotten)
    done = replace(tombstone, finished=True)
    write_tombstone(store.root, done)
    page = _page(store.root)
    if page is not None:
        durable.remove_files([page])
    forget(store.root.parent)
    return Deletion(store.root, done, size - sum(file_sizes(store.root)))


def _content_hash(root: Path) -> str:
    try:
        return describe(SequenceStore.open(root)).content_hash
    except (CorruptStoreError, StoreNotFoundError):
        return ""  # what is damaged can be deleted as well


def _page(store: Path) -> Path | None:
    """The page that ``fleetlabel report`` writes beside a store, with pictures of it."""
    page = store.with_suffix(".html")
    return page if page.is_file() and b"fleetlabel" in page.read_bytes()[:4096].lower() else None
