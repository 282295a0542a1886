"""A small log in the true layout of Argoverse 2's sensor data set, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import simplejpeg

from fleetlabel.engine.ingest.testing import Scene, camera_model
from fleetlabel.geometry import quaternion, se3

SCENE = Scene(n_frames=5, n_objects=3, start_m=(1468.0, 211.0, 13.0))
START_NS = 315_968_663_259_918_000
PERIOD_NS = 100_000_000
CAMERAS = {"ring_front_center": (12_345_678, 0.0), "stereo_front_left": (31_000_001, 0.05)}
POSE = ("tx_m", "ty_m", "tz_m", "qw", "qx", "qy", "qz")
CATEGORIES = ("REGULAR_VEHICLE", "BUS", "REGULAR_VEHICLE")


def ego_from_camera(heading: float) -> np.ndarray:
    turn = quaternion.to_matrix(quaternion.from_yaw(np.array(heading)))
    forward = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    return se3.transform(turn @ forward, np.array([1.6, heading, 1.4]))


def sweep_points(scene: Scene, time_ns: int) -> np.ndarray:
    """Points (P, 3) of a sweep in the ego frame, as half floats can hold them."""
    time_s = (time_ns - START_NS) / 1e9
    ego_from_world = se3.invert(scene.world_from_ego(np.array([time_s]))[0])
    return se3.apply(ego_from_world, scene.points_world(time_s)).astype(np.float16)


def write_argoverse2(folder: Path, scene: Scene = SCENE, camera_period_ns: int = PERIOD_NS) -> None:
    sweeps = [START_NS + PERIOD_NS * frame for frame in range(scene.n_frames)]
    (folder / "calibration").mkdir(parents=True)
    (folder / "sensors/lidar").mkdir(parents=True)
    places = {camera: ego_from_camera(heading) for camera, (_, heading) in CAMERAS.items()}
    places |= {"up_lidar": np.eye(4), "down_lidar": np.eye(4)}
    rows = [{"sensor_name": name, **_pose(place)} for name, place in places.items()]
    pl.DataFrame(rows).write_ipc(folder / "calibration/egovehicle_SE3_sensor.feather")
    k = camera_model()
    intrinsics = {"fx_px": k.fx_px, "fy_px": k.fy_px, "cx_px": k.cx_px, "cy_px": k.cy_px}
    distortion = {"k1": -0.25, "k2": 0.1, "k3": -0.01, "height_px": k.height_px, "width_px": k.width_px}
    rows = [{"sensor_name": name, **intrinsics, **distortion} for name in CAMERAS]
    pl.DataFrame(rows).write_ipc(folder / "calibration/intrinsics.feather")
    exposures = []
    for camera, (lag_ns, _) in CAMERAS.items():
        place = folder / "sensors/cameras" / camera
        place.mkdir(parents=True)
        for time_ns in range(sweeps[0] + lag_ns, sweeps[-1] + lag_ns + 1, camera_period_ns):
            world_from_camera = _world_from_ego(scene, time_ns) @ places[camera]
            picture = scene.picture(k, world_from_camera, (time_ns - START_NS) / 1e9)
            (place / f"{time_ns}.jpg").write_bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(picture)))
            exposures.append(time_ns)
    times = sorted({*sweeps, *exposures})
    rows = [{"timestamp_ns": time_ns, **_pose(_world_from_ego(scene, time_ns))} for time_ns in times]
    pl.DataFrame(rows).write_ipc(folder / "city_SE3_egovehicle.feather", compression="lz4")
    boxes: list[dict[str, Any]] = []
    for time_ns in sweeps:
        points = sweep_points(scene, time_ns)
        pl.DataFrame(
            {
                **{axis: pl.Series(points[:, row], dtype=pl.Float16) for row, axis in enumerate("xyz")},
                "intensity": (np.arange(len(points)) % 256).astype(np.uint8),
                "laser_number": (np.arange(len(points)) % 64).astype(np.uint8),
                "offset_ns": np.linspace(0, 99_000_000, len(points)).astype(np.int32),
            }
        ).write_ipc(folder / f"sensors/lidar/{time_ns}.feather", compression="lz4")
        ego_from_world = se3.invert(_world_from_ego(scene, time_ns))
        objects = scene.objects((time_ns - START_NS) / 1e9)
        for which, (center, size, yaw) in enumerate(zip(*objects, strict=True)):
            turn = quaternion.to_matrix(quaternion.from_yaw(yaw))
            boxes.append(
                {
                    "timestamp_ns": time_ns,
                    "track_uuid": f"track-{which}",
                    "category": CATEGORIES[which],
                    **dict(zip(("length_m", "width_m", "height_m"), size.tolist(), strict=True)),
                    **_pose(ego_from_world @ se3.transform(turn, center)),
                    "num_interior_pts": 7 * which,
                }
            )
    pl.DataFrame(boxes).write_ipc(folder / "annotations.feather", compression="lz4")


def _world_from_ego(scene: Scene, time_ns: int) -> np.ndarray:
    return scene.world_from_ego(np.array([(time_ns - START_NS) / 1e9]))[0]


def _pose(matrix: np.ndarray) -> dict[str, float]:
    t_and_q = se3.to_pose(matrix).tolist()
    return dict(zip(POSE, t_and_q, strict=True))
