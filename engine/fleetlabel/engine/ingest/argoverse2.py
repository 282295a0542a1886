"""Argoverse 2 sensor logs (Wilson et al., 2021): Feather tables, ``sensors/cameras`` and ``sensors/lidar``.

What people get wrong, and what holds here:

- A file's name is its time in nanoseconds, and each sensor has times of its own: ring cameras run at 20 Hz, stereo
  cameras at 5 Hz, the lidar at 10 Hz. The fastest makes the frames; no picture or sweep is left out.
- A sweep is in the ego frame, compensated for the vehicle's motion to the sweep's *first* moment, which is its time;
  ``offset_ns`` runs forward from there and is each point's time offset. Two lidars are one above the other in each
  sweep, and the file does not say which point is whose: they are one sensor, ``lidar``, whose frame is the ego frame.
- Cuboids are in the ego frame at the sweep's time; length, width, height; quaternions w, x, y, z.
- Poses are city <- ego. Our world is the city frame but for ``world_offset_m``.
- Pictures are undistorted, so that cameras are pinholes; ``k1`` to ``k3`` in intrinsics.feather describe what was
  undone and are not applied, as in av2's own projection.

Maps are not read, and neither is ``laser_number``. Only the test split has no annotations.

Bad data: a file that cannot be used sets its frame of that sensor aside, annotations that are no boxes their frame of
the labels. Calibration or poses that are missing or cannot be read end the import.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.ingest.arrow_files import floats, read_feather, texts, whole_numbers
from fleetlabel.engine.ingest.clocks import Timeline, require_reach
from fleetlabel.engine.ingest.numbered import MAX_FRAMES
from fleetlabel.engine.ingest.pictures import camera_part
from fleetlabel.engine.ingest.source import GroundTruth, SequenceSource, SourceFormat
from fleetlabel.engine.ingest.streams import Stream, frame_of_time, frame_times, in_frames
from fleetlabel.engine.ingest.sweeps import Points, lidar_part
from fleetlabel.engine.ingest.world import offset_of
from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.trajectory import OutOfRangeError, Trajectory
from fleetlabel.model.boxes import Boxes3D, Source
from fleetlabel.model.cameras import PinholeCamera
from fleetlabel.model.errors import SourceError
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import Part, Quarantined, SequenceInfo

LIDAR = "lidar"
_POSES = "city_SE3_egovehicle.feather"
_MAP = re.compile(r"log_map_archive_.+?_{2,}([A-Z]{2,5})_city_\d+\.json")
_ANNOTATIONS = "annotations.feather"
_POSE = ("tx_m", "ty_m", "tz_m", "qw", "qx", "qy", "qz")
_SIZE = ("length_m", "width_m", "height_m")
_INTRINSICS = ("width_px", "height_px", "fx_px", "fy_px", "cx_px", "cy_px")


class Argoverse2(SourceFormat):
    """A sensor log, or a folder of sensor logs."""

    name = "argoverse2"
    looks_for = f"{_POSES}, calibration/ and sensors/, or folders with these"

    def matches(self, path: Path) -> bool:
        """See the base class."""
        return bool(self._folders(path))

    def list_sequences(self, path: Path) -> tuple[str, ...]:
        """See the base class."""
        return tuple(sorted(self._folders(path)))

    def open_sequence(self, path: Path, name: str) -> Argoverse2Log:
        """See the base class."""
        return Argoverse2Log(self._folders(path)[name], name)

    @staticmethod
    def _folders(path: Path) -> dict[str, Path]:
        if _is_log(path):
            return {path.resolve().name: path}
        return {entry.name: entry for entry in path.iterdir() if entry.is_dir() and _is_log(entry)}


class Argoverse2Log(SequenceSource):
    """One sensor log."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        sensors = folder / "sensors"
        files = {LIDAR: _files_by_time(sensors / LIDAR, (".feather",))}
        for camera in sorted(entry.name for entry in sensors.glob("cameras/*") if entry.is_dir()):
            files[camera] = _files_by_time(sensors / "cameras" / camera, (".jpg", ".png"))
        empty = [sensor for sensor, found in files.items() if not found]
        self._files = {sensor: list(found.values()) for sensor, found in files.items() if found}
        times: dict[str, I64] = {
            sensor: np.array(list(found), dtype=np.int64) for sensor, found in files.items() if found
        }
        frame_ns = frame_times(times, {LIDAR}, str(sensors))
        trajectory, offset, warnings = _trajectory(folder / _POSES)
        require_reach(frame_ns, trajectory, str(folder / _POSES))
        self._streams: dict[str, Stream] = {}
        for sensor, sampled in times.items():
            self._streams[sensor] = in_frames(Timeline(sampled), frame_ns, trajectory)
            if self._streams[sensor].homeless:
                warnings.append(
                    f"{self._streams[sensor].homeless} of {len(sampled)} files of {sensor} have no frame of their own "
                    "and are left out"
                )
        self.warnings = (
            *warnings,
            *(f"{sensors}: {sensor} has no files, so it is left out" for sensor in empty),
        )
        self.info = SequenceInfo(
            name=name,
            sensors=tuple(_sensors(folder / "calibration", self._files)),
            frame_timestamp_ns=frame_ns,
            trajectory=trajectory,
            world_offset_m=offset,
            source={"format": Argoverse2.name, "log": name, **_city(folder)},
        )

    def read_sensor(self, name: str, start: int, stop: int) -> tuple[Part, list[Quarantined]]:
        """See the base class."""
        model, stream = self.info.sensor(name).camera, self._streams[name]
        if model is None:
            return lidar_part(self._points, start, stop, stream.times)
        paths = [self._path(name, frame) for frame in range(start, stop)]
        return camera_part(paths, start, stream.times, (model.width_px, model.height_px))

    def ground_truth(self) -> GroundTruth | None:
        """See the base class."""
        path = self._folder / _ANNOTATIONS
        if not path.exists():
            return None
        table = read_feather(
            path, ["timestamp_ns", "track_uuid", "category", *_SIZE, *_POSE, "num_interior_pts"]
        )
        time_ns = whole_numbers(table, "timestamp_ns", path)
        numbers = floats(table, [*_SIZE, *_POSE], path)
        n_points = floats(table, ["num_interior_pts"], path)[:, 0]
        category, track = texts(table, "category", path), texts(table, "track_uuid", path)
        order = np.argsort(time_ns, kind="stable")
        time_ns, numbers = time_ns[order], numbers[order]
        good = np.isfinite(numbers).all(axis=1) & (numbers[:, :3] > 0).all(axis=1)
        good &= np.linalg.norm(numbers[:, 6:], axis=1) > 1e-6
        good &= np.array([bool(category[row]) for row in order.tolist()], dtype=np.bool_)
        frames = self.info.frame_timestamp_ns
        slack = self.info.trajectory.max_extrapolation_ns
        good &= (time_ns >= frames[0] - slack) & (time_ns <= frames[-1] + slack)
        reference = self._streams.get(LIDAR) or next(iter(self._streams.values()))
        frame = frame_of_time(time_ns, reference, frames)
        quarantined = tuple(
            Quarantined(
                int(frame[at]),
                f"{path} row {order[at]} is no box of this log: time {time_ns[at]} ns, size l w h, place and rotation "
                f"{numbers[at].tolist()}; correct or remove the row",
            )
            for at in np.flatnonzero(~good).tolist()
        )
        rows = order[good].tolist()
        time_ns, numbers, frame = time_ns[good], numbers[good], frame[good]
        class_names = tuple(sorted({category[row] for row in rows}))
        tracks = {uuid: at for at, uuid in enumerate(dict.fromkeys(track[row] for row in rows))}
        try:
            world_from_box = self.info.trajectory.at(time_ns) @ se3.from_pose(numbers[:, 3:])
        except OutOfRangeError as error:
            raise SourceError(f"{path}: {error}") from error
        points = np.nan_to_num(n_points[order][good], nan=-1.0)
        boxes = Boxes3D(
            class_names=class_names,
            frame=frame,
            timestamp_ns=time_ns,
            class_id=np.array([class_names.index(category[row]) for row in rows], dtype=np.int16),
            track_id=np.array([tracks[track[row]] for row in rows], dtype=np.int64),
            source=np.full(len(rows), Source.GROUND_TRUTH),
            center_m=world_from_box[:, :3, 3],
            size_lwh_m=numbers[:, :3],
            q_wxyz=quaternion.from_matrix(world_from_box[:, :3, :3]),
            n_points=np.clip(points, -1, 1 << 30).astype(np.int32),
        )
        labelled = sorted(set(frame.tolist()))
        note = f"labels are at {len(labelled)} of {self.info.n_frames} frames, those of the sweeps"
        provenance: Mapping[str, Any] = {"track_uuids": list(tracks), "labelled_frames": labelled}
        return GroundTruth(class_names, {}, boxes, quarantined, (note,), provenance)

    def _path(self, sensor: str, frame: int) -> Path | None:
        sample = int(self._streams[sensor].sample[frame])
        return None if sample < 0 else self._files[sensor][sample]

    def _points(self, frame: int) -> Points | None:
        path = self._path(LIDAR, frame)
        if path is None:
            return None
        table = read_feather(path, ["x", "y", "z", "intensity", "offset_ns"])
        numbers = floats(table, ["x", "y", "z", "intensity", "offset_ns"], path)
        return Points.finite(numbers[:, :3], numbers[:, 3], numbers[:, 4], str(path))


def _is_log(path: Path) -> bool:
    # Stores have folders of these names, too, but no Feather files.
    tables = (_POSES, "calibration/egovehicle_SE3_sensor.feather", "calibration/intrinsics.feather")
    return (path / "sensors").is_dir() and any((path / table).exists() for table in tables)


def _city(folder: Path) -> dict[str, str]:
    """In whose frame the poses are, as the map's file says."""
    found = [_MAP.fullmatch(path.name) for path in sorted(folder.glob("map/log_map_archive_*.json"))]
    return {"city": found[0][1]} if found and found[0] else {}


def _files_by_time(folder: Path, endings: tuple[str, ...]) -> dict[int, Path]:
    """Files whose name is a time in nanoseconds, by it, ascending."""
    if not folder.is_dir():
        return {}
    found = {}
    for path in folder.iterdir():
        if path.suffix in endings and path.stem.isascii() and path.stem.isdigit():
            if len(path.stem) > 18:
                raise SourceError(f"{path}: its name is no time in nanoseconds; restore the original name")
            found[int(path.stem)] = path
    if len(found) >= MAX_FRAMES:
        raise SourceError(f"{folder} has {len(found)} files; no drive has so many")
    return dict(sorted(found.items()))


def _trajectory(path: Path) -> tuple[Trajectory, F64, list[str]]:
    table = read_feather(path, ["timestamp_ns", *_POSE])
    times, poses = whole_numbers(table, "timestamp_ns", path), floats(table, _POSE, path)
    good = np.isfinite(poses).all(axis=1) & (np.linalg.norm(poses[:, 3:], axis=1) > 1e-6)
    if not good.any():
        raise SourceError(
            f"{path}: none of its {len(good)} poses is finite; restore it from the original log"
        )
    times, first = np.unique(times[good], return_index=True)
    poses = poses[good][first]
    poses[:, 3:] = quaternion.normalize(poses[:, 3:])
    offset = offset_of(poses)
    poses[:, :3] -= offset
    bad = int((~good).sum())
    return (
        Trajectory(times, poses),
        offset,
        [f"{path}: {bad} poses are not finite and were interpolated"] if bad else [],
    )


def _sensors(folder: Path, files: Mapping[str, list[Path]]) -> list[Sensor]:
    place_path, model_path = folder / "egovehicle_SE3_sensor.feather", folder / "intrinsics.feather"
    table = read_feather(place_path, ["sensor_name", *_POSE])
    places = dict(zip(texts(table, "sensor_name", place_path), floats(table, _POSE, place_path), strict=True))
    table = read_feather(model_path, ["sensor_name", *_INTRINSICS])
    names = texts(table, "sensor_name", model_path)
    models = dict(zip(names, floats(table, _INTRINSICS, model_path).tolist(), strict=True))
    sensors = []
    for name in files:
        if name == LIDAR:
            sensors.append(Sensor(LIDAR, SensorKind.LIDAR, np.eye(4)))
            continue
        for path, known in ((place_path, places.keys()), (model_path, models.keys())):
            if name not in known:
                raise SourceError(
                    f"{path} has no {name}, of which there are pictures; it has {', '.join(sorted(known))}"
                )
        if not np.isfinite(places[name]).all() or np.linalg.norm(places[name][3:]) < 1e-6:
            raise SourceError(f"{place_path}: {name} has no pose: {places[name].tolist()}; restore the file")
        size, k = models[name][:2], models[name][2:]
        if not all(0 < number < 1 << 20 for number in size):
            raise SourceError(f"{model_path}: {name} has pictures of {size} px; restore the file")
        try:
            camera = PinholeCamera(round(size[0]), round(size[1]), *k)
        except SourceError as error:
            raise SourceError(f"{model_path}: {name}: {error}") from error
        sensors.append(Sensor(name, SensorKind.CAMERA, se3.from_pose(places[name]), camera))
    return sensors
