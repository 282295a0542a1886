"""A small drive made through the store's own interface: known cameras, a cube at a known place, flat grey pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import simplejpeg

from fleetlabel.geometry import se3
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.model.cameras import CameraModel, FisheyeCamera, PinholeCamera
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import Part, Quarantined, SampleStatus, SequenceInfo, SequenceStore

STEP_NS = 100_000_000
START_NS = 1_600_000_000_000_000_000
GREY = 90
CLASS_NAMES = ("car", "pedestrian", "Pickup Truck", "hovercraft")


@dataclass(kw_only=True)
class Drive:
    """What a test wants its store to be."""

    name: str = "synthetic"
    n_frames: int = 4
    speed_mps: float = 5.0
    cameras: tuple[str, ...] = ("front_left", "front", "front_right", "left", "back", "right")
    models: dict[str, CameraModel] = field(default_factory=dict)
    exposure_ns: int = -40_000_000
    lidar: bool = True
    status: dict[tuple[str, int], SampleStatus] = field(default_factory=dict)
    jpeg: dict[tuple[str, int], bytes] = field(default_factory=dict)
    boxes2d: dict[str, Boxes2D] = field(default_factory=dict)
    boxes3d: Boxes3D | None = None
    labels: bool = True


AZIMUTH_DEG = {"front_left": 55, "front": 0, "front_right": -55, "left": 100, "back": 180, "right": -100}


def camera_model(kind: str = "pinhole", width_px: int = 320, height_px: int = 180) -> CameraModel:
    """A camera of about 90 degrees."""
    sizes = (width_px, height_px, 0.5 * width_px, 0.5 * width_px, 0.5 * width_px, 0.5 * height_px)
    if kind == "fisheye":
        return FisheyeCamera(*sizes, k1=0.02, k2=-0.003)
    if kind == "distorted":
        return PinholeCamera(*sizes, k1=-0.12, k2=0.015, p1=0.001, p2=-0.0005)
    return PinholeCamera(*sizes)


def ego_from_camera(
    azimuth_deg: float, translation_m: tuple[float, float, float] = (1.0, 0.2, 1.5)
) -> np.ndarray:
    """A level camera that looks to the given side, 0 forward, positive left."""
    a = np.radians(azimuth_deg)
    forward, left, up = [np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]
    return se3.transform(np.stack([-np.array(left), -np.array(up), forward], axis=1), np.array(translation_m))


def cuboids(
    frame: list[int],
    center_m: list[tuple[float, float, float]],
    *,
    size_lwh_m: tuple[float, float, float] = (4.0, 2.0, 1.5),
    yaw_rad: float = 0.0,
    **columns: object,
) -> Boxes3D:
    """Cuboids of class 0, all alike but for their place."""
    n = len(frame)
    defaults = {
        "track_id": np.arange(n),
        "class_id": np.zeros(n),
        "timestamp_ns": START_NS + STEP_NS * np.array(frame),
    }
    return Boxes3D(
        class_names=CLASS_NAMES,
        frame=np.array(frame),
        center_m=np.array(center_m, dtype=float).reshape(n, 3),
        size_lwh_m=np.tile(size_lwh_m, (n, 1)),
        q_wxyz=np.tile([np.cos(yaw_rad / 2), 0, 0, np.sin(yaw_rad / 2)], (n, 1)),
        **(defaults | columns),
    )


def grey_jpeg(camera: CameraModel) -> bytes:
    return bytes(
        simplejpeg.encode_jpeg(np.full((camera.height_px, camera.width_px, 3), GREY, np.uint8), quality=95)
    )


def make_store(root: Path, drive: Drive) -> SequenceStore:
    """Writes the drive."""
    times = START_NS + STEP_NS * np.arange(drive.n_frames)
    poses = np.zeros((drive.n_frames, 7))
    poses[:, 0], poses[:, 3] = drive.speed_mps * STEP_NS * 1e-9 * np.arange(drive.n_frames), 1.0
    sensors = [
        Sensor(
            name,
            SensorKind.CAMERA,
            ego_from_camera(AZIMUTH_DEG.get(name, 0)),
            drive.models.get(name, camera_model()),
        )
        for name in drive.cameras
    ]
    if drive.lidar:
        sensors.append(Sensor("top", SensorKind.LIDAR, se3.transform(np.eye(3), np.array([0, 0, 2.0]))))
    info = SequenceInfo(drive.name, tuple(sensors), times, Trajectory(times, poses))
    store = SequenceStore.create(root, info)
    for sensor in sensors:
        _write_sensor(store, sensor, drive, times)
    if drive.labels:
        store.write_labels("machine", drive.boxes2d, drive.boxes3d, class_names=CLASS_NAMES, provenance={})
    return store


def _write_sensor(store: SequenceStore, sensor: Sensor, drive: Drive, times: np.ndarray) -> None:
    status = [drive.status.get((sensor.name, frame), SampleStatus.OK) for frame in range(drive.n_frames)]
    samples = {"timestamp_ns": times.copy(), "status": np.array(status, dtype=np.uint8)}
    if sensor.camera is not None:
        samples["timestamp_ns"] += drive.exposure_ns
        plain = grey_jpeg(sensor.camera)
        pictures = [
            b"" if status[frame] is SampleStatus.MISSING else drive.jpeg.get((sensor.name, frame), plain)
            for frame in range(drive.n_frames)
        ]
        counts = np.array([len(picture) for picture in pictures])
        flat = {"jpeg": np.frombuffer(b"".join(pictures), np.uint8)}
    else:
        x, y = np.meshgrid(np.arange(-30, 30, 0.5), np.arange(-30, 30, 0.5))
        floor = np.stack([x.ravel(), y.ravel(), np.full(x.size, -2.0), np.ones(x.size)], axis=1).astype(
            np.float32
        )
        usable = [number is SampleStatus.OK for number in status]
        counts = np.where(usable, len(floor), 0)
        points = np.concatenate([floor[:0], *[floor for ok in usable if ok]])
        flat = {"points": points, "point_time_offset_ns": np.zeros(len(points), np.int32)}
    broken = [
        Quarantined(frame, f"{sensor.name}/{frame:02d}.jpg ends after 12 bytes")
        for frame, number in enumerate(status)
        if number is SampleStatus.QUARANTINED
    ]
    store.sensor_table(sensor.name).write(0, Part(samples, counts.astype(np.int64), flat), quarantined=broken)
