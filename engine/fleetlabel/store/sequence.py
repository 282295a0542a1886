"""One sequence's store: what it holds and where."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D
from fleetlabel.model.errors import (
    StoreError,
    StoreExistsError,
    StoreNotFoundError,
    StoreWriteError,
    UsageError,
)
from fleetlabel.model.names import name_problem
from fleetlabel.store import buckets, durable
from fleetlabel.store.boxes import B, boxes_of, part_of
from fleetlabel.store.commits import commits_of
from fleetlabel.store.description import (
    CALIBRATION,
    EGO,
    FRAMES,
    GROUPS,
    SCHEMA_VERSION,
    head_and_calibration,
    read_description,
    same_frames,
    write_description,
)
from fleetlabel.store.durable import LOCK
from fleetlabel.store.groups import DOCUMENT, read_group, subgroups, write_group
from fleetlabel.store.hierarchy import INTAKE, JOURNAL, add_group, is_table, strangers, walk_groups
from fleetlabel.store.info import SequenceInfo
from fleetlabel.store.journal import Journal, JournalFile
from fleetlabel.store.lease import Lease
from fleetlabel.store.object_journal import ObjectJournal
from fleetlabel.store.object_path import ObjectPath, place_of
from fleetlabel.store.part import Part
from fleetlabel.store.pins import refuse_pinned
from fleetlabel.store.readers import CameraReader, LidarReader
from fleetlabel.store.table import Table
from fleetlabel.store.tombstones import Tombstone, as_it_is_now, refuse_deleted, tombstones_of
from fleetlabel.store.versions import (
    CUBOIDS,
    OBJECTS,
    PICTURES,
    LabelChanges,
    LabelVersion,
    content_sha256,
    documents_of,
    exchanged,
)

GROUND_TRUTH = "ground_truth"
_CREATION_S = 30.0  # until another process has made a store
_FINISHED = "created_ns"  # a label version is finished once its group has it


class SequenceStore:
    """A sequence's store, opened.

    Attributes:
        root: its folder.
        info: sensors, frames and ego poses.
    """

    def __init__(self, root: Path, info: SequenceInfo) -> None:
        self.root = root
        self.info = info

    @classmethod
    def create(cls, root: Path, info: SequenceInfo) -> SequenceStore:
        """Makes a new store holding the sequence's description, all of it or nothing.

        Raises:
            StoreExistsError: something is there already.
            StoreWriteError: the file system refused.
        """
        root = place_of(root)
        _refuse_existing(root)
        durable.make_folder(root.parent)
        if isinstance(root, ObjectPath):
            return cls._create_objects(root, info)
        try:
            with durable.committed_folder(root, lambda: _refuse_existing(root)) as scratch:
                write_group(scratch, write_description(scratch, info))
        except StoreWriteError:
            _refuse_existing(root)  # another process made it meanwhile, and cleared away this attempt
            raise
        # Only now: whoever still tries has lost. Before, it would pull the ground from under a living writer.
        with durable.write_errors(root):
            durable.remove_pending(root.parent, root.name)
        return cls.open(root)

    @classmethod
    def _create_objects(cls, root: ObjectPath, info: SequenceInfo) -> SequenceStore:
        """Makes a store on object storage: it exists once its root's document does, which is put last.

        What a process left that died at it is gone on with if it was made from the same sequence.
        """
        with Lease(root / LOCK, _CREATION_S):
            _refuse_existing(root)
            head = write_description(root, info)
            if not same_frames(read_description(root, head), info):
                raise StoreExistsError(
                    f"{root} holds what is left of a store of another drive; delete it, or choose another --out"
                )
            write_group(root, head)
        return cls.open(root)

    @classmethod
    def open(cls, root: Path) -> SequenceStore:
        """Opens a store.

        Raises:
            StoreNotFoundError: there is no FleetLabel store at ``root``.
            StoreDeletedError: there was one, and a person deleted it.
            StoreError: it was written by another schema version.
            CorruptStoreError: its description is damaged.
        """
        root = place_of(root)
        head = read_group(root)
        if head is None or "schema" not in head:
            raise StoreNotFoundError(
                f"{root} is not a FleetLabel store; make one with `fleetlabel ingest DRIVE --out {root}`"
            )
        refuse_deleted(root, head)
        if head["schema"] != SCHEMA_VERSION:
            raise StoreError(
                f"{root} has schema version {head['schema']}, this FleetLabel reads {SCHEMA_VERSION}; "
                "open it with the release that wrote it, or ingest the drive again"
            )
        return cls(root, read_description(root, head))

    def was_made_from(self, info: SequenceInfo) -> bool:
        """Whether the store was created for this very sequence: same sensors, calibration, frames, poses and source.

        What people deleted of it since makes no difference.
        """
        info = as_it_is_now(info, self.tombstones())
        head, _ = head_and_calibration(info)
        return read_group(self.root) == json.loads(json.dumps(head)) and same_frames(self.info, info)

    @staticmethod
    def remove(root: Path) -> None:
        """Deletes a store; anything else at ``root`` is left alone, and so is a store that other files were put in.

        Raises:
            StoreError: what lies there is not a FleetLabel store, holds other files, or is being written.
        """
        root = place_of(root)
        if root.is_symlink():
            raise StoreError(f"{root} is a link, so it will not be overwritten; give the folder it points to")
        if not root.exists():
            return
        root = root.resolve()
        head = read_group(root) or {}
        if "schema" not in head:
            raise StoreError(
                f"{root} is not a FleetLabel store, so it will not be overwritten; choose another --out"
            )
        refuse_deleted(root, head)
        with writer_lock_of(root):
            others = [path.relative_to(root).as_posix() for path in strangers(root)]
            if others:
                some = ", ".join([*others[:5], *(["..."] if others[5:] else [])])
                raise StoreError(
                    f"{root} holds files that FleetLabel did not write, so it will not be overwritten: {some}; "
                    "move them away or choose another --out"
                )
            deleted = tombstones_of(root)
            if deleted:
                raise StoreError(
                    f"{root}: {deleted[0]}; to overwrite the store would bring it back. --resume goes on without it; "
                    f"`fleetlabel delete {root} --readmit --why REASON` allows it again"
                )
            refuse_pinned(root, "drop these first (`fleetlabel release drop`), or choose another --out")
            edits = len(_journal_of(root).read())
            if edits:
                raise StoreError(
                    f"{root} holds {edits} edits of people, so it will not be overwritten; delete the folder yourself "
                    "if they are not needed, or choose another --out"
                )
            durable.remove_folder(root, last=DOCUMENT)

    def writer_lock(self) -> AbstractContextManager[object]:
        """Makes this process the store's only driver while the context lasts."""
        return writer_lock_of(self.root)

    def clean(self) -> None:
        """Deletes what writers that died left behind; hold the writer's lock."""
        for folder, _, parted in walk_groups(self.root):
            if parted:
                commits_of(folder).clean()
            else:
                durable.remove_pending(folder)

    def tombstones(self) -> tuple[Tombstone, ...]:
        """What people deleted of the sequence on purpose."""
        return tombstones_of(self.root)

    def describe_anew(self, info: SequenceInfo) -> None:
        """Puts other sensors into the sequence's description, and nothing else; their data stays where it is."""
        head, sensors = head_and_calibration(info)
        write_group(self.root / CALIBRATION / head["calibration"], {"sensors": sensors})
        write_group(self.root, head)
        for name in subgroups(self.root / CALIBRATION):
            if name != head["calibration"]:
                durable.take_away(self.root / CALIBRATION / name)

    def intake(self) -> dict[str, Any] | None:
        """What checks said of the drive, as :mod:`fleetlabel.engine.checks` wrote it; None: nobody has looked yet."""
        return read_group(self.root / INTAKE)

    def write_intake(self, report: Mapping[str, Any]) -> None:
        """Keeps what checks said of the drive, in the place of what was said before; no content hash covers it."""
        write_group(self.root / INTAKE, report)

    def forget_intake(self) -> None:
        """Takes away what checks said: the drive is not what it was."""
        if self.intake() is not None:
            durable.take_away(self.root / INTAKE)

    def journal(self) -> Journal:
        """The people's edits, as they were written; :mod:`fleetlabel.labels` knows what they mean."""
        return _journal_of(self.root)

    # --- tables -----------------------------------------------------------------------------------------------------

    def table(self, path: str) -> Table:
        """An existing table by its path, e.g. ``runs/detect/3f2a…/front_camera``."""
        return Table(self.root, path)

    def has_table(self, path: str) -> bool:
        """Whether a table was declared."""
        return is_table(self.root / path)

    def declare_frames_table(self, path: str, attributes: Mapping[str, Any] | None = None) -> Table:
        """A table with one sample per frame of the sequence, new or declared the same before."""
        return Table.declare(self.root, path, self.info.n_frames, attributes)

    def sensor_table(self, sensor: str) -> Table:
        """The table that holds a sensor's data."""
        return self.declare_frames_table(f"sensors/{self.info.sensor(sensor).name}")

    def camera(self, name: str) -> CameraReader:
        """Pictures of a camera."""
        return CameraReader(self.info.sensor(name), self.table(f"sensors/{name}"))

    def lidar(self, name: str) -> LidarReader:
        """Sweeps of a lidar."""
        return LidarReader(self.info.sensor(name), self.table(f"sensors/{name}"))

    # --- boxes ------------------------------------------------------------------------------------------------------

    def declare_boxes(self, path: str, class_names: tuple[str, ...], **attributes: Any) -> Table:
        """A table of boxes, one sample per frame."""
        return self.declare_frames_table(path, {"class_names": list(class_names), **attributes})

    def read_boxes(self, path: str, kind: type[B], start: int = 0, stop: int | None = None) -> B:
        """Boxes of the frames ``start:stop`` (all by default) of a table."""
        table = self.table(path)
        part = table.read(start, stop)
        return boxes_of(part, kind, tuple(table.attributes["class_names"]), start)

    # --- label versions ---------------------------------------------------------------------------------------------

    def write_labels(
        self,
        name: str,
        boxes2d: Mapping[str, Boxes2D],
        boxes3d: Boxes3D | None,
        *,
        class_names: tuple[str, ...],
        provenance: Mapping[str, Any],
    ) -> LabelVersion:
        """Writes an immutable label version; it exists once its last table is committed.

        Writing a version again that exists with the same provenance does nothing.

        Raises:
            UsageError: the name cannot be used.
            StoreExistsError: a version of this name exists that something else made.
            StoreError: boxes lie outside the sequence's frames.
            ValueError: boxes have a class that is not in ``class_names``.
        """
        problem = name_problem(name)
        if problem:
            raise UsageError(f"labels cannot be named {name!r}: the name {problem}; choose another name")
        tables: dict[str, Boxes] = {
            f"labels/{name}/boxes2d/{self.info.sensor(camera).name}": boxes
            for camera, boxes in sorted(boxes2d.items())
        }
        if boxes3d is not None:
            tables[f"labels/{name}/boxes3d"] = boxes3d
        plan = {
            "class_names": list(class_names),
            "cameras": sorted(boxes2d),
            "has_boxes3d": boxes3d is not None,
            "provenance": json.loads(json.dumps(dict(provenance))),
        }
        if not self._begin_labels(name, plan):
            return self.labels(name)
        for path, boxes in tables.items():
            self._write_all(path, boxes.with_class_names(class_names), provenance)
        write_group(self.root / "labels" / name, plan | {_FINISHED: time.time_ns()})
        return self.labels(name)

    def write_label_changes(
        self,
        base: str,
        changes: LabelChanges,
        *,
        class_names: tuple[str, ...],
        provenance: Mapping[str, Any],
        name: str | None = None,
    ) -> LabelVersion:
        """Writes an immutable label version that is ``base`` but for some objects, at the cost of those objects.

        Args:
            class_names: those of the base version first.
            name: ``people-<hash of the content>`` by default; the same changes then are the same version.

        Raises:
            UsageError: the name cannot be used.
            StoreExistsError: a version of this name exists that something else made.
        """
        begun = self.labels(base)
        parts = changes.parts(class_names)
        sha256 = content_sha256(base, class_names, parts)
        name = name or f"people-{sha256[:12]}"
        problem = name_problem(name)
        if problem:
            raise UsageError(f"labels cannot be named {name!r}: the name {problem}; choose another name")
        plan = {
            "class_names": list(class_names),
            "cameras": sorted({*begun.cameras, *changes.boxes2d}),
            "has_boxes3d": begun.has_boxes3d or len(changes.boxes3d) > 0,
            "base": base,
            "changed_cameras": sorted(changes.boxes2d),
            "provenance": json.loads(json.dumps({**provenance, "content_sha256": sha256})),
        }
        if self._begin_labels(name, plan):
            for path, part in parts.items():
                table = Table.declare(self.root, f"labels/{name}/{path}", len(part))
                if len(part):
                    table.write(0, part, provenance=provenance)
            write_group(self.root / "labels" / name, plan | {_FINISHED: time.time_ns()})
        return self.labels(name)

    def label_documents(self, name: str) -> dict[int, bytes]:
        """What people said about the objects that they touched, by id; nothing in a version that a machine made."""
        table = self.table(f"labels/{name}/{OBJECTS}") if self.labels(name).base is not None else None
        return documents_of(table.read()) if table and table.length else {}

    def label_versions(self) -> tuple[str, ...]:
        """Names of the finished label versions."""
        folder = self.root / "labels"
        names = subgroups(folder)
        return tuple(sorted(name for name in names if _FINISHED in (read_group(folder / name) or {})))

    def labels(self, name: str) -> LabelVersion:
        """A label version's description.

        Raises:
            StoreNotFoundError: there is none of that name.
        """
        # A name that is none of a folder's, with dots and slashes, may come from a client, and leads elsewhere.
        head = {} if name_problem(name) else read_group(self.root / "labels" / name) or {}
        if _FINISHED not in head:
            raise StoreNotFoundError(
                f"{self.root} has no labels {name!r}; it has {list(self.label_versions())}"
            )
        return LabelVersion(
            name=name,
            class_names=tuple(head["class_names"]),
            cameras=tuple(head["cameras"]),
            has_boxes3d=head["has_boxes3d"],
            provenance=head["provenance"],
            created_ns=head[_FINISHED],
            base=head.get("base"),
            changed_cameras=tuple(head.get("changed_cameras", ())),
        )

    def latest_labels(self) -> LabelVersion:
        """The newest version that is not the source's ground truth, or that if there is no other.

        Raises:
            StoreNotFoundError: the store has no labels.
        """
        versions = [self.labels(name) for name in self.label_versions()]
        if not versions:
            raise StoreNotFoundError(f"{self.root} has no labels yet; make some with `fleetlabel run`")
        return max(versions, key=lambda version: (version.name != GROUND_TRUTH, version.created_ns))

    def labels2d(self, name: str, camera: str, start: int = 0, stop: int | None = None) -> Boxes2D:
        """2D boxes of a version in one camera, of frames ``start:stop``; none if the version has none there."""
        version = self.labels(name)
        if version.base is not None:
            changed = f"{PICTURES}/{camera}" if camera in version.changed_cameras else None
            return self._exchanged(
                version, self.labels2d(version.base, camera, start, stop), changed, start, stop
            )
        if camera not in version.cameras:
            return Boxes2D.empty(version.class_names)
        return self.read_boxes(f"labels/{name}/boxes2d/{camera}", Boxes2D, start, stop)

    def labels3d(self, name: str, start: int = 0, stop: int | None = None) -> Boxes3D:
        """Cuboids of a version, of frames ``start:stop``; none if it has none."""
        version = self.labels(name)
        if version.base is not None:
            return self._exchanged(version, self.labels3d(version.base, start, stop), CUBOIDS, start, stop)
        if not version.has_boxes3d:
            return Boxes3D.empty(version.class_names)
        return self.read_boxes(f"labels/{name}/boxes3d", Boxes3D, start, stop)

    def _exchanged(self, version: LabelVersion, base: B, path: str | None, start: int, stop: int | None) -> B:
        """Boxes of a version's base with its own in the place of those of the objects that it changed."""
        kind = type(base)
        objects = self.table(f"labels/{version.name}/{path or OBJECTS}")
        if not objects.length:
            return base.with_class_names(version.class_names)
        changed = objects.read()
        if path is None:  # all that was changed here is gone
            none = kind.empty(version.class_names).columns()
            changed = Part(changed.samples, np.zeros(len(changed), dtype=np.int64), none)
        return exchanged(base, kind, version.class_names, changed, range(start, stop or self.info.n_frames))

    def _begin_labels(self, name: str, plan: Mapping[str, Any]) -> bool:
        """Prepares to write a version, or to go on with it; False if it is finished already.

        What a killed writer left of another plan is deleted: a version never mixes two.
        """
        folder = self.root / "labels" / name
        found = read_group(folder) or {}
        if _FINISHED in found:
            if {key: found.get(key) for key in plan} == plan:
                return False
            if found.get("tombstones") and found.get("provenance") == plan["provenance"]:
                return False  # it was the same before something of it was deleted
            raise StoreExistsError(f"{self.root} already has labels named {name!r}; choose another name")
        if found != plan:
            if folder.exists():
                durable.remove_folder(folder, last=DOCUMENT)
            add_group(self.root, f"labels/{name}")
            write_group(folder, plan)
        return True

    def _write_all(self, path: str, boxes: Boxes, provenance: Mapping[str, Any]) -> None:
        if len(boxes) and not 0 <= boxes.frame[0] <= boxes.frame[-1] < self.info.n_frames:
            raise StoreError(
                f"{path}: boxes are of frames {boxes.frame[0]}..{boxes.frame[-1]}, the sequence has frames "
                f"0..{self.info.n_frames - 1}"
            )
        started_s = time.perf_counter()
        table = self.declare_boxes(path, boxes.class_names)
        for start, stop in table.missing():
            mine = boxes.take((boxes.frame >= start) & (boxes.frame < stop))
            part = part_of(mine, start, stop, self.info.frame_timestamp_ns[start:stop])
            table.write(start, part, provenance=provenance, started_s=started_s)


def writer_lock_of(root: Path) -> AbstractContextManager[object]:
    """Makes this process the only one to write a store, be it one that cannot be opened."""
    return Lease(root / LOCK) if isinstance(root, ObjectPath) else durable.writer_lock(root)


def _journal_of(root: Path) -> Journal:
    path = root / JOURNAL
    return ObjectJournal(path) if isinstance(path, ObjectPath) else JournalFile(path)


def _refuse_existing(root: Path) -> bool:
    if isinstance(root, ObjectPath):
        # A writer that died may have left a store without its root, which is gone on with.
        folders, objects = buckets.entries(root.bucket, root.key)
        there = bool(objects or set(folders) - {*GROUPS, FRAMES, EGO, LOCK})
    else:
        there = root.exists() or root.is_symlink()
    if there:
        refuse_deleted(root, read_group(root))
        raise StoreExistsError(
            f"{root} already exists; pass --resume to go on with it or --overwrite to replace it"
        )
    return True
