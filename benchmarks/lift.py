"""Measures lifting on a labelled store: where cuboids came to lie, and core milliseconds per frame, part by part.

    fleetlabel run DRIVE --model weights.onnx --tiles 3x2 --out drive.zarr
    python benchmarks/lift.py drive.zarr [--json]

Accuracy is that of the newest label version's lift against the drive's ground truth, as ``fleetlabel eval`` counts
it. Times are of this machine and this code, on the detections in the store, one thread, the best of three rounds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.evaluate import evaluate
from fleetlabel.engine.lift import CameraView, LidarPoints, frame, lift_frame
from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F64
from fleetlabel.model.boxes import Boxes2D
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import LidarReader, SequenceStore
from fleetlabel.store.runs import latest_run

PARTS = ("obstacle_cloud", "build_frusta", "_objects", "merge")
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Frame:
    """What one frame's lift reads."""

    points: LidarPoints
    views: list[CameraView]
    world_from_ego: F64
    timestamp_ns: int


def read_frames(store: SequenceStore) -> tuple[list[Frame], tuple[str, ...]]:
    """Every frame with a sweep, and the class names of its detections."""
    run = latest_run(store, "detect")
    cameras = store.info.of_kind(SensorKind.CAMERA)
    lidars = [store.lidar(sensor.name) for sensor in store.info.of_kind(SensorKind.LIDAR)]
    found = {camera.name: store.read_boxes(run.table_path(camera.name), Boxes2D) for camera in cameras}
    frames = []
    for index in range(store.info.n_frames):
        sweeps = [_points(store, lidar, index) for lidar in lidars if lidar.usable(index)]
        if sweeps:
            now = int(store.info.frame_timestamp_ns[index])
            views = [_view(store, name, index, boxes) for name, boxes in found.items()]
            pose = store.info.trajectory.at(np.array([now]))[0]
            frames.append(Frame(LidarPoints.concatenate(sweeps), views, pose, now))
    return frames, tuple(run.identity["class_names"])


def time_parts(frames: list[Frame], class_names: tuple[str, ...]) -> dict[str, float]:
    """Core milliseconds per frame of the lift and of its parts; median over frames of the best round."""
    spent: dict[str, float] = {}

    def timed(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            start = time.process_time()
            result = work(*args, **options)
            spent[name] = spent.get(name, 0.0) + 1e3 * (time.process_time() - start)
            return result

        return run

    whole = timed("lift_frame", lift_frame)
    originals = {name: getattr(frame, name) for name in PARTS}
    rows = []
    try:
        for name, work in originals.items():
            setattr(frame, name, timed(name, work))
        whole(frames[0].points, frames[0].views, frames[0].world_from_ego, 0, class_names)  # compiles
        for each in frames:
            rounds = []
            for _ in range(ROUNDS):
                spent.clear()
                whole(each.points, each.views, each.world_from_ego, each.timestamp_ns, class_names)
                rounds.append(dict(spent))
            rows.append(min(rounds, key=lambda row: row["lift_frame"]))
    finally:
        for name, work in originals.items():
            setattr(frame, name, work)
    return {name: float(np.median([row.get(name, 0.0) for row in rows])) for name in ("lift_frame", *PARTS)}


def _points(store: SequenceStore, lidar: LidarReader, index: int) -> LidarPoints:
    sweep = lidar.sweep(index)
    origin = store.info.trajectory.at(np.array([sweep.timestamp_ns]))[0] @ lidar.sensor.ego_from_sensor[:, 3]
    return LidarPoints(
        points_world=sweep.points_world(lidar.sensor, store.info.trajectory),
        timestamp_ns=sweep.point_timestamp_ns,
        lidar=np.zeros(len(sweep.points), dtype=np.int16),
        origin_world=origin[None, :3],
    )


def _view(store: SequenceStore, name: str, index: int, found: Boxes2D) -> CameraView:
    sensor = store.info.sensor(name)
    assert sensor.camera is not None
    exposed = int(store.camera(name).timestamp_ns[index])
    world_from_camera = store.info.trajectory.at(np.array([exposed]))[0] @ sensor.ego_from_sensor
    boxes = found.take(found.frame == index)
    return CameraView(
        camera=sensor.camera,
        camera_from_world=se3.invert(world_from_camera),
        timestamp_ns=exposed,
        xyxy_px=boxes.xyxy_px,
        score=boxes.score.astype(np.float64),
        class_id=boxes.class_id.astype(np.int64),
    )


def main() -> None:
    """Measures and prints tables, or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()

    store = SequenceStore.open(given.store)
    report = evaluate(store, store.latest_labels().name).to_dict()["sections"].get("lift", [])
    frames, class_names = read_frames(store)
    ms = time_parts(frames, class_names)
    size = {
        "frames": len(frames),
        "points_per_frame": float(np.mean([len(each.points.points_world) for each in frames])),
        "detections_per_frame": float(np.mean([sum(len(v.score) for v in each.views) for each in frames])),
    }
    if given.json:
        print(json.dumps({**size, "core_ms_per_frame": ms, "accuracy": report}))
        return
    print("  ".join(f"{name} {value:,.0f}" for name, value in size.items()))
    print("core ms per frame: " + "  ".join(f"{name.strip('_')} {value:.1f}" for name, value in ms.items()))
    for row in report:
        print("  ".join(f"{name} {_shown(value)}" for name, value in row.items()))


def _shown(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
