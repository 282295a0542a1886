"""Labels in memory, for every format: random boxes of a drive with two cameras, in ways in which formats go wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fleetlabel.engine.exchange.labels import Drive, Labels
from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64, AnyArray
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.boxes import Boxes2D, Boxes3D, Source
from fleetlabel.model.cameras import PinholeCamera
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import SequenceInfo

CAMERAS = ("front", "rear")
WIDTH, HEIGHT = 1920, 1080
CLASSES = ("car", "pedestrian", "traffic_cone", "truck")
START_NS = 1_700_000_000_123_456_000  # whole microseconds, as nuScenes needs
FRAME_NS = 100_000_000
_FORWARD: F64 = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


def drive(n_frames: int = 12, seed: int = 0, *, late_ns: int = 0, name: str = "monday drive") -> Drive:
    """A vehicle on a winding road; cameras expose ``late_ns`` after their frame's time."""
    random = np.random.default_rng(seed)
    times = START_NS + FRAME_NS * np.arange(n_frames, dtype=np.int64)
    turn = quaternion.from_yaw(np.cumsum(random.normal(0, 0.2, n_frames)))
    tilt = quaternion.normalize(
        np.concatenate([np.ones((n_frames, 1)), random.normal(0, 0.02, (n_frames, 3))], axis=1)
    )
    place = np.array([30.0, -500.0, 2.0]) + np.cumsum(random.normal(0, 1, (n_frames, 3)), axis=0)
    poses = np.concatenate([place, quaternion.multiply(turn, tilt)], axis=1)
    sensors = [Sensor("top", SensorKind.LIDAR, se3.transform(np.eye(3), np.array([0.9, 0.0, 1.8])))]
    for row, camera in enumerate(CAMERAS):
        rotation = quaternion.to_matrix(quaternion.from_yaw(np.array(np.pi * row))) @ _FORWARD
        model = PinholeCamera(WIDTH, HEIGHT, 1000.0, 1010.0, 955.0, 545.0)
        extrinsics = se3.transform(rotation, np.array([1.0 - 2 * row, 0.1, 1.5]))
        sensors.append(Sensor(camera, SensorKind.CAMERA, extrinsics, model))
    info = SequenceInfo(
        name, tuple(sensors), times, Trajectory(times, poses), world_offset_m=np.array([4.0e5, 5.1e6, 100.0])
    )
    return Drive(info, dict.fromkeys(CAMERAS, times + late_ns))


@dataclass(eq=False)
class LabelsInMemory(Labels):
    """Labels that are columns already."""

    drive: Drive
    class_names: tuple[str, ...]
    boxes2d: dict[str, Boxes2D]
    boxes3d: Boxes3D

    @property
    def labelled_cameras(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(self.boxes2d)

    def pictures(self, camera: str, start: int, stop: int) -> Boxes2D:
        boxes = self.boxes2d.get(camera, Boxes2D.empty(self.class_names))
        return boxes.take((boxes.frame >= start) & (boxes.frame < stop))

    def cuboids(self, start: int, stop: int) -> Boxes3D:
        return self.boxes3d.take((self.boxes3d.frame >= start) & (self.boxes3d.frame < stop))


def random_labels(
    seed: int,
    n: int = 40,
    *,
    on: Drive | None = None,
    lean: bool = True,
    pictures: bool = True,
    cuboids: bool = True,
    anonymous: bool = False,
    classes: tuple[str, ...] = CLASSES,
) -> LabelsInMemory:
    """Boxes anywhere, many with headings at +-pi; tracks with gaps, ids that are 0 or large, every column used.

    Args:
        lean: cuboids roll and pitch as well; else they are upright in the vehicle's frame.
        anonymous: nothing has an identity.
    """
    on = on or drive()
    random = np.random.default_rng(seed)
    n_frames = on.info.n_frames
    ids = np.concatenate([[0, 1], 2 + random.choice(10**9, 6, replace=False)])
    boxes2d = {c: _pictures(random, on, c, n, ids, anonymous, classes) for c in CAMERAS} if pictures else {}
    solid = Boxes3D.empty(classes)
    if cuboids:
        frame, track = _rows(random, n_frames, n, ids)
        yaw = random.uniform(-np.pi, np.pi, len(frame))
        edge = random.random(len(frame)) < 0.4
        yaw[edge] = random.choice([-np.pi, np.pi], edge.sum()) + random.choice(
            [0, 1e-15, -1e-9, 1e-6], edge.sum()
        )
        q_wxyz = quaternion.from_yaw(yaw)
        if lean:
            q_wxyz = quaternion.multiply(q_wxyz, quaternion.normalize(_leaning(random, len(frame))))
        else:
            q_wxyz = quaternion.multiply(on.info.trajectory.world_from_ego[frame, 3:], q_wxyz)
        q_wxyz = quaternion.normalize(q_wxyz)
        ahead = on.info.trajectory.world_from_ego[frame, :3]
        solid = Boxes3D(
            class_names=classes,
            center_m=ahead + random.uniform(-70, 70, (len(frame), 3)) * (1, 1, 0.05),
            size_lwh_m=random.uniform(0.2, 14, (len(frame), 3)),
            q_wxyz=q_wxyz,
            velocity_mps=random.normal(0, 5, (len(frame), 3)),
            n_points=random.integers(0, 500, len(frame)),
            timestamp_ns=on.info.frame_timestamp_ns[frame],
            **_common(
                random, frame, np.full(len(frame), -1) if anonymous else track, len(classes), ignore=0.0
            ),
        )
    return LabelsInMemory(on, classes, boxes2d, solid)


def _pictures(
    random: np.random.Generator,
    on: Drive,
    camera: str,
    n: int,
    ids: AnyArray,
    anonymous: bool,
    classes: tuple[str, ...],
) -> Boxes2D:
    frame, track = _rows(random, on.info.n_frames, n, ids)
    corner = random.uniform(0, 1, (len(frame), 2)) * (WIDTH - 300, HEIGHT - 300)
    size = random.uniform(0.7, 290, (len(frame), 2))
    whole = np.concatenate([corner - 2, corner + size + 3], axis=1)
    whole[random.random(len(frame)) < 0.5] = np.nan
    share = np.where(random.random(len(frame)) < 0.5, np.nan, random.random(len(frame)))
    common = _common(random, frame, np.full(len(frame), -1) if anonymous else track, len(classes))
    common["track_id"] = np.where(common["ignore"], -1, common["track_id"])
    return Boxes2D(
        class_names=classes,
        timestamp_ns=on.exposure_ns[camera][frame],
        xyxy_px=np.concatenate([corner, corner + size], axis=1),
        amodal_xyxy_px=whole,
        visible_fraction=share.astype(np.float32),
        **common,
    )


def _rows(random: np.random.Generator, n_frames: int, n: int, ids: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Frames and tracks, each pair once, ascending by frame."""
    place = np.sort(random.choice(n_frames * len(ids), min(n, n_frames * len(ids)), replace=False))
    return place // len(ids), ids[place % len(ids)]


def _common(
    random: np.random.Generator, frame: AnyArray, track: AnyArray, n_classes: int, ignore: float = 0.15
) -> dict[str, Any]:
    n = len(frame)
    return {
        "frame": frame,
        "class_id": np.abs(track) % n_classes,
        "score": random.random(n).astype(np.float32),
        "track_id": track,
        "source": random.choice([Source.DETECTOR, Source.INTERPOLATED, Source.SMOOTHED, Source.HUMAN], n),
        "detection": random.integers(-1, 9, n),
        "truncation": np.where(random.random(n) < 0.3, np.nan, np.round(random.random(n), 2)).astype(
            np.float32
        ),
        "occlusion": random.integers(-1, 4, n),
        "ignore": random.random(n) < ignore,
    }


def _leaning(random: np.random.Generator, n: int) -> F64:
    return np.concatenate([np.ones((n, 1)), random.normal(0, 0.15, (n, 3))], axis=1)
