"""What detections worse than the detector's do to the tracker: a table of scores.

    python benchmarks/tracking_robustness.py --data DIR [--cls Car] [--mode offline] [--ego-poses] [--json FILE]

Detections of the folder are dropped, shifted, replaced by wrong ones, or thinned out in time; the
configuration stays the same.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from kitti_folder import Detections, Folder
from kitti_scores import score
from tracking import Result, track_3d

SLOW = 5  # every fifth frame of 10 Hz
Damage = Callable[[np.random.Generator, Detections], Detections]


def as_they_are(rng: np.random.Generator, found: Detections) -> Detections:
    """No damage, to compare with."""
    return found


def a_fifth_dropped(rng: np.random.Generator, found: Detections) -> Detections:
    """Each detection is missed with a chance of 20 %."""
    return take(found, rng.random(len(found.frame)) >= 0.2)


def biased(rng: np.random.Generator, found: Detections) -> Detections:
    """All boxes 0.3 m too far away, as from a wrong extrinsic calibration."""
    cuboid = found.cuboid.copy()
    cuboid[:, 0] += 0.3
    return replace(found, cuboid=cuboid)


def with_outliers(rng: np.random.Generator, found: Detections) -> Detections:
    """Each detection jumps with a chance of 5 % by a couple of metres, as onto the car beside it."""
    jump = rng.normal(0.0, 2.0, (len(found.frame), 2)) * (rng.random((len(found.frame), 1)) < 0.05)
    cuboid = found.cuboid.copy()
    cuboid[:, :2] += jump
    return replace(found, cuboid=cuboid)


def take(found: Detections, rows: np.ndarray) -> Detections:
    """Some rows of the detections."""
    return Detections(found.frame[rows], found.xyxy_px[rows], found.score[rows], found.cuboid[rows])


def main() -> None:
    """Track under each kind of damage and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder laid out like kitti_tracking_dev")
    parser.add_argument("--cls", choices=("Car", "Pedestrian"), default="Car")
    parser.add_argument("--mode", choices=("online", "offline"), default="offline")
    parser.add_argument("--ego-poses", action="store_true", help="track in the world frame")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    args = parser.parse_args()
    folder = Folder(args.data)
    names = ("hota", "deta", "assa", "loca", "mota", "idf1", "idsw", "frag")
    print(f"{'':24}" + "".join(f"{name:>8}" for name in names))
    cases: list[tuple[str, Damage, int]] = [
        ("as they are", as_they_are, 1),
        ("20 % dropped", a_fifth_dropped, 1),
        ("0.3 m bias", biased, 1),
        ("5 % outliers", with_outliers, 1),
        ("2 Hz", as_they_are, SLOW),
    ]
    table = {}
    for name, damage, every in cases:
        results = {sequence: _tracked(folder, sequence, damage, every, args) for sequence in folder.sequences}
        scores = score(folder, results, "3d", args.cls, with_amota=False, every=every)
        table[name] = scores
        print(f"{name:24}" + "".join(f"{scores[n]:>8.1f}" for n in names))
    if args.json:
        args.json.write_text(json.dumps(table, indent=2) + "\n")


def _tracked(folder: Folder, sequence: str, damage: Damage, every: int, args: argparse.Namespace) -> Result:
    found = folder.detections(sequence, "3d", args.cls)
    found = take(found, found.frame % every == 0)
    found = damage(np.random.default_rng(int(sequence)), replace(found, frame=found.frame // every))
    poses = folder.world_from_ego(sequence)[::every] if args.ego_poses else None
    times = folder.timestamps_ns(sequence)[::every]
    result = track_3d(times, found, args.mode == "offline", poses, folder.image_from_camera(sequence))
    return replace(result, frame=(result.frame * every).astype(np.int32))


if __name__ == "__main__":
    main()
