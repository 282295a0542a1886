"""One sequence's store: what it holds and where."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from fleetlabel.geometry.arrays import F64, I64, AnyArray
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D
from fleetlabel.model.errors import StoreError, StoreExistsError, StoreNotFoundError
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import durable
from fleetlabel.store.groups import read_group, write_group
from fleetlabel.store.part import Part
from fleetlabel.store.readers import CameraReader, LidarReader
from fleetlabel.store.table import Table

SCHEMA_VERSION = 1
GROUND_TRUTH = "ground_truth"
B = TypeVar("B", Boxes2D, Boxes3D)


@dataclass(frozen=True, slots=True, eq=False)
class SequenceInfo:
    """What is known of a drive before its data is read.

    Attributes:
        name: of the sequence.
        sensors: cameras and lidars.
        frame_timestamp_ns: (F,) int64 reference time of every frame, ascending. Frames are fine enough that no
            sensor has two samples in one frame.
        trajectory: ego poses in the world frame.
        world_offset_m: (3,) what was subtracted from the source's own world coordinates (logs in UTM).
        source: JSON-ready description of where it came from (format, version, ...), without machine paths.
    """

    name: str
    sensors: tuple[Sensor, ...]
    frame_timestamp_ns: I64
    trajectory: Trajectory
    world_offset_m: F64 = field(default_factory=lambda: np.zeros(3))
    source: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.frame_timestamp_ns)

    def of_kind(self, kind: SensorKind) -> tuple[Sensor, ...]:
        """The cameras, or the lidars."""
        return tuple(sensor for sensor in self.sensors if sensor.kind is kind)

    def sensor(self, name: str) -> Sensor:
        """The sensor of that name.

        Raises:
            StoreNotFoundError: there is none.
        """
        for sensor in self.sensors:
            if sensor.name == name:
                return sensor
        raise StoreNotFoundError(
            f"{self.name} has no sensor {name!r}; it has {[s.name for s in self.sensors]}"
        )


@dataclass(frozen=True, slots=True)
class LabelVersion:
    """A finished set of labels.

    Attributes:
        name: of the version.
        class_names: what its boxes' ``class_id`` counts.
        cameras: cameras that have 2D boxes in it.
        has_boxes3d: whether it has cuboids.
        provenance: what made it: run, model, parameters.
        created_ns: when it was finished; no part of what it is.
    """

    name: str
    class_names: tuple[str, ...]
    cameras: tuple[str, ...]
    has_boxes3d: bool
    provenance: Mapping[str, Any]
    created_ns: int = field(default=0, compare=False)


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
        if root.exists():
            raise StoreExistsError(
                f"{root} already exists; pass --resume to go on with it or --overwrite to replace it"
            )
        head, sensors = _head(info)
        durable.make_folder(root.parent)
        with durable.committed_folder(root) as scratch:
            write_group(scratch / "calibration", {})
            write_group(scratch / "calibration" / head["calibration"], {"sensors": sensors})
            for group in ("sensors", "runs", "labels"):
                write_group(scratch / group, {})
            frames = Table.declare(scratch, "frames", info.n_frames)
            frames.write(0, _samples_only({"timestamp_ns": info.frame_timestamp_ns}))
            ego = Table.declare(scratch, "ego", len(info.trajectory.timestamp_ns))
            columns = {
                "timestamp_ns": info.trajectory.timestamp_ns,
                "world_from_ego": info.trajectory.world_from_ego,
            }
            ego.write(0, _samples_only(columns))
            write_group(scratch, head)
        return cls.open(root)

    @classmethod
    def open(cls, root: Path) -> SequenceStore:
        """Opens a store.

        Raises:
            StoreNotFoundError: there is no FleetLabel store at ``root``.
            StoreError: it was written by another schema version.
        """
        head = read_group(root)
        if head is None or "schema" not in head:
            raise StoreNotFoundError(
                f"{root} is not a FleetLabel store; make one with `fleetlabel ingest DRIVE --out {root}`"
            )
        if head["schema"] != SCHEMA_VERSION:
            raise StoreError(
                f"{root} has schema version {head['schema']}, this FleetLabel reads {SCHEMA_VERSION}; "
                "open it with the release that wrote it, or ingest the drive again"
            )
        calibration = read_group(root / "calibration" / head["calibration"])
        if calibration is None:
            raise StoreNotFoundError(
                f"{root} has lost its calibration {head['calibration']}; restore it from a copy"
            )
        ego = Table(root, "ego").read()
        info = SequenceInfo(
            name=head["name"],
            sensors=tuple(Sensor.from_dict(description) for description in calibration["sensors"]),
            frame_timestamp_ns=Table(root, "frames").read().samples["timestamp_ns"],
            trajectory=Trajectory(
                ego.samples["timestamp_ns"], ego.samples["world_from_ego"], head["max_extrapolation_ns"]
            ),
            world_offset_m=np.array(head["world_offset_m"], dtype=np.float64),
            source=head["source"],
        )
        return cls(root, info)

    def was_made_from(self, info: SequenceInfo) -> bool:
        """Whether the store was created for this very sequence: same sensors, calibration, frames and source."""
        head, _ = _head(info)
        same_frames = np.array_equal(self.info.frame_timestamp_ns, info.frame_timestamp_ns)
        return same_frames and read_group(self.root) == json.loads(json.dumps(head))

    @staticmethod
    def remove(root: Path) -> None:
        """Deletes a store; anything else at ``root`` is left alone.

        Raises:
            StoreError: what lies there is not a FleetLabel store.
        """
        if root.exists() and (read_group(root) or {}).get("schema") is None:
            raise StoreError(
                f"{root} is not a FleetLabel store, so it will not be overwritten; choose another --out"
            )
        with durable.write_errors(root):
            if root.exists():
                shutil.rmtree(root)

    def writer_lock(self) -> AbstractContextManager[None]:
        """Makes this process the store's only driver while the context lasts."""
        return durable.writer_lock(self.root)

    def clean(self) -> None:
        """Deletes what writers that died left behind; hold the writer's lock."""
        durable.remove_pending(self.root)

    # --- tables -----------------------------------------------------------------------------------------------------

    def table(self, path: str) -> Table:
        """An existing table by its path, e.g. ``runs/detect/3f2a…/front_camera``."""
        return Table(self.root, path)

    def has_table(self, path: str) -> bool:
        """Whether a table was declared."""
        return (read_group(self.root / path) or {}).get("length") is not None

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
            StoreExistsError: a version of this name exists that something else made.
        """
        version = LabelVersion(
            name, class_names, tuple(sorted(boxes2d)), boxes3d is not None, dict(provenance)
        )
        if name in self.label_versions():
            if self.labels(name) == version:
                return version
            raise StoreExistsError(f"{self.root} already has labels named {name!r}; choose another name")
        for camera, boxes in sorted(boxes2d.items()):
            self.declare_boxes(f"labels/{name}/boxes2d/{camera}", class_names)
            self._write_all(f"labels/{name}/boxes2d/{camera}", boxes, provenance)
        if boxes3d is not None:
            self.declare_boxes(f"labels/{name}/boxes3d", class_names)
            self._write_all(f"labels/{name}/boxes3d", boxes3d, provenance)
        head = {
            "class_names": list(class_names),
            "cameras": list(version.cameras),
            "has_boxes3d": version.has_boxes3d,
        }
        write_group(
            self.root / "labels" / name, head | {"provenance": dict(provenance), "created_ns": time.time_ns()}
        )
        return self.labels(name)

    def label_versions(self) -> tuple[str, ...]:
        """Names of the finished label versions."""
        folder = self.root / "labels"
        names = [entry.name for entry in folder.iterdir() if entry.is_dir()] if folder.exists() else []
        return tuple(sorted(name for name in names if read_group(folder / name) is not None))

    def labels(self, name: str) -> LabelVersion:
        """A label version's description.

        Raises:
            StoreNotFoundError: there is none of that name.
        """
        head = read_group(self.root / "labels" / name)
        if head is None:
            raise StoreNotFoundError(
                f"{self.root} has no labels {name!r}; it has {list(self.label_versions())}"
            )
        return LabelVersion(
            name=name,
            class_names=tuple(head["class_names"]),
            cameras=tuple(head["cameras"]),
            has_boxes3d=head["has_boxes3d"],
            provenance=head["provenance"],
            created_ns=head["created_ns"],
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

    def labels2d(self, name: str, camera: str) -> Boxes2D:
        """2D boxes of a version in one camera; none if the version has none there."""
        version = self.labels(name)
        if camera not in version.cameras:
            return Boxes2D.empty(version.class_names)
        return self.read_boxes(f"labels/{name}/boxes2d/{camera}", Boxes2D)

    def labels3d(self, name: str) -> Boxes3D:
        """Cuboids of a version; none if it has none."""
        version = self.labels(name)
        if not version.has_boxes3d:
            return Boxes3D.empty(version.class_names)
        return self.read_boxes(f"labels/{name}/boxes3d", Boxes3D)

    def _write_all(self, path: str, boxes: Boxes, provenance: Mapping[str, Any]) -> None:
        table = self.table(path)
        for start, stop in table.missing():
            mine = boxes.take((boxes.frame >= start) & (boxes.frame < stop))
            part = part_of(mine, start, stop, self.info.frame_timestamp_ns[start:stop])
            table.write(start, part, provenance=provenance)


def part_of(
    boxes: Boxes, start: int, stop: int, frame_timestamp_ns: I64, extra: Mapping[str, AnyArray] | None = None
) -> Part:
    """The part of frames ``start:stop`` that holds these boxes, and further flat columns of a stage's own."""
    counts = np.diff(np.searchsorted(boxes.frame, np.arange(start, stop + 1)))
    flat = boxes.columns() | dict(extra or {})
    del flat["frame"]  # said by counts
    return Part(samples={"timestamp_ns": frame_timestamp_ns}, counts=counts.astype(np.int64), flat=flat)


def boxes_of(part: Part, kind: type[B], class_names: tuple[str, ...], start: int) -> B:
    """The boxes of a part that begins at frame ``start``; a stage's own columns are left out."""
    frame = np.repeat(np.arange(start, start + len(part), dtype=np.int32), part.counts)
    columns = {name: part.flat[name] for name in kind.column_names() if name != "frame"}
    return kind.from_columns(class_names, columns | {"frame": frame})


def _head(info: SequenceInfo) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Attributes of the store's root, and the calibration document that they name by its content."""
    sensors = [sensor.to_dict() for sensor in info.sensors]
    head = {
        "schema": SCHEMA_VERSION,
        "name": info.name,
        "calibration": hashlib.sha256(json.dumps(sensors, sort_keys=True).encode()).hexdigest()[:16],
        "world_offset_m": info.world_offset_m.tolist(),
        "max_extrapolation_ns": info.trajectory.max_extrapolation_ns,
        "source": dict(info.source),
    }
    return head, sensors


def _samples_only(columns: Mapping[str, AnyArray]) -> Part:
    length = len(next(iter(columns.values())))
    return Part(samples=columns, counts=np.zeros(length, dtype=np.int64))
