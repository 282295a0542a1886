"""KITTI's raw drives (Geiger et al., 2013): ``<date>/<date>_drive_NNNN_sync`` and the calibration of the day.

What people get wrong, and what holds here:

- Frame N is file N of every sensor, and each sensor has times of its own, to the nanosecond, without a time zone (taken
  as UTC). A frame's time is the sweep's, when the scanner faces forward, which triggers the cameras.
- Sweeps are not compensated. A point at azimuth a was measured (a + pi) / 2 pi of the way from the sweep's start to its
  end, ``timestamps_start.txt`` and ``_end.txt``; without these, of 0.1 s around the sweep's time.
- Pictures of ``_sync`` drives are rectified: ``P_rect`` holds, and ``S_rect`` is their size; ``K`` and ``D`` are of the
  raw ones. The frame of each camera is the rectified one, moved by its projection's offset (see ``kitti_calib``).
- The ego frame is the IMU's. Ego poses are Mercator coordinates of oxts, relative to the first.
- Tracklets are bottom-centred in the velodyne frame; see ``kitti_tracklets``.

``_extract`` drives, whose pictures are not rectified, are not read.

Bad data: a file that cannot be used sets its frame of that sensor aside; missing files are gaps. Calibration, times or
poses that are missing or cannot be read end the import.
"""

from __future__ import annotations

import calendar
import re
import time
from pathlib import Path

import numpy as np

from fleetlabel.engine.ingest.clocks import Timeline, require_reach, timeline, within_reach
from fleetlabel.engine.ingest.files import number_rows, numbers, read_bytes, read_text
from fleetlabel.engine.ingest.kitti_calib import KittiCalib, exact_rotation
from fleetlabel.engine.ingest.kitti_tracking import world_from_imu
from fleetlabel.engine.ingest.kitti_tracklets import read_tracklets
from fleetlabel.engine.ingest.numbered import MAX_FRAMES, numbered_files
from fleetlabel.engine.ingest.pictures import camera_part
from fleetlabel.engine.ingest.source import GroundTruth, SequenceSource, SourceFormat
from fleetlabel.engine.ingest.sweeps import Points, lidar_part
from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F64
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.cameras import PinholeCamera
from fleetlabel.model.errors import SourceError
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import Part, Quarantined, SequenceInfo

LIDAR = "velodyne_points"
CAMERAS = ("image_00", "image_01", "image_02", "image_03")
_ENDINGS = {LIDAR: (".bin",), **dict.fromkeys(CAMERAS, (".png", ".jpg", ".jpeg"))}
_TRACKLETS = "tracklet_labels.xml"
_OXTS_COLUMNS = 30
_SWEEP_NS = 100_000_000
_STAMP = re.compile(r"(\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2})(?:\.(\d{1,9})\d*)?$")


class KittiRaw(SourceFormat):
    """A drive, a day with its calibration, or a folder of days."""

    name = "kitti_raw"
    looks_for = "<date>/calib_cam_to_cam.txt beside <date>_drive_NNNN_sync/{image_NN, velodyne_points, oxts}"

    def matches(self, path: Path) -> bool:
        """See the base class."""
        return bool(self._folders(path))

    def list_sequences(self, path: Path) -> tuple[str, ...]:
        """See the base class."""
        return tuple(sorted(self._folders(path)))

    def open_sequence(self, path: Path, name: str) -> KittiRawDrive:
        """See the base class."""
        return KittiRawDrive(self._folders(path)[name], name)

    @staticmethod
    def _folders(path: Path) -> dict[str, Path]:
        if _is_drive(path):
            return {path.resolve().name: path}
        days = [path, *path.glob("[0-9][0-9][0-9][0-9]_[0-9][0-9]_[0-9][0-9]")]
        found = [folder for day in days if day.is_dir() for folder in day.glob("*_drive_*_sync")]
        return {folder.name: folder for folder in found if _is_drive(folder)}


class KittiRawDrive(SequenceSource):
    """One drive."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        day = folder.resolve().parent
        calib, sizes = _read_calibration(day)
        found = {sensor: numbered_files(folder / sensor / "data", ends) for sensor, ends in _ENDINGS.items()}
        self._files = {sensor: files for sensor, files in found.items() if files}
        if not self._files:
            raise SourceError(f"{folder} has no sweep and no picture; restore it from KITTI's archive")
        n_frames = 1 + max(max(files) for files in self._files.values())
        times = {sensor: self._times_of(sensor, n_frames) for sensor in self._files}
        reference = LIDAR if LIDAR in times else next(iter(times))
        frame_ns = times[reference].timestamp_ns
        trajectory, origin, self.warnings = _trajectory(folder / "oxts")
        require_reach(frame_ns, trajectory, str(folder / "oxts"))
        self._times = {sensor: within_reach(found, trajectory, frame_ns) for sensor, found in times.items()}
        self._calib = calib
        self._sweep_ns = self._sweep_times(n_frames) if LIDAR in times else np.empty((0, 2))
        cameras = []
        for camera in CAMERAS:
            if camera in self._files:
                projection = f"P{int(camera[-2:])}"
                if projection not in calib.projections or camera not in sizes:
                    raise SourceError(f"{day / 'calib_cam_to_cam.txt'} has no P_rect and S_rect of {camera}")
                p = calib.projections[projection]
                model = PinholeCamera(*sizes[camera], p[0, 0], p[1, 1], p[0, 2], p[1, 2])
                cameras.append(Sensor(camera, SensorKind.CAMERA, calib.ego_from_camera(projection), model))
        lidar = [Sensor(LIDAR, SensorKind.LIDAR, calib.ego_from_velo, motion_compensated=False)]
        self.info = SequenceInfo(
            name=name,
            sensors=(*cameras, *(lidar if LIDAR in self._files else [])),
            frame_timestamp_ns=frame_ns,
            trajectory=trajectory,
            source={"format": KittiRaw.name, "calib": calib.to_dict(), "origin": origin},
        )

    def read_sensor(self, name: str, start: int, stop: int) -> tuple[Part, list[Quarantined]]:
        """See the base class."""
        model = self.info.sensor(name).camera
        if model is None:
            return lidar_part(self._points, start, stop, self._times[LIDAR])
        paths = [self._files[name].get(frame) for frame in range(start, stop)]
        return camera_part(paths, start, self._times[name], (model.width_px, model.height_px))

    def ground_truth(self) -> GroundTruth | None:
        """See the base class."""
        path = self._folder / _TRACKLETS
        if not path.exists():
            return None
        frame_ns = self.info.frame_timestamp_ns
        return read_tracklets(path, frame_ns, self.info.trajectory.at(frame_ns) @ self._calib.ego_from_velo)

    def _points(self, frame: int) -> Points | None:
        path = self._files[LIDAR].get(frame)
        if path is None:
            return None
        content = read_bytes(path)
        if len(content) % 16:
            raise SourceError(
                f"{path} has {len(content)} bytes, not a multiple of 16 (x y z reflectance as float32): it is cut off; "
                "restore it from the original log"
            )
        rows = np.frombuffer(content, dtype="<f4").reshape(-1, 4).astype(np.float64)
        with np.errstate(invalid="ignore"):
            turned = (np.arctan2(rows[:, 1], rows[:, 0]) + np.pi) / (2 * np.pi)
        start, end = self._sweep_ns[frame]
        return Points.finite(rows[:, :3], rows[:, 3], start + turned * (end - start), str(path))

    def _times_of(self, sensor: str, n_frames: int) -> Timeline:
        path = self._folder / sensor / "timestamps.txt"
        stamps = _read_stamps(path)
        known = np.arange(n_frames) < len(stamps)
        padded = [*stamps[:n_frames], *[None] * (n_frames - len(stamps))]
        found = timeline(padded, known, str(path))
        untimed = {
            frame: f"{path} has no time of frame {frame}"
            for frame in self._files[sensor]
            if frame >= len(stamps)
        }
        return Timeline(found.timestamp_ns, {**found.faults, **untimed})

    def _sweep_times(self, n_frames: int) -> F64:
        """(F, 2) start and end of each sweep after its time, in nanoseconds."""
        around: F64 = np.tile([-_SWEEP_NS / 2, _SWEEP_NS / 2], (n_frames, 1))
        for column, which in enumerate(("start", "end")):
            path = self._folder / LIDAR / f"timestamps_{which}.txt"
            if not path.exists():
                continue
            for frame, stamp in enumerate(_read_stamps(path)[:n_frames]):
                after = None if stamp is None else stamp - int(self._times[LIDAR].timestamp_ns[frame])
                if after is not None and abs(after) <= 2 * _SWEEP_NS:
                    around[frame, column] = after
        return around


def _is_drive(path: Path) -> bool:
    sensors = any((path / sensor / "data").is_dir() for sensor in _ENDINGS)
    return sensors and ((path / "oxts").is_dir() or (path.resolve().parent / "calib_cam_to_cam.txt").exists())


def _read_stamps(path: Path) -> list[int | None]:
    """Nanoseconds of each line, None for one that is no time.

    Raises:
        SourceError: it is missing, empty or too long.
    """
    lines = read_text(path).splitlines() if path.exists() else []
    if not lines or len(lines) > MAX_FRAMES:
        raise SourceError(f"{path} has {len(lines)} times of frames; restore it from KITTI's archive")
    return [_nanoseconds(line.strip()) for line in lines]


def _nanoseconds(stamp: str) -> int | None:
    match = _STAMP.match(stamp)
    if match is None:
        return None
    try:
        seconds = calendar.timegm(time.strptime(match[1], "%Y-%m-%d %H:%M:%S"))
    except ValueError:
        return None
    return seconds * 1_000_000_000 + int((match[2] or "").ljust(9, "0"))


def _read_calibration(day: Path) -> tuple[KittiCalib, dict[str, tuple[int, int]]]:
    """Calibration of a day, and the sizes in pixels of its rectified pictures.

    Raises:
        SourceError: a file or matrix is missing or malformed.
    """
    cameras = day / "calib_cam_to_cam.txt"
    found = _entries(cameras)
    rect = _matrix(found, "R_rect_00", 9, cameras).reshape(3, 3)
    projections: dict[str, F64] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for row, camera in enumerate(CAMERAS):
        if f"P_rect_0{row}" not in found:
            continue
        p = _matrix(found, f"P_rect_0{row}", 12, cameras).reshape(3, 4)
        if not (p[0, 0] > 0 and p[1, 1] > 0) or p[0, 1] or p[1, 0] or p[2, :3].tolist() != [0.0, 0.0, 1.0]:
            raise SourceError(
                f"{cameras}: P_rect_0{row} is no pinhole projection: {p.tolist()}; restore the file"
            )
        width, height = _matrix(found, f"S_rect_0{row}", 2, cameras).tolist()
        if not (0 < width < 1 << 17 and 0 < height < 1 << 17):
            raise SourceError(f"{cameras}: S_rect_0{row} is {width:g} x {height:g} px; restore the file")
        projections[f"P{row}"], sizes[camera] = p, (int(width), int(height))
    rect_from_camera = se3.transform(exact_rotation(rect, f"{cameras} R_rect_00"), np.zeros(3))
    camera_from_velo = _rigid(day / "calib_velo_to_cam.txt")
    velo_from_imu = _rigid(day / "calib_imu_to_velo.txt")
    return KittiCalib(projections, rect_from_camera @ camera_from_velo, velo_from_imu), sizes


def _entries(path: Path) -> dict[str, list[str]]:
    if not path.exists():
        raise SourceError(f"{path} is missing; restore it from the calibration archive of that day")
    rows = (line.partition(":") for line in read_text(path).splitlines())
    return {name.strip(): values.split() for name, _, values in rows}


def _matrix(found: dict[str, list[str]], name: str, count: int, path: Path) -> F64:
    if name not in found:
        raise SourceError(f"{path} has no {name}; it has {', '.join(sorted(found))[:300]}. Restore the file")
    return np.array(numbers(found[name], f"{path} {name}", count))


def _rigid(path: Path) -> F64:
    found = _entries(path)
    rotation = exact_rotation(_matrix(found, "R", 9, path).reshape(3, 3), f"{path} R")
    return se3.transform(rotation, _matrix(found, "T", 3, path))


def _trajectory(folder: Path) -> tuple[Trajectory, dict[str, float], tuple[str, ...]]:
    """Ego poses, the first being the world's origin; where on Earth that is; and warnings.

    Raises:
        SourceError: there are none that can be used.
    """
    files = numbered_files(folder / "data", (".txt",))
    path = folder / "timestamps.txt"
    stamps = _read_stamps(path)
    rows, kept, unusable = [], [], 0
    for frame, file in files.items():
        try:
            packet = number_rows(file, _OXTS_COLUMNS)
        except SourceError:
            packet = np.empty((0, _OXTS_COLUMNS))
        if len(packet) == 1 and frame < len(stamps) and abs(packet[0, 0]) < 89:
            rows.append(packet[0])
            kept.append(stamps[frame])
        else:
            unusable += 1
    if not rows:
        raise SourceError(
            f"{folder} has no pose that can be used, of {len(files)} files; restore it from KITTI's archive"
        )
    times = timeline(kept, np.ones(len(kept), dtype=np.bool_), str(path))
    good = np.array([row not in times.faults for row in range(len(rows))])
    packets = np.array(rows)[good]
    poses = se3.to_pose(world_from_imu(packets))
    latitude, longitude, _, _, _, yaw = packets[0, :6].tolist()
    origin = {"latitude_deg": latitude, "longitude_deg": longitude, "x_from_east_deg": float(np.degrees(yaw))}
    bad = unusable + int((~good).sum())
    warning = f"{folder}: {bad} poses cannot be used and were interpolated" if bad else ""
    return Trajectory(times.timestamp_ns[good], poses), origin, (warning,) if warning else ()
