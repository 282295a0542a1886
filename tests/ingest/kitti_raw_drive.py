"""A small drive in the true layout of KITTI's raw data, for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from fleetlabel.engine.ingest.testing import Scene, camera_model
from fleetlabel.geometry import quaternion, se3

SCENE = Scene(n_frames=5, n_objects=3)
DAY, DRIVE = "2011_09_26", "2011_09_26_drive_0001_sync"
START = datetime(2011, 9, 26, 13, 2, 25, 964389, tzinfo=UTC)
LATITUDE, LONGITUDE, ALTITUDE, RADIUS_M = 49.011, 8.423, 112.8, 6_378_137.0
CAMERAS = {"image_00": 0.0, "image_02": 7.5, "image_03": -56.0}  # baseline in P's last column
CAMERA_LAG_S = {"image_00": 0.004, "image_02": 0.0047, "image_03": 0.0048}


def rig() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """R_rect (3, 3), camera_from_velo and velo_from_imu (4, 4)."""
    rect = quaternion.to_matrix(quaternion.normalize(np.array([1.0, 0.004, -0.003, 0.005])))
    axes = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
    tilt = quaternion.to_matrix(quaternion.normalize(np.array([1.0, 0.003, 0.007, -0.002])))
    camera_from_velo = se3.transform(tilt @ axes, np.array([-0.004, -0.076, -0.272]))
    turn = quaternion.to_matrix(quaternion.normalize(np.array([1.0, 0.0005, 0.007, -0.001])))
    return rect, camera_from_velo, se3.transform(turn, np.array([-0.81, 0.32, -0.8]))


def projection(camera: str) -> np.ndarray:
    k = camera_model()
    return np.hstack([k.matrix, np.array([[CAMERAS[camera]], [0.21], [0.0027]])])


def stamp(time_s: float) -> str:
    at = START + timedelta(microseconds=round(time_s * 1e6))
    return f"{at:%Y-%m-%d %H:%M:%S.%f}123"


def write_kitti_raw(root: Path, scene: Scene = SCENE) -> Path:
    day = root / DAY
    drive = day / DRIVE
    rect, camera_from_velo, velo_from_imu = rig()
    rect_from_camera = se3.transform(rect, np.zeros(3))
    rect_from_imu = rect_from_camera @ camera_from_velo @ velo_from_imu
    k = camera_model()
    lines = ["calib_time: 09-Jan-2012 13:57:47", "corner_dist: 9.950000e-02"]
    for row in range(4):
        name = f"image_{row:02d}"
        p = projection(name) if name in CAMERAS else np.hstack([k.matrix, np.zeros((3, 1))])
        lines += [
            f"S_{row:02d}: 1392 512",
            f"K_{row:02d}: {_text(k.matrix * 1.36)}",
            f"D_{row:02d}: -0.37 0.2 0.001 0.002 -0.07",
            f"R_{row:02d}: {_text(np.eye(3))}",
            f"T_{row:02d}: 0 0 0",
            f"S_rect_{row:02d}: {k.width_px} {k.height_px}",
            f"R_rect_{row:02d}: {_text(rect)}",
            f"P_rect_{row:02d}: {_text(p)}",
        ]
    day.mkdir(parents=True)
    (day / "calib_cam_to_cam.txt").write_text("\n".join(lines) + "\n")
    for name, matrix in (("velo_to_cam", camera_from_velo), ("imu_to_velo", velo_from_imu)):
        text = f"calib_time: 15-Mar-2012\nR: {_text(matrix[:3, :3])}\nT: {_text(matrix[:3, 3])}\n"
        (day / f"calib_{name}.txt").write_text(text)
    times_s = 0.1 * np.arange(scene.n_frames)
    poses = scene.world_from_ego(times_s)
    _write_oxts(drive / "oxts", scene, times_s)
    for camera, lag_s in CAMERA_LAG_S.items():
        folder = drive / camera
        (folder / "data").mkdir(parents=True)
        (folder / "timestamps.txt").write_text("\n".join(stamp(t + lag_s) for t in times_s) + "\n")
        p = projection(camera)
        offset = se3.transform(np.eye(3), np.linalg.solve(p[:, :3], p[:, 3]))
        for frame, time_s in enumerate(times_s.tolist()):
            pose = scene.world_from_ego(np.array([time_s + lag_s]))[0] @ se3.invert(offset @ rect_from_imu)
            picture = scene.picture(k, pose, time_s + lag_s)
            cv2.imwrite(str(folder / f"data/{frame:010d}.png"), picture[..., ::-1])
    folder = drive / "velodyne_points"
    (folder / "data").mkdir(parents=True)
    for name, after_s in (("timestamps", 0.0), ("timestamps_start", -0.0517), ("timestamps_end", 0.0516)):
        (folder / f"{name}.txt").write_text("\n".join(stamp(t + after_s) for t in times_s) + "\n")
    for frame, time_s in enumerate(times_s.tolist()):
        world = scene.points_world(time_s)
        local = se3.apply(velo_from_imu @ se3.invert(poses[frame]), world)
        sweep = np.concatenate([local, np.full((len(local), 1), 0.25)], axis=1).astype("<f4")
        (folder / f"data/{frame:010d}.bin").write_bytes(sweep.tobytes())
    (drive / "tracklet_labels.xml").write_text(_tracklets(scene, times_s, poses, velo_from_imu))
    return drive


def _write_oxts(folder: Path, scene: Scene, times_s: np.ndarray) -> None:
    """The inverse of KITTI's own formula: the drive begins at a place and heads east."""
    (folder / "data").mkdir(parents=True)
    (folder / "timestamps.txt").write_text("\n".join(stamp(t) for t in times_s) + "\n")
    scale = np.cos(np.radians(LATITUDE))
    east0 = scale * np.radians(LONGITUDE) * RADIUS_M
    north0 = scale * RADIUS_M * np.log(np.tan(np.pi / 4 + np.radians(LATITUDE) / 2))
    for frame, pose in enumerate(scene.world_from_ego(times_s)):
        row = np.zeros(30)
        row[0] = np.degrees(2 * np.arctan(np.exp((north0 + pose[1, 3]) / (RADIUS_M * scale))) - np.pi / 2)
        row[1] = np.degrees((east0 + pose[0, 3]) / (scale * RADIUS_M))
        row[2] = ALTITUDE + pose[2, 3]
        row[5] = scene.yaw_rate_rps * times_s[frame]
        (folder / f"data/{frame:010d}.txt").write_text(" ".join(repr(value) for value in row.tolist()) + "\n")


def _tracklets(scene: Scene, times_s: np.ndarray, poses: np.ndarray, velo_from_imu: np.ndarray) -> str:
    """Object k is labelled from frame k on."""
    items = []
    for which in range(scene.n_objects):
        rows = []
        for frame in range(which, scene.n_frames):
            center, size, yaw = (column[which] for column in scene.objects(float(times_s[frame])))
            turn = se3.transform(quaternion.to_matrix(quaternion.from_yaw(yaw)), center)
            in_velo = velo_from_imu @ se3.invert(poses[frame]) @ turn
            rz = np.arctan2(in_velo[1, 0], in_velo[0, 0])
            x, y, z = in_velo[:3, 3] - np.array([0, 0, size[2] / 2])
            rows.append(
                f"<item><tx>{x!r}</tx><ty>{y!r}</ty><tz>{z!r}</tz><rx>0</rx><ry>0</ry><rz>{rz!r}</rz><state>2</state>"
                f"<occlusion>{which}</occlusion><occlusion_kf>0</occlusion_kf>"
                f"<truncation>{99 if which == 2 else which}</truncation><amt_occlusion>-1</amt_occlusion></item>"
            )
        length, width, height = size.tolist()
        items.append(
            f"<item><objectType>{'Van' if which == 1 else 'Car'}</objectType><h>{height!r}</h><w>{width!r}</w>"
            f"<l>{length!r}</l><first_frame>{which}</first_frame><poses><count>{len(rows)}</count>"
            f"<item_version>2</item_version>{''.join(rows)}</poses><finished>1</finished></item>"
        )
    return (
        (
            '<?xml version="1.0" encoding="UTF-8" standalone="yes" ?>\n<!DOCTYPE boost_serialization>\n'
            '<boost_serialization signature="serialization::archive" version="9">\n'
            f'<tracklets class_id="0"><count>{len(items)}</count><item_version>1</item_version>{"".join(items)}'
            "</tracklets>\n"
            "</boost_serialization>\n"
        )
        .replace("np.float64(", "")
        .replace(")<", "<")
    )


def _text(matrix: np.ndarray) -> str:
    return " ".join(repr(float(value)) for value in np.asarray(matrix).reshape(-1))
