"""Waymo's perception data, v2 (Sun et al., 2020): ``<split>/<component>/<segment>.parquet``.

What people get wrong, and what holds here:

- The vehicle frame is x forward, y left, z up, and so is each *camera's*: x looks forward. Our cameras look along z, so
  extrinsics are turned; ``f_u`` to ``k3`` are OpenCV's and stay.
- Frames are those of vehicle_pose, 10 Hz; a sweep holds at its frame's time. Range images become points by each pixel's
  own pose (see ``waymo_ranges``), first and second returns. They have no times of points, so sweeps are compensated.
- A picture is read out over some 30 ms. Its time is the middle between trigger and end of readout; the poses of
  camera_image, which have times of their own, are samples of the trajectory beside those of the frames.
- Boxes are in the vehicle frame at the frame's time: centre, size x y z = length, width, height, heading about z.
  ``TYPE_VEHICLE`` is everything with an engine, trucks and buses too, and counts as a car.
- Boxes in pictures have identities of their own, by camera, which are not those of the cuboids.

Not read: speeds, difficulty, zones without labels, segmentation, flow, keypoints, camera_synced boxes; range beyond
shape, elongation. What stands in a folder without the parts that place it is not read either.

Bad data: rows that cannot be used set their frame of that sensor aside, boxes that are none their frame of the labels;
missing rows are gaps, a missing component is a sensor less. Calibration or poses that cannot be read end the import.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.ingest.arrow_files import floats, read_parquet, whole_numbers
from fleetlabel.engine.ingest.clocks import Timeline, require_reach, timeline, within_reach
from fleetlabel.engine.ingest.pandaset_rig import merged
from fleetlabel.engine.ingest.pictures import picture_fault, picture_part
from fleetlabel.engine.ingest.source import GroundTruth, SequenceSource, SourceFormat
from fleetlabel.engine.ingest.sweeps import Points, lidar_part
from fleetlabel.engine.ingest.waymo_labels import CAMERA, CAMERAS, TIME, read_labels
from fleetlabel.engine.ingest.waymo_ranges import beam_inclinations, image_of, points_of
from fleetlabel.engine.ingest.world import offset_of
from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.cameras import PinholeCamera
from fleetlabel.model.errors import SourceError
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import Part, Quarantined, SequenceInfo

LIDARS = {1: "TOP", 2: "FRONT", 3: "SIDE_LEFT", 4: "SIDE_RIGHT", 5: "REAR"}
_LIDAR = "key.laser_name"
_IMAGE, _RANGES, _POSES = "[CameraImageComponent]", "[LiDARComponent]", "[LiDARPoseComponent]"
_SHUTTER = f"{_IMAGE}.rolling_shutter_params"
_INTRINSICS = (
    "width",
    "height",
    *(f"intrinsic.{name}" for name in ("f_u", "f_v", "c_u", "c_v", "k1", "k2", "p1", "p2", "k3")),
)
# Waymo's camera frame (x forward, y left, z up) from ours.
_FORWARD: F64 = se3.transform(np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), np.zeros(3))


class Waymo(SourceFormat):
    """A split's folder with a folder per component."""

    name = "waymo"
    looks_for = "vehicle_pose/, camera_calibration/ and lidar_calibration/ with <segment>.parquet (v2)"

    def matches(self, path: Path) -> bool:
        """See the base class."""
        return (path / "vehicle_pose").is_dir() and any((path / "vehicle_pose").glob("*.parquet"))

    def list_sequences(self, path: Path) -> tuple[str, ...]:
        """See the base class."""
        return tuple(sorted(file.stem for file in (path / "vehicle_pose").glob("*.parquet")))

    def open_sequence(self, path: Path, name: str) -> WaymoSegment:
        """See the base class."""
        return WaymoSegment(path, name)


class WaymoSegment(SequenceSource):
    """One segment."""

    def __init__(self, root: Path, name: str) -> None:
        self._root, self._name = root, name
        where = str(self._path("vehicle_pose"))
        frame_us, poses = self._vehicle_poses()
        frame_ns = frame_us * 1000
        self._frame_us = frame_us
        cameras, camera_times, samples = self._cameras(frame_us)
        times = [frame_ns, *(time for time, _ in samples)]
        trajectory = merged(times, [poses, *(pose for _, pose in samples)])
        offset = offset_of(trajectory.world_from_ego)
        moved = trajectory.world_from_ego - np.concatenate([offset, np.zeros(4)])
        trajectory = Trajectory(trajectory.timestamp_ns, moved)
        require_reach(frame_ns, trajectory, where)
        lidars, self._beams = self._lidars()
        self._times = {
            **{sensor: within_reach(found, trajectory, frame_ns) for sensor, found in camera_times.items()},
            **{lidar.name: Timeline(frame_ns) for lidar in lidars},
        }
        self.warnings = ()
        if not cameras and not lidars:
            raise SourceError(f"{root} has neither camera_image nor lidar of {name}; restore them")
        self.info = SequenceInfo(
            name=name,
            sensors=(*cameras, *lidars),
            frame_timestamp_ns=frame_ns,
            trajectory=trajectory,
            world_offset_m=offset,
            source={"format": Waymo.name, "segment": name},
        )

    def read_sensor(self, name: str, start: int, stop: int) -> tuple[Part, list[Quarantined]]:
        """See the base class."""
        model = self.info.sensor(name).camera
        frames = self._frame_us[start:stop].tolist()
        if model is None:
            sweeps = self._sweeps(name, frames)
            return lidar_part(lambda frame: self._points(name, frame, sweeps), start, stop, self._times[name])
        size = (model.width_px, model.height_px)
        pictures = self._pictures(name, frames)
        return picture_part(
            lambda frame: self._picture(frame, size, pictures), start, stop, self._times[name]
        )

    def ground_truth(self) -> GroundTruth | None:
        """See the base class."""
        world_from_vehicle = self.info.trajectory.at(self.info.frame_timestamp_ns)
        cuboids, flat = self._path("lidar_box"), self._path("camera_box")
        return read_labels(cuboids, flat, self._frame_us, world_from_vehicle, self._times)

    # --- metadata ---

    def _path(self, component: str) -> Path:
        return self._root / component / f"{self._name}.parquet"

    def _vehicle_poses(self) -> tuple[I64, F64]:
        """Times of the frames in microseconds (F,), and poses (F, 7)."""
        path = self._path("vehicle_pose")
        column = "[VehiclePoseComponent].world_from_vehicle.transform"
        table = read_parquet(path, [TIME, column])
        times = whole_numbers(table, TIME, path)
        poses, good = _rigid(table[column].to_list())
        good &= np.abs(times) < 1 << 52
        if not good.any():
            raise SourceError(
                f"{path}: none of its {len(good)} poses is a transform; restore it from the original log"
            )
        frame_us, row = np.unique(times[np.abs(times) < 1 << 52], return_index=True)
        # A frame whose pose is broken stays a frame: it is interpolated, where the others allow it.
        known = good[np.abs(times) < 1 << 52][row]
        ordered = poses[np.abs(times) < 1 << 52][row]
        filled = Trajectory(frame_us[known] * 1000, ordered[known])
        slack = filled.max_extrapolation_ns // 1000
        inside = (frame_us >= frame_us[known][0] - slack) & (frame_us <= frame_us[known][-1] + slack)
        return frame_us[inside], filled.poses_at(frame_us[inside] * 1000)

    def _cameras(self, frame_us: I64) -> tuple[list[Sensor], dict[str, Timeline], list[tuple[I64, F64]]]:
        """Cameras, the times of their pictures, and the poses that came with these."""
        path, images = self._path("camera_calibration"), self._path("camera_image")
        if not images.exists():
            return [], {}, []
        prefix = "[CameraCalibrationComponent]."
        columns = [f"{prefix}{name}" for name in _INTRINSICS]
        table = read_parquet(path, [CAMERA, f"{prefix}extrinsic.transform", *columns])
        places, good = _rigid(table[f"{prefix}extrinsic.transform"].to_list())
        numbers = floats(table, columns, path)
        shown = [
            f"{_SHUTTER}.camera_trigger_time",
            f"{_SHUTTER}.camera_readout_done_time",
            f"{_IMAGE}.pose_timestamp",
        ]
        exposures = read_parquet(images, [TIME, CAMERA, *shown, f"{_IMAGE}.pose.transform"])
        which, at_us = whole_numbers(exposures, CAMERA, images), whole_numbers(exposures, TIME, images)
        seconds = floats(exposures, shown, images)
        poses, placed = _rigid(exposures[f"{_IMAGE}.pose.transform"].to_list())
        sensors, times, samples = [], {}, []
        for row, number in enumerate(whole_numbers(table, CAMERA, path).tolist()):
            mine = which == number
            if number not in CAMERAS or not mine.any():
                continue
            name = f"CAMERA_{CAMERAS[number]}"
            if (
                not good[row]
                or not np.isfinite(numbers[row]).all()
                or not (numbers[row, :2] > 0).all()
                or numbers[row, :2].max() >= 1 << 17
            ):
                raise SourceError(
                    f"{path}: {name} has no calibration that can be used: {numbers[row].tolist()}"
                )
            fu, fv, cu, cv, k1, k2, p1, p2, k3 = numbers[row, 2:].tolist()
            width, height = round(numbers[row, 0]), round(numbers[row, 1])
            try:
                model = PinholeCamera(width, height, fu, fv, cu, cv, k1=k1, k2=k2, p1=p1, p2=p2, k3=k3)
            except SourceError as error:
                raise SourceError(f"{path}: {name}: {error}") from error
            sensors.append(Sensor(name, SensorKind.CAMERA, se3.from_pose(places[row]) @ _FORWARD, model))
            times[name] = _exposures(frame_us, at_us[mine], seconds[mine, :2], f"{images}, {name}")
            usable = mine & placed & np.isfinite(seconds[:, 2]) & (np.abs(seconds[:, 2]) < 9e9)
            moments, first = np.unique(np.round(seconds[usable, 2] * 1e9).astype(np.int64), return_index=True)
            samples.append((moments, poses[usable][first]))
        return sensors, times, samples

    def _lidars(self) -> tuple[list[Sensor], dict[str, tuple[list[float] | None, float, float]]]:
        """Lidars, and the inclinations of their beams: values, or lowest and highest."""
        path = self._path("lidar_calibration")
        if not self._path("lidar").exists():
            return [], {}
        prefix = "[LiDARCalibrationComponent]."
        limits = [f"{prefix}beam_inclination.min", f"{prefix}beam_inclination.max"]
        values, place = f"{prefix}beam_inclination.values", f"{prefix}extrinsic.transform"
        table = read_parquet(path, [_LIDAR, place, values, *limits])
        places, good = _rigid(table[place].to_list())
        numbers, listed = floats(table, limits, path), table[values].to_list()
        sensors, beams = [], {}
        for row, number in enumerate(whole_numbers(table, _LIDAR, path).tolist()):
            if number not in LIDARS:
                continue
            name = f"LIDAR_{LIDARS[number]}"
            if not good[row]:
                raise SourceError(
                    f"{path}: {name} has no transform to the vehicle; restore it from the original log"
                )
            sensors.append(Sensor(name, SensorKind.LIDAR, se3.from_pose(places[row])))
            beams[name] = (listed[row], float(numbers[row, 0]), float(numbers[row, 1]))
        return sensors, beams

    # --- data ---

    def _pictures(self, name: str, frames: list[int]) -> dict[int, Any] | SourceError:
        number = next(number for number, camera in CAMERAS.items() if name == f"CAMERA_{camera}")
        path, column = self._path("camera_image"), f"{_IMAGE}.image"
        try:
            table = read_parquet(path, [TIME, column], {CAMERA: [number], TIME: frames})
            return dict(zip(whole_numbers(table, TIME, path).tolist(), table[column].to_list(), strict=True))
        except SourceError as error:
            return error

    def _picture(
        self, frame: int, size_px: tuple[int, int], pictures: dict[int, Any] | SourceError
    ) -> tuple[bytes, str | None] | None:
        if isinstance(pictures, SourceError):
            return b"", str(pictures)
        time_us = int(self._frame_us[frame])
        if time_us not in pictures:
            return None
        data = pictures[time_us]
        if not isinstance(data, bytes):
            data = b""
        problem = picture_fault(data, size_px)
        where = f"{self._path('camera_image')}, frame {time_us}"
        return data, None if problem is None else f"{where}: the picture {problem}; restore the file"

    def _sweeps(self, name: str, frames: list[int]) -> dict[int, dict[str, Any]] | SourceError:
        """Rows of range images, and of their poses where the lidar has them, by time."""
        number = next(number for number, lidar in LIDARS.items() if name == f"LIDAR_{lidar}")
        path, poses = self._path("lidar"), self._path("lidar_pose")
        rows = {_LIDAR: [number], TIME: frames}
        parts = [f"range_image_return{which}.{part}" for which in (1, 2) for part in ("values", "shape")]
        pose_parts = parts[:2]
        found: dict[int, dict[str, Any]] = {}
        try:
            table = read_parquet(path, [TIME, *(f"{_RANGES}.{part}" for part in parts)], rows)
            for row, time_us in enumerate(whole_numbers(table, TIME, path).tolist()):
                found[time_us] = {part: _cell(table[f"{_RANGES}.{part}"], row) for part in parts}
            if poses.exists():
                table = read_parquet(poses, [TIME, *(f"{_POSES}.{part}" for part in pose_parts)], rows)
                for row, time_us in enumerate(whole_numbers(table, TIME, poses).tolist()):
                    for part in pose_parts:
                        found.setdefault(time_us, {})[f"pose.{part}"] = _cell(table[f"{_POSES}.{part}"], row)
        except SourceError as error:
            return error
        return found

    def _points(
        self, name: str, frame: int, sweeps: dict[int, dict[str, Any]] | SourceError
    ) -> Points | None:
        if isinstance(sweeps, SourceError):
            raise sweeps
        time_us = int(self._frame_us[frame])
        row = sweeps.get(time_us)
        if row is None or "range_image_return1.values" not in row:
            return None
        where = f"{self._path('lidar')}, {name} frame {time_us}"
        returns = [
            image
            for which in (1, 2)
            if (
                image := image_of(
                    row[f"range_image_return{which}.values"],
                    row[f"range_image_return{which}.shape"],
                    4,
                    where,
                )
            )
            is not None
        ]
        if not returns:
            raise SourceError(f"{where} has no range image; restore the file")
        poses = image_of(
            row.get("pose.range_image_return1.values"), row.get("pose.range_image_return1.shape"), 6, where
        )
        values, low, high = self._beams[name]
        inclination = beam_inclinations(values, low, high, returns[0].shape[0], where)
        if any(image.shape[0] != len(inclination) for image in returns):
            raise SourceError(f"{where}: its two range images have {[image.shape for image in returns]}")
        pose = self.info.trajectory.at(self.info.frame_timestamp_ns[frame : frame + 1])[0]
        pose[:3, 3] += self.info.world_offset_m
        return points_of(returns, inclination, self.info.sensor(name).ego_from_sensor, poses, pose, where)


def _exposures(frame_us: I64, at_us: I64, seconds: F64, where: str) -> Timeline:
    """When the pictures of the frames were taken: the middle between trigger and end of readout."""
    by_frame: list[int | None] = [None] * len(frame_us)
    known = np.zeros(len(frame_us), dtype=np.bool_)
    middle = seconds.mean(axis=1)
    place = np.searchsorted(frame_us, at_us)
    for frame, time_us, second in zip(place.tolist(), at_us.tolist(), middle.tolist(), strict=True):
        if frame < len(frame_us) and frame_us[frame] == time_us:
            known[frame] = True
            by_frame[frame] = round(second * 1e9) if np.isfinite(second) and abs(second) < 9e9 else None
    return timeline(by_frame, known, where)


def _rigid(rows: list[Any]) -> tuple[F64, Any]:
    """Poses (N, 7) of transforms of 16 numbers, row by row, and which of them are some."""
    poses = np.full((len(rows), 7), np.nan)
    for row, numbers in enumerate(rows):
        if numbers is None or len(numbers) != 16 or any(number is None for number in numbers):
            continue
        matrix = np.array(numbers, dtype=np.float64).reshape(4, 4)
        rotation = matrix[:3, :3]
        if np.isfinite(matrix).all() and np.abs(rotation @ rotation.T - np.eye(3)).max() < 1e-3:
            poses[row] = se3.to_pose(matrix)
    return poses, np.isfinite(poses).all(axis=1)


def _cell(series: Any, row: int) -> Any:
    """A list of numbers as an array or a short list, None where there is none."""
    value = series[row]
    return None if value is None else value.to_numpy() if len(value) > 16 else value.to_list()
