"""A small town of parked and moving cars with points on them, and labels that have one mistake each."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from fleetlabel.geometry import se3
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.boxes import Boxes2D
from fleetlabel.model.cameras import PinholeCamera
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import Part, SampleStatus, SequenceInfo, SequenceStore
from fleetlabel.viewers.editor.pose import BoxPose
from viewers.app.mistakes import FRAMES, NAMES, Street, mistaken_cuboids, mistaken_pictures, standing

STEP_NS, START_NS = 100_000_000, 1_600_000_000_000_000_000
CAR = (4.5, 1.9, 1.6)
PINHOLE = PinholeCamera(480, 270, 260.0, 260.0, 240.0, 135.0)
CAMERAS = {"left": 90.0, "front": 0.0, "right": -90.0}
_PLACES: dict[str, tuple[float, float]] = {
    "shifted": (8, 6),
    "reversed": (16, 6),
    "turned": (24, 6),
    "oversized": (32, 6),
    "floating": (40, 6),
    "split": (8, 14),
    "merged": (24, 14),
    "merged too": (34, 14),
    "swapped": (8, -6),
    "swapped too": (16, -6),
    "missing": (24, -6),
    "late": (32, -6),
    "dying early": (40, -6),
    "too early": (8, -14),
    "misnamed": (16, -14),
    "drifting": (24, -14),
    "twice": (32, -14),
    "edge": (0, 9),
    "flat": (0, -9),
    "face": (-12, 9),
}


def _things() -> dict[str, tuple[BoxPose, ...]]:
    boxes = {name: BoxPose((x, y, CAR[2] / 2), CAR, 0.0) for name, (x, y) in _PLACES.items()}
    return {name: standing(box, 4.0 if name == "split" else 0.0) for name, box in boxes.items()}


TOWN = Street(_things())
# From when on there is something to see of a thing.
_FIRST = {"too early": 7}


def make_town(root: Path) -> SequenceStore:
    """A store with the label version ``machine``."""
    times = START_NS + STEP_NS * np.arange(FRAMES)
    poses = np.tile([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], (FRAMES, 1))
    poses[:, 0] = 0.2 * np.arange(FRAMES)
    sensors = [Sensor(n, SensorKind.CAMERA, _camera(deg), PINHOLE) for n, deg in CAMERAS.items()]
    sensors.append(Sensor("top", SensorKind.LIDAR, se3.transform(np.eye(3), np.array([0.0, 0.0, 1.8]))))
    info = SequenceInfo("town", tuple(sensors), times, Trajectory(times, poses))
    store = SequenceStore.create(root, info)
    solid = mistaken_cuboids(TOWN, times)
    flat = mistaken_pictures(TOWN, info, tuple(CAMERAS), solid)
    _write_pictures(store, info, flat)
    _write_points(store, times, poses)
    store.write_labels("machine", flat, solid, class_names=NAMES, provenance={"made": "up"})
    return store


def _camera(azimuth_deg: float) -> np.ndarray:
    a = math.radians(azimuth_deg)
    forward, left, up = [math.cos(a), math.sin(a), 0], [-math.sin(a), math.cos(a), 0], [0, 0, 1]
    axes = np.stack([-np.array(left), -np.array(up), forward], axis=1)
    return se3.transform(axes, np.array([0.5, 0.0, 1.5]))


def _write_pictures(store: SequenceStore, info: SequenceInfo, flat: dict[str, Boxes2D]) -> None:
    for camera in CAMERAS:
        jpegs = []
        for frame in range(FRAMES):
            picture = np.full((270, 480, 3), 70, np.uint8)
            picture[:135] = (96, 84, 72)
            seen = flat[camera].xyxy_px[flat[camera].frame == frame]
            for x1, y1, x2, y2 in seen.round().astype(int).tolist():
                cv2.rectangle(picture, (x1 + 2, y1 + 2), (x2 - 2, y2 - 2), (120, 120, 130), cv2.FILLED)
            jpegs.append(simplejpeg.encode_jpeg(picture, quality=85, colorspace="BGR"))
        samples = {
            "timestamp_ns": info.frame_timestamp_ns.copy(),
            "status": np.full(FRAMES, SampleStatus.OK, dtype=np.uint8),
        }
        counts = np.array([len(jpeg) for jpeg in jpegs], dtype=np.int64)
        part = Part(samples, counts, {"jpeg": np.frombuffer(b"".join(jpegs), np.uint8)})
        store.sensor_table(camera).write(0, part)


def _write_points(store: SequenceStore, times: np.ndarray, poses: np.ndarray) -> None:
    rng = np.random.default_rng(4)
    x, y = np.meshgrid(np.arange(-30, 56, 0.9), np.arange(-22, 22, 0.9))
    ground = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1)
    clouds = []
    for frame in range(FRAMES):
        parts = [ground]
        for name, boxes in TOWN.poses.items():
            if frame >= _FIRST.get(name, 0):
                parts.append(boxes[frame].world(_surface(rng, 160)))
        world = np.concatenate(parts)
        local = world - [poses[frame, 0], 0.0, 1.8]
        clouds.append(np.concatenate([local, np.full((len(local), 1), 20.0)], axis=1).astype(np.float32))
    counts = np.array([len(cloud) for cloud in clouds], dtype=np.int64)
    points = np.concatenate(clouds)
    samples = {"timestamp_ns": times.copy(), "status": np.full(FRAMES, SampleStatus.OK, dtype=np.uint8)}
    flat = {"points": points, "point_time_offset_ns": np.zeros(len(points), np.int32)}
    store.sensor_table("top").write(0, Part(samples, counts, flat))


def _surface(rng: np.random.Generator, count: int) -> np.ndarray:
    """Points on the sides and the roof of a car, in its own frame."""
    at = rng.uniform(-0.5, 0.5, (count, 3))
    side = rng.integers(0, 5, count)
    for number, (axis, sign) in enumerate(((0, 1), (0, -1), (1, 1), (1, -1), (2, 1))):
        at[side == number, axis] = 0.5 * sign
    return at * np.array(CAR) + rng.normal(scale=0.01, size=(count, 3))
