"""A small town of parked and moving cars with points on them, and labels that have one mistake each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.boxes import Boxes2D, Boxes3D, Source
from fleetlabel.model.cameras import PinholeCamera
from fleetlabel.model.projection import project_at
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import Part, SampleStatus, SequenceInfo, SequenceStore

FRAMES, STEP_NS, START_NS = 24, 100_000_000, 1_600_000_000_000_000_000
NAMES = ("car", "pedestrian", "traffic_light")
CAR = (4.5, 1.9, 1.6)
PINHOLE = PinholeCamera(480, 270, 260.0, 260.0, 240.0, 135.0)
CAMERAS = {"left": 90.0, "front": 0.0, "right": -90.0}
MIDDLE = 12


@dataclass(frozen=True)
class Thing:
    """A car as it is: where at the middle frame, which way, how fast, from when to when."""

    x: float
    y: float
    yaw: float = 0.0
    speed: float = 0.0
    first: int = 0
    last: int = FRAMES - 1

    def center(self, frame: int) -> tuple[float, float, float]:
        way = self.speed * (frame - MIDDLE) * 0.1
        return (self.x + way * math.cos(self.yaw), self.y + way * math.sin(self.yaw), CAR[2] / 2)


# What is there, by the name of the mistake that the labels make of it.
THINGS: dict[str, Thing] = {
    "shifted": Thing(8, 6),
    "reversed": Thing(16, 6),
    "turned": Thing(24, 6),
    "oversized": Thing(32, 6),
    "floating": Thing(40, 6),
    "split": Thing(8, 14, speed=4.0),
    "merged": Thing(24, 14),
    "merged too": Thing(34, 14),
    "swapped": Thing(8, -6),
    "swapped too": Thing(16, -6),
    "missing": Thing(24, -6),
    "late": Thing(32, -6),
    "dying early": Thing(40, -6),
    "too early": Thing(8, -14, first=7),
    "misnamed": Thing(16, -14),
    "drifting": Thing(24, -14),
    "twice": Thing(32, -14),
    "edge": Thing(0, 9),
    "flat": Thing(0, -9),
    "nowhere": Thing(-12, -9),
    "face": Thing(-12, 9),
}
# The track that has each mistake; tracks are numbered from 1.
TRACK = {
    name: number + 1
    for number, name in enumerate(
        [
            *("shifted", "reversed", "turned", "oversized", "floating", "split", "split on", "merged"),
            *("swapped", "swapped too", "late", "dying early", "too early", "misnamed", "drifting"),
            *("twice", "again", "false", "edge", "flat", "face", "light"),
        ]
    )
}


def make_town(root: Path) -> SequenceStore:
    """A store with the label version ``machine``."""
    times = START_NS + STEP_NS * np.arange(FRAMES)
    poses = np.tile([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], (FRAMES, 1))
    poses[:, 0] = 0.2 * np.arange(FRAMES)
    sensors = [Sensor(n, SensorKind.CAMERA, _camera(deg), PINHOLE) for n, deg in CAMERAS.items()]
    sensors.append(Sensor("top", SensorKind.LIDAR, se3.transform(np.eye(3), np.array([0.0, 0.0, 1.8]))))
    info = SequenceInfo("town", tuple(sensors), times, Trajectory(times, poses))
    store = SequenceStore.create(root, info)
    solid = _labels(times)
    flat = _pictures(info, solid)
    _write_pictures(store, info, flat)
    _write_points(store, times, poses)
    store.write_labels("machine", flat, solid, class_names=NAMES, provenance={"made": "up"})
    return store


def truth(name: str, frame: int) -> tuple[float, float, float]:
    """Where a thing really is."""
    return THINGS[name].center(frame)


def _camera(azimuth_deg: float) -> np.ndarray:
    a = math.radians(azimuth_deg)
    forward, left, up = [math.cos(a), math.sin(a), 0], [-math.sin(a), math.cos(a), 0], [0, 0, 1]
    axes = np.stack([-np.array(left), -np.array(up), forward], axis=1)
    return se3.transform(axes, np.array([0.5, 0.0, 1.5]))


def _labels(times: np.ndarray) -> Boxes3D:
    rows: list[tuple[int, int, tuple[float, float, float], tuple[float, float, float], float, int]] = []

    def track(name: str, thing: Thing, frames: range, size=CAR, yaw=None, kind=0, off=lambda f: (0, 0, 0)):
        for frame in frames:
            x, y, z = np.array(thing.center(frame)) + off(frame)
            heading = thing.yaw if yaw is None else yaw
            rows.append((frame, TRACK[name], (x, y, z + (size[2] - CAR[2]) / 2), size, heading, kind))

    every, t = range(FRAMES), THINGS
    track("shifted", t["shifted"], every, off=lambda f: (0.0, 0.7, 0.0))
    track("reversed", t["reversed"], every, yaw=math.pi)
    track("turned", t["turned"], every, yaw=math.radians(14))
    track("oversized", t["oversized"], every, size=(6.0, 1.9, 1.6), off=lambda f: (0.75, 0.0, 0.0))
    track("floating", t["floating"], every, off=lambda f: (0.0, 0.0, 0.6))
    track("split", t["split"], range(11))
    track("split on", t["split"], range(13, FRAMES))
    track("merged", t["merged"], range(12))
    track("merged", t["merged too"], range(12, FRAMES))
    for name, other in (("swapped", "swapped too"), ("swapped too", "swapped")):
        track(name, t[name], range(12))
        track(name, t[other], range(12, FRAMES))
    track("late", t["late"], range(6, FRAMES))
    track("dying early", t["dying early"], range(18))
    track("too early", t["too early"], every)
    track("misnamed", t["misnamed"], every, kind=1)
    track("drifting", t["drifting"], every, off=lambda f: (0.05 * (f - MIDDLE), 0.0, 0.0))
    track("twice", t["twice"], every)
    track("again", t["twice"], every, off=lambda f: (0.3, 0.1, 0.0))
    track("false", Thing(-20, 0), every)
    track("edge", t["edge"], every)
    track("face", t["face"], every, size=(3.6, 1.9, 1.6), off=lambda f: (-0.45, 0.0, 0.0))
    rows.sort(key=lambda row: row[:2])
    frame, number, center, size, yaw, kind = zip(*rows, strict=True)
    n = len(rows)
    return Boxes3D(
        class_names=NAMES,
        frame=np.array(frame),
        timestamp_ns=times[np.array(frame)],
        class_id=np.array(kind),
        score=np.full(n, 0.8),
        track_id=np.array(number),
        source=np.full(n, Source.DETECTOR),
        detection=np.arange(n),
        center_m=np.array(center, dtype=float),
        size_lwh_m=np.array(size, dtype=float),
        q_wxyz=quaternion.from_yaw(np.array(yaw, dtype=float)),
        n_points=np.full(n, 40),
    )


def _pictures(info: SequenceInfo, solid: Boxes3D) -> dict[str, Boxes2D]:
    """What the cameras see; one box too wide, one without a cuboid, and a light."""
    seen = {}
    extra_frames = np.arange(FRAMES)
    for camera in CAMERAS:
        projected = project_at(info.sensor(camera), info.trajectory, solid, solid.timestamp_ns)
        rows = np.flatnonzero(projected.visible & (projected.height_px > 6))
        xyxy = projected.xyxy_px[rows].copy()
        wide = solid.track_id[rows] == TRACK["edge"]
        xyxy[wide, 2] = np.minimum(xyxy[wide, 2] + 40.0, 479.0)
        frame, track = solid.frame[rows], solid.track_id[rows]
        kind = solid.class_id[rows].astype(np.int64)
        if camera == "front":
            frame = np.concatenate([frame, extra_frames])
            xyxy = np.concatenate([xyxy, np.tile([300.0, 20.0, 316.0, 52.0], (FRAMES, 1))])
            track = np.concatenate([track, np.full(FRAMES, TRACK["light"])])
            kind = np.concatenate([kind, np.full(FRAMES, 2)])
        if camera == "right":
            alone = _alone(info, camera)
            frame = np.concatenate([frame, extra_frames])
            xyxy = np.concatenate([xyxy, alone])
            track = np.concatenate([track, np.full(FRAMES, TRACK["flat"])])
            kind = np.concatenate([kind, np.zeros(FRAMES, dtype=np.int64)])
        order = np.argsort(frame, kind="stable")
        n = len(frame)
        seen[camera] = Boxes2D(
            class_names=NAMES,
            frame=frame[order],
            timestamp_ns=info.frame_timestamp_ns[frame[order]],
            class_id=kind[order],
            score=np.full(n, 0.8),
            track_id=track[order],
            source=np.full(n, Source.DETECTOR),
            detection=np.arange(n),
            xyxy_px=xyxy[order],
        )
    return seen


def _alone(info: SequenceInfo, camera: str) -> np.ndarray:
    """Boxes in a picture of the car that has no cuboid."""
    thing = THINGS["flat"]
    boxes = Boxes3D(
        class_names=NAMES,
        frame=np.arange(FRAMES),
        timestamp_ns=info.frame_timestamp_ns,
        class_id=np.zeros(FRAMES),
        track_id=np.full(FRAMES, 1),
        center_m=np.array([thing.center(frame) for frame in range(FRAMES)]),
        size_lwh_m=np.tile(CAR, (FRAMES, 1)),
        q_wxyz=quaternion.from_yaw(np.full(FRAMES, thing.yaw)),
    )
    xyxy: np.ndarray = project_at(
        info.sensor(camera), info.trajectory, boxes, info.frame_timestamp_ns
    ).xyxy_px
    return xyxy


def _write_pictures(store: SequenceStore, info: SequenceInfo, flat: dict[str, Boxes2D]) -> None:
    for camera in CAMERAS:
        jpegs = []
        for frame in range(FRAMES):
            picture = np.full((270, 480, 3), 70, np.uint8)
            picture[:135] = (96, 84, 72)
            for x1, y1, x2, y2 in (
                flat[camera].xyxy_px[flat[camera].frame == frame].round().astype(int).tolist()
            ):
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
        for name, thing in THINGS.items():
            if name == "nowhere" or not thing.first <= frame <= thing.last:
                continue
            cos, sin = math.cos(thing.yaw), math.sin(thing.yaw)
            turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
            parts.append(_surface(rng, 160) @ turn.T + thing.center(frame))
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
