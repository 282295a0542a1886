"""Time per frame against the number of objects, beside whichever other trackers are installed.

    python benchmarks/scaling.py [--frames 100] [--json FILE]

Peers are measured if they can be imported. They pin other versions of numpy, so give them their own
environment:

    python -m venv peers && peers/bin/pip install trackers supervision filterpy scipy numba numpy
    PYTHONPATH=trackers peers/bin/python benchmarks/scaling.py

(boxmot, which brings torch, is measured too where it is installed.)
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.trackers import Detections2D, Tracker2D, Tracker3D
from fleetlabel.trackers.testing import random_detections_2d, random_detections_3d

SIZES = (10, 50, 200, 1000)
QUICK_S = 2.0  # a measurement that takes longer is not repeated
SLOW_BUDGET_S = 20.0  # a peer is given up on once a size takes it longer than this

Step = Callable[[int, F64, F64], object]  # time, boxes (n, 4), scores (n,) of one frame


def main() -> None:
    """Measure every tracker at every size and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=100, help="frames per measurement")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    args = parser.parse_args()
    table: dict[str, dict[int, float]] = {}
    for size in SIZES:
        times, found = random_detections_2d(0, args.frames, size)
        ours = table.setdefault("fleetlabel 2D, update() per frame", {})
        ours[size] = _ms_per_frame(_fleetlabel_steps, times, found)
        chunk = table.setdefault("fleetlabel 2D, run() per chunk", {})
        chunk[size] = _fastest(partial(_run, Tracker2D, times, found)) / args.frames
        times_3d, found_3d = random_detections_3d(0, args.frames, size)
        chunk = table.setdefault("fleetlabel 3D, run() per chunk", {})
        chunk[size] = _fastest(partial(_run, Tracker3D, times_3d, found_3d)) / args.frames
        for name, steps in _peers().items():
            measured = table.setdefault(name, {})
            if not measured or measured[max(measured)] * args.frames < 1000 * SLOW_BUDGET_S / 8:
                measured[size] = _ms_per_frame(steps, times, found)
    print(f"{'ms per frame':40}" + "".join(f"{size:>10}" for size in SIZES))
    for name, measured in table.items():
        print(
            f"{name:40}" + "".join(f"{measured[s]:>10.4g}" if s in measured else f"{'-':>10}" for s in SIZES)
        )
    if args.json:
        args.json.write_text(json.dumps(table, indent=2) + "\n")


def _run(tracker: Any, times: I64, found: Any) -> object:
    return tracker().run(times, found)


def _fastest(run: Callable[[], object], repeats: int = 3) -> float:
    """Fastest of a few runs, in ms, after one that compiles."""
    run()
    spent = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        spent.append(1000 * (time.perf_counter() - begin))
    return min(spent)


def _ms_per_frame(make: Callable[[], Step], times: I64, found: Detections2D) -> float:
    """Mean time of a step over the frames, in ms, of the fastest run; the first run of three frames is not counted."""
    border = np.searchsorted(found.frame, np.arange(len(times) + 1))
    frames = [
        (int(t), found.xyxy_px[low:high], found.score[low:high])
        for t, low, high in zip(times, border[:-1], border[1:], strict=True)
    ]
    step = make()
    for t, box, score in frames[:3]:
        step(t, box, score)
    spent: list[float] = []
    while len(spent) < 3 and sum(spent) < QUICK_S:  # the fastest counts: others use the machine too
        step = make()
        begin = time.perf_counter()
        for t, box, score in frames:
            step(t, box, score)
        spent.append(time.perf_counter() - begin)
    return 1000 * min(spent) / len(frames)


def _fleetlabel_steps() -> Step:
    tracker = Tracker2D()

    def step(timestamp_ns: int, box: F64, score: F64) -> object:
        zero = np.zeros(len(box), dtype=np.int32)
        return tracker.update(timestamp_ns, Detections2D(zero, box, score, zero.astype(np.int16)))

    return step


def _peers() -> dict[str, Callable[[], Step]]:
    candidates = {
        "trackers ByteTrack": ("trackers", _roboflow_steps),
        "boxmot ByteTrack": ("boxmot", _boxmot_steps),
        "filterpy + scipy loop": ("filterpy", _filterpy_steps),
    }
    return {name: make for name, (module, make) in candidates.items() if importlib.util.find_spec(module)}


def _roboflow_steps() -> Step:
    import supervision

    from trackers import ByteTrackTracker

    tracker = ByteTrackTracker()

    def step(timestamp_ns: int, box: F64, score: F64) -> object:
        zero = np.zeros(len(box), dtype=np.int64)
        return tracker.update(supervision.Detections(xyxy=box.copy(), confidence=score.copy(), class_id=zero))

    return step


def _boxmot_steps() -> Step:
    from boxmot.trackers.bytetrack.bytetrack import ByteTrack

    tracker = ByteTrack()
    picture = np.zeros((900, 1600, 3), dtype=np.uint8)

    def step(timestamp_ns: int, box: F64, score: F64) -> object:
        return tracker.update(np.concatenate([box, score[:, None], np.zeros((len(box), 1))], axis=1), picture)

    return step


def _filterpy_steps() -> Step:
    """SORT as it is usually written: one filterpy object per track, one dense assignment per frame."""
    from filterpy.kalman import KalmanFilter
    from scipy.optimize import linear_sum_assignment

    from fleetlabel.geometry.iou import iou_2d

    tracks: list[KalmanFilter] = []

    def start(box: F64) -> KalmanFilter:
        kf = KalmanFilter(dim_x=8, dim_z=4)
        kf.F = np.eye(8) + 0.1 * np.eye(8, k=4)
        kf.H = np.eye(4, 8)
        kf.P *= 10.0
        kf.x[:4, 0] = box
        return kf

    def step(timestamp_ns: int, box: F64, score: F64) -> object:
        for kf in tracks:
            kf.predict()
        boxes = np.array([kf.x[:4, 0] for kf in tracks]).reshape(-1, 4)
        overlap = iou_2d(boxes, box)
        rows, columns = linear_sum_assignment(-overlap)
        good = overlap[rows, columns] > 0.2
        for row, column in zip(rows[good], columns[good], strict=True):
            tracks[row].update(box[column])
        fresh = np.setdiff1d(np.arange(len(box)), columns[good])
        if len(tracks) < 2 * len(box):  # no life cycle: bound the growth instead
            tracks.extend(start(box[k]) for k in fresh)
        return rows

    return step


if __name__ == "__main__":
    main()
