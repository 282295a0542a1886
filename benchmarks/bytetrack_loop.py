"""ByteTrack of the package ``trackers`` beside ours, called frame by frame on the same 2D detections.

    python benchmarks/bytetrack_loop.py --data DIR --cls Car|Pedestrian [--json FILE]

Both are timed in the same run, on inputs that are made beforehand, after a first sequence that does not count.
Needs the environment of peers that ``scaling.py`` describes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.geometry.arrays import F64
from fleetlabel.trackers import Detections2D, Tracker2D, calibrate
from kitti_folder import Folder
from kitti_scores import score
from tracking import REPEATS, RRC_EVEN_AT, Result

Frame = tuple[int, F64, F64]  # time, boxes (n, 4), the detector's scores (n,)
Row = tuple[int, int, F64, float]  # frame, track, box (4,), score


def main() -> None:
    """Score both and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder laid out like kitti_tracking_dev")
    parser.add_argument("--cls", choices=("Car", "Pedestrian"), required=True)
    parser.add_argument("--json", type=Path, help="file for the numbers")
    args = parser.parse_args()
    folder = Folder(args.data)
    table = {}
    for name, run in (("fleetlabel update()", _ours), ("ByteTrack", _bytetrack)):
        run(_frames(folder, folder.sequences[0], args.cls))
        results = {s: _result(run, _frames(folder, s, args.cls)) for s in folder.sequences}
        frames = sum(folder.n_frames(s) for s in folder.sequences)
        table[name] = {"fps": frames / sum(result.seconds for result in results.values())}
        table[name] |= score(folder, results, "2d", args.cls)
    for row in table["ByteTrack"]:
        print(f"{row:>12}" + "".join(f"{name:>22} {table[name][row]:<10.5g}" for name in table))
    if args.json:
        args.json.write_text(json.dumps(table, indent=2) + "\n")


def _frames(folder: Folder, sequence: str, cls: str) -> list[Frame]:
    found, times = folder.detections(sequence, "2d", cls), folder.timestamps_ns(sequence)
    border = np.searchsorted(found.frame, np.arange(len(times) + 1))
    return [
        (int(t), found.xyxy_px[border[k] : border[k + 1]], found.score[border[k] : border[k + 1]])
        for k, t in enumerate(times)
    ]


def _result(run: Callable[[list[Frame]], tuple[float, list[Row]]], frames: list[Frame]) -> Result:
    """Tracks of a sequence and the fastest time of a few runs."""
    runs = [run(frames) for _ in range(REPEATS)]
    rows = runs[0][1]
    return Result(
        frame=np.array([row[0] for row in rows], dtype=np.int32),
        track_id=np.array([row[1] for row in rows], dtype=np.int64),
        xyxy_px=np.array([row[2] for row in rows]).reshape(-1, 4),
        cuboid=np.zeros((0, 7)),
        score=np.array([row[3] for row in rows]),
        std=np.full((len(rows), 4), np.nan),
        seconds=min(seconds for seconds, _ in runs),
    )


def _ours(frames: list[Frame]) -> tuple[float, list[Row]]:
    inputs = [
        (
            t,
            Detections2D(
                zero := np.zeros(len(box), np.int32), box, calibrate(s, RRC_EVEN_AT), zero.astype("i2")
            ),
        )
        for t, box, s in frames
    ]
    tracker = Tracker2D()
    begin = time.perf_counter()
    outputs = [tracker.update(t, found) for t, found in inputs]
    seconds = time.perf_counter() - begin
    return seconds, [
        (k, int(out.track_id[i]), out.xyxy_px[i], float(frames[k][2][out.detection[i]]))
        for k, out in enumerate(outputs)
        for i in range(len(out))
    ]


def _bytetrack(frames: list[Frame]) -> tuple[float, list[Row]]:
    import supervision

    from trackers import ByteTrackTracker

    inputs = [
        supervision.Detections(xyxy=box.copy(), confidence=s.copy(), class_id=np.zeros(len(box), dtype=int))
        for _, box, s in frames
    ]
    tracker = ByteTrackTracker()
    begin = time.perf_counter()
    outputs: list[Any] = [tracker.update(found) for found in inputs]
    seconds = time.perf_counter() - begin
    return seconds, [
        (k, 1 + int(out.tracker_id[i]), out.xyxy[i], float(out.confidence[i]))
        for k, out in enumerate(outputs)
        for i in range(len(out))
        if out.tracker_id[i] >= 0
    ]


if __name__ == "__main__":
    main()
