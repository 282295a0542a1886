"""A small drive in the true layout of nuScenes v1.0, for tests: every second sweep is a sample's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg

from fleetlabel.engine.ingest.testing import Scene, camera_model
from fleetlabel.geometry import quaternion, se3

SCENE = Scene(n_frames=6, n_objects=3, start_m=(600.0, 1600.0, 0.0))
START_US = 1_532_402_927_647_951
PERIOD_S = 0.05
# Exposure after the sweep, heading.
CAMERAS = {"CAM_FRONT": (-0.012, 0.0), "CAM_BACK": (-0.02, np.pi)}
# x right, y forward, z up, on the roof.
EGO_FROM_LIDAR = se3.transform(np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]), np.array([0.94, 0.0, 1.84]))
VERSION = "v1.0-mini"
VISIBILITY = {"1": "v0-40", "2": "v40-60", "3": "v60-80", "4": "v80-100"}
ATTRIBUTES = ("vehicle.moving", "vehicle.parked")


def ego_from_camera(heading: float) -> np.ndarray:
    turn = quaternion.to_matrix(quaternion.from_yaw(np.array(heading)))
    forward = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    return se3.transform(turn @ forward, turn @ np.array([1.0, 0.1, 1.5]))


def write_nuscenes(
    root: Path, scene: Scene = SCENE, name: str = "scene-0061", camera_period_s: float = PERIOD_S
) -> None:
    tables: dict[str, list[dict[str, Any]]] = {}

    def add(table: str, token: str, **fields: Any) -> str:
        tables.setdefault(table, []).append({"token": token, **fields})
        return token

    def pose(matrix: np.ndarray) -> dict[str, Any]:
        numbers = se3.to_pose(matrix).tolist()
        return {"translation": numbers[:3], "rotation": numbers[3:]}

    add("log", "log", logfile="n015", vehicle="n015", date_captured="2018-07-24", location="onenorth")
    add("map", "map", log_tokens=["log"], category="semantic_prior", filename="maps/blank.png")
    (root / "maps").mkdir(parents=True)
    cv2.imwrite(str(root / "maps/blank.png"), np.zeros((8, 8), np.uint8))
    sweep_s = PERIOD_S * np.arange(scene.n_frames)
    samples = [f"sample-{frame}" for frame in range(0, scene.n_frames, 2)]
    for frame in range(0, scene.n_frames, 2):
        chain = _chain(samples, frame // 2)
        add("sample", f"sample-{frame}", timestamp=_us(sweep_s[frame]), scene_token="scene", **chain)
    add(
        "scene",
        "scene",
        log_token="log",
        nbr_samples=len(samples),
        first_sample_token=samples[0],
        last_sample_token=samples[-1],
        name=name,
        description="",
    )
    k = camera_model()
    matrix = [[k.fx_px, 0.0, k.cx_px], [0.0, k.fy_px, k.cy_px], [0.0, 0.0, 1.0]]
    camera_s = np.arange(0, sweep_s[-1] + 1e-9, camera_period_s)
    places = {channel: ego_from_camera(heading) for channel, (_, heading) in CAMERAS.items()}
    places |= {"LIDAR_TOP": EGO_FROM_LIDAR, "RADAR_FRONT": np.eye(4)}
    for channel, place in places.items():
        modality = {"C": "camera", "L": "lidar", "R": "radar"}[channel[0]]
        add("sensor", f"sensor-{channel}", channel=channel, modality=modality)
        add(
            "calibrated_sensor",
            f"calibration-{channel}",
            sensor_token=f"sensor-{channel}",
            camera_intrinsic=matrix if modality == "camera" else [],
            **pose(place),
        )
        lag_s = CAMERAS[channel][0] if channel in CAMERAS else 0.0
        times_s = (camera_s if modality == "camera" else sweep_s) + lag_s
        tokens = [f"{channel}-{row}" for row in range(len(times_s))]
        for row, time_s in enumerate(times_s.tolist()):
            frame = min(int(np.searchsorted(sweep_s, time_s - lag_s - 1e-9)), scene.n_frames - 1)
            key = frame % 2 == 0 and modality != "radar"
            sample = samples[min((frame + 1) // 2, len(samples) - 1)]
            folder = "samples" if key else "sweeps"
            suffix = {"camera": "jpg", "lidar": "pcd.bin", "radar": "pcd"}[modality]
            file = f"{folder}/{channel}/n015__{channel}__{_us(time_s)}.{suffix}"
            world_from_ego = scene.world_from_ego(np.array([time_s]))[0]
            add("ego_pose", f"pose-{channel}-{row}", timestamp=_us(time_s), **pose(world_from_ego))
            add(
                "sample_data",
                tokens[row],
                sample_token=sample,
                ego_pose_token=f"pose-{channel}-{row}",
                calibrated_sensor_token=f"calibration-{channel}",
                timestamp=_us(time_s),
                fileformat=suffix.removesuffix(".bin"),
                is_key_frame=key,
                height=k.height_px if modality == "camera" else 0,
                width=k.width_px if modality == "camera" else 0,
                filename=file,
                **_chain(tokens, row),
            )
            if modality == "radar":
                continue
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            world_from_sensor = world_from_ego @ place
            if modality == "camera":
                picture = np.ascontiguousarray(scene.picture(k, world_from_sensor, time_s))
                (root / file).write_bytes(simplejpeg.encode_jpeg(picture, quality=80))
            else:
                points = np.zeros((len(scene.points_world(time_s)), 5), dtype="<f4")
                points[:, :3] = se3.apply(se3.invert(world_from_sensor), scene.points_world(time_s))
                points[:, 3] = np.arange(len(points)) % 256
                (root / file).write_bytes(points.tobytes())
    for token, level in VISIBILITY.items():
        add("visibility", token, level=level, description=level)
    for attribute in ATTRIBUTES:
        add("attribute", f"a-{attribute}", name=attribute, description="")
    for category in ("vehicle.car", "vehicle.truck"):
        add("category", f"c-{category}", name=category, description="")
    for which in range(scene.n_objects):
        chain = [f"box-{which}-{frame}" for frame in range(0, scene.n_frames, 2)]
        add(
            "instance",
            f"instance-{which}",
            category_token=f"c-{'vehicle.truck' if which == 2 else 'vehicle.car'}",
            nbr_annotations=len(chain),
            first_annotation_token=chain[0],
            last_annotation_token=chain[-1],
        )
        for row, frame in enumerate(range(0, scene.n_frames, 2)):
            center, size, yaw = (column[which] for column in scene.objects(float(sweep_s[frame])))
            add(
                "sample_annotation",
                chain[row],
                sample_token=f"sample-{frame}",
                instance_token=f"instance-{which}",
                visibility_token=str(1 + (which + row) % 4),
                attribute_tokens=[f"a-{ATTRIBUTES[which % 2]}"] if which < 2 else [],
                translation=center.tolist(),
                size=size[[1, 0, 2]].tolist(),
                rotation=quaternion.from_yaw(yaw).tolist(),
                num_lidar_pts=10 * which + row,
                num_radar_pts=0,
                **_chain(chain, row),
            )
    (root / VERSION).mkdir()
    for table, rows in tables.items():
        (root / VERSION / f"{table}.json").write_text(json.dumps(rows))


def edit(
    root: Path, table: str, change: Callable[[list[dict[str, Any]]], Any], version: str = VERSION
) -> Path:
    """Changes the rows of a table in place."""
    path = root / version / f"{table}.json"
    rows = json.loads(path.read_text())
    changed = change(rows)
    path.write_text(json.dumps(rows if changed is None else changed))
    return path


def _us(time_s: float) -> int:
    return START_US + round(time_s * 1e6)


def _chain(tokens: list[str], row: int) -> dict[str, str]:
    return {
        "prev": tokens[row - 1] if row else "",
        "next": tokens[row + 1] if row + 1 < len(tokens) else "",
    }
