"""Small drives written to disk, for tests of anything that reads drives: no real data is needed.

``write_pandaset(folder)`` and ``write_kitti(folder)`` write the same :class:`Scene` in the two layouts, truth
included, in well under a second::

    scene = Scene(n_frames=6, n_objects=3, seed=0)
    write_pandaset(tmp_path / "drive", scene)      # two cameras, two lidars, cuboids labelled by both lidars
    write_kitti(tmp_path / "kitti", scene)         # sequence "0000": label_02, calib, ego_pose, image_02,
    velodyne store = ingest(tmp_path / "drive", tmp_path / "drive.zarr")   # everything read and committed,
    with ground truth

The pictures show objects as bright rectangles on noise, so no detector finds them; the sweeps have points on
the ground and on the sides of the objects, so a lift does. Break single files afterwards to test what must
not happen. Writing PandaSet needs pandas, which reading does not.
"""

from __future__ import annotations

import gzip
import json
import pickle
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from fleetlabel.engine.ingest.formats import open_sequence
from fleetlabel.engine.ingest.source import write_ground_truth
from fleetlabel.geometry import boxes as cuboids
from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64, I64, U8
from fleetlabel.model.cameras import PinholeCamera
from fleetlabel.store import SequenceStore

PICTURE_SIZE_PX = (192, 108)
# Camera frame (x right, y down, z forward) of a camera that looks along the ego's x axis.
_FORWARD_CAMERA: F64 = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
# PandaSet: exposure before the end of the sweep, and heading of each camera.
PANDASET_CAMERAS = {"front_camera": (-0.05, 0.0), "back_camera": (-0.08, np.pi)}
_START_S = 1_557_539_959.7


@dataclass(frozen=True)
class Scene:
    """A vehicle on an arc among cars that stand or drive, 10 frames a second; the same for the same numbers.

    Attributes:
        n_frames: frames of 0.1 s.
        n_objects: cars; every second one drives.
        seed: of places, points and noise.
        speed_mps, yaw_rate_rps: of the ego vehicle.
        start_m: where it starts in the source's world (to test logs in UTM).
    """

    n_frames: int = 6
    n_objects: int = 3
    seed: int = 0
    speed_mps: float = 5.0
    yaw_rate_rps: float = 0.05
    start_m: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def world_from_ego(self, time_s: F64) -> F64:
        """True ego poses (N, 4, 4) at times after the start, seconds (N,)."""
        time = np.atleast_1d(np.asarray(time_s, dtype=np.float64))
        yaw = self.yaw_rate_rps * time
        radius = self.speed_mps / self.yaw_rate_rps
        place = np.stack([radius * np.sin(yaw), radius * (1 - np.cos(yaw)), np.zeros_like(time)], axis=1)
        return se3.transform(quaternion.to_matrix(quaternion.from_yaw(yaw)), place + self.start_m)

    def objects(self, time_s: float) -> tuple[F64, F64, F64]:
        """True centres (K, 3), sizes (K, 3: l w h) and yaws (K,) of the cars in the world at a time."""
        random = np.random.default_rng(self.seed)
        k = self.n_objects
        ahead = 9.0 + 8.0 * np.arange(k) + random.uniform(0, 1, k)
        side = np.where(np.arange(k) % 2 == 0, 3.5, -3.5) + random.uniform(-0.3, 0.3, k)
        size = np.array([4.4, 1.9, 1.6]) + random.uniform(-0.2, 0.2, (k, 3))
        yaw = np.where(np.arange(k) % 2 == 0, 0.0, np.pi) + random.uniform(-0.1, 0.1, k)
        speed = np.where(np.arange(k) % 2 == 1, 3.0, 0.0) * time_s
        center = np.stack(
            [ahead + speed * np.cos(yaw), side + speed * np.sin(yaw), size[:, 2] / 2 - 1.6], axis=1
        )
        return center + self.start_m, size, yaw

    def points_world(self, time_s: float, n_ground: int = 1500, n_each: int = 150) -> F64:
        """Points (P, 3) on the ground, 1.6 m below the ego frame, and on the objects' surfaces."""
        random = np.random.default_rng([self.seed, round(time_s * 1000) + 1000])
        ego = self.world_from_ego(np.array([time_s]))[0]
        ground = np.stack(
            [
                random.uniform(-30, 40, n_ground),
                random.uniform(-20, 20, n_ground),
                random.normal(-1.6, 0.02, n_ground),
            ],
            axis=1,
        )
        found = [se3.apply(ego, ground)]
        for center, size, yaw in zip(*self.objects(time_s), strict=True):
            surface = random.uniform(-0.5, 0.5, (n_each, 3))
            surface[:, random.integers(0, 2)] = np.sign(random.uniform(-1, 1)) * 0.5
            pose = se3.transform(quaternion.to_matrix(quaternion.from_yaw(yaw)), center)
            found.append(se3.apply(pose, surface * size))
        return np.concatenate(found)

    def picture(self, camera: PinholeCamera, world_from_camera: F64, time_s: float) -> U8:
        """Picture (H, W, 3): objects as bright rectangles on noise."""
        random = np.random.default_rng([self.seed, round(time_s * 1000) + 1000])
        picture = random.integers(0, 90, (camera.height_px, camera.width_px, 3), dtype=np.uint8)
        for x1, y1, x2, y2 in self.boxes2d(camera, world_from_camera, time_s)[1].astype(int):
            picture[y1:y2, x1:x2] = (230, 220, 40)
        return picture

    def boxes2d(self, camera: PinholeCamera, world_from_camera: F64, time_s: float) -> tuple[I64, F64]:
        """Objects (M,) in view at a time, and their boxes (M, 4: x1 y1 x2 y2) clipped to the picture."""
        center, size, yaw = self.objects(time_s)
        corners = cuboids.corners(center, size, quaternion.from_yaw(yaw))
        in_camera = se3.apply(se3.invert(world_from_camera), corners.reshape(-1, 3))
        uv, valid = camera.project(in_camera)
        seen = np.flatnonzero(valid.reshape(-1, 8).all(axis=1))
        uv = uv.reshape(-1, 8, 2)[seen]
        box = np.concatenate([uv.min(axis=1), uv.max(axis=1)], axis=1).reshape(-1, 4)
        limit = np.array([camera.width_px, camera.height_px] * 2, dtype=np.float64)
        box = np.clip(box, 0, limit)
        inside = (box[:, 2] - box[:, 0] > 2) & (box[:, 3] - box[:, 1] > 2)
        return seen[inside].astype(np.int64), box[inside]


def ingest(source: Path, out: Path, sequence: str | None = None) -> SequenceStore:
    """A store with all data and labels of a drive, in one part per sensor."""
    drive = open_sequence(source, sequence)
    store = SequenceStore.create(out, drive.info)
    for sensor in drive.info.sensors:
        part, quarantined = drive.read_sensor(sensor.name, 0, drive.info.n_frames)
        store.sensor_table(sensor.name).write(0, part, quarantined=quarantined)
    write_ground_truth(store, drive)
    return store


# --- PandaSet
# -------------------------------------------------------------------------------------------------------


def write_pandaset(folder: Path, scene: Scene | None = None) -> Scene:
    """Writes a PandaSet sequence."""
    scene = scene or Scene()
    sweep_s: F64 = 0.1 * np.arange(scene.n_frames, dtype=np.float64)
    lidar_from_ego = se3.transform(np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.zeros(3))
    for part in ("lidar", "annotations/cuboids", "meta", *(f"camera/{name}" for name in PANDASET_CAMERAS)):
        (folder / part).mkdir(parents=True, exist_ok=True)
    _write_poses(folder / "lidar", sweep_s, scene.world_from_ego(sweep_s) @ se3.invert(lidar_from_ego))
    for frame, time_s in enumerate(sweep_s):
        _write_table(folder / f"lidar/{frame:02d}.pkl.gz", _pandaset_sweep(scene, time_s))
        _write_table(folder / f"annotations/cuboids/{frame:02d}.pkl.gz", _pandaset_cuboids(scene, time_s))
    for name, (offset_s, heading) in PANDASET_CAMERAS.items():
        turn = quaternion.to_matrix(quaternion.from_yaw(np.array(heading)))
        ego_from_camera = se3.transform(turn @ _FORWARD_CAMERA, turn @ np.array([1.0, 0.0, 0.2]))
        _write_pandaset_camera(folder / "camera" / name, scene, sweep_s + offset_s, ego_from_camera)
    return scene


def camera_model() -> PinholeCamera:
    """Intrinsics of every camera of these drives."""
    return PinholeCamera(*PICTURE_SIZE_PX, 120.0, 120.0, 96.0, 54.0)


def _write_pandaset_camera(folder: Path, scene: Scene, time_s: F64, ego_from_camera: F64) -> None:
    camera = camera_model()
    world_from_camera = scene.world_from_ego(time_s) @ ego_from_camera
    _write_poses(folder, time_s, world_from_camera)
    intrinsics = {"fx": camera.fx_px, "fy": camera.fy_px, "cx": camera.cx_px, "cy": camera.cy_px}
    (folder / "intrinsics.json").write_text(json.dumps(intrinsics))
    for frame, (time, pose) in enumerate(zip(time_s, world_from_camera, strict=True)):
        picture = np.ascontiguousarray(scene.picture(camera, pose, float(time)))
        (folder / f"{frame:02d}.jpg").write_bytes(simplejpeg.encode_jpeg(picture, quality=80))


def _pandaset_sweep(scene: Scene, time_s: float) -> dict[str, object]:
    points = scene.points_world(time_s)
    n = len(points)
    lidar = (np.arange(n) % 4 == 0).astype(np.int64)
    offset_s = np.where(lidar == 0, np.linspace(-0.1, 0.0, n), np.linspace(-0.01, 0.08, n))
    columns: dict[str, object] = dict(zip("xyz", points.T, strict=True))
    return columns | {"i": np.arange(n) % 256 * 1.0, "t": _START_S + time_s + offset_s, "d": lidar}


def _pandaset_cuboids(scene: Scene, time_s: float) -> dict[str, object]:
    """Object 0 is outside of the lidars' overlap; the others are labelled by both, 0.3 m apart."""
    center, size, yaw = scene.objects(time_s)
    twice = np.concatenate([np.arange(len(yaw)), np.arange(1, len(yaw))])
    second = np.arange(len(twice)) >= len(yaw)
    position = center[twice] + 0.3 * second[:, None]
    names = [f"{'twin' if other else 'object'}-{row}" for row, other in zip(twice, second, strict=True)]
    siblings = [
        "-" if row == 0 else f"{'object' if other else 'twin'}-{row}"
        for row, other in zip(twice, second, strict=True)
    ]
    return {
        "uuid": np.array(names, dtype=object),
        "label": np.array(["Car"] * len(twice), dtype=object),
        "yaw": yaw[twice] - np.pi / 2,
        "stationary": twice % 2 == 0,
        "camera_used": np.full(len(twice), -1),
        **{f"position.{axis}": position[:, row] for row, axis in enumerate("xyz")},
        "dimensions.x": size[twice, 1],
        "dimensions.y": size[twice, 0],
        "dimensions.z": size[twice, 2],
        "cuboids.sibling_id": np.array(siblings, dtype=object),
        "cuboids.sensor_id": np.where(twice == 0, -1, second.astype(np.int64)),
    }


def _write_table(path: Path, columns: dict[str, object]) -> None:
    import pandas as pd

    path.write_bytes(gzip.compress(pickle.dumps(pd.DataFrame(columns), protocol=4), compresslevel=1))


def _write_poses(folder: Path, time_s: F64, world_from_sensor: F64) -> None:
    poses = se3.to_pose(world_from_sensor).tolist()
    entries = [
        {
            "position": dict(zip("xyz", pose[:3], strict=True)),
            "heading": dict(zip("wxyz", pose[3:], strict=True)),
        }
        for pose in poses
    ]
    (folder / "poses.json").write_text(json.dumps(entries))
    (folder / "timestamps.json").write_text(
        json.dumps([round(_START_S + time, 6) for time in time_s.tolist()])
    )


# --- KITTI tracking
# -------------------------------------------------------------------------------------------------

_KITTI_CALIB = {
    "P0": "120 0 96 0 0 120 54 0 0 0 1 0",
    "P1": "120 0 96 -64 0 120 54 0 0 0 1 0",
    "P2": "120 0 96 7.5 0 120 54 0.21 0 0 1 0.0027",
    "P3": "120 0 96 -56 0 120 54 2.1 0 0 1 0.0027",
    "R0_rect": "0.9999239 0.00983776 -0.007445048 -0.009869795 0.9999421 -0.004278459 0.007402527 "
    "0.004351614 0.9999631",
    "Tr_velo_to_cam": "0.007533745 -0.9999714 -0.000616602 -0.004069766 0.01480249 0.0007280733 -0.9998902 "
    "-0.07631618 0.9998621 0.00752379 0.01480755 -0.2717806",
    "Tr_imu_to_velo": "0.9999976 0.0007553071 -0.002035826 -0.8086759 -0.0007854027 0.9998898 -0.01482298 "
    "0.3195559 0.002024406 0.01482454 0.9998881 -0.7997231",
}


def write_kitti(
    folder: Path,
    scene: Scene | None = None,
    *,
    sequence: str = "0000",
    pictures: bool = True,
    velodyne: bool = True,
) -> Scene:
    """Writes a KITTI tracking sequence beside those that are in the folder already."""
    scene = scene or Scene()
    for part in ("calib", "label_02", "ego_pose"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    calib = "".join(f"{name}: {numbers}\n" for name, numbers in _KITTI_CALIB.items())
    (folder / "calib" / f"{sequence}.txt").write_text(calib)
    time_s: F64 = 0.1 * np.arange(scene.n_frames, dtype=np.float64)
    world_from_imu = scene.world_from_ego(time_s)
    (folder / "ego_pose" / f"{sequence}.json").write_text(json.dumps(world_from_imu.tolist()))
    rect_from_imu, camera_from_rect, velo_from_imu = _kitti_rig()
    labels = []
    for frame, time in enumerate(time_s.tolist()):
        world_from_rect = world_from_imu[frame] @ se3.invert(rect_from_imu)
        world_from_camera = world_from_rect @ se3.invert(camera_from_rect)
        seen, boxes = scene.boxes2d(camera_model(), world_from_camera, time)
        labels += _kitti_rows(scene, frame, time, world_from_rect, seen, boxes)
        if pictures:
            picture = scene.picture(camera_model(), world_from_camera, time)
            path = folder / "image_02" / sequence / f"{frame:06d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
        if velodyne:
            points = se3.apply(velo_from_imu @ se3.invert(world_from_imu[frame]), scene.points_world(time))
            sweep = np.concatenate([points, np.full((len(points), 1), 0.5)], axis=1).astype("<f4")
            path = folder / "velodyne" / sequence / f"{frame:06d}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(sweep.tobytes())
    (folder / "label_02" / f"{sequence}.txt").write_text("".join(f"{row}\n" for row in labels))
    return scene


def _kitti_rig() -> tuple[F64, F64, F64]:
    """Exactly rigid rect_from_imu, camera_from_rect (image_02) and velo_from_imu of the calibration above."""
    values: dict[str, F64] = {
        name: np.array(numbers.split(), dtype=np.float64) for name, numbers in _KITTI_CALIB.items()
    }

    def rigid(name: str) -> F64:
        matrix: F64 = values[name].reshape(3, -1)
        translation: F64 = np.zeros(3)
        if matrix.shape[1] == 4:
            translation = matrix[:, 3]
        return se3.transform(quaternion.to_matrix(quaternion.from_matrix(matrix[:, :3])), translation)

    rect_from_imu = rigid("R0_rect") @ rigid("Tr_velo_to_cam") @ rigid("Tr_imu_to_velo")
    p2 = values["P2"].reshape(3, 4)
    offset_m = np.asarray(np.linalg.solve(p2[:, :3], p2[:, 3]), dtype=np.float64)
    return rect_from_imu, se3.transform(np.eye(3), offset_m), rigid("Tr_imu_to_velo")


def _kitti_rows(
    scene: Scene, frame: int, time_s: float, world_from_rect: F64, seen: I64, boxes: F64
) -> list[str]:
    """Label rows of a frame: a DontCare region, then the cars in view."""
    rows = [f"{frame} -1 DontCare -1 -1 -10 1.5 2.25 20.75 18.5 -1000 -1000 -1000 -10 -1 -1 -1"]
    center, size, yaw = scene.objects(time_s)
    rect_from_world = se3.invert(world_from_rect)
    for row, box in zip(seen.tolist(), boxes, strict=True):
        bottom = se3.apply(rect_from_world, (center[row] - np.array([0, 0, size[row, 2] / 2]))[None])[0]
        heading = rect_from_world[:3, :3] @ np.array([np.cos(yaw[row]), np.sin(yaw[row]), 0])
        rotation_y = np.arctan2(-heading[2], heading[0])
        alpha = rotation_y - np.arctan2(bottom[0], bottom[2])
        length, width, height = size[row]
        numbers = [alpha, *box, height, width, length, *bottom, rotation_y]
        printed = " ".join(f"{number:.6f}" for number in numbers)
        rows.append(f"{frame} {row} Car 0 {row % 4} {printed}")
    return rows
