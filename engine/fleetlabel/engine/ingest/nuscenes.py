"""nuScenes drives (Caesar et al., 2020): ``v1.0-*/`` with JSON tables beside ``samples/`` and ``sweeps/``.

What people get wrong, and what holds here:

- Two times ten sensors: lidar at 20 Hz, cameras at 12 Hz, labels at 2 Hz. Frames are the lidar's sweeps, so that every
  sweep and picture is there and not only those of the samples; a camera has no picture in some of the frames. Labels
  are at the samples' frames only, which ``labelled_frames`` in the label version's provenance lists.
- Each picture and sweep has an ego pose of its own, at its own time. All of a scene's are samples of one trajectory,
  so that sensor -> ego -> global is exactly the source's for each.
- Cuboids are in the global frame; ``size`` is width, length, height, rotations are w, x, y, z. LIDAR_TOP's x axis
  points to the right: extrinsics say so. Times are microseconds.
- Sweeps are compensated for the vehicle's motion to their own time; points have no times. Their fifth column, the
  ring, is not kept.
- Visibility becomes ``occlusion``: v80-100 is 0, v60-80 1, v40-60 2, v0-40 3. Attributes have no column; they are in
  the provenance, box by box. Instances are the tracks.

Radars and maps are not read. A scene that several versions have (v1.0-mini and v1.0-trainval) is taken from the first
of them by name.

Bad data: a file that cannot be used sets its frame of that sensor aside, and so do a camera that was calibrated anew
within the scene and an annotation that is no box. Missing files are gaps. Tables that are missing, cut off, lack what
everything hangs on, or name files that are not below the folder, end the import.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from fleetlabel.engine.ingest.clocks import Timeline, require_reach
from fleetlabel.engine.ingest.files import read_bytes
from fleetlabel.engine.ingest.nuscenes_tables import TABLES, NuScenesTables, scene_names
from fleetlabel.engine.ingest.pictures import camera_part
from fleetlabel.engine.ingest.source import GroundTruth, SequenceSource, SourceFormat
from fleetlabel.engine.ingest.streams import Stream, frame_of_time, frame_times, in_frames, in_order
from fleetlabel.engine.ingest.sweeps import Points, lidar_part
from fleetlabel.engine.ingest.world import offset_of
from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.boxes import Boxes3D, Source
from fleetlabel.model.cameras import PinholeCamera
from fleetlabel.model.errors import SourceError
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import Part, Quarantined, SequenceInfo

_KINDS = {"camera": SensorKind.CAMERA, "lidar": SensorKind.LIDAR}
_OCCLUSION = {"v80-100": 0, "v60-80": 1, "v40-60": 2, "v0-40": 3}
_POINT_BYTES = 20  # x y z intensity ring, float32 each


class NuScenes(SourceFormat):
    """A folder with nuScenes tables and data."""

    name = "nuscenes"
    looks_for = "v1.0-*/{scene, sample, sample_data, ...}.json beside samples/ and sweeps/"

    def matches(self, path: Path) -> bool:
        """See the base class."""
        return bool(_versions(path))

    def list_sequences(self, path: Path) -> tuple[str, ...]:
        """See the base class."""
        return tuple(sorted({name for version in _versions(path) for name in scene_names(version)}))

    def open_sequence(self, path: Path, name: str) -> NuScenesSequence:
        """See the base class."""
        folder = next(version for version in _versions(path) if name in scene_names(version))
        files = [file for table in TABLES if (file := folder / f"{table}.json").exists()]
        state = tuple((file.stat().st_size, file.stat().st_mtime_ns) for file in files)
        return _opened(folder, name, state)


class NuScenesSequence(SequenceSource):
    """One scene."""

    def __init__(self, tables: NuScenesTables, name: str) -> None:
        self._tables, self._root = tables, tables.folder.parent
        self._scene = str(tables.rows("select token from scene where name = ?", name)[0][0])
        where = f"{tables.folder / 'sample_data.json'}, {name}"
        channels = self._channels(where)
        trajectory, offset, warnings = self._poses(where)
        lidars = {channel for channel, (kind, _) in channels.items() if kind is SensorKind.LIDAR}
        times = {
            channel: in_order([row[0] for row in rows], f"{where}, {channel}")
            for channel, (_, rows) in channels.items()
        }
        frame_ns = frame_times(
            {channel: found.timestamp_ns for channel, found in times.items()}, lidars, where
        )
        require_reach(frame_ns, trajectory, where)
        self._files = {channel: [row[2] for row in rows] for channel, (_, rows) in channels.items()}
        self._streams: dict[str, Stream] = {}
        sensors = []
        for channel, (kind, rows) in channels.items():
            sensor, moved = self._sensor(channel, kind, rows)
            sensors.append(sensor)
            faults = {**times[channel].faults, **moved}
            stream = in_frames(Timeline(times[channel].timestamp_ns, faults), frame_ns, trajectory)
            self._streams[channel] = stream
            if stream.homeless:
                warnings.append(
                    f"{stream.homeless} of {len(rows)} samples of {channel} have no frame of their own and are left out"
                )
        self.warnings = tuple(warnings)
        vehicle = tables.rows(
            "select vehicle, location, date from log join scene on scene.log = log.token where scene.token = ?",
            self._scene,
        )
        log = dict(zip(("vehicle", "location", "date"), vehicle[0], strict=True)) if vehicle else {}
        self.info = SequenceInfo(
            name=name,
            sensors=tuple(sensors),
            frame_timestamp_ns=frame_ns,
            trajectory=trajectory,
            world_offset_m=offset,
            source={"format": NuScenes.name, "version": tables.folder.name, "scene": self._scene, **log},
        )

    def read_sensor(self, name: str, start: int, stop: int) -> tuple[Part, list[Quarantined]]:
        """See the base class."""
        model, stream = self.info.sensor(name).camera, self._streams[name]
        if model is None:
            return lidar_part(lambda frame: self._points(name, frame), start, stop, stream.times)
        paths = [self._path(name, frame) for frame in range(start, stop)]
        return camera_part(paths, start, stream.times, (model.width_px, model.height_px))

    def ground_truth(self) -> GroundTruth | None:
        """See the base class."""
        rows = self._tables.rows(
            "select a.row, s.time_us, a.instance, coalesce(c.name, ''), v.level, a.attributes, a.points, a.tx, a.ty,"
            " a.tz, a.length, a.width, a.height, a.qw, a.qx, a.qy, a.qz from annotation a"
            " join sample s on s.token = a.sample left join instance i on i.token = a.instance"
            " left join category c on c.token = i.category left join visibility v on v.token = a.visibility"
            " where a.scene = ? order by s.time_us, a.row",
            self._scene,
        )
        if not rows and not self._tables.rows("select 1 from annotation limit 1"):
            return None
        frame = self._frame_of_samples()
        numbers = np.array([[np.nan if value is None else value for value in row[7:]] for row in rows])
        numbers = numbers.astype(np.float64).reshape(-1, 10)
        good = np.isfinite(numbers).all(axis=1) & (numbers[:, 3:6] > 0).all(axis=1)
        good &= np.linalg.norm(numbers[:, 6:], axis=1) > 1e-6
        good &= np.array([bool(row[3]) for row in rows], dtype=np.bool_)
        path = self._tables.folder / "sample_annotation.json"
        quarantined = tuple(
            Quarantined(
                frame[rows[at][1]],
                f"{path} row {rows[at][0]} is no box of a known category: {rows[at][3]!r}, centre, size l w h and "
                f"rotation {numbers[at].tolist()}; correct or remove the row",
            )
            for at in np.flatnonzero(~good).tolist()
        )
        kept = [rows[at] for at in np.flatnonzero(good).tolist()]
        numbers = numbers[good]
        tracks = {token: track for track, token in enumerate(dict.fromkeys(row[2] for row in kept))}
        class_names = tuple(sorted({row[3] for row in kept}))
        known = dict(self._tables.rows("select token, name from attribute"))
        attributes = [[known[token] for token in row[5].split() if token in known] for row in kept]
        listed = sorted({name for names in attributes for name in names})
        boxes = Boxes3D(
            class_names=class_names,
            frame=np.array([frame[row[1]] for row in kept], dtype=np.int32),
            timestamp_ns=np.array([row[1] for row in kept], dtype=np.int64) * 1000,
            class_id=np.array([class_names.index(row[3]) for row in kept], dtype=np.int16),
            track_id=np.array([tracks[row[2]] for row in kept], dtype=np.int64),
            source=np.full(len(kept), Source.GROUND_TRUTH),
            occlusion=np.array([_OCCLUSION.get(row[4], -1) for row in kept], dtype=np.int8),
            center_m=numbers[:, :3] - self.info.world_offset_m,
            size_lwh_m=numbers[:, 3:6],
            q_wxyz=quaternion.normalize(numbers[:, 6:]),
            n_points=np.array([row[6] for row in kept], dtype=np.int32),
        )
        labelled = sorted(set(frame.values()))
        note = f"labels are at {len(labelled)} of {self.info.n_frames} frames, those of nuScenes' samples"
        provenance: Mapping[str, Any] = {
            "instance_tokens": list(tracks),
            "labelled_frames": labelled,
            "attributes": {
                "names": listed,
                "of_boxes3d": [[listed.index(name) for name in names] for names in attributes],
            },
        }
        return GroundTruth(class_names, {}, boxes, quarantined, (note,), provenance)

    def _channels(self, where: str) -> dict[str, tuple[SensorKind, list[tuple[Any, ...]]]]:
        """Kind and rows (time_ns, calibration, file, width, height), by time, of every camera and lidar."""
        rows = self._tables.rows(
            "select s.channel, s.modality, d.time_us * 1000, d.calibration, d.file, d.width, d.height"
            " from sample_data d left join calibration c on c.token = d.calibration"
            " left join sensor s on s.token = c.sensor where d.scene = ? order by s.channel, d.time_us, d.file",
            self._scene,
        )
        found: dict[str, tuple[SensorKind, list[tuple[Any, ...]]]] = {}
        for channel, modality, *row in rows:
            if channel is None:
                raise SourceError(
                    f"{where}: calibration {row[1][:40]!r}, or its sensor, is in no table; restore the tables"
                )
            file = PurePosixPath(row[2])
            if file.is_absolute() or ".." in file.parts or len(file.parts) < 2 or "\0" in row[2]:
                raise SourceError(
                    f"{where}: filename is {row[2][:200]!r}, expected a path below {self._root}, such as "
                    "samples/CAM_FRONT/....jpg; restore the tables from the original log"
                )
            if modality in _KINDS:
                found.setdefault(channel, (_KINDS[modality], []))[1].append(tuple(row))
        if not found:
            raise SourceError(f"{where} has no camera and no lidar; restore the tables from the original log")
        return found

    def _poses(self, where: str) -> tuple[Trajectory, F64, list[str]]:
        rows = self._tables.rows(
            "select d.time_us, p.tx, p.ty, p.tz, p.qw, p.qx, p.qy, p.qz from sample_data d"
            " left join ego_pose p on p.token = d.pose where d.scene = ? order by d.time_us, d.file",
            self._scene,
        )
        times = np.array([row[0] for row in rows], dtype=np.int64) * 1000
        poses = np.array([[np.nan if value is None else value for value in row[1:]] for row in rows])
        poses = poses.astype(np.float64).reshape(-1, 7)
        good = np.isfinite(poses).all(axis=1) & (np.linalg.norm(poses[:, 3:], axis=1) > 1e-6)
        if not good.any():
            raise SourceError(
                f"{where}: none of its {len(good)} samples has an ego pose with finite numbers; restore ego_pose.json"
            )
        times, first = np.unique(times[good], return_index=True)
        poses = poses[good][first]
        poses[:, 3:] = quaternion.normalize(poses[:, 3:])
        offset = offset_of(poses)
        poses[:, :3] -= offset
        bad = int((~good).sum())
        warning = f"{where}: {bad} ego poses are missing or not finite, and were interpolated from the others"
        return Trajectory(times, poses), offset, [warning] if bad else []

    def _sensor(
        self, channel: str, kind: SensorKind, rows: list[tuple[Any, ...]]
    ) -> tuple[Sensor, dict[int, str]]:
        """The sensor as it is calibrated in most of its samples, and the samples that are of another calibration."""
        calibrations = [row[1] for row in rows]
        usual = max(dict.fromkeys(calibrations), key=calibrations.count)
        where = f"{self._tables.folder / 'calibrated_sensor.json'} {usual} ({channel})"
        *pose, intrinsic = self._tables.rows(
            "select tx, ty, tz, qw, qx, qy, qz, intrinsic from calibration where token = ?", usual
        )[0]
        place = np.array([np.nan if value is None else value for value in pose], dtype=np.float64)
        if not np.isfinite(place).all() or np.linalg.norm(place[3:]) < 1e-6:
            raise SourceError(f"{where}: translation and rotation are no pose: {pose}; restore the tables")
        camera = _pinhole(intrinsic, rows, where) if kind is SensorKind.CAMERA else None
        moved = {
            at: f"{self._tables.folder / 'sample_data.json'}: {rows[at][2]} is of calibration {token}, others of "
            f"{channel} in this scene of {usual}; cut the scene where the sensor was calibrated"
            for at, token in enumerate(calibrations)
            if token != usual
        }
        return Sensor(channel, kind, se3.from_pose(place), camera), moved

    def _path(self, channel: str, frame: int) -> Path | None:
        sample = int(self._streams[channel].sample[frame])
        if sample < 0:
            return None
        path: Path = self._root / self._files[channel][sample]
        if not path.exists():
            return None
        # samples/ and sweeps/ may be links to other disks; what is in them may not lead further.
        top = self._root / path.relative_to(self._root).parts[0]
        if not path.resolve().is_relative_to(top.resolve()):
            raise SourceError(f"{path} is a link that leads out of {top}; put the data itself there")
        return path

    def _points(self, channel: str, frame: int) -> Points | None:
        path = self._path(channel, frame)
        if path is None:
            return None
        content = read_bytes(path)
        if len(content) % _POINT_BYTES:
            raise SourceError(
                f"{path} has {len(content)} bytes, not a multiple of {_POINT_BYTES} (x y z intensity ring as float32): "
                "it is cut off; restore it from the original log"
            )
        rows = np.frombuffer(content, dtype="<f4").reshape(-1, 5).astype(np.float64)
        return Points.finite(rows[:, :3], rows[:, 3], np.zeros(len(rows)), str(path))

    def _frame_of_samples(self) -> dict[int, int]:
        """Frame by time in microseconds of the scene's samples."""
        rows = self._tables.rows("select time_us from sample where scene = ? order by time_us", self._scene)
        times: I64 = np.array([row[0] for row in rows], dtype=np.int64)
        lidar = next(
            (sensor.name for sensor in self.info.of_kind(SensorKind.LIDAR)), self.info.sensors[0].name
        )
        frames = frame_of_time(times * 1000, self._streams[lidar], self.info.frame_timestamp_ns)
        return dict(zip(times.tolist(), frames.tolist(), strict=True))


@lru_cache(maxsize=8)
def _opened(folder: Path, name: str, state: tuple[tuple[int, int], ...]) -> NuScenesSequence:
    """A scene opened once per process and state of the tables: every task opens its source again."""
    return NuScenesSequence(_tables(folder, state), name)


@lru_cache(maxsize=2)
def _tables(folder: Path, state: tuple[tuple[int, int], ...]) -> NuScenesTables:
    return NuScenesTables(folder)


def _versions(path: Path) -> list[Path]:
    return sorted(folder for folder in path.glob("v1.0-*") if (folder / "scene.json").exists())


def _pinhole(intrinsic: str, rows: list[tuple[Any, ...]], where: str) -> PinholeCamera:
    try:
        k = [float(number) for number in intrinsic.split()]
        fx, skew, cx, below, fy, cy, *last = k
    except ValueError:
        fx, skew, cx, below, fy, cy, last = *(np.nan,) * 6, []
    if skew or below or last != [0.0, 0.0, 1.0]:
        raise SourceError(
            f"{where}: camera_intrinsic is {intrinsic[:200]!r}, expected 3 x 3 of a pinhole; restore the tables"
        )
    width, height = next(((row[3], row[4]) for row in rows if row[3] and row[4]), (0, 0))
    try:
        return PinholeCamera(width, height, fx, fy, cx, cy)
    except SourceError as error:
        raise SourceError(f"{where}: {error}") from error
