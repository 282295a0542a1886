"""Reads drives with other people's tools, in their own environment; imports nothing of FleetLabel.

Usage: ``python other_loaders.py QUESTION ARGUMENT...``; prints what was read as JSON.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any


def nuscenes(root: str, version: str) -> Any:
    """Sweeps' points and annotations' corners in the global frame; corners in the frames of cameras' key frames."""
    import numpy as np
    from nuscenes.nuscenes import NuScenes
    from nuscenes.utils.data_classes import LidarPointCloud
    from nuscenes.utils.geometry_utils import view_points
    from pyquaternion import Quaternion

    tables = NuScenes(version=version, dataroot=root, verbose=False)
    points, boxes, drawn = {}, {}, {}
    for row in tables.sample_data:
        if row["channel"] == "LIDAR_TOP":
            cloud = LidarPointCloud.from_file(f"{root}/{row['filename']}")
            for table, token in (
                ("calibrated_sensor", "calibrated_sensor_token"),
                ("ego_pose", "ego_pose_token"),
            ):
                place = tables.get(table, row[token])
                cloud.rotate(Quaternion(place["rotation"]).rotation_matrix)
                cloud.translate(np.array(place["translation"]))
            points[row["timestamp"]] = cloud.points[:3, ::50].T.tolist()
        elif row["channel"] == "CAM_FRONT" and row["is_key_frame"]:
            _, found, matrix = tables.get_sample_data(row["token"])
            drawn[row["timestamp"]] = {
                tables.get("sample_annotation", box.token)["instance_token"]: view_points(
                    box.corners(), np.array(matrix), normalize=True
                )[:2].T.tolist()
                for box in found
            }
    for row in tables.sample_annotation:
        box = tables.get_box(row["token"])
        time = tables.get("sample", row["sample_token"])["timestamp"]
        boxes[f"{time} {row['instance_token']}"] = [box.name, box.corners().T.tolist()]
    return {"points": points, "boxes": boxes, "drawn": drawn}


def argoverse2(log: str) -> Any:
    """Points and cuboids in the city frame, and points in front of each camera with where it has them."""
    from pathlib import Path

    import numpy as np
    from av2.geometry.camera.pinhole_camera import PinholeCamera
    from av2.structures.cuboid import CuboidList
    from av2.structures.sweep import Sweep
    from av2.utils.io import read_city_SE3_ego

    folder = Path(log)
    poses = read_city_SE3_ego(folder)
    sweeps = {}
    for path in (folder / "sensors/lidar").iterdir():
        sweep = Sweep.from_feather(path)
        sweeps[sweep.timestamp_ns] = {
            "city": poses[sweep.timestamp_ns].transform_point_cloud(sweep.xyz[::50]).tolist(),
            "intensity": sweep.intensity[::50].tolist(),
            "offset_ns": sweep.offset_ns[::50].tolist(),
        }
    boxes = []
    for cuboid in CuboidList.from_feather(folder / "annotations.feather").cuboids:
        placed = cuboid.transform(poses[cuboid.timestamp_ns])
        boxes.append([cuboid.category, int(cuboid.timestamp_ns), placed.vertices_m.tolist()])
    projected = {}
    ahead = np.array([[20.0, 1.0, 0.5], [8.0, -1.5, 2.0], [50.0, 4.0, 1.0]])
    for camera in (folder / "sensors/cameras").iterdir():
        uv, _, _ = PinholeCamera.from_feather(folder, camera.name).project_ego_to_img(ahead)
        projected[camera.name] = [ahead.tolist(), uv[:, :2].tolist()]
    return {"sweeps": sweeps, "boxes": boxes, "projected": projected}


def rosbags(path: str) -> Any:
    """Stamps and content of sensors' messages, and where transforms have base_link in map at the times of /tf."""
    import hashlib
    from pathlib import Path

    import numpy as np
    from pyquaternion import Quaternion
    from rosbags.highlevel import AnyReader

    sensors, transforms = {}, {}
    with AnyReader([Path(path)]) as reader:
        for connection, _, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            if connection.topic == "/tf":
                for entry in message.transforms:
                    place, turn = entry.transform.translation, entry.transform.rotation
                    matrix = Quaternion(turn.w, turn.x, turn.y, turn.z).transformation_matrix
                    matrix[:3, 3] = place.x, place.y, place.z
                    stamp = entry.header.stamp
                    key = f"{stamp.sec * 10**9 + stamp.nanosec}"
                    transforms.setdefault(key, {})[entry.child_frame_id] = matrix
            elif "CompressedImage" in connection.msgtype or "PointCloud2" in connection.msgtype:
                stamp = message.header.stamp
                said = [stamp.sec * 10**9 + stamp.nanosec, hashlib.sha256(bytes(message.data)).hexdigest()]
                if "PointCloud2" in connection.msgtype:
                    step = message.point_step
                    rows = np.frombuffer(bytes(message.data), np.uint8).reshape(-1, step)[:, :12]
                    said.append(np.ascontiguousarray(rows).view("<f4")[::50].tolist())
                sensors.setdefault(connection.topic, []).append(said)
    poses = {time: (edges["odom"] @ edges["base_link"]).tolist() for time, edges in transforms.items()}
    return {"sensors": sensors, "poses": poses}


def pykitti(root: str, day: str, drive: str) -> Any:
    """Poses, calibration and points of a raw drive."""
    import numpy as np
    from pykitti.raw import raw

    data = raw(root, day, drive)
    calib = data.calib
    found = {
        cam: {"k": getattr(calib, f"K_{cam}").tolist(), "from_velo": getattr(calib, f"T_{cam}_velo").tolist()}
        for cam in ("cam0", "cam2", "cam3")
    }
    return {
        **found,
        "poses": [packet.T_w_imu.tolist() for packet in data.oxts],
        "velo_from_imu": np.linalg.inv(calib.T_cam0_velo).dot(calib.T_cam0_imu).tolist(),
        "points": [np.asarray(sweep)[::50].tolist() for sweep in data.velo],
    }


QUESTIONS = {function.__name__: function for function in (nuscenes, argoverse2, rosbags, pykitti)}


if __name__ == "__main__":
    with contextlib.redirect_stdout(io.StringIO()):
        answer = QUESTIONS[sys.argv[1]](*sys.argv[2:])
    print(json.dumps(answer))
