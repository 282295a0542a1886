"""A small segment in the true layout of Waymo's perception data, v2, for tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import simplejpeg

from fleetlabel.engine.ingest.testing import Scene, camera_model
from fleetlabel.geometry import quaternion, se3

SCENE = Scene(n_frames=5, n_objects=3, start_m=(-2200.0, 1300.0, 40.0))
SEGMENT = "10017090168044687777_6380_000_6400_000"
START_US = 1_550_083_467_346_370
PERIOD_US = 100_000
HEIGHT, WIDTH = 6, 40
TRIGGER_S, READOUT_S = 0.012, 0.044  # after the frame
EGO_FROM_TOP = se3.transform(
    quaternion.to_matrix(quaternion.normalize(np.array([1.0, 0.01, -0.02, 0.6]))), np.array([1.43, 0.0, 2.18])
)
EGO_FROM_REAR = se3.transform(
    quaternion.to_matrix(quaternion.from_yaw(np.array(np.pi))), np.array([-1.2, 0.0, 0.5])
)
# x forward, as Waymo has cameras.
EGO_FROM_CAMERA = se3.transform(
    quaternion.to_matrix(quaternion.normalize(np.array([1.0, 0.001, 0.002, 0.1]))),
    np.array([1.54, -0.02, 2.1]),
)
FORWARD_FROM_OPTICAL = se3.transform(np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), np.zeros(3))
INCLINATIONS = [-0.31, -0.2, -0.12, -0.06, -0.01, 0.04]  # of the top lidar, not evenly spaced
REAR_RANGE = (-1.5, 0.5)
DISTORTION = (0.04, -0.3, 0.001, -0.0005, 0.002)
_FIXED = {"transform": pl.Array(pl.Float64, 16), "shape": pl.Array(pl.Int32, 3)}


def world_from_ego(scene: Scene, time_us: float) -> np.ndarray:
    return scene.world_from_ego(np.array([(time_us - START_US) / 1e6]))[0]


def ranges(frame: int, lidar: int, which: int) -> np.ndarray:
    """A range image (H, W, 4): about a third of the pixels saw nothing."""
    random = np.random.default_rng([frame, lidar, which])
    image = random.uniform(3, 70, (HEIGHT, WIDTH, 4)).astype(np.float32)
    image[..., 1] = random.uniform(0, 1, (HEIGHT, WIDTH))
    image[random.uniform(size=(HEIGHT, WIDTH)) < 0.35] = -1
    return image


def column_time_us(frame: int, column: int) -> float:
    """When the top lidar saw a column."""
    return START_US + PERIOD_US * frame + PERIOD_US * (column / WIDTH - 0.5) * 0.9


def write_waymo(root: Path, scene: Scene = SCENE) -> None:
    frames = range(scene.n_frames)
    time_us = [START_US + PERIOD_US * frame for frame in frames]

    def table(component: str, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["key.segment_context_name"] = SEGMENT
        schema = {
            name: _FIXED[name.rsplit(".", 1)[-1]] for name in rows[0] if name.rsplit(".", 1)[-1] in _FIXED
        }
        (root / component).mkdir(parents=True, exist_ok=True)
        frame = pl.DataFrame(rows, schema_overrides=schema)
        frame.write_parquet(root / component / f"{SEGMENT}.parquet", row_group_size=4)

    place = "[VehiclePoseComponent].world_from_vehicle.transform"
    table(
        "vehicle_pose",
        [
            {"key.frame_timestamp_micros": t, place: world_from_ego(scene, t).reshape(-1).tolist()}
            for t in time_us
        ],
    )
    k = camera_model()
    prefix = "[CameraCalibrationComponent]."
    intrinsic = dict(zip(("f_u", "f_v", "c_u", "c_v"), (k.fx_px, k.fy_px, k.cx_px, k.cy_px), strict=True))
    intrinsic |= dict(zip(("k1", "k2", "p1", "p2", "k3"), DISTORTION, strict=True))
    table(
        "camera_calibration",
        [
            {
                "key.camera_name": 1,
                f"{prefix}extrinsic.transform": EGO_FROM_CAMERA.reshape(-1).tolist(),
                f"{prefix}width": k.width_px,
                f"{prefix}height": k.height_px,
                **{f"{prefix}intrinsic.{name}": value for name, value in intrinsic.items()},
            }
        ],
    )
    prefix = "[LiDARCalibrationComponent]."
    table(
        "lidar_calibration",
        [
            {
                "key.laser_name": number,
                f"{prefix}extrinsic.transform": matrix.reshape(-1).tolist(),
                f"{prefix}beam_inclination.min": limits[0],
                f"{prefix}beam_inclination.max": limits[1],
                f"{prefix}beam_inclination.values": values,
            }
            for number, matrix, limits, values in (
                (1, EGO_FROM_TOP, (-0.31, 0.04), INCLINATIONS),
                (5, EGO_FROM_REAR, REAR_RANGE, None),
            )
        ],
    )
    images, sweeps, poses, cuboids, flat = [], [], [], [], []
    for frame, t in enumerate(time_us):
        middle_us = t + (TRIGGER_S + READOUT_S) / 2 * 1e6
        pose = world_from_ego(scene, middle_us) @ EGO_FROM_CAMERA @ FORWARD_FROM_OPTICAL
        picture = scene.picture(k, pose, (middle_us - START_US) / 1e6)
        images.append(
            {
                "key.frame_timestamp_micros": t,
                "key.camera_name": 1,
                "[CameraImageComponent].image": simplejpeg.encode_jpeg(np.ascontiguousarray(picture)),
                "[CameraImageComponent].pose.transform": world_from_ego(scene, middle_us)
                .reshape(-1)
                .tolist(),
                "[CameraImageComponent].pose_timestamp": middle_us / 1e6,
                "[CameraImageComponent].rolling_shutter_params.shutter": 0.001,
                "[CameraImageComponent].rolling_shutter_params.camera_trigger_time": t / 1e6 + TRIGGER_S,
                "[CameraImageComponent].rolling_shutter_params.camera_readout_done_time": t / 1e6 + READOUT_S,
            }
        )
        for lidar in (1, 5):
            row: dict[str, Any] = {"key.frame_timestamp_micros": t, "key.laser_name": lidar}
            for which in (1, 2):
                name = f"[LiDARComponent].range_image_return{which}"
                row[f"{name}.values"] = ranges(frame, lidar, which).reshape(-1).tolist()
                row[f"{name}.shape"] = [HEIGHT, WIDTH, 4]
            sweeps.append(row)
        name = "[LiDARPoseComponent].range_image_return1"
        poses.append(
            {
                "key.frame_timestamp_micros": t,
                "key.laser_name": 1,
                f"{name}.values": _pixel_poses(scene, frame).reshape(-1).tolist(),
                f"{name}.shape": [HEIGHT, WIDTH, 6],
            }
        )
        ego_from_world = se3.invert(world_from_ego(scene, t))
        for which, (center, size, yaw) in enumerate(zip(*scene.objects(frame * 0.1), strict=True)):
            matrix = ego_from_world @ se3.transform(quaternion.to_matrix(quaternion.from_yaw(yaw)), center)
            cuboids.append(
                {
                    "key.frame_timestamp_micros": t,
                    "key.laser_object_id": f"object-{which}",
                    "[LiDARBoxComponent].type": 1 + which,
                    "[LiDARBoxComponent].num_lidar_points_in_box": 11 * which,
                    **{
                        f"[LiDARBoxComponent].box.center.{a}": float(matrix[r, 3])
                        for r, a in enumerate("xyz")
                    },
                    **{f"[LiDARBoxComponent].box.size.{a}": float(size[r]) for r, a in enumerate("xyz")},
                    "[LiDARBoxComponent].box.heading": float(np.arctan2(matrix[1, 0], matrix[0, 0])),
                }
            )
            flat.append(
                {
                    "key.frame_timestamp_micros": t,
                    "key.camera_name": 1,
                    "key.camera_object_id": f"picture-{which}",
                    "[CameraBoxComponent].type": 1 + which,
                    "[CameraBoxComponent].box.center.x": 30.0 + 10 * which,
                    "[CameraBoxComponent].box.center.y": 40.0 + frame,
                    "[CameraBoxComponent].box.size.x": 12.0,
                    "[CameraBoxComponent].box.size.y": 7.0,
                }
            )
    table("camera_image", images)
    table("lidar", sweeps)
    table("lidar_pose", poses)
    table("lidar_box", cuboids)
    table("camera_box", flat)


def edit(root: Path, component: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Path:
    """Changes a component's table in place."""
    path = root / component / f"{SEGMENT}.parquet"
    change(pl.read_parquet(path)).write_parquet(path)
    return path


def _pixel_poses(scene: Scene, frame: int) -> np.ndarray:
    """(H, W, 6) roll, pitch, yaw, x, y, z of the vehicle when each column was seen."""
    poses = np.zeros((HEIGHT, WIDTH, 6), dtype=np.float64)
    for column in range(WIDTH):
        matrix = world_from_ego(scene, column_time_us(frame, column))
        poses[:, column, 2] = np.arctan2(matrix[1, 0], matrix[0, 0])
        poses[:, column, 3:] = matrix[:3, 3]
    return poses
