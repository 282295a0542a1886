"""Rig folders: a drive of one's own, described by ``rig.yaml`` (``rig-format.md`` has the format and examples).

Conventions are FleetLabel's: cameras look along z, the ego frame is x forward, y left, z up, times are int64
nanoseconds of one clock. Pictures keep their bytes; frames of a video are decoded and kept as the entry's ``encode``
says. Opening reads ``rig.yaml`` and its tables; points and pictures are read range by range.

Bad data: a picture or sweep that cannot be used sets its frame of that sensor aside (quarantine), and so does a time
out of order; a file that is not there is a gap. Calibration, times or poses that cannot be read end the import.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from fleetlabel.engine.ingest.clocks import require_reach, within_reach
from fleetlabel.engine.ingest.pictures import camera_part
from fleetlabel.engine.ingest.point_files import read_points
from fleetlabel.engine.ingest.rig_labels import read_boxes, read_class_names
from fleetlabel.engine.ingest.rig_paths import inside, require_inside
from fleetlabel.engine.ingest.rig_problems import Problem, RigError
from fleetlabel.engine.ingest.rig_samples import SensorFrames, sensor_frames, sensor_samples
from fleetlabel.engine.ingest.rig_schema import (
    RIG_FILE,
    CameraEntry,
    LabelsEntry,
    LidarEntry,
    RigEntry,
    read_rig_file,
)
from fleetlabel.engine.ingest.rig_tables import read_poses, read_times
from fleetlabel.engine.ingest.source import GroundTruth, SequenceSource, SourceFormat
from fleetlabel.engine.ingest.sweeps import Points, lidar_part
from fleetlabel.engine.ingest.video_frames import video_part
from fleetlabel.engine.ingest.world import offset_of
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.model.cameras import camera_from_dict
from fleetlabel.model.errors import SourceError
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import Part, Quarantined, SequenceInfo

_OPEN_FOLDERS = 8


class RigFolder(SourceFormat):
    """A folder with ``rig.yaml``, or a folder of such folders."""

    name = "rig"
    looks_for = "rig.yaml (see rig-format.md), or folders with it"

    def matches(self, path: Path) -> bool:
        """See the base class."""
        return bool(self._folders(path))

    def list_sequences(self, path: Path) -> tuple[str, ...]:
        """See the base class."""
        return tuple(sorted(self._folders(path)))

    def open_sequence(self, path: Path, name: str) -> RigSequence:
        """See the base class."""
        folder = self._folders(path)[name].resolve()
        return _opened(folder, _state(folder))

    @staticmethod
    def _folders(path: Path) -> dict[str, Path]:
        """Folders by their drives' names; a damaged one goes by its own, so that opening says what is wrong."""
        if (path / RIG_FILE).is_file():
            entry, _ = read_rig_file(path)
            return {(entry and entry.name) or path.resolve().name: path}
        return {entry.name: entry for entry in path.iterdir() if (entry / RIG_FILE).is_file()}


@lru_cache(maxsize=_OPEN_FOLDERS)
def _opened(folder: Path, state: tuple[tuple[int, ...], ...]) -> RigSequence:
    """A folder opened once per process and state of its tables: every task opens its source again, and an hour's log
    has half a million rows of them.
    """
    return RigSequence(folder)


def _state(folder: Path) -> tuple[tuple[int, ...], ...]:
    """What changes when a table, or a folder that is read in its own order, does."""
    entry, _ = read_rig_file(folder)
    names = [RIG_FILE]
    if entry is not None:
        poses = entry.poses.file if entry.poses != "none" else None
        tables = [sensor.timestamps for sensor in entry.sensors]
        folders = [
            str(Path(sensor.data).parent) if "*" in sensor.data else sensor.data for sensor in entry.sensors
        ]
        names += [name for name in (poses, entry.frames.timestamps, *tables, *folders) if name is not None]
    return tuple(_stamp(folder / name) for name in names)


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class RigSequence(SequenceSource):
    """One rig folder, opened."""

    def __init__(self, folder: Path) -> None:
        entry, problems = read_rig_file(folder)
        if entry is None:
            raise RigError(problems)
        self.folder, self.entry = folder, entry
        sensors = tuple(sensor_of(sensor, folder) for sensor in entry.sensors)
        samples = {sensor.name: sensor_samples(folder, sensor, field) for field, sensor in named(entry)}
        frame_ns = frame_times(folder, entry, {name: found.times_ns for name, found in samples.items()})
        trajectory, offset, notes = trajectory_of(folder, entry, frame_ns)
        require_reach(frame_ns, trajectory, str(folder / RIG_FILE))
        self._frames: dict[str, SensorFrames] = {}
        for name, found in samples.items():
            frames, lost = sensor_frames(found, frame_ns, folder, name)
            self._frames[name] = frames.at_times(within_reach(frames.times, trajectory, frame_ns))
            notes += lost
        self.warnings = tuple(str(note) for note in notes)
        self._offset = offset
        self.info = SequenceInfo(
            name=entry.name or folder.resolve().name,
            sensors=sensors,
            frame_timestamp_ns=frame_ns,
            trajectory=trajectory,
            world_offset_m=np.array(entry.world_offset_m) + offset,
            source={"format": RigFolder.name, "version": entry.version, "origin": entry.origin},
        )

    def read_sensor(self, name: str, start: int, stop: int) -> tuple[Part, list[Quarantined]]:
        """See the base class."""
        entry = next(sensor for sensor in self.entry.sensors if sensor.name == self.info.sensor(name).name)
        frames = self._frames[name]
        if isinstance(entry, LidarEntry):
            part, quarantined = lidar_part(
                lambda frame: self._points(entry, frames, frame), start, stop, frames.times
            )
            samples = dict(part.samples)
            samples["dropped_points"] = part.samples["dropped_points"] + frames.dropped_points[start:stop]
            return Part(samples, part.counts, part.flat), quarantined
        size_px = (entry.model.width_px, entry.model.height_px)
        if frames.video is not None:
            rows = frames.sample[start:stop]
            return video_part(frames.video, rows, start, frames.times, size_px, entry.encode)
        paths = [self._existing(frames.path(frame)) for frame in range(start, stop)]
        return camera_part(paths, start, frames.times, size_px)

    def ground_truth(self) -> GroundTruth | None:
        """See the base class."""
        labels = self.entry.labels
        if labels is None:
            return None
        return read_labels(self.folder, labels, self.entry, self.info.frame_timestamp_ns, self._offset)

    def _points(self, entry: LidarEntry, frames: SensorFrames, frame: int) -> Points | None:
        path = self._existing(frames.path(frame))
        if path is None:
            return None
        return read_points(path, entry.columns, int(frames.times.timestamp_ns[frame]))

    def _existing(self, path: Path | None) -> Path | None:
        """The file if it is there; one that a link leads out of the folder is refused."""
        if path is None or not path.exists():
            return None
        require_inside(self.folder, path, "data")
        return path


def named(entry: RigEntry) -> list[tuple[str, CameraEntry | LidarEntry]]:
    """Every sensor with its field in ``rig.yaml``."""
    cameras = [(f"cameras[{row}]", camera) for row, camera in enumerate(entry.cameras)]
    return [*cameras, *((f"lidars[{row}]", lidar) for row, lidar in enumerate(entry.lidars))]


def sensor_of(entry: CameraEntry | LidarEntry, folder: Path) -> Sensor:
    """The sensor that an entry describes.

    Raises:
        SourceError: its name or calibration cannot be.
    """
    place = entry.ego_from_sensor.ego_from_sensor()
    try:
        if isinstance(entry, CameraEntry):
            return Sensor(entry.name, SensorKind.CAMERA, place, camera_from_dict(entry.model.model_dump()))
        return Sensor(entry.name, SensorKind.LIDAR, place, motion_compensated=entry.motion_compensated)
    except SourceError as error:
        raise SourceError(f"{folder / RIG_FILE}: {error}") from error


def frame_times(folder: Path, entry: RigEntry, sensor_ns: dict[str, I64]) -> I64:
    """Times (F,) of the drive's frames.

    Raises:
        SourceError: the sensor or the file that they are taken from is not there.
    """
    frames = entry.frames
    if frames.timestamps is not None:
        return read_times(inside(folder, frames.timestamps, "frames.timestamps"))
    if frames.reference not in sensor_ns:
        expected, found = f"one of {', '.join(sensor_ns) or '(no sensors)'}", repr(frames.reference)
        raise RigError(
            [Problem(folder / RIG_FILE, "frames.reference", expected, found, "name a sensor of the rig")]
        )
    return sensor_ns[frames.reference]


def trajectory_of(folder: Path, entry: RigEntry, frame_ns: I64) -> tuple[Trajectory, F64, list[Problem]]:
    """Ego poses in a world near the drive, what was subtracted from the file's world (3,), and what was noticed."""
    if entry.poses == "none":
        times = np.unique(frame_ns[[0, -1]])
        still = Trajectory(times, np.tile([0.0, 0, 0, 1, 0, 0, 0], (len(times), 1)))
        note = "none: the vehicle is taken to stand still in the world's origin"
        found = "boxes of a vehicle that moves are placed wrongly"
        problem = Problem(folder / RIG_FILE, "poses", "ego poses", note, found, warning=True)
        return still, np.zeros(3), [problem]
    trajectory, problems = read_poses(inside(folder, entry.poses.file, "poses.file"), entry.poses)
    offset = offset_of(trajectory.world_from_ego)
    if not offset.any():
        return trajectory, offset, problems
    poses = trajectory.world_from_ego - np.concatenate([offset, np.zeros(4)])
    return Trajectory(trajectory.timestamp_ns, poses, trajectory.max_extrapolation_ns), offset, problems


def read_labels(
    folder: Path, labels: LabelsEntry, entry: RigEntry, frame_ns: I64, offset_m: F64
) -> GroundTruth:
    """Ground truth of a rig folder, cuboids in the world that lies ``offset_m`` (3,) from the files'."""
    cameras = {camera.name for camera in entry.cameras}
    for camera in labels.boxes2d:
        if camera not in cameras:
            expected = f"one of {', '.join(sorted(cameras)) or '(no cameras)'}"
            raise RigError(
                [Problem(folder / RIG_FILE, "labels.boxes2d", expected, repr(camera), "name a camera")]
            )
    files2d = {
        camera: inside(folder, file, f"labels.boxes2d.{camera}") for camera, file in labels.boxes2d.items()
    }
    file3d = None if labels.boxes3d is None else inside(folder, labels.boxes3d, "labels.boxes3d")
    every = [*files2d.values(), *([] if file3d is None else [file3d])]
    for path in every:
        require_inside(folder, path, "labels")
    names = labels.classes or tuple(sorted({name for path in every for name in read_class_names(path)}))
    boxes2d = {
        camera: read_boxes(path, Boxes2D, names, frame_ns, f"labels.boxes2d.{camera}")
        for camera, path in files2d.items()
    }
    boxes3d = None if file3d is None else read_boxes(file3d, Boxes3D, names, frame_ns, "labels.boxes3d")
    if boxes3d is not None and offset_m.any():
        boxes3d = boxes3d.replace(center_m=boxes3d.center_m - offset_m)
    return GroundTruth(
        class_names=names,
        boxes2d=boxes2d,
        boxes3d=boxes3d,
        quarantined=tuple(Quarantined(unusable.frame, unusable.reason) for unusable in labels.unusable),
        notes=labels.notes,
        provenance=labels.provenance,
    )
