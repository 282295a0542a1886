"""KITTI's tracking benchmark (https://www.cvlibs.net/datasets/kitti/eval_tracking.php).

Conventions: KITTI tracking has no times, so frame N is at N x 0.1 s (10 Hz). Ego poses come from
``ego_pose/NNNN.json`` (N x 4 x 4, IMU to world) or the official ``oxts/NNNN.txt``. Pictures keep their bytes,
PNG or JPEG, in the column ``jpeg``. Without pictures the camera ``image_02`` is there all the same, with
every frame missing, so that labels and detections have their place; its size is then the one that KITTI's
recordings with this focal length have, and large enough for every label. Sweeps are not motion compensated
and carry no point times: the scanner turns counter-clockwise at 10 Hz and fires the cameras when it faces
forward, so a point at azimuth a was measured a / 2 pi x 0.1 s later.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fleetlabel.engine.ingest.clocks import Timeline, require_reach
from fleetlabel.engine.ingest.files import number_rows, read_bytes, read_json
from fleetlabel.engine.ingest.kitti_calib import exact_rotation, read_calib
from fleetlabel.engine.ingest.kitti_labels import label_extent, read_labels
from fleetlabel.engine.ingest.numbered import numbered_files
from fleetlabel.engine.ingest.pictures import camera_part, picture_size
from fleetlabel.engine.ingest.source import GroundTruth, SequenceSource, SourceFormat
from fleetlabel.engine.ingest.sweeps import Points, lidar_part
from fleetlabel.engine.ingest.world import offset_of
from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F64, Bool
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.cameras import PinholeCamera
from fleetlabel.model.errors import SourceError
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import Part, Quarantined, SequenceInfo

FRAME_NS = 100_000_000
LIDAR = "velodyne"
# Camera with labels and its projection; the right colour camera is there only where its pictures are.
CAMERAS = {"image_02": "P2", "image_03": "P3"}
LABELLED_CAMERA = "image_02"
# Rectified picture sizes of KITTI's recording days, by focal length.
_SIZES_PX = {721.5377: (1242, 375), 707.0493: (1224, 370), 718.3351: (1238, 374), 718.856: (1241, 376)}
_FOLDERS = ("label_02", "image_02", "velodyne", "calib", "ego_pose", "oxts")
_PICTURES = (".png", ".jpg", ".jpeg")
_EARTH_RADIUS_M = 6_378_137.0
_OXTS_COLUMNS = 30


class KittiTracking(SourceFormat):
    """A folder of KITTI tracking sequences, such as ``training/``."""

    name = "kitti_tracking"
    looks_for = (
        "calib/NNNN.txt and ego_pose/NNNN.json or oxts/NNNN.txt, with label_02/NNNN.txt, image_02/NNNN/ or "
        "velodyne/NNNN/"
    )

    def matches(self, path: Path) -> bool:
        """See the base class."""
        is_raw = (path / "velodyne_points").exists() or (path / "image_02" / "data").exists()
        return not is_raw and sum((path / folder).is_dir() for folder in _FOLDERS) >= 2

    def list_sequences(self, path: Path) -> tuple[str, ...]:
        """See the base class."""
        labelled = {file.stem for file in (path / "label_02").glob("*.txt")}
        recorded = {
            entry.name for kind in ("image_02", LIDAR) for entry in (path / kind).glob("*") if entry.is_dir()
        }
        return tuple(sorted(labelled | recorded))

    def open_sequence(self, path: Path, name: str) -> KittiSequence:
        """See the base class."""
        return KittiSequence(path, name)


class KittiSequence(SequenceSource):
    """One sequence of the tracking benchmark."""

    def __init__(self, folder: Path, name: str) -> None:
        calib = read_calib(folder / "calib" / f"{name}.txt")
        self._labels = folder / "label_02" / f"{name}.txt"
        self._files = {
            LIDAR: numbered_files(folder / LIDAR / name, (".bin",)),
            **{camera: numbered_files(folder / camera / name, _PICTURES) for camera in CAMERAS},
        }
        poses, warnings = _read_poses(folder, name)
        label_frames, *largest_px = label_extent(self._labels) if self._labels.exists() else (0, 0, 0)
        n_frames = max(
            len(poses),
            label_frames,
            *(1 + max(files, default=-1) for files in self._files.values()),
        )
        times_ns = np.arange(n_frames, dtype=np.int64) * FRAME_NS
        good = np.isfinite(poses).all(axis=1)
        offset = offset_of(poses[good])
        trajectory = Trajectory(
            times_ns[: len(poses)][good], poses[good] - np.concatenate([offset, np.zeros(4)])
        )
        require_reach(times_ns, trajectory, f"ego poses of sequence {name} in {folder}")
        self._times = Timeline(times_ns)
        self._calib = calib
        self.warnings = warnings
        lidar = [Sensor(LIDAR, SensorKind.LIDAR, calib.ego_from_velo, motion_compensated=False)]
        self.info = SequenceInfo(
            name=name,
            sensors=(*self._cameras(largest_px), *(lidar if self._files[LIDAR] else [])),
            frame_timestamp_ns=times_ns,
            trajectory=trajectory,
            world_offset_m=offset,
            source={"format": KittiTracking.name, "calib": calib.to_dict()},
        )

    def read_sensor(self, name: str, start: int, stop: int) -> tuple[Part, list[Quarantined]]:
        """See the base class."""
        model = self.info.sensor(name).camera
        if model is None:
            return lidar_part(self._points, start, stop, self._times)
        paths = [self._files[name].get(frame) for frame in range(start, stop)]
        return camera_part(paths, start, self._times, (model.width_px, model.height_px))

    def ground_truth(self) -> GroundTruth | None:
        """See the base class."""
        if not self._labels.exists():
            return None
        world_from_rect = self.info.trajectory.at(self.info.frame_timestamp_ns) @ self._calib.ego_from_rect
        return read_labels(self._labels, LABELLED_CAMERA, self.info.frame_timestamp_ns, world_from_rect)

    def _points(self, frame: int) -> Points | None:
        path = self._files[LIDAR].get(frame)
        if path is None:
            return None
        content = read_bytes(path)
        if len(content) % 16:
            raise SourceError(
                f"{path} has {len(content)} bytes, not a multiple of 16 (x y z reflectance as float32): it "
                f"is cut off; restore it from the original log"
            )
        rows = np.frombuffer(content, dtype="<f4").reshape(-1, 4).astype(np.float64)
        with np.errstate(invalid="ignore"):
            azimuth = np.arctan2(rows[:, 1], rows[:, 0])
        return Points.finite(rows[:, :3], rows[:, 3], azimuth / (2 * np.pi) * FRAME_NS, str(path))

    def _cameras(self, largest_px: list[int]) -> list[Sensor]:
        cameras = []
        for name, projection in CAMERAS.items():
            if projection not in self._calib.projections or (
                name != LABELLED_CAMERA and not self._files[name]
            ):
                continue
            p = self._calib.projections[projection]
            width, height = self._picture_size(name, p, largest_px)
            model = PinholeCamera(width, height, p[0, 0], p[1, 1], p[0, 2], p[1, 2])
            cameras.append(Sensor(name, SensorKind.CAMERA, self._calib.ego_from_camera(projection), model))
        return cameras

    def _picture_size(self, camera: str, projection: F64, largest_px: list[int]) -> tuple[int, int]:
        declared = (picture_size(path) for path in self._files[camera].values())
        size = next((size for size in declared if size is not None), None)
        if size is not None:
            return size
        fx, cx, cy = projection[0, 0], projection[0, 2], projection[1, 2]
        nearest = min(_SIZES_PX, key=lambda focal: abs(focal - fx))
        width, height = _SIZES_PX[nearest] if abs(nearest - fx) < 0.5 else (round(2 * cx), round(2 * cy))
        return max(width, largest_px[0]), max(height, largest_px[1])


def _read_poses(folder: Path, name: str) -> tuple[F64, tuple[str, ...]]:
    """Ego poses (N, 7) in the source's world, rows of NaN where there is none, and warnings.

    Raises:
        SourceError: there is no file with poses, or none of them can be used.
    """
    matrices, oxts = folder / "ego_pose" / f"{name}.json", folder / "oxts" / f"{name}.txt"
    if matrices.exists():
        path, world_from_ego = matrices, _read_matrices(matrices)
    elif oxts.exists():
        path, world_from_ego = oxts, world_from_imu(number_rows(oxts, _OXTS_COLUMNS))
    else:
        raise SourceError(
            f"there are no ego poses of sequence {name}: expected {matrices} (N x 4 x 4, IMU to world) or "
            f"{oxts} (KITTI's GPS/IMU archive)"
        )
    good: Bool = np.asarray(np.isfinite(world_from_ego).all(axis=(1, 2)))
    if not good.any():
        raise SourceError(
            f"{path}: none of its {len(good)} poses is finite; restore it from the original log"
        )
    poses = np.full((len(good), 7), np.nan)
    rotation = exact_rotation(world_from_ego[good, :3, :3], f"{path}: a pose")
    poses[good] = se3.to_pose(se3.transform(rotation, world_from_ego[good, :3, 3]))
    bad = np.flatnonzero(~good)
    if not len(bad):
        return poses, ()
    return poses, (
        f"{path}: poses of {len(bad)} frames are not finite and were interpolated, first frame {bad[0]}",
    )


def _read_matrices(path: Path) -> F64:
    entries = read_json(path)
    try:
        poses = np.array(entries, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SourceError(f"{path} is not N x 4 x 4 numbers ({error}); restore the file") from error
    if poses.ndim != 3 or poses.shape[1:] != (4, 4) or not len(poses):
        raise SourceError(f"{path} has shape {poses.shape}, expected N x 4 x 4; restore the file")
    return poses


def world_from_imu(oxts: F64) -> F64:
    """IMU poses (N, 4, 4) relative to the first, of rows (N, 30) of KITTI's GPS/IMU files.

    Mercator coordinates scaled by the first latitude and roll-pitch-yaw angles, as in KITTI's raw development
    kit (``convertOxtsToPose``).
    """
    latitude, longitude, altitude, roll, pitch, yaw = oxts[:, :6].T
    scale = np.cos(np.radians(latitude[0]))
    east = scale * np.radians(longitude) * _EARTH_RADIUS_M
    north = scale * _EARTH_RADIUS_M * np.log(np.tan(np.pi / 4 + np.radians(latitude) / 2))
    about_z, about_y, about_x = (_rotation(axis, angle) for axis, angle in ((2, yaw), (1, pitch), (0, roll)))
    pose = se3.transform(about_z @ about_y @ about_x, np.stack([east, north, altitude], axis=1))
    return se3.invert(pose[0]) @ pose


def _rotation(axis: int, angle: F64) -> F64:
    """Rotations (N, 3, 3) about a coordinate axis."""
    matrix = np.zeros((len(angle), 3, 3))
    one, two = (axis + 1) % 3, (axis + 2) % 3
    matrix[:, axis, axis] = 1.0
    matrix[:, one, one] = matrix[:, two, two] = np.cos(angle)
    matrix[:, one, two], matrix[:, two, one] = -np.sin(angle), np.sin(angle)
    return matrix
