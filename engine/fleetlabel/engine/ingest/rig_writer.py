"""Any drive as a rig folder: pictures byte for byte, points, times, poses, calibration and truth bit for bit.

``write_rig`` copies a source. ``RigWriter`` is for whoever makes a drive: sensors' ranges are written in any order,
from any number of threads or processes, and ``finish`` puts the folder in its place when all are there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fleetlabel.engine.ingest.rig_labels import write_boxes
from fleetlabel.engine.ingest.rig_schema import RIG_FILE
from fleetlabel.engine.ingest.rig_tables import SampleTable, read_samples, write_samples
from fleetlabel.engine.ingest.source import GroundTruth, SequenceSource
from fleetlabel.geometry.arrays import U8, AnyArray
from fleetlabel.model.errors import SourceError, UsageError
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import Part, Quarantined, SampleStatus, SequenceInfo

POINT_DTYPE = np.dtype(
    [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4"), ("time_offset_ns", "<i4")]
)
_FOLDERS = {SensorKind.CAMERA: "cameras", SensorKind.LIDAR: "lidar"}
_SAMPLES = "samples.csv"
_RANGES = ".ranges"


def write_rig(
    source: SequenceSource,
    folder: Path,
    *,
    overwrite: bool = False,
    chunk_frames: int = 32,
    on_chunk: Callable[[str, int, int], None] | None = None,
) -> None:
    """Writes a drive as a rig folder; importing that gives the same store. The folder is there once it is complete.

    Args:
        folder: must not exist; with ``overwrite`` it may be a rig folder, which is replaced at the end.
        chunk_frames: frames in memory at once.
        on_chunk: is told sensor, start and stop of every range written.

    Raises:
        UsageError: something is there already.
    """
    writer = RigWriter.create(folder, source.info, overwrite=overwrite)
    try:
        for sensor in source.info.sensors:
            for start in range(0, source.info.n_frames, chunk_frames):
                stop = min(start + chunk_frames, source.info.n_frames)
                writer.write_sensor_range(sensor.name, start, *source.read_sensor(sensor.name, start, stop))
                if on_chunk is not None:
                    on_chunk(sensor.name, start, stop)
        writer.finish(source.ground_truth())
    except BaseException:
        writer.abandon()
        raise


@dataclass(frozen=True, slots=True, eq=False)
class RigWriter:
    """A rig folder in the making; may be sent to other processes.

    Attributes:
        folder: where it will be.
        scratch: where it is meanwhile.
        info: the drive's description.
        overwrite: whether a rig folder at ``folder`` is replaced.
    """

    folder: Path
    scratch: Path
    info: SequenceInfo
    overwrite: bool = False

    @classmethod
    def create(cls, folder: Path, info: SequenceInfo, *, overwrite: bool = False) -> RigWriter:
        """Begins a folder.

        Raises:
            UsageError: something is there already, and is no rig folder or must not be replaced.
        """
        folder = folder.absolute()
        _refuse_existing(folder, overwrite)
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = folder.parent / f".{folder.name}.writing-{os.getpid()}"
        if scratch.exists():
            shutil.rmtree(scratch)
        for sensor in info.sensors:
            (scratch / _place(sensor) / _RANGES).mkdir(parents=True)
        return cls(folder, scratch, info, overwrite)

    def write_sensor_range(
        self, name: str, start: int, part: Part, quarantined: list[Quarantined] | tuple[Quarantined, ...] = ()
    ) -> None:
        """Writes a sensor's frames from ``start`` on: a part as :meth:`SequenceSource.read_sensor` gives it.

        Lidar parts need no ``dropped_points``. Ranges may come in any order but must not overlap.
        """
        sensor = self.info.sensor(name)
        folder = self.scratch / _place(sensor)
        write = _write_picture if sensor.kind is SensorKind.CAMERA else _write_points
        present = part.samples["status"] != SampleStatus.MISSING
        offsets = part.offsets
        files = tuple(
            write(folder, start + row, part, slice(int(offsets[row]), int(offsets[row + 1])))
            if is_there
            else ""
            for row, is_there in enumerate(present.tolist())
        )
        table = SampleTable(
            timestamp_ns=part.samples["timestamp_ns"],
            files=files,
            frame=np.arange(start, start + len(part), dtype=np.int64),
            # A column of zeros says nothing; whether all are is known only in the end.
            dropped_points=part.samples.get("dropped_points"),
            faults={entry.sample - start: entry.reason or "set aside" for entry in quarantined},
        )
        write_samples(folder / _RANGES / f"{start:09d}.csv", table)

    def finish(self, truth: GroundTruth | None = None) -> None:
        """Completes the folder and moves it to its place.

        Raises:
            UsageError: frames of a sensor have not been written, or something is at ``folder`` meanwhile.
        """
        import pandas as pd  # takes as long to load as everything else together

        for sensor in self.info.sensors:
            self._join_ranges(sensor)
        info = self.info
        pd.DataFrame({"timestamp_ns": info.frame_timestamp_ns}).to_csv(
            self.scratch / "frames.csv", index=False
        )
        poses: dict[str, AnyArray] = {"timestamp_ns": info.trajectory.timestamp_ns}
        names = ("x", "y", "z", "qw", "qx", "qy", "qz")
        poses |= dict(zip(names, info.trajectory.world_from_ego.T, strict=True))
        pd.DataFrame(poses).to_csv(self.scratch / "poses.csv", index=False)
        document = self._document()
        if truth is not None:
            document["labels"] = self._write_labels(truth)
        text = yaml.safe_dump(
            _plain(document), sort_keys=False, allow_unicode=True, default_flow_style=None, width=110
        )
        (self.scratch / RIG_FILE).write_text(text, encoding="utf-8")
        self._move_in()

    def abandon(self) -> None:
        """Deletes what was written so far."""
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _join_ranges(self, sensor: Sensor) -> None:
        folder = self.scratch / _place(sensor)
        parts = [read_samples(path) for path in sorted((folder / _RANGES).iterdir())]
        frames = [part.frame for part in parts if part.frame is not None]
        frame = np.concatenate([np.empty(0, np.int64), *frames])
        if not np.array_equal(frame, np.arange(self.info.n_frames)):
            raise UsageError(
                f"{self.folder}: sensor {sensor.name} has {len(frame)} frames written in {len(parts)} ranges, expected "
                f"each of 0 to {self.info.n_frames - 1} once; write what is missing before finish()"
            )
        starts = np.cumsum([0, *(len(part) for part in parts[:-1])]).tolist()
        dropped = [
            np.zeros(len(part), np.int32) if part.dropped_points is None else part.dropped_points
            for part in parts
        ]
        every_dropped = np.concatenate(dropped)
        table = SampleTable(
            timestamp_ns=np.concatenate([part.timestamp_ns for part in parts]),
            files=tuple(file for part in parts for file in part.files or ()),
            frame=frame,
            faults={
                start + row: text
                for start, part in zip(starts, parts, strict=True)
                for row, text in part.faults.items()
            },
            dropped_points=every_dropped if every_dropped.any() else None,
        )
        write_samples(folder / _SAMPLES, table)
        shutil.rmtree(folder / _RANGES)

    def _document(self) -> dict[str, Any]:
        info = self.info
        return {
            "version": 1,
            "name": info.name,
            "frames": {"timestamps": "frames.csv"},
            "poses": {"file": "poses.csv", "max_extrapolation_ns": info.trajectory.max_extrapolation_ns},
            "world_offset_m": info.world_offset_m.tolist(),
            "cameras": [_entry(sensor) for sensor in info.of_kind(SensorKind.CAMERA)],
            "lidars": [_entry(sensor) for sensor in info.of_kind(SensorKind.LIDAR)],
            "origin": info.source,
        }

    def _write_labels(self, truth: GroundTruth) -> dict[str, Any]:
        (self.scratch / "labels" / "boxes2d").mkdir(parents=True)
        entry: dict[str, Any] = {"classes": list(truth.class_names)}
        if truth.boxes3d is not None:
            entry["boxes3d"] = "labels/boxes3d.csv"
            write_boxes(self.scratch / entry["boxes3d"], truth.boxes3d)
        entry["boxes2d"] = {camera: f"labels/boxes2d/{camera}.csv" for camera in truth.boxes2d}
        for camera, boxes in truth.boxes2d.items():
            write_boxes(self.scratch / entry["boxes2d"][camera], boxes)
        entry["unusable"] = [{"frame": entry.sample, "reason": entry.reason} for entry in truth.quarantined]
        entry["notes"] = list(truth.notes)
        entry["provenance"] = truth.provenance
        return entry

    def _move_in(self) -> None:
        _refuse_existing(self.folder, self.overwrite)
        if not self.folder.exists():
            self.scratch.rename(self.folder)
            return
        old = self.scratch.with_name(self.scratch.name + ".old")
        self.folder.rename(old)
        self.scratch.rename(self.folder)
        shutil.rmtree(old)


def _refuse_existing(folder: Path, overwrite: bool) -> None:
    if not (folder.exists() or folder.is_symlink()):
        return
    if not overwrite:
        raise UsageError(f"{folder} already exists; choose another folder, or say that it may be overwritten")
    if folder.is_symlink() or not (folder / RIG_FILE).is_file():
        raise UsageError(
            f"{folder} is not a rig folder, so it will not be overwritten; choose another folder"
        )


def _place(sensor: Sensor) -> str:
    return f"{_FOLDERS[sensor.kind]}/{sensor.name}"


def _entry(sensor: Sensor) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": sensor.name,
        "data": _place(sensor),
        "timestamps": f"{_place(sensor)}/{_SAMPLES}",
        "ego_from_sensor": {"matrix": sensor.ego_from_sensor.tolist()},
    }
    if sensor.camera is not None:
        return entry | {"model": sensor.camera.to_dict()}
    return entry | {"motion_compensated": sensor.motion_compensated}


def _write_picture(folder: Path, frame: int, part: Part, rows: slice) -> str:
    data: U8 = part.flat["jpeg"][rows]
    name = f"{frame:06d}.png" if data[:4].tobytes() == b"\x89PNG" else f"{frame:06d}.jpg"
    (folder / name).write_bytes(data.data)
    return name


def _write_points(folder: Path, frame: int, part: Part, rows: slice) -> str:
    points, offsets = part.flat["points"][rows], part.flat["point_time_offset_ns"][rows]
    table = np.empty(len(points), POINT_DTYPE)
    for column, name in enumerate(("x", "y", "z", "intensity")):
        table[name] = points[:, column]
    table["time_offset_ns"] = offsets
    name = f"{frame:06d}.npy"
    np.save(folder / name, table)
    return name


def _plain(value: Any) -> Any:
    """What YAML can say of a JSON-ready value."""
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if value is None or isinstance(value, bool):
        return value
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)  # NumPy's scalars are numbers to Python but not to YAML
    raise SourceError(f"{type(value).__name__} {value!r} cannot stand in rig.yaml; give plain JSON values")
