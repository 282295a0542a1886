"""PandaSet drives (https://pandaset.org; layout of pandaset-devkit): six cameras, two lidars, cuboids.

Conventions: frame N is file NN of every sensor. A frame's time is its sweep's, which is the sweep's end;
pictures are taken up to 100 ms before it and carry their own times. Points lie in the world and are moved to
the frame of the sweep's pose, where they are kept as float32: they come back within 1e-4 m (half a float32
step: 8 um within 256 m of the vehicle). Both lidars share the pose frame; ``pandar64`` is the spinning one
(``d`` = 0), ``pandar_gt`` the forward-facing one (``d`` = 1). See ``pandaset_rig`` for ego poses and
extrinsics, ``pandaset_labels`` for cuboids.

Bad data: a file that cannot be used sets its frame of that sensor aside (quarantine) and the rest goes on.
That holds for a pickle that asks for code too: it is refused, never run, and the reason says so. Missing
files are gaps. Calibration, times or poses that are missing end the import, for nothing could be placed
without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fleetlabel.engine.ingest.clocks import nanoseconds, require_reach, timeline, within_reach
from fleetlabel.engine.ingest.files import read_json
from fleetlabel.engine.ingest.numbered import numbered_files
from fleetlabel.engine.ingest.pandaset_labels import read_cuboids
from fleetlabel.engine.ingest.pandaset_rig import EGO_FROM_LIDAR, PosedTimes, estimate_rig, parse_poses
from fleetlabel.engine.ingest.pictures import camera_part, picture_size
from fleetlabel.engine.ingest.safe_pickle import read_table
from fleetlabel.engine.ingest.source import GroundTruth, SequenceSource, SourceFormat
from fleetlabel.engine.ingest.sweeps import Points, lidar_part
from fleetlabel.engine.ingest.world import offset_of
from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F64, AnyArray
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.cameras import PinholeCamera
from fleetlabel.model.errors import SourceError
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import Part, Quarantined, SequenceInfo

LIDARS: Mapping[str, int] = {"pandar64": 0, "pandar_gt": 1}
# All PandaSet pictures; only used where no picture of a camera can tell.
_PICTURE_SIZE_PX = (1920, 1080)
T = TypeVar("T")


class PandaSet(SourceFormat):
    """PandaSet sequences: a folder with ``camera/`` and ``lidar/``, or a folder of such folders."""

    name = "pandaset"
    looks_for = (
        "camera/<name>/{NN.jpg, intrinsics.json, poses.json, timestamps.json} and "
        "lidar/{NN.pkl.gz, poses.json, timestamps.json}, or folders with these"
    )

    def matches(self, path: Path) -> bool:
        """See the base class."""
        return bool(self._folders(path))

    def list_sequences(self, path: Path) -> tuple[str, ...]:
        """See the base class."""
        return tuple(sorted(self._folders(path)))

    def open_sequence(self, path: Path, name: str) -> PandaSetSequence:
        """See the base class."""
        return PandaSetSequence(self._folders(path)[name], name)

    @staticmethod
    def _folders(path: Path) -> dict[str, Path]:
        if _is_sequence(path):
            return {path.resolve().name: path}
        return {entry.name: entry for entry in path.iterdir() if entry.is_dir() and _is_sequence(entry)}


class PandaSetSequence(SequenceSource):
    """One PandaSet sequence."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._files = {"lidar": numbered_files(folder / "lidar", (".pkl.gz", ".pkl"))}
        warnings: list[str] = []
        for camera in sorted(entry.name for entry in (folder / "camera").iterdir() if entry.is_dir()):
            pictures = numbered_files(folder / "camera" / camera, (".jpg", ".jpeg", ".png"))
            if pictures:
                self._files[camera] = pictures
            else:
                warnings.append(f"{folder}/camera/{camera} has no pictures, so the camera is left out")
        times = {sensor: self._read_times(sensor) for sensor in self._files}
        n_frames = 1 + max(max(entries, default=0) for entries in times.values())
        posed = {sensor: self._posed(sensor, entries, n_frames) for sensor, entries in times.items()}
        lidar = posed.pop("lidar")
        rig = estimate_rig(lidar, posed)
        offset = offset_of(rig.trajectory.world_from_ego)
        self._offset = offset
        poses = rig.trajectory.world_from_ego - np.concatenate([offset, np.zeros(4)])
        trajectory = Trajectory(rig.trajectory.timestamp_ns, poses)
        frame_ns = lidar.times.timestamp_ns
        require_reach(frame_ns, trajectory, str(lidar.where))
        self._times = {
            sensor: within_reach(entry.times, trajectory, frame_ns)
            for sensor, entry in {"lidar": lidar, **posed}.items()
        }
        self.warnings = (*warnings, *rig.warnings)
        cameras = [self._camera(camera, rig.ego_from_camera[camera]) for camera in posed]
        self.info = SequenceInfo(
            name=name,
            sensors=(*cameras, *(Sensor(lidar, SensorKind.LIDAR, EGO_FROM_LIDAR) for lidar in LIDARS)),
            frame_timestamp_ns=frame_ns,
            trajectory=trajectory,
            world_offset_m=offset,
            source={"format": PandaSet.name},
        )

    def read_sensor(self, name: str, start: int, stop: int) -> tuple[Part, list[Quarantined]]:
        """See the base class."""
        if self.info.sensor(name).kind is SensorKind.LIDAR:
            return lidar_part(lambda frame: self._points(frame, name), start, stop, self._times["lidar"])
        size = self.info.sensor(name).camera
        assert size is not None
        paths = [self._files[name].get(frame) for frame in range(start, stop)]
        return camera_part(paths, start, self._times[name], (size.width_px, size.height_px))

    def ground_truth(self) -> GroundTruth | None:
        """See the base class."""
        files = numbered_files(self._folder / "annotations" / "cuboids", (".pkl.gz", ".pkl"))
        return read_cuboids(files, self.info.frame_timestamp_ns, self._offset) if files else None

    def _points(self, frame: int, lidar: str) -> Points | None:
        path = self._files["lidar"].get(frame)
        if path is None:
            return None
        table = read_table(path)
        lacking = [column for column in ("x", "y", "z", "i") if column not in table]
        if lacking or not len(table["x"]):
            raise SourceError(
                f"{path} has {len(table.get('x', ()))} points and columns {sorted(table)}, expected points "
                f"with x, y, z, i, t, d; restore it from the original log"
            )
        mine = table["d"] == LIDARS[lidar] if "d" in table else np.full(len(table["x"]), lidar == "pandar64")
        if not mine.any():
            return None
        xyz_world = np.stack([_floats(table, axis, path)[mine] for axis in "xyz"], axis=1)
        time_ns = int(self._times["lidar"].timestamp_ns[frame])
        sensor_from_world = se3.invert(
            self.info.trajectory.at(np.array([time_ns]))[0] @ self.info.sensor(lidar).ego_from_sensor
        )
        offset_ns = (
            (_floats(table, "t", path)[mine] - time_ns / 1e9) * 1e9
            if "t" in table
            else np.zeros(len(xyz_world))
        )
        with np.errstate(invalid="ignore"):  # points that are not finite are sorted out right after
            xyz = se3.apply(sensor_from_world, xyz_world - self._offset)
        return Points.finite(xyz, _floats(table, "i", path)[mine], offset_ns, str(path))

    def _read_times(self, sensor: str) -> dict[int, int | None]:
        path = self._metadata(sensor) / "timestamps.json"
        entries = _read_list(path, exact=True)
        return self._by_frame([nanoseconds(entry) for entry in entries], sensor, path)

    def _posed(self, sensor: str, times: Mapping[int, int | None], n_frames: int) -> PosedTimes:
        folder = self._metadata(sensor)
        path = folder / "poses.json"
        poses = self._by_frame(list(parse_poses(_read_list(path), path)), sensor, path)
        if poses.keys() != times.keys():
            raise SourceError(
                f"{path} has {len(poses)} poses, but timestamps.json beside it {len(times)} times; "
                "restore both from the original log"
            )
        world_from_sensor = np.full((n_frames, 7), np.nan)
        known = np.zeros(n_frames, dtype=np.bool_)
        known[list(poses)] = True
        world_from_sensor[list(poses)] = list(poses.values())
        by_frame = [times.get(frame) for frame in range(n_frames)]
        return PosedTimes(timeline(by_frame, known, str(folder / "timestamps.json")), world_from_sensor, path)

    def _by_frame(self, entries: list[T], sensor: str, path: Path) -> dict[int, T]:
        """Entries by frame: one for every number, or, if the list skips missing files, one for every file."""
        frames = sorted(self._files[sensor])
        if not frames or len(entries) > frames[-1]:
            return dict(enumerate(entries))
        if len(entries) != len(frames):
            raise SourceError(
                f"{path} has {len(entries)} entries, but there are {len(frames)} files numbered up to "
                f"{frames[-1]}; restore the file from the original log"
            )
        return dict(zip(frames, entries, strict=True))

    def _metadata(self, sensor: str) -> Path:
        return self._folder / "lidar" if sensor == "lidar" else self._folder / "camera" / sensor

    def _camera(self, name: str, ego_from_camera: F64) -> Sensor:
        path = self._metadata(name) / "intrinsics.json"
        found = read_json(path)
        try:
            fx, fy, cx, cy = (float(found[key]) for key in ("fx", "fy", "cx", "cy"))
        except (KeyError, TypeError, ValueError) as error:
            raise SourceError(
                f"{path} has no fx, fy, cx, cy ({error!r}); restore it from the original log"
            ) from error
        sizes = (picture_size(picture) for picture in self._files[name].values())
        width, height = next((size for size in sizes if size is not None), _PICTURE_SIZE_PX)
        try:
            model = PinholeCamera(width, height, fx, fy, cx, cy)
        except SourceError as error:
            raise SourceError(f"{path}: {error}") from error
        return Sensor(name, SensorKind.CAMERA, ego_from_camera, model)


def _is_sequence(path: Path) -> bool:
    lidar, camera = path / "lidar", path / "camera"
    return (
        lidar.is_dir()
        and camera.is_dir()
        and (
            (lidar / "poses.json").exists()
            or any(lidar.glob("*.pkl*"))
            or any(camera.glob("*/intrinsics.json"))
        )
    )


def _read_list(path: Path, *, exact: bool = False) -> list[Any]:
    entries = read_json(path, exact=exact)
    if not isinstance(entries, list) or not entries:
        raise SourceError(f"{path} is not a list with entries; restore it from the original log")
    return entries


def _floats(table: Mapping[str, AnyArray], column: str, path: Path) -> F64:
    values = table[column]
    if values.dtype.kind not in "fiub":
        raise SourceError(
            f"{path}: column {column} holds {values.dtype}, not numbers; restore it from the original log"
        )
    return values.astype(np.float64)
