"""Folders laid out like KITTI tracking with detections of other people: reading them and writing results.

``label_02``, ``calib``, ``ego_pose`` (JSON lists of 4x4, world from IMU), ``det2d_rrc/<Class>`` and
``det3d_pointrcnn/<Class>``, one file per sequence in each. Inside, boxes are kept in an ego frame (x forward,
y left, z up) that shares its origin with the rectified camera.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fleetlabel.geometry import boxes, quaternion, se3, yaw
from fleetlabel.geometry.arrays import F64, I32, I64

FRAME_NS = 100_000_000  # KITTI records at 10 Hz; its tracking files hold no times
IMAGE_SIZE_PX = (1242.0, 375.0)
EGO_FROM_CAMERA = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


@dataclass(frozen=True, slots=True)
class Detections:
    """Detections of one sequence and class: frame (N,), xyxy_px (N, 4), score (N,), cuboid (N, 7) or (0,
    7)."""

    frame: I32
    xyxy_px: F64
    score: F64
    cuboid: F64


class Folder:
    """One such folder; sequences are named by their files, for example 0002."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sequences = sorted(path.stem for path in (root / "label_02").glob("*.txt"))
        if not self.sequences:
            raise FileNotFoundError(
                f"{root / 'label_02'} has no *.txt; expected a folder like kitti_tracking_dev"
            )

    def n_frames(self, sequence: str) -> int:
        """Frames of the sequence: as many as it has ego poses, at least as many as it has labels."""
        path = self.root / "ego_pose" / f"{sequence}.json"
        n_poses = len(json.loads(path.read_text())) if path.exists() else 0
        last = [
            int(line.split()[0])
            for line in self.label_path(sequence).read_text().splitlines()
            if line.strip()
        ]
        return max([n_poses, *(frame + 1 for frame in last)])

    def timestamps_ns(self, sequence: str) -> I64:
        """Times (F,) at KITTI's frame rate."""
        return np.arange(self.n_frames(sequence), dtype=np.int64) * FRAME_NS

    def label_path(self, sequence: str) -> Path:
        """The file of the sequence's ground truth."""
        return self.root / "label_02" / f"{sequence}.txt"

    def detections(self, sequence: str, task: str, class_name: str) -> Detections:
        """Detections for a task, ``2d`` or ``3d``, sorted by frame; scores as the detector gave them."""
        folder = "det2d_rrc" if task == "2d" else "det3d_pointrcnn"
        table = _numbers(self.root / folder / class_name / f"{sequence}.txt", 6 if task == "2d" else 15)
        table = table[np.argsort(table[:, 0], kind="stable")]
        frame = table[:, 0].astype(np.int32)
        if task == "2d":
            return Detections(frame, table[:, 1:5], table[:, 5], np.zeros((0, 7)))
        return Detections(frame, table[:, 2:6], table[:, 6], cuboids_from_kitti(table[:, 7:14]))

    def world_from_ego(self, sequence: str) -> F64:
        """Poses (F, 4, 4) of the ego frame; the world is where the IMU of the first frame was."""
        world_from_imu = np.array(json.loads((self.root / "ego_pose" / f"{sequence}.json").read_text()))
        calib = self._calib(sequence)
        camera_from_imu = calib["R0_rect"] @ calib["Tr_velo_cam"] @ calib["Tr_imu_velo"]
        return world_from_imu @ se3.invert(camera_from_imu) @ se3.invert(EGO_FROM_CAMERA)

    def image_from_camera(self, sequence: str) -> F64:
        """Projection (3, 4) of the left colour camera."""
        return self._calib(sequence)["P2"][:3]

    def _calib(self, sequence: str) -> dict[str, F64]:
        names = {
            "R_rect": "R0_rect",
            "Tr_velo_to_cam": "Tr_velo_cam",
            "Tr_imu_to_velo": "Tr_imu_velo",
        }  # older names
        matrices: dict[str, F64] = {}
        for line in (self.root / "calib" / f"{sequence}.txt").read_text().splitlines():
            name, *values = line.replace(":", " ").split()
            matrix = np.eye(4)
            if len(values) == 9:
                matrix[:3, :3] = np.array(values, dtype=np.float64).reshape(3, 3)
            elif len(values) == 12:
                matrix[:3] = np.array(values, dtype=np.float64).reshape(3, 4)
            matrices[names.get(name, name)] = matrix
        return matrices


def _numbers(path: Path, columns: int) -> F64:
    rows = [line.split(",") for line in path.read_text().splitlines() if line.strip()]
    return np.array(rows, dtype=np.float64).reshape(-1, columns)


def cuboids_from_kitti(hwl_xyz_ry: F64) -> F64:
    """Bottom-centred boxes of the camera frame (N, 7) as centred ones of the ego frame: x y z l w h yaw."""
    h, w, l, x, y, z, ry = hwl_xyz_ry.T  # noqa: E741 - KITTI's names
    return np.stack([z, -x, 0.5 * h - y, l, w, h, yaw.wrap(-ry - 0.5 * np.pi)], axis=1)


def kitti_from_cuboids(cuboid: F64) -> F64:
    """Inverse of :func:`cuboids_from_kitti`."""
    x, y, z, length, width, height, heading = cuboid.T
    ry = yaw.wrap(-heading - 0.5 * np.pi)
    return np.stack([height, width, length, -y, 0.5 * height - z, x, ry], axis=1)


def moved(cuboid: F64, dst_from_src: F64) -> F64:
    """Upright boxes (N, 7) carried by a transform each (N, 4, 4); roll and pitch of the transform are left
    out."""
    heading = np.stack([np.cos(cuboid[:, 6]), np.sin(cuboid[:, 6]), np.zeros(len(cuboid))], axis=1)
    turned = np.einsum("nij,nj->ni", dst_from_src[:, :3, :3], heading)
    angle = np.arctan2(turned[:, 1], turned[:, 0])
    return np.concatenate([se3.apply(dst_from_src, cuboid[:, :3]), cuboid[:, 3:6], angle[:, None]], axis=1)


def projected_px(cuboid: F64, image_from_camera: F64) -> F64:
    """Rectangles (N, 4) around the projections of boxes (N, 7) of the ego frame, cut to the picture."""
    if not len(cuboid):
        return np.zeros((0, 4))
    corners = boxes.corners(cuboid[:, :3], cuboid[:, 3:6], quaternion.from_yaw(cuboid[:, 6])).reshape(-1, 3)
    camera = se3.apply(se3.invert(EGO_FROM_CAMERA), corners)
    camera[:, 2] = np.maximum(camera[:, 2], 0.1)  # what is behind the camera ends up far outside the picture
    uvw = np.concatenate([camera, np.ones((len(camera), 1))], axis=1) @ image_from_camera.T
    uv = (uvw[:, :2] / uvw[:, 2:]).reshape(len(cuboid), 8, 2)
    limit = np.array(IMAGE_SIZE_PX) - 1.0
    return np.concatenate([np.clip(uv.min(axis=1), 0, limit), np.clip(uv.max(axis=1), 0, limit)], axis=1)


def write_results(
    path: Path, class_name: str, frame: I32, track_id: I64, xyxy_px: F64, cuboid: F64, score: F64
) -> None:
    """Write one sequence in KITTI's tracking format, 18 columns; ``cuboid`` is (N, 7), or (0, 7) for a 2D
    task."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unknown = np.tile([-1.0, -1, -1, -1000, -1000, -1000, -10], (len(frame), 1))
    solid = kitti_from_cuboids(cuboid) if len(cuboid) else unknown
    alpha = np.where(solid[:, 3] > -999, yaw.wrap(solid[:, 6] - np.arctan2(solid[:, 3], solid[:, 5])), -10.0)
    with path.open("w") as out:
        for row in range(len(frame)):
            numbers = [alpha[row], *xyxy_px[row], *solid[row], score[row]]
            text = " ".join(f"{number:.6f}" for number in numbers)
            out.write(f"{frame[row]} {track_id[row]} {class_name} -1 -1 {text}\n")
