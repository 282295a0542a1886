"""Tracker-only speed and accuracy on folders laid out like KITTI tracking.

    python benchmarks/tracking.py --data DIR --task 3d --cls Car --mode offline --ego-poses --out results
    --json out.json

Prints one line per score; offline also coverage_90, how much of the truth lies within the 90 % intervals that
the stated uncertainty gives, which should be 85-95. Frames/s are those of the tracker alone: reading, moving
boxes between frames of reference, scoring and the compiler's first run are not counted.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F64, I32, I64
from fleetlabel.trackers import (
    Detections2D,
    Detections3D,
    Smooth3DConfig,
    Tracker2D,
    Tracker3D,
    calibrate,
    smooth_tracks_2d,
    smooth_tracks_3d,
)
from kitti_coverage import coverage
from kitti_folder import Detections, Folder, moved, projected_px, write_results
from kitti_scores import score

RRC_EVEN_AT = 0.75  # confidence at which half of the detections are right
LOGIT_WEIGHT = 0.3  # boxes that score higher are also more precise
KITTI_EGO_DRIFT = 0.2  # m per root second: poses from GPS and IMU, parked cars wander by decimetres
LOGIT_MIDDLE, LOGIT_SLOPE = 3.2, 0.9
REPEATS = 5  # of the timed run; the fastest counts


@dataclass(frozen=True, slots=True)
class Result:
    """Tracks of one sequence: frame (N,), track_id (N,), xyxy_px (N, 4), cuboid (N, 7) or (0, 7), score
    (N,), std (N, 4 or 3) as in ``kitti_coverage``."""

    frame: I32
    track_id: I64
    xyxy_px: F64
    cuboid: F64
    score: F64
    std: F64
    seconds: float


def track_2d(times: I64, found: Detections, offline: bool) -> Result:
    """Track one sequence in the picture."""
    probability = calibrate(found.score, RRC_EVEN_AT)
    detections = Detections2D(
        found.frame, found.xyxy_px, probability, np.zeros(len(probability), dtype=np.int16)
    )
    seconds = np.inf
    for _ in range(REPEATS):
        begin = time.perf_counter()
        rows = Tracker2D().run(times, detections)
        if offline:
            rows = smooth_tracks_2d(rows, times, detections)
        seconds = min(seconds, time.perf_counter() - begin)
    return Result(
        rows.frame,
        rows.track_id,
        rows.xyxy_px,
        np.zeros((0, 7)),
        calibrate(rows.score, 1 - RRC_EVEN_AT),
        rows.xyxy_std_px,
        seconds,
    )


def track_3d(
    times: I64, found: Detections, offline: bool, poses: F64 | None, image_from_camera: F64
) -> Result:
    """Track one sequence in the world frame where there are ``poses``, in the ego frame otherwise."""
    cuboid = found.cuboid if poses is None else moved(found.cuboid, poses[found.frame])
    probability = probability_of(found.score)
    weight = np.exp(LOGIT_WEIGHT * found.score)
    smoother = Smooth3DConfig(ego_drift=0.0 if poses is None else KITTI_EGO_DRIFT)
    detections = Detections3D(
        found.frame,
        cuboid[:, :3],
        cuboid[:, 3:6],
        cuboid[:, 6],
        probability,
        np.zeros(len(cuboid), dtype=np.int16),
    )
    seconds = np.inf
    for _ in range(REPEATS):
        begin = time.perf_counter()
        rows = Tracker3D().run(times, detections)
        if offline:
            rows = smooth_tracks_3d(rows, times, detections, smoother, weight=weight)
        seconds = min(seconds, time.perf_counter() - begin)
    out = np.concatenate([rows.center_m, rows.size_lwh_m, rows.yaw_rad[:, None]], axis=1)
    if poses is not None:
        out = moved(out, se3.invert(poses)[rows.frame])
    xyxy_px = projected_px(out, image_from_camera)
    seen = rows.detection >= 0
    if not offline:
        xyxy_px[seen] = found.xyxy_px[rows.detection[seen]]
    return Result(rows.frame, rows.track_id, xyxy_px, out, logit_of(rows.score), rows.center_std_m, seconds)


def probability_of(logit: F64) -> F64:
    """How likely a detection of PointRCNN is right, by a logistic fit over the dev sequences, one for all
    classes."""
    return np.asarray(1.0 / (1.0 + np.exp(-LOGIT_SLOPE * (logit - LOGIT_MIDDLE))), dtype=np.float64)


def logit_of(probability: F64) -> F64:
    """Inverse of :func:`probability_of`."""
    return np.asarray(
        LOGIT_MIDDLE + (np.log(probability) - np.log1p(-probability)) / LOGIT_SLOPE, dtype=np.float64
    )


def main() -> None:
    """Parse the command line, track every sequence, score, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder laid out like kitti_tracking_dev")
    parser.add_argument("--task", choices=("2d", "3d"), required=True)
    parser.add_argument("--cls", choices=("Car", "Pedestrian"), required=True)
    parser.add_argument("--mode", choices=("online", "offline"), required=True)
    parser.add_argument("--ego-poses", action="store_true", help="track in the world frame (3d)")
    parser.add_argument("--out", type=Path, help="folder for results in KITTI's tracking format")
    parser.add_argument("--json", type=Path, help="file for the scores")
    args = parser.parse_args()
    folder = Folder(args.data)
    results: dict[str, Result] = {}
    track_one(folder, folder.sequences[0], args)  # compiles, or loads what is compiled
    for sequence in folder.sequences:
        results[sequence] = track_one(folder, sequence, args)
        if args.out:
            result = results[sequence]
            write_results(
                args.out / f"{sequence}.txt", args.cls, result.frame, result.track_id, result.xyxy_px,
                result.cuboid, result.score,
            )  # fmt: skip
    frames = sum(folder.n_frames(sequence) for sequence in folder.sequences)
    scores = {"fps": frames / sum(result.seconds for result in results.values())}
    scores |= score(folder, results, args.task, args.cls)
    if args.mode == "offline":  # online rows do not say how sure they are
        scores |= coverage(folder, results, args.task, args.cls)
    for name, value in scores.items():
        print(f"{name:>12} {value:.6g}")
    if args.json:
        args.json.write_text(json.dumps(scores, indent=2) + "\n")


def track_one(folder: Folder, sequence: str, args: argparse.Namespace) -> Result:
    """Track one sequence as the command line says."""
    times = folder.timestamps_ns(sequence)
    found = folder.detections(sequence, args.task, args.cls)
    if args.task == "2d":
        return track_2d(times, found, args.mode == "offline")
    poses = folder.world_from_ego(sequence) if args.ego_poses else None
    return track_3d(times, found, args.mode == "offline", poses, folder.image_from_camera(sequence))


if __name__ == "__main__":
    main()
