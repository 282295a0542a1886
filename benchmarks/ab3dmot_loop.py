"""AB3DMOT (Weng et al., IROS 2020) as published, beside ours on the same detections, online, without poses.

    python benchmarks/ab3dmot_loop.py --data DIR --cls Car|Pedestrian [--json FILE]

One filterpy object per track, looped over: constant velocity over ten numbers (x y z yaw l w h vx vy vz, one
frame as the unit of time), matched by generalised 3D IoU, with the settings published for PointRCNN on KITTI.
Overlaps are computed pair by pair in Python, as there, where time is measured; where only accuracy is, our
kernel gives the same numbers sooner. Needs filterpy and scipy.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.geometry import yaw
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.iou import giou_3d
from fleetlabel.trackers import Detections3D, Tracker3D
from fleetlabel.trackers.testing import random_detections_3d
from kitti_folder import Folder, projected_px
from kitti_scores import score
from tracking import Result, track_3d

HEADING = 3
OUR_ORDER = [0, 1, 2, 4, 5, 6, 3]  # x y z l w h yaw from the state's x y z yaw l w h
Overlap = Callable[[F64, F64], F64]  # boxes (N, 7), (M, 7) to (N, M)


@dataclass(frozen=True, slots=True)
class Settings:
    """What was published for a class."""

    least_giou: float
    min_hits: int
    max_age: int
    greedy: bool


SETTINGS = {"Car": Settings(-0.2, 3, 2, False), "Pedestrian": Settings(-0.4, 1, 4, True)}


class Track:
    """One object's filter and its counters."""

    def __init__(self, state: F64, info: float, track_id: int) -> None:
        from filterpy.kalman import KalmanFilter

        self.kf: Any = KalmanFilter(dim_x=10, dim_z=7)
        self.kf.F = np.eye(10)
        self.kf.F[:3, 7:] = np.eye(3)
        self.kf.H = np.eye(7, 10)
        self.kf.P[7:, 7:] *= 1000.0
        self.kf.P *= 10.0
        self.kf.Q[7:, 7:] *= 0.01
        self.kf.x[:7, 0] = state
        self.id, self.score, self.detection = track_id, info, -1
        self.hits, self.unseen = 1, 0

    def predict(self) -> None:
        """One frame on."""
        self.kf.predict()
        self.kf.x[HEADING] = yaw.wrap(self.kf.x[HEADING])
        self.unseen += 1

    def update(self, measured: F64, score: float) -> None:
        """Correct with a box whose heading is turned to the track's side."""
        kf, z = self.kf, measured.copy()
        if abs(float(yaw.wrap(z[HEADING] - kf.x[HEADING, 0]))) > 0.5 * np.pi:
            kf.x[HEADING] = yaw.wrap(kf.x[HEADING] + np.pi)
        z[HEADING] = kf.x[HEADING, 0] + yaw.wrap(z[HEADING] - kf.x[HEADING, 0])
        kf.update(z)
        kf.x[HEADING] = yaw.wrap(kf.x[HEADING])
        self.hits, self.unseen, self.score = self.hits + 1, 0, score


class Ab3dmot:
    """The online tracker; ``update`` takes all boxes of a frame."""

    def __init__(self, settings: Settings = SETTINGS["Car"], overlap: Overlap = giou_3d) -> None:
        self.settings, self.overlap = settings, overlap
        self.tracks: list[Track] = []
        self.frames, self.next_id = 0, 1

    def update(self, cuboid: F64, score: F64) -> tuple[F64, I64, F64, I64]:
        """Cuboids (M, 7) x y z l w h yaw, ids (M,), scores (M,) and row of the detection or -1 (M,)."""
        self.frames += 1
        measured = cuboid[:, [0, 1, 2, 6, 3, 4, 5]]
        for track in self.tracks:
            track.predict()
            track.detection = -1
        free = np.ones(len(cuboid), dtype=bool)
        if self.tracks and len(cuboid):
            overlap = self.overlap(self._boxes(self.tracks), np.ascontiguousarray(cuboid))
            for i, k in _matched(overlap, self.settings.greedy):
                if overlap[i, k] >= self.settings.least_giou:
                    self.tracks[i].update(measured[k], float(score[k]))
                    self.tracks[i].detection = int(k)
                    free[k] = False
        for k in np.flatnonzero(free).tolist():
            self.tracks.append(Track(measured[k], float(score[k]), self.next_id))
            self.tracks[-1].detection = k
            self.next_id += 1
        need, max_age = self.settings.min_hits, self.settings.max_age
        shown = [
            t for t in self.tracks if t.unseen < max_age and (t.hits >= need or self.frames <= need)
        ]  # as published: a track that has just been missed is still given out
        self.tracks = [t for t in self.tracks if t.unseen < max_age]
        return (
            self._boxes(shown),
            np.array([t.id for t in shown], dtype=np.int64),
            np.array([t.score for t in shown]),
            np.array([t.detection for t in shown], dtype=np.int64),
        )

    @staticmethod
    def _boxes(tracks: list[Track]) -> F64:
        return np.array([t.kf.x[OUR_ORDER, 0] for t in tracks]).reshape(-1, 7)


def _matched(overlap: F64, greedy: bool) -> Iterable[tuple[int, int]]:
    from scipy.optimize import linear_sum_assignment

    if not greedy:
        return zip(*(side.tolist() for side in linear_sum_assignment(-overlap)), strict=True)
    rows, columns, pairs = set(), set(), []
    for flat in np.argsort(-overlap, axis=None, kind="stable").tolist():
        i, k = divmod(flat, overlap.shape[1])
        if i not in rows and k not in columns:
            rows.add(i)
            columns.add(k)
            pairs.append((i, k))
    return pairs


def giou_pair_by_pair(a: F64, b: F64) -> F64:
    """Generalised 3D IoU (N, M) as published: two loops, a polygon clipper and a convex hull in Python."""
    ground_a, ground_b = [_ground(box) for box in a], [_ground(box) for box in b]
    out = np.empty((len(a), len(b)))
    for i in range(len(a)):
        for k in range(len(b)):
            out[i, k] = _giou(a[i], b[k], ground_a[i], ground_b[k])
    return out


def _ground(box: F64) -> list[tuple[float, float]]:
    cos, sin = np.cos(box[6]), np.sin(box[6])
    corners = [(0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5), (0.5, -0.5)]
    sides = [(u * box[3], v * box[4]) for u, v in corners]
    return [(box[0] + cos * u - sin * v, box[1] + sin * u + cos * v) for u, v in sides]


def _giou(a: F64, b: F64, ground_a: list[tuple[float, float]], ground_b: list[tuple[float, float]]) -> float:
    from scipy.spatial import ConvexHull

    common = _clipped(ground_a, ground_b)
    shared = ConvexHull(np.array(common)).volume if len(common) > 2 else 0.0
    low = max(a[2] - 0.5 * a[5], b[2] - 0.5 * b[5])
    high = min(a[2] + 0.5 * a[5], b[2] + 0.5 * b[5])
    inside = shared * max(0.0, high - low)
    union = a[3] * a[4] * a[5] + b[3] * b[4] * b[5] - inside
    height = max(a[2] + 0.5 * a[5], b[2] + 0.5 * b[5]) - min(a[2] - 0.5 * a[5], b[2] - 0.5 * b[5])
    hull = ConvexHull(np.array(ground_a + ground_b)).volume * height
    return float(inside / union - (hull - union) / hull)


def _clipped(
    subject: list[tuple[float, float]], clip: list[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Sutherland and Hodgman's polygon clipping; counter-clockwise polygons."""
    x1, y1 = clip[-1]
    for x2, y2 in clip:
        sides = [(x2 - x1) * (y - y1) - (y2 - y1) * (x - x1) for x, y in subject]
        kept = []
        for n in range(len(subject)):
            (px, py), (qx, qy), p, q = subject[n - 1], subject[n], sides[n - 1], sides[n]
            if (p >= 0) != (q >= 0):
                kept.append((px + p / (p - q) * (qx - px), py + p / (p - q) * (qy - py)))
            if q >= 0:
                kept.append((qx, qy))
        if not kept:
            return []
        subject, (x1, y1) = kept, (x2, y2)
    return subject


def main() -> None:
    """Score both on the folder, time both on KITTI and on random scenes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder laid out like kitti_tracking_dev")
    parser.add_argument("--cls", choices=("Car", "Pedestrian"), required=True)
    parser.add_argument("--json", type=Path, help="file for the numbers")
    args = parser.parse_args()
    folder = Folder(args.data)
    ours, theirs = {}, {}
    for sequence in folder.sequences:
        found = folder.detections(sequence, "3d", args.cls)
        image_from_camera = folder.image_from_camera(sequence)
        ours[sequence] = track_3d(folder.timestamps_ns(sequence), found, False, None, image_from_camera)
        theirs[sequence] = _tracked(folder, sequence, args.cls)
    frames = sum(folder.n_frames(sequence) for sequence in folder.sequences)
    table = {}
    for name, results in (("fleetlabel", ours), ("AB3DMOT", theirs)):
        table[name] = {"fps": frames / sum(result.seconds for result in results.values())}
        table[name] |= score(folder, results, "3d", args.cls)
        for size, n_frames in ((10, 20), (200, 3)):
            table[name][f"ms_at_{size}"] = _ms_per_frame(name, size, n_frames)
    for row in table["AB3DMOT"]:
        print(f"{row:>12}" + "".join(f"{name:>12} {table[name][row]:<10.5g}" for name in table))
    if args.json:
        args.json.write_text(json.dumps(table, indent=2) + "\n")


def _tracked(folder: Folder, sequence: str, cls: str) -> Result:
    found, n_frames = folder.detections(sequence, "3d", cls), folder.n_frames(sequence)
    border = np.searchsorted(found.frame, np.arange(n_frames + 1))
    tracker, parts = Ab3dmot(SETTINGS[cls]), []
    begin = time.perf_counter()
    for low, high in itertools.pairwise(border):
        parts.append(tracker.update(found.cuboid[low:high], found.score[low:high]))
    seconds = time.perf_counter() - begin
    cuboid, ids, scores, row = (np.concatenate(column) for column in zip(*parts, strict=True))
    frame = np.repeat(np.arange(n_frames, dtype=np.int32), [len(part[1]) for part in parts])
    xyxy_px = projected_px(cuboid, folder.image_from_camera(sequence))
    seen = row >= 0
    xyxy_px[seen] = found.xyxy_px[(border[frame] + row)[seen]]
    return Result(frame, ids, xyxy_px, cuboid, scores, np.full((len(ids), 3), np.nan), seconds)


def _ms_per_frame(name: str, size: int, n_frames: int) -> float:
    """Mean ms per call, the first, on an empty tracker, left out."""
    times, found = random_detections_3d(0, n_frames, size)
    border = np.searchsorted(found.frame, np.arange(n_frames + 1))
    theirs, ours, spent = Ab3dmot(overlap=giou_pair_by_pair), Tracker3D(), []
    for k in range(n_frames):
        part = found.take(np.arange(border[k], border[k + 1]))
        cuboid = np.concatenate([part.center_m, part.size_lwh_m, part.yaw_rad[:, None]], axis=1)
        frame = Detections3D(
            0 * part.frame, part.center_m, part.size_lwh_m, part.yaw_rad, part.score, part.class_id
        )
        begin = time.perf_counter()
        if name == "AB3DMOT":
            theirs.update(cuboid, part.score)
        else:
            ours.update(int(times[k]), frame)
        spent.append(time.perf_counter() - begin)
    return 1000.0 * sum(spent[1:]) / (n_frames - 1)


if __name__ == "__main__":
    main()
