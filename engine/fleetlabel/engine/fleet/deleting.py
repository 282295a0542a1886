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
from fleetlabel.engine.fleet.stores import nobody_drives
from fleetlabel.engine.pipeline.ledger import ledger_path
from fleetlabel.labels.forgetting import Forgotten, condense_journal
from fleetlabel.model.errors import CorruptStoreError, StoreError, StoreNotFoundError, UsageError
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import CommitRecord, Part, SampleStatus, SequenceStore, Table, describe, durable
from fleetlabel.store.groups import DOCUMENT, read_group, subgroups, write_group
from fleetlabel.store.integrity import file_sizes, tables_of
from fleetlabel.store.object_path import ObjectPath
from fleetlabel.store.rewriting import finish_rewriting, rewrite_part
from fleetlabel.store.runs import find_runs
from fleetlabel.store.sequence import GROUND_TRUTH, writer_lock_of
from fleetlabel.store.tombstones import (
    FOLDER,
    Tombstone,
    as_it_is_now,
    blanked,
    bury,
    is_by_frame,
    tombstone_of,
    tombstones_of,
    write_tombstone,
)
from fleetlabel.store.versions import OBJECTS, documents_of

_OF_CUBOIDS = ("lift", "track3d", "smooth3d")


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


def delete_drive(root: Path, *, who: str, why: str) -> Deletion:
    """Deletes a store, but for its tombstone, and what the engine wrote beside it.

    Raises:
        StoreNotFoundError: there is no store.
        StoreError: somebody drives the store, or the fleet that it is in.
    """
    with nobody_drives(root), writer_lock_of(root):
        head = read_group(root)
        if head is None or "schema" not in head:
            raise StoreNotFoundError(f"{root} is not a FleetLabel store, so nothing of it is deleted")
        tombstone, size = tombstone_of(head), sum(file_sizes(root))
        if tombstone is None:
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


def delete_sensor(root: Path, sensor: str, *, who: str, why: str) -> Deletion:
    """Deletes a sensor from a store, with its calibration and everything that was made of its data.

    Raises:
        StoreNotFoundError: the store has no such sensor.
        UsageError: it is the only one.
    """
    with _deleting(root) as store:
        earlier = [one for one in store.tombstones() if one.sensor == sensor]
        if earlier and earlier[-1].finished:
            return Deletion(root, earlier[-1], 0, repeated=True)
        if not earlier:
            kind = store.info.sensor(sensor).kind
            if len(store.info.sensors) == 1:
                raise UsageError(f"{sensor} is the only sensor of {root}; delete the whole drive")
            paths = [path for path in _all_paths(store) if _is_of_sensor(path, sensor, kind)]
            tombstone = _begin(store, paths, who, why, sensor=sensor, kind=kind.value)
        else:
            tombstone = earlier[-1]
        return _finish(store, tombstone)


def delete_frames(root: Path, start_ns: int, stop_ns: int, *, who: str, why: str) -> Deletion | None:
    """Deletes the frames whose times lie in ``start_ns:stop_ns`` from a store, and everything of these frames.

    Returns:
        None if the store has no frames in that time.

    Raises:
        UsageError: it has no others.
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
        paths = [path for path in _all_paths(store) if is_by_frame(path) or path == "ego"]
        frames, span = (first, stop), (start_ns, stop_ns)
        return _finish(store, _begin(store, paths, who, why, frames=frames, times_ns=span))


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
    condense_journal(
        store, forgotten, author=tombstone.who, reason=reason
    )  # while its edits still fit the labels
    _drop_unfinished(store)
    if tombstone.frames is not None:
        _blank_frames(store, tombstone)
    elif kind is not None and tombstone.sensor is not None:
        _drop_sensor(store, tombstone, tombstone.sensor, kind)
    _forget_in_versions(store, tombstone, forgotten)
    finish_rewriting(store.root)
    done = replace(tombstone, finished=True)
    write_tombstone(store.root, done)
    page = _page(store.root)
    if page is not None:
        durable.remove_files([page])
    forget(store.root.parent)
    return Deletion(store.root, done, size - sum(file_sizes(store.root)))


def _drop_unfinished(store: SequenceStore) -> None:
    """Takes runs and label versions away that are not whole: what they were made of is not there any more."""
    for name in subgroups(store.root / "labels"):
        if name not in store.label_versions():
            durable.take_away(store.root / "labels" / name)
    for stage in subgroups(store.root / "runs"):
        for run in find_runs(store, stage) if stage != "choices" else ():
            paths = [f"{run.path}/{sensor}" for sensor in subgroups(store.root / run.path)]
            if not all(store.has_table(path) and store.table(path).is_complete() for path in paths):
                durable.take_away(store.root / run.path)


def _blank_frames(store: SequenceStore, tombstone: Tombstone) -> None:
    assert tombstone.frames is not None
    start, stop = tombstone.frames
    for table in tables_of(store.root):
        if not is_by_frame(table.path):
            continue
        for record in table.records():
            # Later checkpoints know of what went on before; nothing is tracked on from them any more.
            if record.stop > start and (record.start < stop or record.state_sha256 is not None):
                part = blanked(table.read_part(record), record.start, [(start, stop)], SampleStatus.MISSING)
                _rewrite(store, table, record, part, tombstone)
    ego = store.table("ego")
    poses = as_it_is_now(store.info, [tombstone]).trajectory.world_from_ego
    for record in ego.records():
        part = ego.read_part(record)
        samples = {**part.samples, "world_from_ego": poses[record.start : record.stop]}
        _rewrite(store, ego, record, Part(samples, part.counts), tombstone)


def _drop_sensor(store: SequenceStore, tombstone: Tombstone, sensor: str, kind: SensorKind) -> None:
    store.describe_anew(as_it_is_now(store.info, [tombstone]))
    for path in _all_paths(store):
        if kind is SensorKind.CAMERA and _is_of_sensor(path, sensor, kind) and path.startswith("runs/"):
            durable.take_away(store.root / path)
        elif kind is SensorKind.LIDAR and _is_of_cuboids(store, path):
            table = store.table(path)
            for record in table.records():
                everything = blanked(
                    table.read_part(record), record.start, [(record.start, record.stop)], SampleStatus.MISSING
                )
                _rewrite(store, table, record, everything, tombstone)
    if store.has_table(f"sensors/{sensor}"):
        durable.take_away(store.root / "sensors" / sensor)


def _forget_in_versions(store: SequenceStore, tombstone: Tombstone, forgotten: Forgotten) -> None:
    camera = forgotten.camera
    for name in store.label_versions():
        folder = store.root / "labels" / name
        head = read_group(folder) or {}
        if head.get("base") is not None:
            for path in store.labels(name).table_paths:
                if store.has_table(path):
                    _forget_in_changes(store, store.table(path), tombstone, forgotten)
        for key in ("cameras", "changed_cameras") if camera else ():
            if key in head:
                head[key] = [one for one in head[key] if one != camera]
        marked = sorted({*head.get("tombstones", ()), tombstone.number})
        write_group(folder, head | {"tombstones": marked})
        for kind in ("boxes2d", "objects2d") if camera else ():
            if (folder / kind / str(camera)).exists():
                durable.take_away(folder / kind / str(camera))


def _forget_in_changes(
    store: SequenceStore, table: Table, tombstone: Tombstone, forgotten: Forgotten
) -> None:
    """What a version of people's edits says of each object."""
    for record in table.records():
        part = table.read_part(record)
        if table.path.endswith(f"/{OBJECTS}"):
            documents = documents_of(part)
            left = [forgotten.of_document(documents[key]) for key in part.samples["object_id"].tolist()]
            text = np.frombuffer(b"".join(left), dtype=np.uint8)
            counts = np.array([len(document) for document in left], dtype=np.int64)
            _rewrite(store, table, record, Part(part.samples, counts, {"json": text}), tombstone)
            continue
        rows = np.zeros(int(part.counts.sum()), dtype=np.bool_)
        if forgotten.frames is not None:
            frame = part.flat["frame"]
            rows = (frame >= forgotten.frames[0]) & (frame < forgotten.frames[1])
        elif forgotten.camera == "" and "center_m" in part.flat:
            rows[:] = True
        if rows.any():
            owner = np.repeat(np.arange(len(part)), part.counts)
            counts = np.bincount(owner[~rows], minlength=len(part)).astype(np.int64)
            flat = {name: column[~rows] for name, column in part.flat.items()}
            _rewrite(store, table, record, Part(part.samples, counts, flat), tombstone)


def _rewrite(
    store: SequenceStore, table: Table, record: CommitRecord, part: Part, tombstone: Tombstone
) -> None:
    done = record.provenance.get("tombstones", [])
    if tombstone.number in done:
        return
    frames = range(*tombstone.frames) if tombstone.frames is not None else range(0)
    rewrite_part(
        store.root,
        table,
        record,
        part,
        provenance={**record.provenance, "tombstones": [*done, tombstone.number]},
        quarantined=[entry for entry in record.quarantined if entry.sample not in frames],
    )


def _all_paths(store: SequenceStore) -> list[str]:
    return [table.path for table in tables_of(store.root)]


def _is_of_sensor(path: str, sensor: str, kind: SensorKind) -> bool:
    """Whether a table is a sensor's, or of boxes that were made of its data."""
    if path.startswith(("sensors/", "runs/", "labels/")) and path.rpartition("/")[2] == sensor:
        return True
    return kind is SensorKind.LIDAR and _holds_cuboids(path)


def _holds_cuboids(path: str) -> bool:
    """Whether a table holds cuboids that were made of points; a source's own are not known to be."""
    if path.startswith("labels/"):
        return path.endswith(("/boxes3d", "/objects3d")) and not path.startswith(f"labels/{GROUND_TRUTH}/")
    return path.startswith(tuple(f"runs/{stage}/" for stage in _OF_CUBOIDS))


def _is_of_cuboids(store: SequenceStore, path: str) -> bool:
    return _holds_cuboids(path) and is_by_frame(path) and store.has_table(path)


def _content_hash(root: Path) -> str:
    try:
        return describe(SequenceStore.open(root)).content_hash
    except (CorruptStoreError, StoreNotFoundError):
        return ""  # what is damaged can be deleted as well


def _page(store: Path) -> Path | None:
    """The page that ``fleetlabel report`` writes beside a store, with pictures of it."""
    page = store.with_suffix(".html")
    return page if page.is_file() and b"fleetlabel" in page.read_bytes()[:4096].lower() else None
