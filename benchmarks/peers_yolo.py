"""Decode, detect, track and store pictures with ultralytics, or with ultralytics, supervision and trackers.

    python benchmarks/peers_yolo.py CALL WEIGHTS FOLDER OUT [--processes N] [--threads N] [--batch N] [--defaults]
        [--square] [--repeats N]

CALL is `predict`, `track` (both of YOLO) or `supervision` (`predict`, then ByteTrack of `trackers`). FOLDER has a
folder of pictures per camera. Processes take cameras one by one; loading and a few pictures to warm up are not timed.
Boxes of each camera end in a file of OUT, synced. Prints wall and core seconds of each repeat as JSON. It runs in the
peers' environment, see ``peers.py``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

WARM = 8  # pictures before the clock starts
CONFIDENCE, OVERLAP, MOST = 0.1, 0.6, 300  # as FleetLabel's
PACKAGES = (
    "ultralytics",
    "torch",
    "onnxruntime",
    "openvino",
    "supervision",
    "trackers",
    "lap",
    "opencv-python",
    "numpy",
)


def main() -> None:
    """Starts the processes, and tells how long they took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("call", choices=("predict", "track", "supervision"))
    parser.add_argument("weights", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0, help="of each process; 0: as the libraries choose")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument(
        "--defaults", action="store_true", help="thresholds and tracker that come with ultralytics"
    )
    parser.add_argument(
        "--square", action="store_true", help="pad pictures to a square even if the network need not"
    )
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()

    cameras = sorted(folder.name for folder in args.folder.iterdir() if any(folder.glob("*.jpg")))
    context = multiprocessing.get_context("spawn")
    answers, barrier = context.Queue(), context.Barrier(args.processes)
    tasks = [context.Queue() for _ in range(args.repeats)]
    for queue in tasks:
        for camera in [*cameras, *[None] * args.processes]:
            queue.put(camera)
    running = [
        context.Process(target=_work, args=(args, number, tasks, barrier, answers), daemon=True)
        for number in range(args.processes)
    ]
    for process in running:
        process.start()
    times = [answers.get(timeout=600) for _ in running]
    for process in running:
        process.join()
    repeats = list(zip(*times, strict=True))
    seconds = [max(end for _, end, _ in mine) - min(start for start, _, _ in mine) for mine in repeats]
    core_s = [sum(core_s for _, _, core_s in mine) for mine in repeats]
    pictures = sum(1 for camera in cameras for _ in (args.folder / camera).glob("*.jpg"))
    print(
        json.dumps(
            {
                "pictures": pictures,
                "seconds": seconds,
                "core_s": core_s,
                "versions": {name: version(name) for name in PACKAGES},
            }
        )
    )


def _work(args: argparse.Namespace, number: int, tasks: list[Any], barrier: Any, answers: Any) -> None:
    sys.stdout = sys.stderr
    if args.threads:
        _limit(args.threads, number, args.processes)
    from ultralytics import YOLO

    model = YOLO(args.weights, task="detect")
    label = {"predict": _predict, "track": _track, "supervision": _supervision}[args.call]
    first = sorted(next(folder for folder in sorted(args.folder.iterdir()) if folder.is_dir()).glob("*.jpg"))
    _store(args.out / f"warm_{number}.npz", label(model, first[:WARM], args, number))
    times = []
    for queue in tasks:
        barrier.wait()
        start, core_s = time.time(), time.process_time()
        while (camera := queue.get()) is not None:
            files = sorted((args.folder / camera).glob("*.jpg"))
            _store(args.out / f"{camera}.npz", label(model, files, args, number))
        times.append((start, time.time(), time.process_time() - core_s))
    answers.put(times)


def _limit(threads: int, number: int, processes: int) -> None:
    """So many threads, on cores of the process's own where there are several."""
    if processes > 1:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[(number * threads + k) % len(cores)] for k in range(threads)})
    import cv2
    import onnxruntime
    import torch

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads if threads > 1 else 0)
    plain = onnxruntime.InferenceSession

    def limited(path: Any, options: Any = None, **rest: Any) -> Any:
        options = options or onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        return plain(path, options, **rest)

    onnxruntime.InferenceSession = limited


Row = tuple[int, Any, Any, Any, Any]  # frame, (n, 4) xyxy, scores, classes, tracks (or none)


def _settings(files: list[Path], args: argparse.Namespace, number: int) -> dict[str, Any]:
    listed = args.out / f"source_{number}.txt"
    listed.write_text("\n".join(str(file.resolve()) for file in files))
    said: dict[str, Any] = {
        "source": str(listed),
        "stream": True,
        "imgsz": args.imgsz,
        "batch": args.batch,
        "device": "cpu",
        "verbose": False,
    }
    if args.square:
        said["rect"] = False
    if not args.defaults:
        said |= {"conf": CONFIDENCE, "iou": OVERLAP, "max_det": MOST}
    return said


def _rows(results: Any) -> Iterator[Row]:
    for frame, result in enumerate(results):
        boxes = result.boxes
        track = None if boxes.id is None else boxes.id.numpy()
        yield frame, boxes.xyxy.numpy(), boxes.conf.numpy(), boxes.cls.numpy(), track


def _predict(model: Any, files: list[Path], args: argparse.Namespace, number: int) -> Iterator[Row]:
    return _rows(model.predict(**_settings(files, args, number)))


def _track(model: Any, files: list[Path], args: argparse.Namespace, number: int) -> Iterator[Row]:
    for tracker in getattr(model.predictor, "trackers", []):
        tracker.reset()  # another camera; within one, tracks go on from picture to picture
    tracker = {} if args.defaults else {"tracker": "bytetrack.yaml"}
    return _rows(model.track(persist=True, **tracker, **_settings(files, args, number)))


def _supervision(model: Any, files: list[Path], args: argparse.Namespace, number: int) -> Iterator[Row]:
    import supervision

    from trackers import ByteTrackTracker

    tracker = ByteTrackTracker()
    for frame, result in enumerate(model.predict(**_settings(files, args, number))):
        found = tracker.update(supervision.Detections.from_ultralytics(result))
        yield frame, found.xyxy, found.confidence, found.class_id, found.tracker_id


def _store(file: Path, rows: Iterator[Row]) -> None:
    """One row per box, in a file that is on the disk when this returns."""
    columns: list[list[Any]] = [[], [], [], [], []]
    for frame, xyxy, score, cls, track in rows:
        columns[0].append(np.full(len(xyxy), frame))
        columns[1].append(xyxy)
        columns[2].append(score)
        columns[3].append(cls)
        columns[4].append(np.full(len(xyxy), -1) if track is None else track)
    joined: list[Any] = [np.concatenate(column) for column in columns]
    with file.open("wb") as to:
        np.savez(to, **dict(zip(("frame", "xyxy_px", "score", "cls", "track"), joined, strict=True)))
        to.flush()
        os.fsync(to.fileno())


if __name__ == "__main__":
    main()
